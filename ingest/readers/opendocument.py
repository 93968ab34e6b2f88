"""ODT, read straight from its XML.

odfdo was tried: its plain text runs a heading into the paragraph below, and it parses with
internal entities resolved.
"""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

from lxml import etree

from ingest.errors import EncryptedFileError, UnreadableFileError
from ingest.readers.archive import DUBLIN_CORE, open_archive, parse_xml, read_member
from ingest.readers.tables import table_text
from ingest.readers.text_builder import TextBuilder, one_line
from ingest.types import Extract

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT = f"{{{_OASIS}text:1.0}}"
_TABLE = f"{{{_OASIS}table:1.0}}"
_OFFICE = f"{{{_OASIS}office:1.0}}"
_MANIFEST = "META-INF/manifest.xml"
_CONTAINERS = (f"{_TEXT}section", f"{_TEXT}index-body", f"{_TEXT}numbered-paragraph")
_SKIPPED = (f"{_OFFICE}annotation", f"{_TEXT}note-citation", f"{_TEXT}tracked-changes", f"{_TEXT}ruby-text")
_MAX_COUNT = 100


def read_odt(path: Path) -> Extract:
    """Paragraphs, headings, lists and tables as blocks, in document order, with title and author.

    Raises:
        UnreadableFileError: damaged, encrypted, or no ODT file.
        OversizeFileError: it would unpack to more than a document ever is.
    """
    with open_archive(path, "ODT") as archive:
        _refuse_encryption(path, archive)
        root = parse_xml(path, "content.xml", read_member(path, archive, "content.xml"))
        metadata = _metadata(path, archive)
    body = root.find(f"{_OFFICE}body/{_OFFICE}text")
    if body is None:
        raise UnreadableFileError(path, "is no text document", "Save it as ODT")
    builder = TextBuilder()
    for element in _content(body):
        _add(element, builder)
    return builder.extract(metadata)


def _add(element: etree._Element, builder: TextBuilder) -> None:
    if element.tag == f"{_TEXT}h":
        builder.heading(_count(element, "outline-level"), _text(element))
    elif element.tag == f"{_TEXT}p":
        builder.paragraph(_text(element))
    elif element.tag == f"{_TEXT}list":
        builder.block("\n".join(_items(element)))
    else:
        builder.block(table_text(_rows(element)))


def _content(parent: etree._Element) -> Iterator[etree._Element]:
    """Headings, paragraphs, lists and tables in order, those inside sections too."""
    for child in parent:
        if child.tag in (f"{_TEXT}h", f"{_TEXT}p", f"{_TEXT}list", f"{_TABLE}table"):
            yield child
        elif child.tag in _CONTAINERS:
            yield from _content(child)


def _items(outer: etree._Element) -> Iterator[str]:
    """A line for each paragraph of a list, indented by its depth."""
    for paragraph in outer.iter(f"{_TEXT}p", f"{_TEXT}h"):
        depth = -1
        for parent in paragraph.iterancestors(f"{_TEXT}list"):
            depth += 1
            if parent is outer:
                break
        text = one_line(_text(paragraph))
        if text:
            yield f"{'  ' * depth}- {text}"


def _rows(table: etree._Element) -> Iterator[list[str]]:
    for row in table.iter(f"{_TABLE}table-row"):
        yield [
            " ".join(_text(paragraph) for paragraph in cell.iter(f"{_TEXT}p", f"{_TEXT}h"))
            for cell in row.iterfind(f"{_TABLE}table-cell")
        ]


def _text(element: etree._Element) -> str:
    """The text inside an element, with its spaces, tabs and line breaks, without notes' numbers."""
    parts = [element.text or ""]
    for child in element:
        if child.tag not in _SKIPPED and isinstance(child.tag, str):
            parts.append(_gap(child) + _text(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _gap(element: etree._Element) -> str:
    """What an element stands for by itself."""
    if element.tag == f"{_TEXT}s":
        return " " * _count(element, "c")
    if element.tag in (f"{_TEXT}line-break", f"{_TEXT}p"):
        return "\n"
    if element.tag == f"{_TEXT}note":
        return " "
    return "\t" if element.tag == f"{_TEXT}tab" else ""


def _count(element: etree._Element, name: str) -> int:
    """A number that the file may choose freely, at most `_MAX_COUNT`; 1 when it is none."""
    count = element.get(f"{_TEXT}{name}", "1")
    return min(int(count), _MAX_COUNT) if count.isdecimal() and len(count) <= len(str(_MAX_COUNT)) else 1


def _refuse_encryption(path: Path, archive: ZipFile) -> None:
    if _MANIFEST in archive.namelist():
        manifest = parse_xml(path, _MANIFEST, read_member(path, archive, _MANIFEST), doctype=True)
        if next(manifest.iter("{*}encryption-data"), None) is not None:
            raise EncryptedFileError(path, "is encrypted", "Save it without a password")


def _metadata(path: Path, archive: ZipFile) -> dict[str, str]:
    if "meta.xml" not in archive.namelist():
        return {}
    root = parse_xml(path, "meta.xml", read_member(path, archive, "meta.xml"))
    texts = {key: root.findtext(f".//{DUBLIN_CORE}{key}", "") for key in ("title", "creator", "date")}
    return {"title": texts["title"], "author": texts["creator"], "date": texts["date"][:10]}
