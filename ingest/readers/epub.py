"""EPUB: one page a chapter of the spine."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from zipfile import ZipFile

from lxml import etree

from ingest.errors import EncryptedFileError, UnreadableFileError
from ingest.readers.archive import DUBLIN_CORE, open_archive, parse_xml, read_member
from ingest.readers.html import append_html, parse_html
from ingest.readers.plain import decode
from ingest.readers.text_builder import TextBuilder, clean_text
from ingest.types import Extract

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_MEND = "Convert it to EPUB again with its program"


def read_epub(path: Path) -> Extract:
    """The chapters in reading order as pages, with their headings, tables, lists and code, title and author.

    Raises:
        UnreadableFileError: damaged, protected against copying, or no EPUB file.
        OversizeFileError: it would unpack to more than a document ever is.
    """
    with open_archive(path, "EPUB") as archive:
        _refuse_protection(path, archive)
        name, package = _package(path, archive)
        builder = TextBuilder()
        for number, chapter in enumerate(_chapters(path, name, package), start=1):
            builder.page(number)
            _add_chapter(path, chapter, read_member(path, archive, chapter), builder)
        return builder.extract(_metadata(package))


def _refuse_protection(path: Path, archive: ZipFile) -> None:
    """Scrambled fonts are common and harmless; anything else that is encrypted is text."""
    if _ENCRYPTION not in archive.namelist():
        return
    root = parse_xml(path, _ENCRYPTION, read_member(path, archive, _ENCRYPTION))
    methods = root.iter("{*}EncryptionMethod")
    if any(method.get("Algorithm") not in _FONT_SCRAMBLING for method in methods):
        raise EncryptedFileError(path, "is encrypted against copying", "Ingest a copy without protection")


def _package(path: Path, archive: ZipFile) -> tuple[str, etree._Element]:
    """The name and the root of the package document that the container points at."""
    container = parse_xml(path, _CONTAINER, read_member(path, archive, _CONTAINER))
    rootfile = container.find(".//{*}rootfile")
    name = "" if rootfile is None else rootfile.get("full-path", "")
    return name, parse_xml(path, name, read_member(path, archive, name), doctype=True)


def _chapters(path: Path, name: str, package: etree._Element) -> Iterator[str]:
    """The member names of the spine, each once; a table of contents made for navigation is left out."""
    items = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
    seen = set()
    for reference in package.iterfind("{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None:
            raise UnreadableFileError(path, f"lacks its chapter {reference.get('idref')!r}", _MEND)
        if "nav" in item.get("properties", "").split() or "html" not in item.get("media-type", ""):
            continue
        href = unquote(item.get("href", "").partition("#")[0])
        chapter = posixpath.normpath(posixpath.join(posixpath.dirname(name), href))
        if chapter not in seen:
            seen.add(chapter)
            yield chapter


def _add_chapter(path: Path, chapter: str, content: bytes, builder: TextBuilder) -> None:
    text = decode(content)
    if text is None:
        raise UnreadableFileError(path, f"its chapter {chapter!r} is not text", _MEND)
    append_html(parse_html(path, clean_text(text)), builder)


def _metadata(package: etree._Element) -> dict[str, str]:
    texts = {key: package.findtext(f".//{DUBLIN_CORE}{key}", "") for key in ("title", "creator", "date")}
    return {"title": texts["title"], "author": texts["creator"], "date": texts["date"]}
