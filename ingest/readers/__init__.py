"""One reader a format, and the one way in: `read`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from ingest.errors import (
    EmptyFileError,
    NestedFileError,
    OversizeFileError,
    UnreadableFileError,
    UnsupportedFileError,
)
from ingest.readers.delimited import read_delimited
from ingest.readers.epub import read_epub
from ingest.readers.html import read_html
from ingest.readers.invariants import broken_rule
from ingest.readers.markdown import read_markdown
from ingest.readers.notebook import read_notebook
from ingest.readers.opendocument import read_odt
from ingest.readers.pdf import read_pdf
from ingest.readers.plain import read_plain, read_restructured
from ingest.readers.rtf import read_rtf
from ingest.readers.slides import read_pptx
from ingest.readers.source_code import SOURCE_SUFFIXES, read_python, read_source
from ingest.readers.spreadsheet import read_xlsx
from ingest.readers.text_builder import MAX_TEXT_CHARACTERS, TextLimitReached
from ingest.readers.word import read_docx
from ingest.types import Extract

__all__ = ["READERS", "SUPPORTED_SUFFIXES", "Reader", "check_size", "read", "reader_for"]

Reader = Callable[[Path], Extract]

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        **dict.fromkeys(SOURCE_SUFFIXES, read_source),
        **dict.fromkeys((".txt", ".text", ".log"), read_plain),
        **dict.fromkeys((".md", ".markdown"), read_markdown),
        **dict.fromkeys((".html", ".htm", ".xhtml"), read_html),
        **dict.fromkeys((".csv", ".tsv"), read_delimited),
        **dict.fromkeys((".docx", ".docm"), read_docx),
        **dict.fromkeys((".xlsx", ".xlsm"), read_xlsx),
        ".epub": read_epub,
        ".ipynb": read_notebook,
        ".odt": read_odt,
        ".pdf": read_pdf,
        ".pptx": read_pptx,
        ".py": read_python,
        ".rst": read_restructured,
        ".rtf": read_rtf,
    }
)
SUPPORTED_SUFFIXES = frozenset(READERS)


def reader_for(path: Path) -> Reader:
    """The reader for the file's suffix.

    Raises:
        UnsupportedFileError: there is none.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        reason = f"has the suffix {path.suffix!r}, which no reader reads" if path.suffix else "has no suffix"
        suffixes = " ".join(sorted(SUPPORTED_SUFFIXES))
        raise UnsupportedFileError(path, reason, f"Convert it to one of: {suffixes}")
    return reader


def read(path: Path, *, max_bytes: int) -> Extract:
    """The clean text of a file and its structure.

    Raises:
        UnsupportedFileError: no reader for its suffix.
        OversizeFileError: larger than `max_bytes`, more text than `MAX_TEXT_CHARACTERS`, or a bomb.
        EmptyFileError: nothing but white space in it.
        UnreadableFileError: anything else that keeps it from being read.
    """
    reader = reader_for(path)
    try:
        check_size(path, max_bytes)
        extract = reader(path)
    except OSError as error:
        mend = "Check that it exists and that you may read it"
        raise UnreadableFileError(path, f"cannot be opened ({error.strerror or error})", mend) from error
    except RecursionError as error:
        raise NestedFileError(path, "is nested too deeply", "Save it again in its program") from error
    except TextLimitReached as error:
        raise _too_much_text(path) from error
    if len(extract.text) > MAX_TEXT_CHARACTERS:
        raise _too_much_text(path)
    if not extract.text.strip():
        raise EmptyFileError(path, "has no text", _empty_mend(path))
    if rule := broken_rule(extract):
        raise UnreadableFileError(path, f"was read wrongly: {rule}", "Convert it to another format")
    return extract


def check_size(path: Path, max_bytes: int) -> None:
    """Raise unless the path is a regular file with 1 to `max_bytes` bytes."""
    status = path.stat()
    if not path.is_file():
        raise UnreadableFileError(path, "is no regular file", "Name a file")
    if status.st_size == 0:
        raise EmptyFileError(path, "has 0 bytes", "Check that it was saved or downloaded whole")
    if status.st_size > max_bytes:
        raise OversizeFileError(
            path, f"has {status.st_size} bytes, more than {max_bytes}", "Split it, or raise the limit"
        )


def _too_much_text(path: Path) -> OversizeFileError:
    reason = f"has more than {MAX_TEXT_CHARACTERS // 10**6} million characters of text"
    return OversizeFileError(path, reason, "Split it into files")


def _empty_mend(path: Path) -> str:
    if path.suffix.lower() == ".pdf":
        return "Its pages may be scans: run OCR on it (for example with ocrmypdf) and ingest the result"
    return "If its content is pictures, run OCR on them and ingest the result"
