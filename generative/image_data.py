"""Images to learn from: the digits that come with scikit-learn, Fashion-MNIST from its files, or a folder.

Every image is float32 in [0, 1]. The digits follow the protocol of docs/generative-images.md: 1,347 to train on and
450 to test with, stratified by class, seed 0.
"""

import gzip
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from generative.errors import DataError
from generative.family import Split

FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
_FAINT = 0.2
_MOST_PIXELS = 50_000_000
_FOLDER_SIZE = 32
_DIGITS_TEST = 450
_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class Images:
    """Images `x` (N, C, H, W) float32 in [0, 1] and their classes `y` (N,) int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.x[indices], self.y[indices]

    def of_classes(self, classes: Sequence[int]) -> "Images":
        """Those of some classes only."""
        return Images(*self[torch.isin(self.y, torch.tensor(classes))])


def open_images(name: str, *, seed: int = _SPLIT_SEED) -> Split:
    """The images called `digits` or `fashion`, or those of the folder `name`.

    A folder holds images or one folder of images a class; they are cut square and scaled to 32×32. A quarter of them,
    chosen by `seed`, is for testing. Raises: DataError.
    """
    if name == "digits":
        return _digits(seed)
    if name == "fashion":
        return _fashion(Path(os.environ.get("FUENTE_FASHION_MNIST", FASHION)))
    return _folder(Path(name), seed)


def _digits(seed: int) -> Split:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    every = np.arange(len(digits.target))
    train, test = train_test_split(every, test_size=_DIGITS_TEST, stratify=digits.target, random_state=seed)
    x = torch.tensor(digits.images / 16.0, dtype=torch.float32)[:, None]  # (1797, 1, 8, 8)
    y = torch.tensor(digits.target, dtype=torch.int64)
    return _split("digits", Images(x[train], y[train]), Images(x[test], y[test]), tuple("0123456789"))


def _fashion(folder: Path) -> Split:
    parts = []
    for part in ("train", "t10k"):
        x = read_idx(_idx_file(folder, f"{part}-images-idx3-ubyte"))  # (N, 28, 28)
        y = read_idx(_idx_file(folder, f"{part}-labels-idx1-ubyte"))  # (N,)
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise DataError(f"{folder}: {part} has images {x.shape} and labels {y.shape}, which do not fit together.")
        parts.append(Images(torch.from_numpy(x).float().div(255)[:, None], torch.from_numpy(y).long()))
    return _split("fashion", parts[0], parts[1], FASHION_CLASSES)


def _idx_file(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(
        f"{folder} has no {name}.gz. On Debian and Ubuntu: apt install dataset-fashion-mnist. Elsewhere, name the "
        "folder of the four idx files in FUENTE_FASHION_MNIST."
    )


def read_idx(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The array of an idx file of unsigned bytes, gzipped or not. Raises: DataError.

    Source: LeCun, Cortes and Burges, the MNIST database, "the IDX file format".
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack_from(">HBB", raw)
        shape = struct.unpack_from(f">{dimensions}I", raw, 4)
    except (OSError, EOFError, struct.error) as error:
        raise DataError(f"{path} cannot be read as idx ({error}). Fetch the file anew.") from error
    start = 4 + 4 * dimensions
    if zero != 0 or kind != 8 or len(raw) - start != math.prod(shape):
        raise DataError(f"{path} is not an idx file of bytes in the shape that it states. Fetch the file anew.")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def _folder(folder: Path, seed: int) -> Split:
    if not folder.is_dir():
        raise DataError(f"There are no data {str(folder)!r}. Use digits, fashion or a folder of images.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(found) < 8:
        raise DataError(f"{folder} holds {len(found)} images ({', '.join(sorted(SUFFIXES))}); 8 or more are needed.")
    names = sorted({path.relative_to(folder).parts[0] if path.parent != folder else "" for path in found})
    opened = [read_image(path) for path in found]
    grey = all(image.mode in ("1", "L", "LA", "I;16") for image in opened)
    x = torch.stack([to_tensor(image, 1 if grey else 3, (_FOLDER_SIZE, _FOLDER_SIZE)) for image in opened])
    classes = [names.index(path.relative_to(folder).parts[0] if path.parent != folder else "") for path in found]
    y = torch.tensor(classes)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    test, train = order[: len(x) // 4], order[len(x) // 4 :]
    return _split(folder.name, Images(x[train], y[train]), Images(x[test], y[test]), tuple(names))


def read_image(path: Path) -> Image.Image:
    """The image of a file. Raises: DataError, with the file's name."""
    with path.open("rb") as file:
        return open_image(file, str(path))


def open_image(file: BinaryIO, name: str) -> Image.Image:
    """The image of an open file, which errors call `name`. Raises: DataError."""
    try:
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(
                    f"{name} has {image.width}×{image.height} pixels; {_MOST_PIXELS:,} are the most. Shrink it."
                )
            image.load()
            return image.copy()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise DataError(f"{name} cannot be read as an image ({error}). Use PNG, JPEG, BMP, GIF or WebP.") from error


def to_tensor(image: Image.Image, channels: int, size: tuple[int, int]) -> Tensor:
    """The middle square of an image, scaled: (channels, *size) float32 in [0, 1]."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert("L" if channels == 1 else "RGB").crop((left, top, left + side, top + side))
    height, width = size
    pixels = np.asarray(square.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32) / 255.0
    return torch.from_numpy(pixels.reshape(height, width, channels)).permute(2, 0, 1).contiguous()


def stroke(image: Image.Image, *, dark: bool) -> Image.Image:
    """The stroke of a drawing, light on black, as large as its square allows: the digits are cut out like that.

    `dark` says that it is darker than its ground. What is fainter than a fifth of the strongest is ground, shadows
    and paper for two; a drawing without a stroke comes back whole.
    """
    values = np.asarray(image.convert("L"), dtype=np.float32)
    values = 255.0 - values if dark else values
    values -= values.min()
    if values.max() == 0:
        return Image.fromarray(values.astype(np.uint8))
    values *= 255.0 / values.max()
    inked = values > _FAINT * 255
    top, bottom = np.flatnonzero(inked.any(1))[[0, -1]]
    left, right = np.flatnonzero(inked.any(0))[[0, -1]]
    cut = Image.fromarray(np.where(inked, values, 0).astype(np.uint8)).crop((left, top, right + 1, bottom + 1))
    side = max(cut.size)
    square = Image.new("L", (side, side))
    square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    return square


def _split(name: str, train: Images, test: Images, class_names: tuple[str, ...]) -> Split:
    _, channels, height, width = train.x.shape
    about = {"channels": channels, "height": height, "width": width, "class_names": class_names}
    return Split(name, train, test, about)
