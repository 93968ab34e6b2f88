"""What the families of images share: the shape of an image, classes by name, a threshold for anomalies, pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from generative.config import Config
from generative.errors import ConfigError, DataError
from generative.family import Family, FamilyConfig, Split
from generative.image_data import open_images
from generative.pictures import save_grid


@dataclass(frozen=True, slots=True)
class ImageShape(Config):
    """The images that a model is made for, values in [0, 1], and the names of their classes."""

    channels: int = 1
    height: int = 8
    width: int = 8
    class_names: tuple[str, ...] = tuple("0123456789")

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or min(self.height, self.width) < 4 or self.height % 4 or self.width % 4:
            raise ValueError("channels must be 1 or 3, height and width multiples of 4")

    @property
    def size(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.height, self.width

    @property
    def pixels(self) -> int:
        """Numbers in one image."""
        return self.channels * self.height * self.width

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def is_small(self) -> bool:
        """Whether the images are of the size of the digits, 8×8."""
        return self.height <= 8


@dataclass(frozen=True, slots=True)
class ImageConfig(FamilyConfig):
    """The base of an image family's configuration."""

    image: ImageShape = field(default_factory=ImageShape)


C = TypeVar("C", bound=ImageConfig)


class ImageFamily(Family[C]):
    """A family whose examples are images (N, C, H, W) float32 in [0, 1] and whose batches are (images, classes)."""

    threshold: float | None = None
    """Scores above it are anomalies; None before `calibrate`."""

    @property
    def conditional(self) -> bool:
        """Whether samples of a class can be asked for."""
        return False

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:
        """`digits`, `fashion` or a folder of images. The split is that of the protocol whatever the seed of a run."""
        return open_images(name, seed=seed)

    def calibrate(self, x: Tensor, share: float = 0.05) -> float:
        """The score that a `share` of normal, held-out images `x` exceeds; kept as `threshold` and in checkpoints.

        Raises: DataError with fewer images than make such a quantile.
        """
        if len(x) * share < 1:
            raise DataError(
                f"{len(x)} images do not make a threshold that {share:.0%} exceed. Give {1 / share:.0f} or more."
            )
        self.threshold = float(torch.quantile(self.score(x), 1 - share))
        return self.threshold

    def extra_state(self) -> dict[str, Any]:
        """The threshold."""
        return {"threshold": self.threshold}

    def take_extra_state(self, extra: Mapping[str, Any]) -> None:
        """The threshold again."""
        value = extra.get("threshold")
        self.threshold = None if value is None else float(value)

    def checked(self, x: Tensor) -> Tensor:
        """The images on the device. Raises: DataError where they are not (N, C, H, W) of this model's size."""
        if x.dim() != 4 or tuple(x.shape[1:]) != self.config.image.size:
            raise DataError(
                f"Images of shape {tuple(x.shape)} do not fit (N, {', '.join(map(str, self.config.image.size))})."
            )
        return x.to(self.device, torch.float32)

    def labels(self, n: int, condition: Any, generator: torch.Generator) -> Tensor:
        """Classes (n,) int64 for a condition: one class, one a sample, or None for any, drawn evenly.

        Raises: ConfigError.
        """
        classes = self.config.image.classes
        if condition is None:
            return torch.randint(classes, (n,), generator=generator, device=self.device)
        labels = torch.as_tensor(condition, dtype=torch.int64, device=self.device).expand(n)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ConfigError(f"There is no class {condition!r}. Classes go from 0 to {classes - 1}.")
        return labels

    def parse_condition(self, text: str) -> int:
        """The class of that name or number. Raises: ConfigError."""
        names = self.config.image.class_names
        if text in names:
            return names.index(text)
        if text.isdecimal() and int(text) < len(names):
            return int(text)
        raise ConfigError(f"There is no class {text!r}. Choose one of {', '.join(names)}.")

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """The figures of the protocol, and those of the family itself."""
        # Imported here: the judge is made of what this module defines.
        from generative.evaluation import evaluate_images

        return {**evaluate_images(self, data, seed=seed), **self.figures(data, seed=seed)}

    def figures(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """What only this family can be measured by."""
        return {}

    def write_samples(self, samples: Tensor, folder: Path) -> list[Path]:
        """One grid of all samples, samples.png."""
        return [save_grid(samples, folder / "samples.png")]


def shape_of(about: Mapping[str, Any]) -> ImageShape:
    """The shape of images, out of what their split says about them."""
    return ImageShape(**{key: about[key] for key in ("channels", "height", "width", "class_names")})
