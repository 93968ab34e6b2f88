"""Small whole files of every suffix that is read, to be spoilt by the tests beside."""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import docx
import openpyxl
import pptx
from reportlab.pdfgen.canvas import Canvas

from ingest.readers import SUPPORTED_SUFFIXES

Case = tuple[str, Callable[[], bytes], str]

READ = "read"
ARCHIVES = (".docm", ".docx", ".epub", ".odt", ".pptx", ".xlsm", ".xlsx")
MIB = 2**20
SAMPLES = Path(__file__).parents[3] / "samples"
SENTENCE = "El órgano sonó toda la noche en la catedral, até amanhã de manhã."


@cache
def whole_files(suffix: str) -> list[bytes]:
    """The samples with this suffix and a generated file of it."""
    samples = [path.read_bytes() for path in sorted(SAMPLES.rglob(f"*{suffix}"))]
    return [*samples, specimen(suffix)]


def specimen(suffix: str) -> bytes:
    """A small file with a title, prose, a list and a table, as far as its format has them."""
    return _MAKERS.get(suffix, _source)()


def zipped(members: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these members."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pdf_of(*objects: bytes, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF of these objects, numbered from 1."""
    written, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(written))
        written += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer<</Size %d %s>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, len(written))
    return written + head + table + tail


def pdf_stream(content: bytes, entries: bytes = b"", *, deflated: int = 0) -> bytes:
    """A stream, compressed so many times over."""
    for _ in range(deflated):
        content = zlib.compress(content, 9)
    filters = b"/Filter[" + b"/FlateDecode" * deflated + b"]" if deflated else b""
    return b"<<%s%s/Length %d>>\nstream\n%s\nendstream" % (entries, filters, len(content), content)


TEXT_ON_PAGE = b"BT /F 12 Tf 50 700 Td (Hola mundo) Tj ET"
CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def pdf_page(content: bytes, *others: bytes, pages: bytes = PAGES, resources: bytes = b"") -> bytes:
    """A PDF with one page: objects 1 catalogue, 2 pages, 3 page, 4 content, 5 font /F, then others."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>%s>>>>"
    return pdf_of(CATALOG, pages, page % resources, content, FONT, *others)


def _pdf() -> bytes:
    written = io.BytesIO()
    canvas = Canvas(written, invariant=1)
    canvas.setTitle("Crónica")
    for number in range(3):
        canvas.setFont("Helvetica", 16)
        canvas.drawString(72, 740, f"Capítulo {number}")
        canvas.setFont("Helvetica", 10)
        canvas.drawString(72, 700, SENTENCE)
        canvas.showPage()
    canvas.save()
    return written.getvalue()


def _docx() -> bytes:
    document = docx.Document()
    document.add_heading("Crónica", 1)
    document.add_paragraph(SENTENCE)
    document.add_paragraph("pan", style="List Bullet")
    document.add_table(rows=2, cols=2).cell(0, 0).text = "País"
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def _pptx() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Crónica"
    slide.placeholders[1].text = SENTENCE
    slide.shapes.add_table(2, 2, 0, 0, 100, 100).table.cell(0, 0).text = "País"
    slide.notes_slide.notes_text_frame.text = "Pausa."
    written = io.BytesIO()
    deck.save(written)
    return written.getvalue()


def _xlsx() -> bytes:
    book = openpyxl.Workbook()
    for row in (["País", "Año", "Nota"], ["Perú", 2020, 1.5], ["Açores", 2021, SENTENCE]):
        book.active.append(row)
    book.create_sheet("Otra").append(["uno", "dos"])
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


_OASIS = "urn:oasis:names:tc:opendocument:xmlns"
ODT_CONTENT = f"""<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="{_OASIS}:office:1.0" xmlns:text="{_OASIS}:text:1.0"
 xmlns:table="{_OASIS}:table:1.0"><office:body><office:text><text:h text:outline-level="2">Crónica</text:h>
<text:p>{SENTENCE}<text:s text:c="2"/></text:p><text:list><text:list-item><text:p>pan</text:p></text:list-item>
</text:list><table:table><table:table-row><table:table-cell><text:p>País</text:p></table:table-cell>
</table:table-row></table:table></office:text></office:body></office:document-content>"""


def _odt() -> bytes:
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": ODT_CONTENT})


EPUB_PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><metadata
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Crónica</dc:title></metadata><manifest>
<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine>
</package>"""
EPUB_CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="o/p.opf"/></rootfiles></container>"""


def _epub() -> bytes:
    return zipped(
        {"META-INF/container.xml": EPUB_CONTAINER, "o/p.opf": EPUB_PACKAGE, "o/a.xhtml": _html()},
    )


def _html() -> bytes:
    return (
        '<?xml version="1.0"?><!DOCTYPE html><html><head><meta charset="utf-8"><title>Crónica</title></head><body>'
        f"<h1>Crónica</h1><p>{SENTENCE}<ul><li>pan<ul><li>água</ul></ul><table><tr><th>País<td>Año</table>"
        "<pre>x = 1</pre><svg><text>dibujo</text></svg></body></html>"
    ).encode()


def _notebook() -> bytes:
    output = {"output_type": "stream", "text": ["uno\n"]}
    cells = [
        {"cell_type": "markdown", "source": ["# Crónica\n", SENTENCE]},
        {"cell_type": "code", "source": "print('uno')", "outputs": [output]},
    ]
    return json.dumps({"cells": cells, "nbformat": 4}).encode()


def _rtf() -> bytes:
    return (
        b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}{\\info{\\title Cr\\'f3nica}}\\f0 El \\'f3rgano son\\u243?"
        b" toda la {\\b noche}.\\par\\trowd pan\\cell vino\\cell\\row Fin\\par}"
    )


def _markdown() -> bytes:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    return f"---\ntitle: Crónica\n---\n# Crónica\n\n{SENTENCE}\n\n- pan\n  - água\n\n{table}".encode()


def _table(separator: str) -> bytes:
    rows = ("País", "Año", "Nota"), ("Perú", "2020", '"a\nb"'), ("Açores", "2021", "c")
    return "\r\n".join(map(separator.join, rows)).encode()


def _source() -> bytes:
    return f'# {SENTENCE}\nclass Crónica:\n    def leer(self):\n        return "(\\n" + f"{{self}}"\n'.encode()


def _restructured() -> bytes:
    return f"Crónica\n=======\n\n{SENTENCE}\n\nParte\n-----\n\n* pan\n".encode("utf-16")


_MAKERS: dict[str, Callable[[], bytes]] = {
    **dict.fromkeys((".docx", ".docm"), _docx),
    **dict.fromkeys((".xlsx", ".xlsm"), _xlsx),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _html),
    **dict.fromkeys((".md", ".markdown"), _markdown),
    ".csv": lambda: _table(","),
    ".tsv": lambda: _table("\t"),
    ".epub": _epub,
    ".ipynb": _notebook,
    ".odt": _odt,
    ".pdf": _pdf,
    ".pptx": _pptx,
    ".rst": _restructured,
    ".rtf": _rtf,
}
SUFFIXES = sorted(SUPPORTED_SUFFIXES)
