"""PDF files made by reportlab."""

from itertools import pairwise
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

from ingest.errors import EmptyFileError, UnreadableFileError
from ingest.readers import read
from ingest.readers.pdf_layout import Layout, Line
from ingest.types import Extract

LIMIT = 2**24
BODY = ParagraphStyle("cuerpo", fontName="Helvetica", fontSize=10, leading=12, spaceAfter=8)
TITLE = ParagraphStyle("título", fontName="Helvetica-Bold", fontSize=16, leading=20, spaceAfter=10)
SUBTITLE = ParagraphStyle("subtítulo", fontName="Helvetica-Bold", fontSize=13, leading=16, spaceAfter=8)
LONG = "La producción de energía creció en toda la región, según el informe que la comisión publicó ayer. " * 4
LONG = LONG.strip()


def pages(extract: Extract) -> list[str]:
    return [extract.text[page.start : page.end] for page in extract.pages]


def make_report(path: Path, encrypt: str | None = None) -> Path:
    story = []
    for number in range(1, 5):
        story += [
            Paragraph(f"{number}. Capítulo número {number}", TITLE),
            Paragraph(f"{LONG} ({number})", BODY),
        ]
        story += [Paragraph(f"Anexo {number}", SUBTITLE), Paragraph("Corto.", BODY), PageBreak()]

    def furniture(canvas: Canvas, template: SimpleDocTemplate) -> None:
        canvas.setFont("Helvetica", 9)
        canvas.drawString(60, 810, "Ayuntamiento de Alcañiz")
        canvas.drawString(60, 30, f"Página {template.page} de 4")

    template = SimpleDocTemplate(
        str(path), pagesize=A4, title="Informe año 2024", author="Peña", encrypt=encrypt, invariant=1
    )
    template.build(story, onFirstPage=furniture, onLaterPages=furniture)
    return path


def make_lines(path: Path, *lines: str) -> Path:
    canvas = Canvas(str(path))
    text = canvas.beginText(72, 700)
    for line in lines:
        text.textLine(line)
    canvas.drawText(text)
    canvas.save()
    return path


def test_pages_headings_and_paragraphs(tmp_path: Path) -> None:
    extract = read(make_report(tmp_path / "a.pdf"), max_bytes=LIMIT)
    bodies = [
        f"{number}. Capítulo número {number}\n\n{LONG} ({number})\n\nAnexo {number}\n\nCorto." for number in range(1, 5)
    ]
    bodies_seen = [page.replace("Ayuntamiento de Alcañiz", "").strip() for page in pages(extract)]
    assert bodies_seen == bodies
    assert [(item.level, item.title) for item in extract.headings][:2] == [
        (1, "1. Capítulo número 1"),
        (2, "Anexo 1"),
    ]
    assert all(extract.text.startswith(item.title, item.start) for item in extract.headings)
    assert extract.metadata["title"] == "Informe año 2024"
    assert extract.metadata["author"] == "Peña"


def test_running_lines_are_kept_once_and_page_numbers_never(tmp_path: Path) -> None:
    text = read(make_report(tmp_path / "a.pdf"), max_bytes=LIMIT).text
    assert text.count("Ayuntamiento de Alcañiz") == 1
    assert "Página" not in text


def test_words_cut_at_line_ends_are_mended(tmp_path: Path) -> None:
    path = make_lines(
        tmp_path / "a.pdf",
        "El guarda-chuva novo ficou na casa junto da estação e não se sabe qual a informa-",
        "ção que foi dada; o outro guarda-",
        "chuva também.",
    )
    text = read(path, max_bytes=LIMIT).text
    assert "a informação que foi dada; o outro guarda-chuva também." in text.replace("\n", " ")


def test_short_lines_stay_lines(tmp_path: Path) -> None:
    path = make_lines(
        tmp_path / "a.pdf",
        "Una frase bastante larga que llega hasta el margen derecho de la columna entera y",
        "continúa después. Precios del año:",
        "pan 3",
        "água 4",
    )
    assert read(path, max_bytes=LIMIT).text.split("\n") == [
        "Una frase bastante larga que llega hasta el margen derecho de la columna entera y "
        "continúa después. Precios del año:",
        "pan 3",
        "água 4",
    ]


def test_encrypted(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"is encrypted\. Save a copy without a password"):
        read(make_report(tmp_path / "a.pdf", encrypt="clave"), max_bytes=LIMIT)


def test_scanned(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"))
    canvas.rect(10, 10, 100, 100)
    canvas.save()
    with pytest.raises(EmptyFileError, match="OCR"):
        read(tmp_path / "a.pdf", max_bytes=LIMIT)


@pytest.mark.parametrize("content", [b"esto no es un PDF", b"%PDF-1.7\n", b"PK\x03\x04" + bytes(100)])
def test_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="damaged or no PDF"):
        read(path, max_bytes=LIMIT)


def test_a_blank_page_is_a_page(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"))
    for text in ("uno", "", "tres"):
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()
    extract = read(tmp_path / "a.pdf", max_bytes=LIMIT)
    assert pages(extract) == ["uno", "", "tres"]
    assert [page.number for page in extract.pages] == [1, 2, 3]


def column(*texts: str, top: float = 700.0, left: float = 50.0, height: float = 11.0) -> list[Line]:
    return [Line(text, left, left + 5 * len(text), top - 12 * index, height) for index, text in enumerate(texts)]


def test_numbered_titles_at_one_place_are_no_page_numbers() -> None:
    body = ["una línea cualquiera de texto", "y otra línea de más texto"]
    book = [[*column(f"Ejercicio {number}"), *column(*body, top=600)] for number in range(1, 6)]
    layout = Layout(book)
    firsts = [next(iter(layout.pieces(number)))[1] for number in range(5)]
    assert firsts == [f"Ejercicio {number}" for number in range(1, 6)]


def test_columns_are_not_mixed() -> None:
    left = column("primera línea de la columna uno", "segunda línea de la columna uno")
    right = column("primera línea de la columna dos", "segunda línea de la columna dos", left=320.0)
    texts = [text for _, text in Layout([[*left, *right]]).pieces(0)]
    assert [text.split()[-1] for text in texts] == ["uno", "dos"]
    assert all(above != below for above, below in pairwise(texts))
