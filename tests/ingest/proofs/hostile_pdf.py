"""PDF files that unfold, loop, nest or lie."""

from collections.abc import Iterator
from functools import partial
from io import BytesIO

from reportlab.pdfgen.canvas import Canvas

from tests.ingest.proofs.specimens import MIB, READ, TEXT_ON_PAGE, Case, pdf_of, pdf_page, pdf_stream


def pdf_cases() -> Iterator[Case]:
    blanks = b" " * (40 * MIB)
    yield "bomb.pdf", lambda: pdf_page(pdf_stream(blanks, deflated=1)), "bomb"
    for times in (2, 3, 50):
        yield f"nested-{times}.pdf", partial(_pdf_nested, times), "bomb"
    yield "escaped.pdf", lambda: _pdf_nested(2).replace(b"/FlateDecode", b"/Fl#61teDecode"), "bomb"
    yield "lzw.pdf", lambda: _pdf_nested(2).replace(b"[/FlateDecode", b"[/LZWDecode"), "bomb"
    yield "xref-bomb.pdf", lambda: pdf_of(pdf_stream(blanks, b"/Type/XRef", deflated=1)), "bomb"
    yield "encrypted.pdf", _pdf_encrypted, "encrypted"
    for count in (2**31 - 1, -1, 10**30):
        yield f"count-{count}.pdf", partial(_pdf_pages, b"3 0 R", count), f"{READ} unreadable empty"
    yield "pages.pdf", lambda: _pdf_pages(b"3 0 R " * 1_000_000, 1_000_000), "oversize"
    yield "loop.pdf", lambda: _pdf_pages(b"2 0 R 3 0 R", 2), f"{READ} unreadable"
    yield "loop-up.pdf", _pdf_loop, "unreadable"
    yield "deep-array.pdf", lambda: _pdf_deep(b"[", b"]"), f"{READ} unreadable"
    yield "deep-dictionary.pdf", lambda: _pdf_deep(b"<</A", b">>"), f"{READ} unreadable"
    yield "deep-content.pdf", lambda: pdf_page(pdf_stream(b"[" * 10**6 + TEXT_ON_PAGE)), f"{READ} empty"
    yield "states.pdf", lambda: pdf_page(pdf_stream(b"q " * 10**6 + TEXT_ON_PAGE)), f"{READ} crash"
    yield "forms.pdf", pdf_killer, "crash"
    yield "huge-xref.pdf", lambda: _pdf_replaced(b"xref\n0 6", b"xref\n0 4000000000"), f"{READ} unreadable"
    yield "huge-size.pdf", lambda: _pdf_replaced(b"/Size 6", b"/Size 2147483647"), f"{READ} unreadable"
    yield "xref-stream.pdf", _pdf_xref_stream, "unreadable"
    yield "previous.pdf", _pdf_previous, f"{READ} unreadable"
    yield "length.pdf", lambda: _pdf_replaced(b"/Length 4", b"/Length 99999999999994"), f"{READ} unreadable empty"
    yield "rebuilt.pdf", _pdf_rebuilt, "timeout unreadable"
    yield "dots.pdf", _pdf_dots, READ


def _pdf_nested(times: int) -> bytes:
    return pdf_page(pdf_stream(b" " * (10 * MIB) + TEXT_ON_PAGE, deflated=times))


def _pdf_encrypted() -> bytes:
    written = BytesIO()
    canvas = Canvas(written, encrypt="clave")
    canvas.drawString(72, 700, "Hola")
    canvas.save()
    return written.getvalue()


def _pdf_pages(kids: bytes, count: int) -> bytes:
    return pdf_page(pdf_stream(TEXT_ON_PAGE), pages=b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count))


def _pdf_loop() -> bytes:
    pages = b"<</Type/Pages/Kids[%d 0 R]/Parent %d 0 R/Count 1>>"
    return pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", pages % (3, 3), pages % (2, 2))


def _pdf_deep(opening: bytes, closing: bytes) -> bytes:
    deep = opening * 200_000 + closing * 200_000
    pages = b"<</Type/Pages/Kids[3 0 R]/Count 1/X %s>>" % deep
    return pdf_page(pdf_stream(TEXT_ON_PAGE), pages=pages)


def pdf_killer() -> bytes:
    """Billion laughs as a PDF tells them: twelve forms, each of which draws the next one ten times.

    PDFium ends its process when the memory is spent.
    """
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>/Font<</F 5 0 R>>>>"
    forms = [pdf_stream(b"/X Do " * 10, form % number) for number in range(7, 18)]
    last = pdf_stream(TEXT_ON_PAGE, form % 17)
    return pdf_page(pdf_stream(b"/X Do " * 10), *forms, last, resources=b"/XObject<</X 6 0 R>>")


def _pdf_replaced(old: bytes, new: bytes) -> bytes:
    whole = pdf_page(pdf_stream(TEXT_ON_PAGE))
    if old not in whole:
        raise AssertionError(f"{old!r} is not in the PDF")
    return whole.replace(old, new)


def _pdf_xref_stream() -> bytes:
    whole = pdf_of(pdf_stream(bytes(50), b"/Type/XRef/Size 2147483647/W[1 2 1]/Index[0 2147483647]/Root 1 0 R"))
    return whole[: whole.index(b"xref\n0")] + b"startxref\n9\n%%EOF"


def _pdf_previous() -> bytes:
    whole = pdf_page(pdf_stream(TEXT_ON_PAGE))
    return whole.replace(b"/Size 6", b"/Size 6/Prev %d" % whole.index(b"xref\n0"))


def _pdf_rebuilt() -> bytes:
    """Thousands of streams without an end and no table of them, which PDFium looks for in their number squared."""
    broken = pdf_stream(TEXT_ON_PAGE * 20).replace(b"endstream", b"")
    return b"%PDF-1.7\n" + b"".join(b"%d 0 obj\n%s\nendobj\n" % (number % 9 + 1, broken) for number in range(4000))


def _pdf_dots() -> bytes:
    """A running line of 30,000 dots and a number on four pages."""
    lines = b") Tj T* T* T* T* T* (cuerpo) Tj T* (otra) Tj T* (otra) Tj ET"
    content = b"BT /F 1 Tf 5 TL 50 700 Td (" + b". " * 15_000 + b"1" + lines
    return pdf_page(pdf_stream(content), pages=b"<</Type/Pages/Kids[3 0 R 3 0 R 3 0 R 3 0 R]/Count 4>>")
