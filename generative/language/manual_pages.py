"""Manual pages as Debian packages them (manpages-es, manpages-es-dev): what a page describes, and its one line.

A page says in its first section what it is about, in one line, and begins its description at more length: pairs of a
text and its summary, written by people. Licences are each page's own, most of them GPL or the Linux man-pages'.
"""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generative.errors import DataError

FOLDER = Path("/usr/share/man")
PACKAGES = {"es": "manpages-es manpages-es-dev", "pt_BR": "manpages-pt-br"}
_SUMMARY, _DESCRIPTION = re.compile(r"NOMBRE|NOME"), re.compile(r"DESCRIP|DESCRIÇ")
_LEAD = 160  # characters of a description
_LARGEST = 2_000_000
_HEADING = re.compile(r"^\.S[Hh] +\"?(.*?)\"? *$", re.MULTILINE)
_SHOWN = re.compile(r"^\.(?:B|I|BR|RB|BI|IB|IR|RI|SM|Nm|Fn|Xr|Nd) +", re.MULTILINE)
_REQUEST = re.compile(r"^['.].*$", re.MULTILINE)
_ESCAPES = {r"\-": "-", r"\(aq": "'", r"\(em": "—", r"\(cq": "’", r"\(oq": "‘", r"\(bu": "•", r"\ ": " ", r"\e": "\\"}
_ESCAPE = re.compile(r"\\(?:f(?:\[.*?\]|\(..|.)|s[-+]?\d+|\(..|\[.*?\]|.)")


@dataclass(frozen=True, slots=True)
class Page:
    """The beginning of a page's description, and its summary without the names of what it is about."""

    description: str
    summary: str


def read_pages(language: str, folder: Path = FOLDER) -> list[Page]:
    """The different pages that have both, in the order of their files. Raises: DataError: none is installed."""
    files = sorted((folder / language).glob("man*/*.gz"))
    if not files:
        package = PACKAGES.get(language, "manpages")
        raise DataError(f"{folder / language} holds no pages. On Debian and Ubuntu: apt install {package}")
    return list(dict.fromkeys(page for path in files for page in _page(path)))  # sections share some


def _page(path: Path) -> Iterator[Page]:
    with gzip.open(path) as file:
        source = file.read(_LARGEST).decode("utf-8", "replace")
    parts = _HEADING.split(source)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    summary = _plain(next((text for name, text in sections.items() if _SUMMARY.match(name.upper())), ""))
    described = next((text for name, text in sections.items() if _DESCRIPTION.match(name.upper())), "")
    _, dash, line = summary.partition(" - ")
    lead = _plain(described)[:_LEAD]
    if dash and line.strip() and " " in lead:
        yield Page(lead.rpartition(" ")[0], line.strip())


def _plain(roff: str) -> str:
    """The text of a section, without requests of the typesetter, fonts and marks, on one line."""
    text = _REQUEST.sub("", _SHOWN.sub("", roff))
    return " ".join(_ESCAPE.sub(lambda match: _ESCAPES.get(match.group(), ""), text).split())
