"""Generative adversarial networks: one network draws, another tells drawings from real images, and both learn by it.

With kind `dense` on 28×28 images the generator is the textbook's 100→128→784. The convolutional one has what made such
training stable: spectral normalisation, a penalty on the gradient at real images, and the same augmentation of real and
drawn images before the discriminator sees them.

The textbook stops when the discriminator is right half of the time. A weak discriminator is so from the start, hence
here a fresh critic, trained on other images, must agree. An alarm tells of a generator that draws the same few images.

Source: Goodfellow et al., Generative Adversarial Nets (2014), section 3, the non-saturating loss; Miyato et al.,
Spectral Normalization (2018); Mescheder, Geiger and Nowozin, Which Training Methods for GANs do actually Converge?
(2018), eq. 9 and 10, R1 and R2; Huang et al., The GAN is dead; long live the GAN! (2024), section 2, the relativistic
loss; Miyato and Koyama, cGANs with Projection Discriminator (2018), eq. 3; Zhao et al., Differentiable Augmentation for
Data-Efficient GAN Training (2020).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from generative.errors import ConfigError
from generative.evaluation.judge import train_judge
from generative.family import Split, Update
from generative.image_data import Images
from generative.image_family import ImageConfig, ImageFamily, ImageShape, shape_of
from generative.training import Batch, Data, Logs, Training

# Below this share of the real images' variety the alarm rings. A generator that drew one image a class had .13.
COLLAPSED = 0.6
# What still counts as half of the time, for the discriminator and for the critic.
_EVEN = 0.55
_CRITIC_STEPS = 300


@dataclass(frozen=True, slots=True)
class GanConfig(ImageConfig):
    """A pair of networks."""

    kind: Literal["dense", "conv"] = "conv"
    latent: int = 64
    """Numbers of noise that an image is drawn from."""
    width: int = 64
    """Channels at the full size, or neurons of a hidden layer of the dense networks."""
    depth: int = 1
    """Hidden layers of the dense networks."""
    conditional: bool = True
    """Whether both networks are told the class."""
    spectral: bool = True
    relativistic: bool = False
    """Whether the discriminator compares a real and a drawn image of a class instead of judging each alone."""
    r1: float = 1.0
    """The weight γ of the penalty on the discriminator's gradient at real images; 0 leaves it out."""
    r2: float = 0.0
    """The same at drawn images."""
    augment: float = 0.5
    """The share of images that are moved before the discriminator sees them, real and drawn alike."""
    stop_when_even: bool = False
    """Whether to stop once discriminator and critic are right half of the time."""

    def __post_init__(self) -> None:
        if min(self.latent, self.width, self.depth) < 1 or min(self.r1, self.r2) < 0 or not 0 <= self.augment <= 1:
            raise ValueError("latent, width and depth must be 1 or more, r1 and r2 0 or more, augment from 0 to 1")


