"""Reads Bible texts that Debian packages as SWORD modules: sword-text-sparv (Spanish), sword-text-kjv (English).

A module (driver zText) keeps a testament in three files: `bzz` holds compressed blocks, here one a book; `bzs`
says where each block lies; `bzv` says, for every place of the versification, in which block it lies and where.
Two modules of the same versification therefore agree verse by verse.

Source: the SWORD project's file formats, drivers zText and zText4.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

FOLDER = Path("/usr/share/sword")
MODULES = {"es": ("spaRV1909eb", "sword-text-sparv"), "en": ("engKJV2006eb", "sword-text-kjv")}
LICENCE = "public domain (Reina-Valera 1909; King James Version, 1769 text)"
OLD_TESTAMENT_BOOKS = 39
_LARGEST_BLOCK = 16_000_000
_BLOCK, _VERSE = struct.Struct("<III"), struct.Struct("<IIH")
_UNSPOKEN = re.compile(r"<(note|title)\b[^>]*?(?<!/)>.*?</\1>", re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")


class SwordError(ValueError):
    """A module that is not there or cannot be read."""


@dataclass(frozen=True, slots=True)
class Verse:
    """A verse: its book, counted from 0 (Genesis) to 65 (Revelation), its place in the versification, its text."""

    book: int
    place: tuple[str, int]
    text: str


def read_module(language: str, folder: Path = FOLDER) -> list[Verse]:
    """All verses in the order of the books, without markup, notes and titles; empty ones are left out.

    Raises:
        SwordError: no module for this language, not installed, or damaged.
    """
    if language not in MODULES:
        raise SwordError(f"Language {language!r}: modules are known for {', '.join(MODULES)}.")
    name, package = MODULES[language]
    module = folder / "modules" / "texts" / "ztext" / name
    if not module.is_dir():
        raise SwordError(f"{module} is not there. On Debian and Ubuntu: apt install {package}")
    try:
        return [*_testament(module, "ot", 0), *_testament(module, "nt", OLD_TESTAMENT_BOOKS)]
    except (OSError, struct.error, zlib.error, UnicodeDecodeError) as error:
        raise SwordError(f"{module} is damaged ({error}). Install {package} again.") from error


def parallel_verses(folder: Path = FOLDER) -> list[tuple[Verse, Verse]]:
    """Pairs of a Spanish and an English verse of the same place, where both texts have it."""
    english = {verse.place: verse for verse in read_module("en", folder)}
    return [(verse, english[verse.place]) for verse in read_module("es", folder) if verse.place in english]


def _testament(module: Path, name: str, first_book: int) -> Iterator[Verse]:
    compressed = (module / f"{name}.bzz").read_bytes()
    blocks = [
        _inflate(compressed[start : start + size], plain)
        for start, size, plain in _BLOCK.iter_unpack((module / f"{name}.bzs").read_bytes())
    ]
    for number, (block, start, size) in enumerate(_VERSE.iter_unpack((module / f"{name}.bzv").read_bytes())):
        text = _plain(blocks[block][start : start + size].decode("utf-8")) if size else ""
        if text:
            yield Verse(first_book + block - 1, (name, number), text)  # block 0 holds the testament's own heading


def _inflate(data: bytes, size: int) -> bytes:
    if size > _LARGEST_BLOCK:
        raise SwordError(f"A block of {size} bytes: no book has more than {_LARGEST_BLOCK}.")
    return zlib.decompressobj().decompress(data, size)


def _plain(markup: str) -> str:
    return " ".join(unescape(_MARKUP.sub("", _UNSPOKEN.sub("", markup))).split())
