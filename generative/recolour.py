"""Image to image: colour to grey, and from grey back to colour, by a pair of networks each way.

The generator sees an image and draws its counterpart; the discriminator sees both. A plain difference to the right
answer keeps the drawing in place, and the discriminator keeps it from settling for a muddy mean.

Source: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks (2017), eq. 4.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from generative.errors import ConfigError
from generative.family import Split, Update
from generative.image_data import Images, open_images
from generative.image_family import ImageConfig, ImageFamily, ImageShape, shape_of
from generative.training import Batch, Data, Logs, Training, seed_of

WAYS = ("to_grey", "to_colour")
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_KEPT = 64


@dataclass(frozen=True, slots=True)
class RecolourConfig(ImageConfig):
    """Two generators and two discriminators; `image` is that of the coloured images."""

    image: ImageShape = field(default_factory=lambda: ImageShape(channels=3))
    width: int = 24
    likeness: float = 20.0
    """The weight of the difference to the right answer, λ."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.likeness < 0 or self.image.channels != 3:
            raise ValueError("width must be 1 or more, likeness 0 or more, and images must have 3 channels")


class Recolour(ImageFamily[RecolourConfig]):
    """From colour to grey and back."""

    name = "recolour"
    config_class = RecolourConfig
    score_unit = "absolute difference per image after grey and back (a proxy)"

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:
        """As for other families; grey images are coloured first, every class in a colour of its own."""
        split = open_images(name, seed=seed)
        if split.about["channels"] == 3:
            return split
        assert isinstance(split.train, Images)  # noqa: S101
        assert isinstance(split.test, Images)  # noqa: S101
        classes = len(split.about["class_names"])
        train, test = (coloured(one, classes, seed_of(seed, name, len(one))) for one in (split.train, split.test))
        return replace(split, train=train, test=test, about={**split.about, "channels": 3})

    def build(self) -> nn.Module:
        """Both pairs, and some images to show."""
        width = self.config.width
        made: dict[str, nn.Module] = {
            "to_grey": _Painter(3, 1, width),
            "to_colour": _Painter(1, 3, width),
            "judge_to_grey": _critic(width),
            "judge_to_colour": _critic(width),
            "examples": _Examples(self.config.image.size),
        }
        return nn.ModuleDict(made)

    def parts(self) -> dict[str, nn.Module]:
        """Each network has an optimiser of its own."""
        return {name: self._part(name) for way in WAYS for name in (f"judge_{way}", way)}

    def fit(self, data: Data, **options: Any) -> "Recolour":
        """As for every family; some of the images are kept, to be what `sample` recolours."""
        kept = data[torch.arange(min(_KEPT, len(data)))][0].to(self.device)
        examples = self._part("examples")
        assert isinstance(examples, _Examples)  # noqa: S101
        examples.images[: len(kept)] = kept
        return super().fit(data, **options)

    def step(self, batch: Batch, generator: torch.Generator, update: Update) -> Logs:  # noqa: ARG002
        """Each way, first the discriminator learns, then the generator."""
        colour = batch[0]
        grey, logs = luma(colour), {}
        for way, source, target in (("to_grey", colour, grey), ("to_colour", grey, colour)):
            drawn = self._part(way)(source)
            real, fake = self._judge(way, source, target), self._judge(way, source, drawn.detach())
            update(f"judge_{way}", F.softplus(-real).mean() + F.softplus(fake).mean())
            # Not the paper's absolute difference: most pixels are black, and that drew nothing but black.
            difference = F.binary_cross_entropy(drawn, target)
            passing = F.softplus(-self._judge(way, source, drawn)).mean()
            update(way, passing + self.config.likeness * difference)
            logs[f"loss_{way}"] = float(F.l1_loss(drawn.detach(), target))
        return logs

    def validation(self, batch: Batch, generator: torch.Generator) -> Logs:  # noqa: ARG002
        """The absolute difference each way."""
        colour, grey = batch[0], luma(batch[0])
        pairs = (("to_grey", colour, grey), ("to_colour", grey, colour))
        return {f"loss_{way}": float(F.l1_loss(self._part(way)(source), target)) for way, source, target in pairs}

    def to_grey(self, colour: Tensor) -> Tensor:
        """Grey images (N, 1, H, W) of coloured ones."""
        with self.evaluating():
            images: Tensor = self._part("to_grey")(self.checked(colour))
        return images

    def to_colour(self, grey: Tensor) -> Tensor:
        """Coloured images (N, 3, H, W) of grey ones (N, 1, H, W)."""
        with self.evaluating():
            images: Tensor = self._part("to_colour")(grey.to(self.device))
        return images

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """Kept training images after grey and back, (n, 3, H, W). There is no condition. Raises: ConfigError."""
        if condition is not None:
            raise ConfigError("Images are recoloured by to_grey and to_colour, not asked for by class.")
        random = self.generator(generator)
        examples = self._part("examples")
        assert isinstance(examples, _Examples)  # noqa: S101
        chosen = torch.randint(len(examples.images), (n,), generator=random, device=self.device)
        return self.to_colour(self.to_grey(examples.images[chosen]))

    def score(self, x: Tensor) -> Tensor:
        """The absolute difference of each coloured image to itself after grey and back, (N,)."""
        return (self.to_colour(self.to_grey(x)) - self.checked(x)).abs().flatten(1).sum(1)

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """Absolute differences per pixel on test images; for colour beside what grey left grey would have."""
        assert isinstance(data.test, Images)  # noqa: S101
        colour = data.test.x.to(self.device)
        grey = luma(colour)
        return {
            "grey_difference": float((self.to_grey(colour) - grey).abs().mean()),
            "colour_difference": float((self.to_colour(grey) - colour).abs().mean()),
            "colour_difference_left_grey": float((grey - colour).abs().mean()),
            "round_trip_difference": float((self.to_colour(self.to_grey(colour)) - colour).abs().mean()),
        }

    def _part(self, name: str) -> nn.Module:
        return self.network.get_submodule(name)

    def _judge(self, way: str, source: Tensor, target: Tensor) -> Tensor:
        logits: Tensor = self._part(f"judge_{way}")(torch.cat([source, target], 1) * 2 - 1)
        return logits

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> RecolourConfig:
        """`cpu`: a few minutes; `gpu`: wider and longer."""
        image = shape_of(about)
        training = Training(700, 64, 1e-3, (0.0, 0.99), 0.0, final_lr=0.05, ema_decay=0.995)
        if name == "cpu":
            return RecolourConfig(training, image)
        if name == "gpu":
            return RecolourConfig(replace(training, steps=20000), image, width=96)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")