class Gan(ImageFamily[GanConfig]):
    """A generator and its discriminator."""

    name = "gan"
    config_class = GanConfig
    score_unit = "minus the discriminator's logit (a proxy: how drawn it looks)"

    @property
    def conditional(self) -> bool:
        """Whether a class can be asked for."""
        return self.config.conditional

    def build(self) -> nn.Module:
        """Both networks."""
        config = self.config
        classes = config.image.classes if config.conditional else 0
        norm = spectral_norm if config.spectral else _as_it_is
        made: tuple[nn.Module, nn.Module]
        if config.kind == "dense":
            made = (
                DenseGenerator(config, classes),
                _dense_critic(config, classes, norm),
            )
        else:
            made = (
                ConvGenerator(config.image, config.latent, config.width, classes),
                _conv_critic(config, classes, norm),
            )
        return nn.ModuleDict({"generator": made[0], "discriminator": made[1]})

    def parts(self) -> dict[str, nn.Module]:
        """Each has an optimiser of its own."""
        return {name: self.network.get_submodule(name) for name in ("discriminator", "generator")}

    def step(self, batch: Batch, generator: torch.Generator, update: Update) -> Logs:
        """First the discriminator learns to tell them apart, then the generator to pass for real."""
        x, labels = batch[0], batch[1]
        drawn = self._draw(labels, generator)
        seen = [self._augmented(images, generator).detach().requires_grad_() for images in (x, drawn)]
        real, fake = (self._judge(images, labels) for images in seen)
        loss = self._loss(real, fake)
        for weight, logits, images in zip((self.config.r1, self.config.r2), (real, fake), seen, strict=True):
            if weight:
                loss = loss + weight / 2 * gradient_penalty(logits, images)
        update("discriminator", loss)
        fake = self._judge(self._augmented(drawn, generator), labels)
        # The real images matter to the generator only where they are what it is compared with.
        real = self._judge(seen[0].detach(), labels) if self.config.relativistic else real.detach()
        passing = F.softplus(real - fake if self.config.relativistic else -fake).mean()
        update("generator", passing)
        return {
            "loss_discriminator": float(loss.detach()),
            "loss_generator": float(passing.detach()),
            "accuracy": self._accuracy(real, fake),
        }

    def _loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss for logits (B,) of real and drawn images, a scalar."""
        if self.config.relativistic:
            return F.softplus(fake - real).mean()
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def _accuracy(self, real: Tensor, fake: Tensor) -> float:
        """How often the discriminator is right about an image, or about which of two is the real one."""
        right = real > fake if self.config.relativistic else torch.cat([real > 0, fake < 0])
        return float(right.double().mean())

    def validation(self, batch: Batch, generator: torch.Generator) -> Logs:
        """How varied drawn images are, beside real ones of the same classes, and how the discriminator fares."""
        x, labels = batch[0], batch[1]
        drawn = self._draw(labels, generator)
        real, fake = (self._judge(self._augmented(images, generator), labels) for images in (x, drawn))
        return {"variety": variety(drawn, x), "accuracy": self._accuracy(real, fake)}

    @property
    def collapsed(self) -> bool:
        """Whether the alarm rings: at the last point of the curve the drawings were too much alike."""
        return bool(self.history) and self.history[-1].get("val_variety", 1.0) < COLLAPSED

    def finished(self, val: Data | None) -> bool:
        """Whether the discriminator is right half of the time and a fresh critic agrees; see `stop_when_even`."""
        if not self.config.stop_when_even or not isinstance(val, Images) or not self.history:
            return False
        point = self.history[-1]
        if not 1 - _EVEN <= point["accuracy"] <= _EVEN:
            return False
        point["critic_accuracy"] = self.critic_accuracy(val)
        return point["critic_accuracy"] <= _EVEN

    def critic_accuracy(self, real: Images) -> float:
        """How often a fresh critic, trained on half of these real images and as many drawn ones, is right on the rest.

        .5 is a coin; images that the generator was not trained on make it honest.
        """
        generator = torch.Generator(self.device).manual_seed(0)
        drawn = self.sample(
            len(real), condition=real.y.to(self.device) if self.conditional else None, generator=generator
        ).cpu()
        x = torch.stack([real.x, drawn], 1)  # (N, 2, C, H, W)
        y = torch.tensor([1, 0]).expand(len(real), 2)
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
        seen, rest = (Images(x[part].flatten(0, 1), y[part].flatten()) for part in order.tensor_split(2))
        return train_judge(seen, 2, steps=_CRITIC_STEPS).accuracy(rest)

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """Images (n, C, H, W), of a class or classes where the networks know them. Raises: ConfigError."""
        if condition is not None and not self.conditional:
            raise ConfigError("This generator was trained without classes. Train one with conditional=true.")
        random = self.generator(generator)
        with self.evaluating():
            return self._draw(self.labels(n, condition, random), random)

    def draw(self, codes: Tensor, labels: Tensor) -> Tensor:
        """The images of noise (N, latent) and classes (N,), for moving along the latent space."""
        with self.evaluating():
            images: Tensor = self.network.get_submodule("generator")(codes.to(self.device), labels.to(self.device))
        return images

    def score(self, x: Tensor) -> Tensor:
        """How drawn each image looks to the discriminator, (N,), whatever its class."""
        with self.evaluating():
            images = self.checked(x)
            logits = [
                self._judge(images, torch.full((len(x),), label, device=self.device))
                for label in range(self.config.image.classes)
            ]
        return -torch.stack(logits).amax(0)

    def figures(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """What a fresh critic makes of it, and what a classifier gains by drawn images beside the real ones."""
        assert isinstance(data.train, Images)  # noqa: S101
        assert isinstance(data.test, Images)  # noqa: S101
        found = {"critic_accuracy": self.critic_accuracy(data.test)}
        if self.conditional:
            drawn = self.sample(
                len(data.train), condition=data.train.y, generator=torch.Generator(self.device).manual_seed(seed)
            ).cpu()
            both = Images(torch.cat([data.train.x, drawn]), data.train.y.repeat(2))
            sets = {"accuracy_real": data.train, "accuracy_augmented": both}
            found |= {
                key: train_judge(one, self.config.image.classes, seed=1 + seed).accuracy(data.test)
                for key, one in sets.items()
            }
        return found

    def _draw(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        codes = torch.randn(len(labels), self.config.latent, generator=generator, device=self.device)
        images: Tensor = self.network.get_submodule("generator")(codes, labels)
        return images

    def _judge(self, images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = self.network.get_submodule("discriminator")(images, labels)
        return logits

    def _augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return augmented(images, generator, self.config.augment) if self.config.augment else images

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> GanConfig:
        """`cpu`: dense for the digits, else convolutional; `gpu`: wider, longer; `plain`: nothing keeps it stable."""
        image = shape_of(about)
        if name == "cpu" and image.is_small:
            # Spectral normalisation held the dense discriminator so far back that the generator drew one image a class.
            held = {"spectral": False, "relativistic": True, "r1": 0.03, "r2": 0.03}
            return GanConfig(_schedule(10000, 64), image, "dense", width=256, depth=2, **held)  # type: ignore[arg-type]
        if name == "cpu":
            return GanConfig(_schedule(2500, 64), image, width=16)
        if name == "gpu":
            return GanConfig(_schedule(50000, 128), image, width=96)
        if name == "plain":
            bare = {"conditional": False, "spectral": False, "r1": 0.0, "augment": 0.0}
            training = Training(4000, 64, lr=2e-3, betas=(0.9, 0.999), weight_decay=0.0, final_lr=1.0, clip_norm=0.0)
            return GanConfig(training, image, "dense", latent=100, width=128, **bare)  # type: ignore[arg-type]
        raise ConfigError(f"There is no preset {name!r}. Use cpu, gpu or plain.")


def _schedule(steps: int, batch_size: int) -> Training:
    return Training(
        steps,
        batch_size,
        lr=1e-3,
        betas=(0.0, 0.99),
        weight_decay=0.0,
        clip_norm=0.0,
        ema_decay=0.999,
        log_every=max(50, steps // 40),
    )


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """The mean squared norm of the gradient of logits (B,) at the images they are of, differentiable itself (eq. 9)."""
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()


def augmented(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """A share of the images moved by up to a pixel in eight, the others as they are; differentiable.

    Were all of them moved, a generator whose images lie a pixel too far would not be told.

    Source: Karras et al., Training GANs with Limited Data (2020), section 2.2.
    """
    n, _, height, width = images.shape
    reach, device = max(1, height // 8), images.device
    shift = torch.randint(-reach, reach + 1, (2, n, 1), generator=generator, device=device)
    shift *= torch.rand(n, 1, generator=generator, device=device) < share
    rows = (torch.arange(height, device=device) + shift[0] + reach)[:, :, None]  # (N, H, 1)
    columns = (torch.arange(width, device=device) + shift[1] + reach)[:, None, :]  # (N, 1, W)
    moved = F.pad(images, (reach,) * 4)[torch.arange(n, device=device)[:, None, None], :, rows, columns]
    return moved.permute(0, 3, 1, 2)


def variety(drawn: Tensor, real: Tensor) -> float:
    """How varied drawn images are for real ones of the same number (N, C, H, W); 1 is as varied, 0 all the same.

    The smaller of two shares: of the distance to one another, and of that to the nearest other one, which twins lower.
    """
    of_drawn, of_real = _distances(drawn), _distances(real)
    return min(one / max(other, 1e-9) for one, other in zip(of_drawn, of_real, strict=True))


def _distances(images: Tensor) -> tuple[float, float]:
    distances = torch.cdist(images.flatten(1), images.flatten(1))
    nearest = distances.kthvalue(2, dim=1).values  # the nearest of all is the image itself
    return float(distances.mean()), float(nearest.median())


class DenseGenerator(nn.Module):
    """Noise (B, latent) and classes (B,) → images; with one hidden layer, latent→width→pixels."""

    def __init__(self, config: GanConfig, classes: int) -> None:
        super().__init__()
        self.label = nn.Embedding(classes, config.latent) if classes else None
        layers: list[nn.Module] = []
        inner = config.latent * (2 if classes else 1)
        for _ in range(config.depth):
            layers += [nn.Linear(inner, config.width), nn.ReLU()]
            inner = config.width
        layers += [nn.Linear(inner, config.image.pixels), nn.Sigmoid(), nn.Unflatten(1, config.image.size)]
        self.layers = nn.Sequential(*layers)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1]."""
        images: Tensor = self.layers(codes if self.label is None else torch.cat([codes, self.label(labels)], 1))
        return images


