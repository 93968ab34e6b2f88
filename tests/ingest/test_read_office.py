"""Word, PowerPoint, Excel and OpenDocument files, made by the programs' own libraries."""

import datetime as dt
import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pptx.util import Inches

from ingest.errors import OversizeFileError, UnreadableFileError
from ingest.readers import archive, read, spreadsheet
from ingest.types import Extract

LIMIT = 2**24


def blocks(extract: Extract) -> list[str]:
    return [extract.text[block.start : block.end] for block in extract.blocks]


def pages(extract: Extract) -> list[str]:
    return [extract.text[page.start : page.end] for page in extract.pages]


def make_docx(path: Path) -> Path:
    document = docx.Document()
    document.core_properties.title = "Memoria económica"
    document.core_properties.author = "Begoña Íñiguez"
    document.add_heading("Memoria", 0)
    document.add_heading("Presentación", 1)
    document.add_paragraph("La asociación cumplió cien años.")
    document.add_paragraph("pan", style="List Bullet")
    document.add_paragraph("água", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip((*table.rows[0].cells, *table.rows[1].cells), ("País", "Año", "Perú", "2020"), strict=True):
        cell.text = text
    document.add_heading("Conclusão", 2)
    document.add_paragraph("Até amanhã.")
    document.sections[0].header.paragraphs[0].text = "Cabecera"
    document.save(str(path))
    return path


def test_docx(tmp_path: Path) -> None:
    extract = read(make_docx(tmp_path / "a.docx"), max_bytes=LIMIT)
    assert extract.text == (
        "Memoria\n\nPresentación\n\nLa asociación cumplió cien años.\n\n- pan\n- água\n\n"
        "País | Año\nPerú | 2020\n\nConclusão\n\nAté amanhã."
    )
    assert [(item.level, item.title) for item in extract.headings] == [
        (1, "Memoria"),
        (1, "Presentación"),
        (2, "Conclusão"),
    ]
    assert all(extract.text.startswith(item.title, item.start) for item in extract.headings)
    assert blocks(extract) == ["- pan\n- água", "País | Año\nPerú | 2020"]
    assert extract.metadata["title"] == "Memoria económica"
    assert extract.metadata["author"] == "Begoña Íñiguez"


def test_docx_text_in_insertions_controls_and_links_and_none_that_was_deleted(tmp_path: Path) -> None:
    document = docx.Document()
    body = document.element.body
    body.insert(
        0,
        parse_xml(
            f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:r><w:t>Índice</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        ),
    )
    body.insert(
        1,
        parse_xml(
            f"<w:p {nsdecls('w')}><w:r><w:t>uno</w:t><w:tab/></w:r><w:ins><w:r><w:t>dos</w:t></w:r></w:ins>"
            "<w:del><w:r><w:delText>no</w:delText></w:r></w:del><w:hyperlink><w:r><w:br/><w:t>três</w:t></w:r>"
            "</w:hyperlink></w:p>"
        ),
    )
    document.save(str(tmp_path / "a.docx"))
    assert read(tmp_path / "a.docx", max_bytes=LIMIT).text == "Índice\n\nuno\tdos\ntrês"


def test_docx_heading_by_outline_level_of_a_parent_style(tmp_path: Path) -> None:
    document = docx.Document()
    style = document.styles.add_style("Capítulo propio", 1)
    style.base_style = document.styles["Heading 3"]
    document.add_paragraph("Artículo único", style=style)
    document.save(str(tmp_path / "a.docx"))
    (heading,) = read(tmp_path / "a.docx", max_bytes=LIMIT).headings
    assert (heading.level, heading.title) == (3, "Artículo único")


def test_pptx(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Visión general"
    first.placeholders[1].text = "Primero\nSegundo"
    first.notes_slide.notes_text_frame.text = "Recordar la pausa."
    deck.slides.add_slide(deck.slide_layouts[6])
    last = deck.slides.add_slide(deck.slide_layouts[5])
    last.shapes.title.text = "Números"
    table = last.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for (row, column), text in {(0, 0): "Mês", (0, 1): "Valor", (1, 0): "março", (1, 1): "7"}.items():
        table.cell(row, column).text = text
    group = last.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 100, 100).text_frame.text = "Dentro del grupo"
    deck.save(str(tmp_path / "a.pptx"))
    extract = read(tmp_path / "a.pptx", max_bytes=LIMIT)
    assert pages(extract) == [
        "Visión general\n\nPrimero\nSegundo\n\nRecordar la pausa.",
        "",
        "Números\n\nMês | Valor\nmarço | 7\n\nDentro del grupo",
    ]
    assert [page.number for page in extract.pages] == [1, 2, 3]
    assert [item.title for item in extract.headings] == ["Visión general", "Números"]
    assert blocks(extract) == ["Mês | Valor\nmarço | 7"]


def test_xlsx(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Producción"
    rows = (
        ["Producción anual"],
        [],
        ["Región", "Fecha", "Toneladas", "Cerrado"],
        ["Aragón", dt.datetime(2024, 3, 1), 1200.0, True],
        ["Açores", dt.datetime(2024, 3, 2, 8, 30), 0.1 + 0.2, None],
    )
    for row in rows:
        sheet.append(row)
    book.create_sheet("Vacía")
    book.create_sheet("Notas").append(["Revisar el año"])
    book.save(tmp_path / "a.xlsx")
    extract = read(tmp_path / "a.xlsx", max_bytes=LIMIT)
    assert pages(extract) == [
        "Producción\n\nProducción anual\n\n"
        "Región: Aragón | Fecha: 2024-03-01 | Toneladas: 1200 | Cerrado: True\n"
        "Región: Açores | Fecha: 2024-03-02 08:30 | Toneladas: 0.3",
        "Vacía",
        "Notas\n\nRevisar el año",
    ]
    assert [item.title for item in extract.headings] == ["Producción", "Vacía", "Notas"]
    assert len(blocks(extract)) == 4


def test_xlsx_row_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 3)
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    for number in range(2):
        book.active.cell(row=500 + number, column=1, value=number)
    book.save(tmp_path / "a.xlsx")
    assert "501" not in read(tmp_path / "a.xlsx", max_bytes=LIMIT).text
    book.active.append(["uno"])
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(OversizeFileError, match="more than 3 rows"):
        read(tmp_path / "a.xlsx", max_bytes=LIMIT)


ODT = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body><office:text>
<text:h text:outline-level="2">Nuestra <text:span>misión</text:span></text:h><text:section><text:p
>Uno<text:s text:c="2"/>dos<text:tab/>três<text:line-break/>fin<text:note
><text:note-citation>1</text:note-citation>
</text:note></text:p></text:section>
<text:list><text:list-item><text:p>pan</text:p><text:list><text:list-item><text:p>água</text:p></text:list-item>
</text:list></text:list-item></text:list>
<table:table><table:table-row><table:table-cell><text:p>País</text:p></table:table-cell><table:table-cell>
<text:p>Año</text:p></table:table-cell></table:table-row></table:table>
</office:text></office:body></office:document-content>"""


def make_odt(path: Path, content: str = ODT, manifest: str = "<manifest/>") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as odt:
        odt.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        odt.writestr("content.xml", content)
        odt.writestr("META-INF/manifest.xml", manifest)
        odt.writestr("meta.xml", '<m xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Crónica</dc:title></m>')
    return path


def test_odt(tmp_path: Path) -> None:
    extract = read(make_odt(tmp_path / "a.odt"), max_bytes=LIMIT)
    assert extract.text == "Nuestra misión\n\nUno  dos\ttrês\nfin\n\n- pan\n  - água\n\nPaís | Año"
    assert [(item.level, item.title, item.start) for item in extract.headings] == [(2, "Nuestra misión", 0)]
    assert blocks(extract) == ["- pan\n  - água", "País | Año"]
    assert extract.metadata == {"title": "Crónica"}


def test_encrypted_odt(tmp_path: Path) -> None:
    path = make_odt(tmp_path / "a.odt", manifest='<m xmlns:x="urn:x"><x:encryption-data/></m>')
    with pytest.raises(UnreadableFileError, match="encrypted"):
        read(path, max_bytes=LIMIT)


LAUGHS = '<!DOCTYPE l [<!ENTITY a "ja"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx", "odt", "epub"])
class TestArchives:
    def test_truncated(self, tmp_path: Path, suffix: str) -> None:
        whole = make_docx(tmp_path / "whole.docx").read_bytes()
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UnreadableFileError, match="is damaged or no"):
            read(path, max_bytes=LIMIT)

    def test_wrong_suffix(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        with zipfile.ZipFile(path, "w") as other:
            other.writestr("datos.xml", "<a/>")
        with pytest.raises(UnreadableFileError):
            read(path, max_bytes=LIMIT)

    def test_encrypted_or_old(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
        with pytest.raises(UnreadableFileError, match="is encrypted, or older than"):
            read(path, max_bytes=LIMIT)

    def test_encrypted_member(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        with zipfile.ZipFile(path, "w") as plain:
            plain.writestr("[Content_Types].xml", "<a/>")
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(data)
        with pytest.raises(UnreadableFileError, match=r"is encrypted\. Save it as"):
            read(path, max_bytes=LIMIT)

    def test_zip_bomb(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
            bomb.writestr("word/document.xml", bytes(20 * 2**20))
        assert path.stat().st_size < 100_000
        with pytest.raises(OversizeFileError, match="like a zip bomb"):
            read(path, max_bytes=LIMIT)

    def test_total_size(self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "MAX_UNCOMPRESSED_BYTES", 2**20)
        path = tmp_path / f"a.{suffix}"
        with zipfile.ZipFile(path, "w") as large:
            large.writestr("a", bytes(2**20 + 1))
        with pytest.raises(OversizeFileError, match="unpacks to 1 MiB, more than 1 MiB"):
            read(path, max_bytes=LIMIT)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-7"])
    def test_billion_laughs(self, tmp_path: Path, suffix: str, encoding: str) -> None:
        path = tmp_path / f"a.{suffix}"
        xml = f'<?xml version="1.0" encoding="{encoding}"?><!-- <l> -->{LAUGHS}<l>&b;</l>'
        # UTF-7 may write its declaration plainly and hide the rest
        data = xml.encode(encoding) if encoding != "utf-7" else xml.replace("<!D", "+ADwAIQ-D").encode()
        with zipfile.ZipFile(path, "w") as hostile:
            for name in ("content.xml", "META-INF/container.xml", "[Content_Types].xml", "word/document.xml"):
                hostile.writestr(name, data)
        with pytest.raises(UnreadableFileError, match=r"declares XML entities|unusual encoding"):
            read(path, max_bytes=LIMIT)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    deep = ODT.replace("<text:section>", "<text:section>" * 5000).replace("</text:section>", "</text:section>" * 5000)
    with pytest.raises(UnreadableFileError, match="is nested too deeply"):
        read(make_odt(tmp_path / "a.odt", deep), max_bytes=LIMIT)
