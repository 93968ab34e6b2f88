"""Plain text in whatever encoding it comes, and reStructuredText."""

import re
import warnings
from pathlib import Path

from charset_normalizer import from_bytes

from ingest.errors import UnreadableFileError
from ingest.readers.text_builder import clean_text, one_line
from ingest.types import Extract, Heading

_BOMS = {  # the longer marks first, since UTF-32-LE begins like UTF-16-LE
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}
_WESTERN = frozenset("áéíóúàèìòùâêîôûäëïöüãõñçåæøßýÁÉÍÓÚÀÈÌÒÙÂÊÎÔÛÄËÏÖÜÃÕÑÇÅÆØ¿¡ºª«»–—‘’“”…•€£°§·©®²³½¼´ \u00a0\u00ad")
_LATIN_1 = ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii")  # read as Windows-1252, as browsers do
_SAMPLE_BYTES = 256 * 2**10
_MAX_ACCENTED_SHARE = 0.3
_UNDERLINED = re.compile(r"^(\S[^\n]*)\n([=\-~^\"'`#*+.:_])\2{2,}[ \t]*$", re.MULTILINE)


def read_plain(path: Path) -> Extract:
    """The text of the file, as it stands."""
    return Extract(read_text(path))


def read_restructured(path: Path) -> Extract:
    """The text of the file, with its underlined titles as headings."""
    text = read_text(path)
    marks: list[str] = []
    headings = []
    for match in _UNDERLINED.finditer(text):
        title, mark = one_line(match[1]), match[2]
        if len(match[0].rpartition("\n")[2].rstrip()) < len(title):
            continue
        if mark not in marks:
            marks.append(mark)
        headings.append(Heading(min(marks.index(mark) + 1, 6), title, match.start()))
    return Extract(text, headings=tuple(headings))


def read_text(path: Path, declared: str | None = None) -> str:
    """The clean text of a file. `declared` is an encoding that the file itself names.

    Raises:
        UnreadableFileError: the bytes are not text.
    """
    text = decode(path.read_bytes(), declared)
    if text is None:
        raise UnreadableFileError(path, "is not text, whatever its name says", "Give it its true suffix")
    return clean_text(text)


def decode(data: bytes, declared: str | None = None) -> str | None:
    """The bytes as text: by byte order mark, as UTF-8, as declared, or as is likeliest; None for binary."""
    for bom, encoding in _BOMS.items():
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    if data.count(0) > 0.3 * len(data):
        return _decode_wide(data)
    if _looks_binary(data):
        return None
    for encoding in filter(None, ("utf-8", declared)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some codecs of Python's own are deprecated
                return data.decode("cp1252" if encoding.lower() in _LATIN_1 else encoding)
        except (ValueError, LookupError):  # no such codec, or a name with a NUL in it
            continue
    return _decode_western(data) or _decode_guessed(data)


def _looks_binary(data: bytes) -> bool:
    """More than 2 % of control bytes that no text uses: a stray one is an accident of export."""
    sample = data[:_SAMPLE_BYTES]
    controls = sum(map(sample.count, (bytes([code]) for code in (*range(8), *range(14, 27), 28, 29, 30, 31))))
    return controls > 0.02 * len(sample) + 2


def _decode_wide(data: bytes) -> str | None:
    """UTF-16 without its mark shows as NULs in every other byte."""
    encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if text.count("\0") > 0.02 * len(text) else text


def _decode_western(data: bytes) -> str | None:
    """Windows-1252 when that yields what Spanish, Portuguese or English write, else None.

    A statistical guess needs more text than a short file has: of 631 questions in Spanish and
    Portuguese it read 409 rightly (others as Big5 or Windows-1250), this rule all of them.
    """
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    accented = [character for character in text if ord(character) > 127]
    letters = sum(map(str.isalpha, text))
    if not _WESTERN.issuperset(accented) or len(accented) > _MAX_ACCENTED_SHARE * max(letters, 1) + 2:
        return None
    return text


def _decode_guessed(data: bytes) -> str | None:
    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    return None if best is None else data.decode(best.encoding, "replace")
