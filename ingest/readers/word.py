"""DOCX: paragraphs and tables in document order."""

import re
from collections.abc import Iterator
from pathlib import Path

import docx
from docx.document import Document
from docx.opc.exceptions import OpcError
from docx.oxml.ns import qn
from lxml import etree

from ingest.readers.archive import ZIP_ERRORS, damaged, open_archive, refuse_entities
from ingest.readers.tables import table_text
from ingest.readers.text_builder import TextBuilder, one_line
from ingest.types import Extract

DOCX_ERRORS = (OpcError, etree.XMLSyntaxError, KeyError, ValueError, AttributeError, TypeError, *ZIP_ERRORS)

_HEADING_NAME = re.compile(r"(?:heading|título|titulo) ([1-9])")
_TITLE_NAMES = ("title", "título", "titulo")
_MAX_STYLE_CHAIN = 20
_BREAKS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_SKIPPED = {  # a deleted text, and the copy of a text box for old programs
    qn("w:del"),
    qn("w:moveFrom"),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
    qn("w:pPr"),
    qn("w:rPr"),
}


def read_docx(path: Path) -> Extract:
    """Paragraphs, headings by style, lists and tables as blocks, and the core properties.

    Headers, footers and deleted text are left out.

    Raises:
        UnreadableFileError: damaged, encrypted, or no DOCX file.
        OversizeFileError: it would unpack to more than a document ever is.
    """
    with open_archive(path, "DOCX") as archive:
        refuse_entities(path, archive)
    try:
        document = docx.Document(str(path))
        return _extract(document)
    except DOCX_ERRORS as error:
        raise damaged(path, "DOCX", error) from error


def _extract(document: Document) -> Extract:
    builder = TextBuilder()
    styles = _Styles(document)
    items: list[str] = []
    for element in _body(document.element.body):
        if element.tag == qn("w:p") and styles.is_item(element):
            items.append(f"- {one_line(paragraph_text(element))}")
            continue
        builder.block("\n".join(items))
        items.clear()
        if element.tag == qn("w:tbl"):
            builder.block(table_text(_rows(element)))
        elif level := styles.level(element):
            builder.heading(level, paragraph_text(element))
        else:
            builder.paragraph(paragraph_text(element))
    builder.block("\n".join(items))
    return builder.extract(properties(document))


def properties(document: Document) -> dict[str, str]:
    """Title, author and last change of an Office document."""
    core = document.core_properties
    changed = core.modified.date().isoformat() if core.modified else ""
    return {"title": core.title or "", "author": core.author or "", "date": changed}


def paragraph_text(paragraph: etree._Element) -> str:
    """The text of a paragraph, also inside links, fields, content controls and insertions."""
    parts: list[str] = []
    stack = [paragraph]
    while stack:
        element = stack.pop()
        if element.tag in _SKIPPED:
            continue
        if element.tag == qn("w:t"):
            parts.append(element.text or "")
        parts.append(_BREAKS.get(element.tag, ""))
        if element.tag == qn("w:p") and parts:
            parts.append("\n")
        stack.extend(reversed(element))
    return "".join(parts).strip()


def _body(parent: etree._Element) -> Iterator[etree._Element]:
    """Paragraphs and tables in order, also those inside content controls, which python-docx skips."""
    for child in parent:
        if child.tag in (qn("w:p"), qn("w:tbl")):
            yield child
        elif child.tag in (qn("w:sdt"), qn("w:sdtContent"), qn("w:customXml"), qn("w:ins")):
            yield from _body(child)


def _rows(table: etree._Element) -> Iterator[list[str]]:
    for row in table.xpath("./w:tr | ./w:sdt/w:sdtContent/w:tr"):
        cells = row.xpath("./w:tc | ./w:sdt/w:sdtContent/w:tc")
        yield [" ".join(map(paragraph_text, cell.iter(qn("w:p")))) for cell in cells]


class _Styles:
    """Which style makes a heading of which level, and which a list."""

    def __init__(self, document: Document) -> None:
        self._styles = {style.get(qn("w:styleId")): style for style in document.styles.element.style_lst}

    def level(self, paragraph: etree._Element) -> int | None:
        """The heading level from 1, by the outline level or else the name along the chain of styles."""
        for properties_of in self._chain(paragraph):
            outline = properties_of.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
            if outline is not None:
                level = int(outline.get(qn("w:val"), "9"))
                return level + 1 if level < 9 else None
            name = properties_of.find(qn("w:name"))
            known = "" if name is None else name.get(qn("w:val"), "").casefold()
            if match := _HEADING_NAME.fullmatch(known):
                return int(match[1])
            if known in _TITLE_NAMES:
                return 1
        return None

    def is_item(self, paragraph: etree._Element) -> bool:
        """Whether the paragraph is a numbered or bulleted item, and no numbered heading."""
        if self.level(paragraph) or not paragraph_text(paragraph):
            return False
        for properties_of in self._chain(paragraph):
            number = properties_of.find(f"{qn('w:pPr')}/{qn('w:numPr')}/{qn('w:numId')}")
            if number is not None:
                return bool(number.get(qn("w:val")) != "0")
        return False

    def _chain(self, paragraph: etree._Element) -> Iterator[etree._Element]:
        """The paragraph itself, its style, and the styles which that is based on."""
        yield paragraph
        name = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        for _ in range(_MAX_STYLE_CHAIN):
            style = None if name is None else self._styles.get(name.get(qn("w:val")))
            if style is None:
                return
            yield style
            name = style.find(qn("w:basedOn"))
