"""What the laboratory does with the families, without drawing a page: trained models, their data, pictures."""

from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from PIL import Image

from generative import FAMILIES, AnyFamily, family_class, load, shipped
from generative.family import Split
from generative.image_data import Images, open_image, open_images, stroke, to_tensor
from generative.image_family import ImageFamily
from generative.pictures import grid

# The families of images and sound, and the data that each is shown with.
DATA: dict[str, str] = {
    "autoencoder": "digits",
    "vae": "digits",
    "gan": "digits",
    "autoregressive": "digits",
    "diffusion": "digits",
    "recolour": "digits",
    "sound": "tones",
}
# What is shown of language: the family that it is shown with, and its data.
LANGUAGE: dict[str, tuple[str, str]] = {
    "tokeniser": ("masked", "reina-valera"),
    "transformer": ("transformer", "reina-valera"),
    "masked": ("masked", "reina-valera"),
    "translator": ("translator", "typos-es"),
    "unified": ("unified", "digits"),
}


def shown_families() -> list[str]:
    """The families of the laboratory, in the order in which they explain one another."""
    return [*(name for name in DATA if name in FAMILIES), *LANGUAGE]


def command(name: str) -> str:
    """What to type to train a family."""
    family, data = _served(name)
    return f"python -m generative train {family} --data {data}"


def open_split(name: str) -> Split:
    """The data of a family."""
    return family_class(name).open_data(DATA[name])


def open_digits() -> Split:
    """The images of digits."""
    return open_images("digits")


def open_trained(name: str) -> AnyFamily | None:
    """The family as it comes with Fuente; None where none does. Raises: CheckpointError."""
    path = shipped(*_served(name))
    return None if path is None else load(path, device="cpu")


def _served(name: str) -> tuple[str, str]:
    return LANGUAGE[name] if name in LANGUAGE else (name, DATA[name])


def shown_images(split: Split, count: int = 50) -> Images:
    """The first test images of a split."""
    assert isinstance(split.test, Images)  # noqa: S101
    return Images(split.test.x[:count], split.test.y[:count])


def picture(images: torch.Tensor, columns: int | None = None) -> Image.Image:
    """Images side by side."""
    return grid(images, columns)


def seeded(seed: int) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How odd an image is: its score, the threshold that 5% of normal images exceed, and what the model saw."""

    score: float
    threshold: float
    seen: Image.Image
    reconstructed: Image.Image

    @property
    def anomalous(self) -> bool:
        """Whether it is above."""
        return self.score > self.threshold


def judge_upload(family: Any, split: Split, file: BinaryIO, *, invert: bool) -> Verdict:
    """The verdict of a family over an image that a person brought. Raises: DataError where it is no image."""
    assert isinstance(family, ImageFamily)  # noqa: S101
    shape = family.config.image
    seen = stroke(open_image(file, "the file"), dark=invert)
    x = to_tensor(seen, shape.channels, (shape.height, shape.width))[None]
    x = x / x.max().clamp(min=1e-6)  # a thin stroke is faint once it is reduced; those of the digits are not
    if family.threshold is None:
        assert isinstance(split.test, Images)  # noqa: S101
        family.calibrate(split.test.x)
    assert family.threshold is not None  # noqa: S101
    again = family.reconstruct(x)  # type: ignore[attr-defined]
    return Verdict(float(family.score(x)[0]), family.threshold, picture(x), picture(again))
