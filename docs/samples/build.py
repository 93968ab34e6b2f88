"""Writes the PDF and DOCX sample documents from the Markdown beside this file.

Run `python docs/samples/build.py` after a change of a text. The same texts give the same bytes.
"""

import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

from docx import Document
from reportlab.lib import colors
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Table

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "samples"
TARGETS = (
    "es/autocodificadores-y-vae.docx",
    "es/preentrenamiento-y-ajuste-fino.pdf",
    "pt/tokenizacao-e-subpalavras.docx",
    "en/attention-and-transformers.pdf",
)
WRITTEN = datetime(2025, 1, 1, tzinfo=UTC)
INK = colors.HexColor("#1d3b4f")
RULE = colors.HexColor("#b9c6cf")
BODY = ParagraphStyle(
    "body", fontName="Helvetica", fontSize=9.5, leading=13, spaceAfter=6, allowWidows=0, allowOrphans=0
)
BULLET = ParagraphStyle("bullet", BODY, leftIndent=12, bulletIndent=2, spaceAfter=3)
CELL = ParagraphStyle("cell", BODY, fontSize=8.5, leading=11, spaceAfter=0)
HEADINGS = {
    level: ParagraphStyle(
        f"heading{level}",
        fontName="Helvetica-Bold",
        fontSize=size,
        leading=size * 1.25,
        textColor=INK,
        spaceBefore=size * 0.7,
        spaceAfter=5,
        keepWithNext=True,
    )
    for level, size in ((1, 18.0), (2, 13.0), (3, 10.5))
}

Rows = list[list[str]]


class Booklet(SimpleDocTemplate):
    """A5 pages with their number at the foot."""

    def afterPage(self) -> None:
        """Draws the number last, so that it also comes last when the page's text is extracted."""
        self.canv.setFont("Helvetica", 8)
        self.canv.drawCentredString(A5[0] / 2, 9 * mm, str(self.page))


def blocks(markdown: str) -> Iterator[tuple[str, str | Rows]]:
    """Pairs of a kind (`1`, `2`, `3` for headings, `text`, `bullet`, `table`) and what it holds."""
    for block in re.split(r"\n{2,}", markdown.strip()):
        if heading := re.fullmatch(r"(#{1,3}) (.+)", block):
            yield str(len(heading[1])), heading[2]
        elif block.startswith("|"):
            lines = [line for line in block.splitlines() if not line.startswith("|---")]
            yield "table", [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        elif block.startswith("- "):
            yield from (("bullet", line.removeprefix("- ")) for line in block.splitlines())
        else:
            yield "text", block


def pdf_table(rows: Rows, width: float) -> Table:
    """`rows` as a ruled table; its first row is the header, its first column the widest."""
    shares = [1.3] + [1.0] * (len(rows[0]) - 1)
    head, *body = rows
    cells = [[Paragraph(f"<b>{escape(cell)}</b>", CELL) for cell in head]]
    cells += [[Paragraph(escape(cell), CELL) for cell in row] for row in body]
    style = [("LINEBELOW", (0, 0), (-1, -1), 0.5, RULE), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    widths = [width * share / sum(shares) for share in shares]
    return Table(cells, colWidths=widths, style=style, repeatRows=1, spaceBefore=4, spaceAfter=10)


def write_pdf(markdown: str, language: str, target: Path) -> None:
    """`markdown` as an A5 booklet. Helvetica is built in and covers Latin-1, so no font is embedded."""
    content = list(blocks(markdown))
    markdown.encode("cp1252")  # Raises for a character that Helvetica would draw as a black box.
    template = Booklet(
        str(target),
        pagesize=A5,
        title=str(content[0][1]),
        author="Fuente",
        lang=language,
        invariant=1,
        leftMargin=17 * mm,
        rightMargin=17 * mm,
        topMargin=16 * mm,
        bottomMargin=18 * mm,
    )
    story: list[Flowable] = []
    for kind, value in content:
        if isinstance(value, list):
            story.append(pdf_table(value, template.width - 12))  # A frame pads 6 points on each side.
        elif kind == "bullet":
            story.append(Paragraph(escape(value), BULLET, bulletText="\u2022"))
        else:
            story.append(Paragraph(escape(value), HEADINGS[int(kind)] if kind.isdigit() else BODY))
    template.build(story)


def write_docx(markdown: str, language: str, target: Path) -> None:
    """`markdown` as a Word document with real headings, lists and tables."""
    document = Document()
    for kind, value in blocks(markdown):
        if isinstance(value, list):
            table = document.add_table(0, len(value[0]), style="Light Grid Accent 1")
            for row in value:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
            document.add_paragraph()
        elif kind.isdigit():
            document.add_heading(value, int(kind))
        else:
            document.add_paragraph(value, "List Bullet" if kind == "bullet" else None)
    properties = document.core_properties
    properties.title, properties.language = str(next(blocks(markdown))[1]), language
    properties.author, properties.comments = "Fuente", ""
    properties.created = properties.modified = WRITTEN
    packed = BytesIO()
    document.save(packed)
    repack(packed, target)


def repack(packed: BytesIO, target: Path) -> None:
    """Copies a zip file with fixed dates, because python-docx stamps every part with the current time."""
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, WRITTEN.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            copy.writestr(entry, source.read(name))


def main() -> None:
    """Writes every target into the samples folder."""
    for name in TARGETS:
        target = SAMPLES / name
        markdown = (HERE / f"{target.stem}.md").read_text(encoding="utf-8")
        write = write_pdf if target.suffix == ".pdf" else write_docx
        write(markdown, target.parent.name, target)


if __name__ == "__main__":
    main()