def luma(colour: Tensor) -> Tensor:
    """The brightness (N, 1, H, W) of coloured images (N, 3, H, W)."""
    weights = torch.tensor(_LUMA, device=colour.device)[:, None, None]
    return (colour * weights).sum(1, keepdim=True)


def coloured(images: Images, classes: int, seed: int) -> Images:
    """Grey images in the hue of their class, a little to either side."""
    generator = torch.Generator().manual_seed(seed)
    offsets = (torch.rand(len(images), generator=generator) - 0.5) * 0.3 / classes
    hues = (images.y / classes + offsets) % 1
    colours = torch.tensor([colorsys.hsv_to_rgb(hue, 0.9, 1.0) for hue in hues.tolist()])
    return Images(images.x * colours[:, :, None, None], images.y)


class _Examples(nn.Module):
    images: Tensor

    def __init__(self, size: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(_KEPT, *size))


class _Painter(nn.Module):
    """Down to a quarter of the size and up again, the way up seeing what the way down saw."""

    def __init__(self, inner: int, outer: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inner, width, 3, padding=1)
        self.halve = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.halve_again = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)
        self.back = nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4 * width, width, 4, stride=2, padding=1)
        self.leave = nn.Conv2d(2 * width, outer, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inner, H, W) → (B, outer, H, W) in [0, 1]."""
        whole = F.silu(self.enter(x))  # (B, W, H, W')
        half = F.silu(self.halve(whole))
        quarter = F.silu(self.halve_again(half))
        half = torch.cat([F.silu(self.back(quarter)), half], 1)
        whole = torch.cat([F.silu(self.up(half)), whole], 1)
        return torch.sigmoid(self.leave(whole))


def _critic(width: int) -> nn.Module:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(4, width, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1)),
    )
