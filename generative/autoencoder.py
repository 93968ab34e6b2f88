"""Autoencoders: squeeze an image through a few numbers and draw it again from them.

With no hidden layer and 28×28 images the dense one is the textbook's 784→32→784. Trained to undo noise that is added
to its input, it learns to take noise out. It has no distribution to sample from; `sample` draws codes from a Gaussian
that is fitted to those of the training images, to show what is missing and why the VAE came to be.

Source: Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks (2006); Vincent et al.,
Extracting and Composing Robust Features with Denoising Autoencoders (2008), section 2.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.errors import ConfigError
from generative.family import Split
from generative.image_data import Images
from generative.image_family import ImageConfig, ImageFamily, ImageShape, shape_of
from generative.training import Batch, Logs, Training


@dataclass(frozen=True, slots=True)
class AutoencoderConfig(ImageConfig):
    """An autoencoder."""

    kind: Literal["dense", "conv"] = "dense"
    latent: int = 32
    """Numbers in a code."""
    hidden: tuple[int, ...] = ()
    """Widths of the layers between image and code; for `conv`, the channels at half and at a quarter of the size."""
    noise: float = 0.0
    """Standard deviation of the noise that training adds to the input and the model learns to undo."""

    def __post_init__(self) -> None:
        if self.latent < 1 or min(self.hidden, default=1) < 1 or self.noise < 0:
            raise ValueError("latent and hidden must be 1 or more, noise 0 or more")
        if self.kind == "conv" and len(self.hidden) != 2:
            raise ValueError("a convolutional autoencoder takes two hidden widths")


class Autoencoder(ImageFamily[AutoencoderConfig]):
    """An autoencoder of images."""

    name = "autoencoder"
    config_class = AutoencoderConfig
    score_unit = "squared error per image (a proxy: an autoencoder has no likelihood)"

    def build(self) -> nn.Module:
        """Encoder, decoder, and the mean and spread of the codes that were seen."""
        config = self.config
        made = _dense(config) if config.kind == "dense" else _convolutional(config)
        return nn.ModuleDict({"encoder": made[0], "decoder": made[1], "codes": _Codes(config.latent)})

    def encode(self, x: Tensor) -> Tensor:
        """Codes (N, latent) of images."""
        with self.evaluating():
            return self._encode(self.checked(x))

    def decode(self, codes: Tensor) -> Tensor:
        """Images (N, C, H, W) of codes."""
        with self.evaluating():
            return self._decode(codes.to(self.device))

    def reconstruct(self, x: Tensor) -> Tensor:
        """The images as they come back from their codes; with noisy ones, the noise is taken out."""
        return self.decode(self.encode(x))

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """The squared error per image between the clean images and what comes back of the noisy ones."""
        x = batch[0]
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        codes = self._encode(x + self.config.noise * noise)
        if self.network.training:
            self._codes.observe(codes.detach())
        return F.mse_loss(self._decode(codes), x, reduction="sum") / len(x), {}

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """Images of random codes, (n, C, H, W). There is no condition. Raises: ConfigError."""
        if condition is not None:
            raise ConfigError("An autoencoder cannot be asked for a class. Use vae, gan or diffusion.")
        normal = torch.randn(n, self.config.latent, generator=self.generator(generator), device=self.device)
        with self.evaluating():
            return self._decode(self._codes.mean + normal @ torch.linalg.cholesky(self._codes.covariance).T)

    def score(self, x: Tensor) -> Tensor:
        """The squared error with which each image comes back, (N,)."""
        return (self.reconstruct(x) - self.checked(x)).square().flatten(1).sum(1)

    def interpolate(self, one: Tensor, other: Tensor, steps: int = 9) -> Tensor:
        """Images between two, (steps, C, H, W), by a straight line between their codes."""
        ends = self.encode(torch.stack([one, other]))
        weights = torch.linspace(0, 1, steps, device=self.device)[:, None]
        return self.decode(torch.lerp(ends[:1], ends[1:], weights))

    def figures(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """The error of coming back, with and without noise to take out, and how well it finds strange classes."""
        # Imported here: it trains families, of which this is one.
        from generative.evaluation.anomaly import anomaly_figures

        assert isinstance(data.test, Images)  # noqa: S101
        x = data.test.x
        noisy = x + 0.25 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        found = {"error_reconstructed": float(self.score(x).mean())}
        found["error_noisy"] = float((noisy - x).square().flatten(1).sum(1).mean())
        found["error_denoised"] = float((self.reconstruct(noisy).cpu() - x).square().flatten(1).sum(1).mean())
        return {**found, **anomaly_figures(self, data)}

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> AutoencoderConfig:
        """`cpu`: dense; `gpu`: convolutional and longer."""
        image = shape_of(about)
        if name == "cpu":
            # With the digits' 64 pixels, 32 numbers would hardly be a bottleneck.
            latent, hidden = (10, (128,)) if image.is_small else (32, ())
            training = Training(steps=3000, lr=2e-3, ema_decay=0.99)
            return AutoencoderConfig(training, image, "dense", latent, hidden, noise=0.1)
        if name == "gpu":
            return AutoencoderConfig(Training(steps=20000, ema_decay=0.999), image, "conv", 32, (64, 128), noise=0.1)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")

    def _encode(self, x: Tensor) -> Tensor:
        codes: Tensor = self.network.get_submodule("encoder")(x)
        return codes

    def _decode(self, codes: Tensor) -> Tensor:
        images: Tensor = self.network.get_submodule("decoder")(codes)
        return images

    @property
    def _codes(self) -> "_Codes":
        found = self.network.get_submodule("codes")
        assert isinstance(found, _Codes)  # noqa: S101
        return found


class _Codes(nn.Module):
    """The running mean (latent,) and covariance (latent, latent) of codes."""

    mean: Tensor
    covariance: Tensor

    def __init__(self, latent: int, momentum: float = 0.02) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("covariance", torch.eye(latent))

    @torch.no_grad()
    def observe(self, codes: Tensor) -> None:
        """Moves both towards those of a batch (B, latent); a little of the identity keeps the root real."""
        self.mean.lerp_(codes.mean(0), self.momentum)
        centred = codes - self.mean
        floor = 1e-4 * torch.eye(codes.shape[1], device=codes.device)
        self.covariance.lerp_(centred.T @ centred / len(codes) + floor, self.momentum)


def _dense(config: AutoencoderConfig) -> tuple[nn.Module, nn.Module]:
    widths = [config.image.pixels, *config.hidden, config.latent]
    encoder: list[nn.Module] = [nn.Flatten()]
    decoder: list[nn.Module] = []
    for inner, outer in zip(widths[1:], widths[:-1], strict=True):
        encoder += [nn.Linear(outer, inner), nn.SiLU()]
        decoder = [nn.Linear(inner, outer), nn.SiLU(), *decoder]
    decoder[-1:] = [nn.Sigmoid(), nn.Unflatten(1, config.image.size)]
    return nn.Sequential(*encoder[:-1]), nn.Sequential(*decoder)


def _convolutional(config: AutoencoderConfig) -> tuple[nn.Module, nn.Module]:
    image, (wide, deep) = config.image, config.hidden
    corner = (deep, image.height // 4, image.width // 4)
    flat = corner[0] * corner[1] * corner[2]
    encoder = nn.Sequential(
        *_halving(image, wide, deep),
        nn.Flatten(),
        nn.Linear(flat, config.latent),
    )
    decoder = nn.Sequential(
        nn.Linear(config.latent, flat),
        nn.SiLU(),
        nn.Unflatten(1, corner),
        nn.ConvTranspose2d(deep, wide, 4, stride=2, padding=1),  # (B, wide, H/2, W/2)
        nn.SiLU(),
        nn.ConvTranspose2d(wide, image.channels, 4, stride=2, padding=1),  # (B, C, H, W)
        nn.Sigmoid(),
    )
    return encoder, decoder


def _halving(image: ImageShape, wide: int, deep: int) -> list[nn.Module]:
    return [
        nn.Conv2d(image.channels, wide, 4, stride=2, padding=1),  # (B, wide, H/2, W/2)
        nn.SiLU(),
        nn.Conv2d(wide, deep, 4, stride=2, padding=1),  # (B, deep, H/4, W/4)
        nn.SiLU(),
    ]
