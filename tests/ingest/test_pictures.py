"""Pictures of image files and figures of documents."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import docx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reportlab.pdfgen import canvas

from ingest.errors import EncryptedFileError, UnreadableFileError
from ingest.pictures import LONGEST_SIDE, MOST_PICTURES, Picture, Pictures, packed, read_pictures, unpacked
from ingest.sandbox import SandboxedReader

RED, BLUE = (200, 30, 30), (30, 30, 200)
MOST = 2**28


def saved(path: Path, colour: tuple[int, ...] = RED, size: tuple[int, int] = (120, 60), **options: Any) -> Path:
    mode = "RGBA" if len(colour) == 4 else "RGB"
    Image.new(mode, size, colour).save(path, **options)
    return path


def colours(path: Path) -> list[tuple[int, ...]]:
    """The colour in the middle of each picture."""
    return [
        tuple(np.asarray(each.image())[each.height // 2, each.width // 2].tolist())
        for each in read_pictures(path, max_bytes=MOST).found
    ]


def close(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 8


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".jpg", ".JPEG", ".png", ".tif", ".webp"])
def test_every_format_gives_its_pixels(suffix: str, tmp_path: Path) -> None:
    (picture,) = read_pictures(saved(tmp_path / f"a{suffix}"), max_bytes=MOST).found
    assert (picture.page, picture.width, picture.height) == (None, 120, 60)
    assert close(tuple(np.asarray(picture.image())[30, 60].tolist()), RED)


def test_large_ones_shrink_turned_ones_stand_upright_and_glass_lies_on_white(tmp_path: Path) -> None:
    (large,) = read_pictures(saved(tmp_path / "large.jpg", size=(2000, 1000)), max_bytes=MOST).found
    assert (large.width, large.height) == (LONGEST_SIDE, LONGEST_SIDE // 2)
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    (upright,) = read_pictures(saved(tmp_path / "turned.jpg", exif=turned), max_bytes=MOST).found
    assert (upright.width, upright.height) == (60, 120)
    assert colours(saved(tmp_path / "glass.png", (0, 0, 0, 0))) == [(255, 255, 255)]


def pdf(path: Path, pages: list[list[Path]]) -> Path:
    drawing = canvas.Canvas(str(path))
    for figures in pages:
        drawing.drawString(50, 800, "Text of the page")
        for place, figure in enumerate(figures):
            drawing.drawImage(str(figure), 50, 600 - 150 * place, 100, 100)
        drawing.showPage()
    drawing.save()
    return path


def test_figures_of_a_pdf_have_their_page_and_come_once(tmp_path: Path) -> None:
    red, blue = saved(tmp_path / "red.png"), saved(tmp_path / "blue.png", BLUE)
    icon = saved(tmp_path / "icon.png", BLUE, (16, 16))
    found = read_pictures(pdf(tmp_path / "a.pdf", [[], [red, icon], [red, blue]]), max_bytes=MOST)
    assert ([picture.page for picture in found.found], found.left_out) == ([2, 3], 0)
    assert all(map(close, colours(tmp_path / "a.pdf"), [RED, BLUE]))
    assert read_pictures(pdf(tmp_path / "text.pdf", [[]]), max_bytes=MOST) == Pictures([])


def test_figures_of_documents_that_are_archives(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_picture(str(saved(tmp_path / "red.png")))
    document.add_picture(str(saved(tmp_path / "blue.jpg", BLUE)))
    document.save(str(tmp_path / "a.docx"))
    assert all(map(close, sorted(colours(tmp_path / "a.docx")), [BLUE, RED]))
    with zipfile.ZipFile(tmp_path / "book.epub", "w") as archive:
        archive.write(tmp_path / "red.png", "images/cover.png")
        archive.writestr("images/damaged.png", (tmp_path / "red.png").read_bytes()[:60])
        archive.writestr("text.xhtml", "<p>text</p>")
    found = read_pictures(tmp_path / "book.epub", max_bytes=MOST)
    assert (len(found.found), found.left_out) == (1, 1)


def test_no_more_than_so_many_are_taken_and_the_others_are_counted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.epub", "w") as archive:
        for number in range(MOST_PICTURES + 3):
            file = io.BytesIO()
            Image.new("RGB", (48, 48), (number % 256, number // 256, 0)).save(file, "PNG")
            archive.writestr(f"{number:04}.png", file.getvalue())
    found = read_pictures(tmp_path / "many.epub", max_bytes=MOST)
    assert (len(found.found), found.left_out) == (MOST_PICTURES, 3)


def huge_png(side: int) -> bytes:
    """A file of some hundred bytes that claims to be a picture of side x side."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


def test_what_is_no_sound_picture_is_told(tmp_path: Path) -> None:
    for name, content in (
        ("text.png", b"no picture"),
        ("cut.png", saved(tmp_path / "whole.png").read_bytes()[:60]),
        ("huge.png", huge_png(60_000)),
        ("large.png", huge_png(9_000)),
        ("eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableFileError, match="is damaged or no picture"):
            read_pictures(tmp_path / name, max_bytes=MOST)


def test_a_confined_worker_finds_the_same_and_tells_the_same_errors(tmp_path: Path) -> None:
    red, blue = saved(tmp_path / "red.png"), saved(tmp_path / "blue.webp", BLUE)
    document = pdf(tmp_path / "a.pdf", [[red]])
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (tmp_path / "locked.docx").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    with SandboxedReader() as reader:
        for path in (red, blue, document):
            assert reader.pictures(path)[0] == read_pictures(path, max_bytes=MOST)
        assert reader.read(document, "a.pdf").text.strip() == "Text of the page"
        with pytest.raises(UnreadableFileError, match="is damaged or no picture"):
            reader.pictures(tmp_path / "damaged.jpg")
        with pytest.raises(EncryptedFileError):
            reader.pictures(tmp_path / "locked.docx")


pictures = st.builds(
    lambda page, width, height, value: Picture(page, width, height, bytes([value]) * (3 * width * height)),
    st.none() | st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 255),
)  # fmt: skip


@given(st.lists(pictures, max_size=4), st.integers(0, 3))
def test_pictures_survive_the_way_out_of_the_worker(found: list[Picture], left_out: int) -> None:
    assert unpacked(*packed(Pictures(found, left_out))) == Pictures(found, left_out)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"pictures": [[0, 2, 2]], "left_out": 0}, "AAAA"),
        ({"pictures": [[0, 1, 1]], "left_out": 0}, "AAAAAAAA"),
        ({"pictures": [[0, LONGEST_SIDE + 1, 1]], "left_out": 0}, "AAAA"),
        ({"pictures": [[0, -1, -1]], "left_out": 0}, "AAAA"),
        ({"pictures": [], "left_out": "x"}, ""),
        ({"pictures": [[0, 1, 1]] * (MOST_PICTURES + 1), "left_out": 0}, "AAAA" * (MOST_PICTURES + 1)),
        ({"pictures": [], "left_out": 0}, "not base64!"),
    ],
)
def test_a_worker_that_lies_is_not_believed(message: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked(message, text)