class ConvGenerator(nn.Module):
    """Noise (B, latent) and classes (B,) → images, from a quarter or half of the size up."""

    def __init__(self, image: ImageShape, latent: int, width: int, classes: int) -> None:
        super().__init__()
        doublings = 1 if image.is_small else 2
        corner = (2 * width, image.height // 2**doublings, image.width // 2**doublings)
        self.label = nn.Embedding(classes, latent) if classes else None
        size = latent * (2 if classes else 1)
        layers: list[nn.Module] = [nn.Linear(size, corner[0] * corner[1] * corner[2]), nn.Unflatten(1, corner)]
        layers += [nn.GroupNorm(8, 2 * width), nn.LeakyReLU(0.2)]
        for _ in range(doublings):
            layers += [nn.Upsample(scale_factor=2), *_convolution(2 * width, 2 * width)]
        layers += [*_convolution(2 * width, width), nn.Conv2d(width, image.channels, 3, padding=1), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1]."""
        images: Tensor = self.layers(codes if self.label is None else torch.cat([codes, self.label(labels)], 1))
        return images


class Critic(nn.Module):
    """Images and classes (B,) → logits (B,), above 0 for real. The class is told by projection (eq. 3)."""

    def __init__(self, body: nn.Module, features: int, classes: int, norm: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.body = body
        self.head = norm(nn.Linear(features, 1))
        self.label = norm(nn.Embedding(classes, features)) if classes else None

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """The logits."""
        features = self.body(images * 2 - 1)  # (B, features)
        logits: Tensor = self.head(features)[:, 0]
        return logits if self.label is None else logits + (self.label(labels) * features).sum(1)


def _dense_critic(config: GanConfig, classes: int, norm: Callable[[nn.Module], nn.Module]) -> Critic:
    layers: list[nn.Module] = [nn.Flatten()]
    inner = config.image.pixels
    for _ in range(config.depth):
        layers += [norm(nn.Linear(inner, config.width)), nn.LeakyReLU(0.2)]
        inner = config.width
    return Critic(nn.Sequential(*layers), config.width, classes, norm)


def _conv_critic(config: GanConfig, classes: int, norm: Callable[[nn.Module], nn.Module]) -> Critic:
    width, halvings = config.width, 1 if config.image.is_small else 2
    layers: list[nn.Module] = [norm(nn.Conv2d(config.image.channels, width, 3, padding=1)), nn.LeakyReLU(0.2)]
    inner = width
    for _ in range(halvings):
        layers += [norm(nn.Conv2d(inner, 2 * width, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        inner = 2 * width
    layers += [norm(nn.Conv2d(inner, inner, 3, padding=1)), nn.LeakyReLU(0.2), nn.Flatten()]
    places = (config.image.height // 2**halvings) * (config.image.width // 2**halvings)
    layers += [norm(nn.Linear(inner * places, 4 * width)), nn.LeakyReLU(0.2)]
    return Critic(nn.Sequential(*layers), 4 * width, classes, norm)


def _convolution(inner: int, outer: int) -> list[nn.Module]:
    return [nn.Conv2d(inner, outer, 3, padding=1), nn.GroupNorm(8, outer), nn.LeakyReLU(0.2)]


def _as_it_is(layer: nn.Module) -> nn.Module:
    return layer
