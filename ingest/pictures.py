"""The pictures of a file: an image file is one, and documents hold figures.

What is handed on are plain pixels of small copies, as whoever shows or embeds them should decode nothing that came
from a stranger. Drawings made of lines and text, of which PDF is full, are no pictures here.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from pypdfium2 import PdfImage, PdfiumError, raw

from ingest.errors import UnreadableFileError
from ingest.readers import check_size
from ingest.readers.archive import open_archive, read_member
from ingest.readers.pdf import open_pdf

IMAGE_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
_ARCHIVE_SUFFIXES = frozenset((".docm", ".docx", ".epub", ".odt", ".pptx"))
PICTURED_SUFFIXES = IMAGE_SUFFIXES | _ARCHIVE_SUFFIXES | {".pdf"}
# As much as CLIP-style models look at, and enough to recognise a figure by.
LONGEST_SIDE = 384
MOST_PICTURES = 256
# What programs draw of a document's first page.
_PREVIEWS = ("docProps/", "Thumbnails/")
# Smaller ones are icons, bullets and lines.
_SHORTEST_SIDE = 48
_MOST_PIXELS = 64 * 10**6
_CHANNELS = 3
# The decoders that are used, and no others.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# Pillow raises what its decoders do; each of these is a picture that is damaged or no picture.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError)

Image.init()  # its decoders, as whoever is confined loads no more


@dataclass(frozen=True, slots=True)
class Picture:
    """A small copy in RGB, 8 bits a channel, row by row; `page` counts from 1, or is None where there are no pages."""

    page: int | None
    width: int
    height: int
    pixels: bytes

    def __post_init__(self) -> None:
        """Raises: ValueError when sizes and pixels do not fit together."""
        sides = (self.width, self.height)
        if min(sides) < 1 or max(sides) > LONGEST_SIDE or len(self.pixels) != _CHANNELS * self.width * self.height:
            raise ValueError(f"{len(self.pixels)} bytes are no picture of {self.width} x {self.height}")

    def image(self) -> Image.Image:
        """As Pillow has it."""
        return Image.frombytes("RGB", (self.width, self.height), self.pixels)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a file, in order; `left_out` counts those that are damaged, far too large, or too many."""

    found: Sequence[Picture]
    left_out: int = 0


def read_pictures(path: Path, *, max_bytes: int) -> Pictures:
    """The pictures of a file with one of `PICTURED_SUFFIXES`, equal ones once.

    Raises: IngestError, one of its kinds.
    """
    suffix = path.suffix.lower()
    try:
        check_size(path, max_bytes)
        if suffix in IMAGE_SUFFIXES:
            return Pictures([_of_file(path)])
        return _gathered(_of_pdf(path) if suffix == ".pdf" else _of_archive(path))
    except OSError as error:
        mend = "Check that it exists and that you may read it"
        raise UnreadableFileError(path, f"cannot be opened ({error.strerror or error})", mend) from error


def packed(pictures: Pictures) -> tuple[dict[str, object], str]:
    """Pictures as a worker sends them: numbers, and the pixels in base64."""
    sizes = [[each.page or 0, each.width, each.height] for each in pictures.found]
    pixels = b"".join(each.pixels for each in pictures.found)
    return {"pictures": sizes, "left_out": pictures.left_out}, base64.b64encode(pixels).decode("ascii")


def unpacked(message: Mapping[str, Any], text: str) -> Pictures:
    """What was `packed`.

    Raises: ValueError, TypeError or KeyError for anything else.
    """
    pixels, start, found = base64.b64decode(text, validate=True), 0, []
    for page, width, height in message["pictures"]:
        end = start + _CHANNELS * int(width) * int(height)
        found.append(Picture(int(page) or None, int(width), int(height), pixels[start:end]))
        start = end
    left_out = message["left_out"]
    if len(found) > MOST_PICTURES or start != len(pixels) or not isinstance(left_out, int):
        raise ValueError(f"{len(found)} pictures in {len(pixels)} bytes")
    return Pictures(found, left_out)


def _of_file(path: Path) -> Picture:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return _small(image, None)
    except _DAMAGED as error:
        detail = " ".join(str(error).split())[:200]
        raise UnreadableFileError(path, f"is damaged or no picture ({detail})", "Save it again as PNG") from error


def _gathered(pictures: Iterator[Picture | None]) -> Pictures:
    """Each picture once, as logos are on every page; None stands for one that could not be read."""
    found: dict[tuple[int, bytes], Picture] = {}
    left_out = 0
    for picture in pictures:
        if picture is None or (len(found) >= MOST_PICTURES and (picture.width, picture.pixels) not in found):
            left_out += 1
        else:
            found.setdefault((picture.width, picture.pixels), picture)
    return Pictures(list(found.values()), left_out)


def _of_archive(path: Path) -> Iterator[Picture | None]:
    """Those of a document that is a zip archive, by name."""
    with open_archive(path, path.suffix.lower().removeprefix(".").upper()) as archive:
        for name in sorted(archive.namelist()):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(_PREVIEWS):
                content = read_member(path, archive, name)
                try:
                    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                        if min(image.size) >= _SHORTEST_SIDE:
                            yield _small(image, None)
                except _DAMAGED:
                    yield None


def _of_pdf(path: Path) -> Iterator[Picture | None]:
    with open_pdf(path) as document:
        for number in range(len(document)):
            page = document[number]
            try:
                for figure in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,)):
                    width, height = figure.get_px_size()
                    if min(width, height) >= _SHORTEST_SIDE:
                        yield _drawn(figure, number + 1) if width * height <= _MOST_PIXELS else None
            finally:
                page.close()


def _drawn(figure: PdfImage, page: int) -> Picture | None:
    try:
        return _small(figure.get_bitmap(render=False).to_pil(), page)
    except (PdfiumError, *_DAMAGED):
        return None


def _small(image: Image.Image, page: int | None) -> Picture:
    """Upright, on white where it is transparent, its longer side `LONGEST_SIDE` at most.

    Raises: ValueError for one with more pixels than is decoded.
    """
    if image.width * image.height > _MOST_PIXELS:
        raise ValueError(f"it has {image.width} x {image.height} pixels, the most is {_MOST_PIXELS // 10**6} million")
    image.draft("RGB", (2 * LONGEST_SIDE, 2 * LONGEST_SIDE))  # of a JPEG, only as much as is needed is decoded
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    upright = upright.convert("RGB")
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return Picture(page, *upright.size, upright.tobytes())
