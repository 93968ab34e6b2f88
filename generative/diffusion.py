"""Diffusion: destroy images with Gaussian noise step by step, learn to undo one step, and start from noise alone.

Source: Ho, Jain and Abbeel, Denoising Diffusion Probabilistic Models (2020), "DDPM"; Nichol and Dhariwal, Improved
DDPM (2021), eq. 17, the cosine schedule; Song, Meng and Ermon, Denoising Diffusion Implicit Models (2021), eq. 12 and
16; Salimans and Ho, Progressive Distillation (2022), v-prediction; Ho and Salimans, Classifier-Free Guidance (2022),
eq. 6; Lugmayr et al., RePaint (2022), algorithm 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.captions import Vocabulary
from generative.errors import ConfigError
from generative.image_family import ImageConfig, ImageFamily, shape_of
from generative.training import Batch, Logs, Training
from generative.unet import UNet

# Noise levels at which `score` looks, as shares of all steps.
_SCORED_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class DiffusionConfig(ImageConfig):
    """A diffusion model."""

    widths: tuple[int, ...] = (48, 64)
    """Channels of the U-Net at the full size, at half of it, and so on."""
    blocks: int = 1
    """Residual blocks at each size."""
    dropout: float = 0.1
    noise_steps: int = 1000
    schedule: Literal["linear", "cosine"] = "cosine"
    predict: Literal["epsilon", "v"] = "v"
    captions: float = 0.3
    """The share of training examples whose condition is a caption; the class itself is that of the others."""
    unconditional: float = 0.1
    """The share of training examples without a condition, for guidance."""
    sample_steps: int = 50
    guidance: float = 1.0
    """1 samples the conditional model; more follows the condition closer, at a price in variety."""

    def __post_init__(self) -> None:
        if min(self.widths) < 8 or any(width % 8 for width in self.widths) or self.blocks < 1:
            raise ValueError("widths must be multiples of 8, blocks 1 or more")
        if self.image.height % 2 ** (len(self.widths) - 1) or self.image.width % 2 ** (len(self.widths) - 1):
            raise ValueError("height and width must be divisible by 2 at every size of the U-Net")
        if not 1 <= self.sample_steps <= self.noise_steps:
            raise ValueError("sample_steps must be from 1 to noise_steps")


@dataclass(frozen=True, slots=True)
class Denoising:
    """One step back: the noise level `t` that was left, the image `x` after it and the clean one that was guessed."""

    t: int
    x: Tensor
    clean: Tensor


class Diffusion(ImageFamily[DiffusionConfig]):
    """A diffusion model of images, guided by class or caption."""

    name = "diffusion"
    config_class = DiffusionConfig
    score_unit = "squared error per image of undoing noise, mean over six levels (a proxy)"

    def build(self) -> UNet:
        """The U-Net; the schedule is kept beside it in float64."""
        config = self.config
        self.alpha_bar = alpha_bars(config.schedule, config.noise_steps).to(self.device)
        self.vocabulary = Vocabulary(config.image.class_names)
        return UNet(config.image.channels, config.widths, config.blocks, config.dropout, self.vocabulary)

    @property
    def conditional(self) -> bool:
        """Every sample is of a class."""
        return True

    # Forward: an image becomes noise.

    def noise(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Scaled images after `t` (N,) steps of noise, in one go (DDPM, eq. 4)."""
        signal, spread = self._scales(t)
        return signal * x + spread * noise

    def noising(self, images: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
        """The images at `levels` noise levels from none to all, (levels, N, C, H, W) in [0, 1]."""
        x = _scaled(self.checked(images))
        noise = torch.randn(x.shape, generator=self.generator(generator), device=self.device)
        steps = torch.linspace(0, self.config.noise_steps - 1, levels).round().long().to(self.device)
        return torch.stack([_images(self.noise(x, one.expand(len(x)), noise)) for one in steps])

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """The squared error of the prediction at a random noise level, mean over pixels."""
        x, labels, n = _scaled(batch[0]), batch[1], len(batch[0])
        t = torch.randint(self.config.noise_steps, (n,), generator=generator, device=self.device)
        noise = torch.randn(x.shape, generator=generator, device=self.device)
        condition = self._training_condition(labels, generator)
        predicted = self.network(self.noise(x, t, noise), t, condition)
        signal, spread = self._scales(t)
        target = noise if self.config.predict == "epsilon" else signal * noise - spread * x
        return F.mse_loss(predicted, target), {}

    def _training_condition(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        chance = torch.rand(3, len(labels), generator=generator, device=self.device)
        embedding = self._unet.embedding
        condition = torch.where(
            (chance[0] < self.config.captions)[:, None], embedding.caption(labels, chance[2]), embedding.label(labels)
        )
        return torch.where((chance[1] < self.config.unconditional)[:, None], embedding.nothing(len(labels)), condition)

    # Backward: noise becomes an image.

    def sample(
        self,
        n: int,
        *,
        condition: Any = None,
        generator: torch.Generator | None = None,
        steps: int | None = None,
        eta: float = 0.0,
        guidance: float | None = None,
    ) -> Tensor:
        """Images (n, C, H, W). `condition` is a class, classes, a caption, captions, or None for any class.

        `eta` 0 is DDIM; 1 with all steps is DDPM. Raises: ConfigError.
        """
        x = torch.zeros(n, *self.config.image.size)
        for one in self.denoising(n, condition=condition, generator=generator, steps=steps, eta=eta, guidance=guidance):
            x = one.x
        return _images(x)

    def denoising(
        self,
        n: int,
        *,
        condition: Any = None,
        generator: torch.Generator | None = None,
        steps: int | None = None,
        eta: float = 0.0,
        guidance: float | None = None,
    ) -> Iterator[Denoising]:
        """The steps from noise to images, as `sample` makes them; values are scaled to [-1, 1]."""
        random = self.generator(generator)
        wanted = self._condition(n, condition, random)
        x = torch.randn(n, *self.config.image.size, generator=random, device=self.device)
        levels = spaced(self.config.noise_steps, steps or self.config.sample_steps)
        for t, s in zip(levels, [*levels[1:], -1], strict=True):
            clean, noise = self._guess(x, t, wanted, self.config.guidance if guidance is None else guidance)
            x = step_back(clean, noise, self._level(t), self._level(s), eta, random)
            yield Denoising(t, x, clean)

    def inpaint(
        self,
        images: Tensor,
        known: Tensor,
        *,
        condition: Any = None,
        generator: torch.Generator | None = None,
        rounds: int = 4,
    ) -> Tensor:
        """The images with what is not `known` (broadcast to (N, C, H, W), bool) drawn anew to fit the rest.

        Each step is made `rounds` times, noise added in between, so that both parts come to agree (RePaint).
        """
        random = self.generator(generator)
        given, keep = _scaled(self.checked(images)), known.to(self.device)
        wanted = self._condition(len(given), condition, random)
        x = torch.randn(given.shape, generator=random, device=self.device)
        levels = spaced(self.config.noise_steps, self.config.sample_steps)
        for t, s in zip(levels, [*levels[1:], -1], strict=True):
            for again in range(rounds if s >= 0 else 1):
                clean, noise = self._guess(x, t, wanted, self.config.guidance)
                back = step_back(clean, noise, self._level(t), self._level(s), 1.0, random)
                there = self._renoised(given, torch.tensor(1.0), self._level(s), random)
                x = torch.where(keep, there, back)
                if s >= 0 and again < rounds - 1:
                    x = self._renoised(x, self._level(s), self._level(t), random)
        return _images(x)

    def score(self, x: Tensor) -> Tensor:
        """How badly noise is undone on each image, (N,); the noise is always the same."""
        scaled = _scaled(self.checked(x))
        generator = torch.Generator(self.device).manual_seed(0)
        nothing = self._unconditional(len(x))
        total = torch.zeros(len(x), device=self.device)
        for share in _SCORED_LEVELS:
            t = int(share * (self.config.noise_steps - 1))
            noise = torch.randn(x.shape[1:], generator=generator, device=self.device).expand(x.shape)
            noisy = self.noise(scaled, torch.full((len(x),), t, device=self.device), noise)
            clean, _ = self._guess(noisy, t, (nothing, nothing), 1.0)
            total += (clean - scaled).square().flatten(1).sum(1)
        return total / len(_SCORED_LEVELS)

    def _guess(self, x: Tensor, t: int, condition: tuple[Tensor, Tensor], guidance: float) -> tuple[Tensor, Tensor]:
        """The clean images in [-1, 1] and the noise that the network sees in `x` at level `t`."""
        with self.evaluating():
            wanted, nothing = condition
            times = torch.full((len(x),), t, device=self.device)
            output: Tensor = self.network(x, times, wanted)
            if guidance != 1.0:
                output = torch.lerp(self.network(x, times, nothing), output, guidance)  # eq. 6
        signal, spread = self._scales(times)
        by_noise = self.config.predict == "epsilon"
        clean = (x - spread * output) / signal if by_noise else signal * x - spread * output
        clean = clean.clamp(-1, 1)
        return clean, (x - signal * clean) / spread

    def _condition(self, n: int, condition: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Embeddings (n, D) of the condition and of none."""
        with self.evaluating():
            texts = [condition] * n if isinstance(condition, str) else condition
            if isinstance(texts, Sequence) and len(texts) == n and all(isinstance(one, str) for one in texts) and n:
                wanted = self._unet.embedding.texts([self.vocabulary.encode(one) for one in texts])
            else:
                wanted = self._unet.embedding.label(self.labels(n, condition, generator))
        return wanted, self._unconditional(n)

    def _unconditional(self, n: int) -> Tensor:
        with self.evaluating():
            return self._unet.embedding.nothing(n)

    def _renoised(self, x: Tensor, before: Tensor, after: Tensor, generator: torch.Generator) -> Tensor:
        """Images of the level `before` with the noise of `after` (both ᾱ)."""
        kept = (after / before).float()
        return kept.sqrt() * x + (1 - kept).sqrt() * torch.randn(x.shape, generator=generator, device=self.device)

    def _level(self, t: int) -> Tensor:
        return self.alpha_bar[t] if t >= 0 else torch.ones((), dtype=torch.float64, device=self.device)

    def _scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ and √(1-ᾱ) of noise levels (N,), each (N, 1, 1, 1) float32."""
        level = self.alpha_bar[t][:, None, None, None]
        return level.sqrt().float(), (1 - level).sqrt().float()

    @property
    def _unet(self) -> UNet:
        assert isinstance(self.network, UNet)  # noqa: S101
        return self.network

    def parse_condition(self, text: str) -> Any:
        """A class by name or number; any other text is a caption. Raises: ConfigError."""
        try:
            return super().parse_condition(text)
        except ConfigError:
            self.vocabulary.encode(text)
            return text

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> DiffusionConfig:
        """`cpu`: 0.9M parameters for the digits; `gpu`: wider and longer."""
        image = shape_of(about)
        if name == "cpu":
            widths = (48, 64) if image.is_small else (16, 32, 64)
            training = Training(steps=2700, batch_size=128, lr=1e-3, warmup_steps=200, ema_decay=0.999)
            return DiffusionConfig(training, image, widths)
        if name == "gpu":
            widths = (64, 128) if image.is_small else (64, 128, 128)
            training = Training(steps=40000, batch_size=256, lr=1e-3, warmup_steps=1000, ema_decay=0.9995)
            return DiffusionConfig(training, image, widths, blocks=2)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")


def alpha_bars(schedule: str, steps: int) -> Tensor:
    """How much of the signal's variance is left after each step, ᾱ (steps,) float64."""
    if schedule == "linear":
        beta = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)
    else:
        times = torch.arange(steps + 1, dtype=torch.float64) / steps
        level = torch.cos((times + 0.008) / 1.008 * torch.pi / 2).square()
        beta = (1 - level[1:] / level[:-1]).clamp(max=0.999)
    return (1 - beta).cumprod(0)


def spaced(total: int, count: int) -> list[int]:
    """`count` of `total` noise levels at even distances, from the highest down; the last step's is there always.

    Source: Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed (2024), table 2, "trailing".
    """
    return [round(total * (count - number) / count) - 1 for number in range(count)]


def step_back(
    clean: Tensor, noise: Tensor, now: Tensor, then: Tensor, eta: float, generator: torch.Generator
) -> Tensor:
    """From the level `now` to the cleaner `then` (both ᾱ), given the clean image and the noise seen (DDIM, eq. 12).

    With `eta` 1 it draws from the posterior of DDPM, eq. 6 and 7; with 0 nothing is drawn.
    """
    variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
    back = then.sqrt().float() * clean + (1 - then - variance).clamp(min=0).sqrt().float() * noise
    if eta == 0 or float(then) == 1.0:
        return back
    return back + variance.sqrt().float() * torch.randn(clean.shape, generator=generator, device=clean.device)


def _scaled(images: Tensor) -> Tensor:
    return images * 2 - 1


def _images(x: Tensor) -> Tensor:
    return (x / 2 + 0.5).clamp(0, 1)
