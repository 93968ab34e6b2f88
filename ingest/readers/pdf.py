"""PDF: one page a page."""

import ctypes
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2
from pypdfium2 import PdfDocument, PdfiumError, PdfTextPage, raw

from ingest.errors import EncryptedFileError, OversizeFileError, UnreadableFileError
from ingest.readers.pdf_guard import refuse_pdf_bombs
from ingest.readers.pdf_layout import Layout, Line
from ingest.readers.text_builder import MAX_TEXT_CHARACTERS, TextBuilder, TextLimitReached
from ingest.types import Extract

MAX_PAGES = 20_000
_PDFIUM = threading.Lock()  # PDFium keeps global state: two threads inside it crash the process
_LOCKED = (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
_LINE_HYPHENS = ("\x02", "\ufffe")  # what PDFium puts for a hyphen at a line's end, in place of the break
_PHYSICAL_LINE = re.compile(r"[^\r\n\x02\ufffe]+[\x02\ufffe]?")
_PLACEHOLDERS = ("untitled", "(anonymous)", "anonymous", "unknown")
_DATE = re.compile(r"D:(\d{4})(\d\d)(\d\d)")


def read_pdf(path: Path) -> Extract:
    """The text of each page: lines joined to paragraphs, words mended, large type as headings.

    Lines that stand at the same place of most pages (running headers, page numbers) are left out.

    Raises:
        EncryptedFileError: it asks for a password.
        OversizeFileError: a bomb, or more than `MAX_PAGES` pages.
        UnreadableFileError: damaged, or no PDF.
    """
    with open_pdf(path) as document:
        return _extract(document)


@contextmanager
def open_pdf(path: Path) -> Iterator[PdfDocument]:
    """The document, for one thread at a time.

    Raises: what `read_pdf` raises.
    """
    refuse_pdf_bombs(path, path.read_bytes())
    with _PDFIUM:
        try:
            with pypdfium2.PdfDocument(path) as document:
                if len(document) > MAX_PAGES:
                    reason = f"has {len(document)} pages, more than {MAX_PAGES}"
                    raise OversizeFileError(path, reason, "Split it into files")
                yield document
        except PdfiumError as error:
            if getattr(error, "err_code", None) in _LOCKED:
                raise EncryptedFileError(path, "is encrypted", "Save a copy without a password") from error
            raise UnreadableFileError(path, f"is damaged or no PDF ({error})", "Export it again") from error


def _extract(document: PdfDocument) -> Extract:
    pages: list[list[Line]] = []
    characters = 0
    for index in range(len(document)):
        pages.append(list(_lines(document, index)))
        characters += sum(len(line.text) for line in pages[-1])
        if characters > MAX_TEXT_CHARACTERS:  # one page may be listed over and over
            raise TextLimitReached
    layout = Layout(pages)
    builder = TextBuilder()
    for index in range(len(pages)):
        builder.page(index + 1)
        for level, text in layout.pieces(index):
            if level:
                builder.heading(level, text)
            else:
                builder.paragraph(text)
    return builder.extract(_metadata(document))


def _lines(document: PdfDocument, index: int) -> Iterator[Line]:
    """The physical lines of a page in the order of its content, with their place."""
    page = document[index]
    textpage = page.get_textpage()
    try:
        codes = [raw.FPDFText_GetUnicode(textpage, at) for at in range(textpage.count_chars())]
        for match in _PHYSICAL_LINE.finditer("".join(map(chr, codes))):
            text = match[0].rstrip("".join(_LINE_HYPHENS))
            if text.strip():
                first = match.start() + len(text) - len(text.lstrip())
                last = match.start() + len(text.rstrip()) - 1
                hyphenated = match[0].endswith(_LINE_HYPHENS)
                yield _placed(textpage, text.strip(), first, last, hyphenated)
    finally:
        textpage.close()
        page.close()


def _placed(textpage: PdfTextPage, text: str, first: int, last: int, hyphenated: bool) -> Line:
    """The line with its place in points, taken from its first, middle and last character."""
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(textpage, first, x, y)
    # the loose box is as high as the font; the font size itself ignores the scale of the text
    boxes = [textpage.get_charbox(at, loose=True) for at in (first, (first + last) // 2, last)]
    height = max(top - bottom for _, bottom, _, top in boxes)
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Line(whole, x.value, boxes[-1][2], y.value, height, hyphenated)


def _metadata(document: PdfDocument) -> dict[str, str]:
    known = document.get_metadata_dict(skip_empty=True)
    known = {key: value for key, value in known.items() if value.casefold() not in _PLACEHOLDERS}
    created = _DATE.match(known.get("CreationDate", ""))
    return {
        "title": known.get("Title", ""),
        "author": known.get("Author", ""),
        "date": "-".join(created.groups()) if created else "",
    }
