"""HTML pages, and the walk that EPUB chapters share."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from bs4.dammit import EncodingDetector
from bs4.element import CData, NavigableString, PageElement
from bs4.exceptions import ParserRejectedMarkup

from ingest.errors import UnreadableFileError
from ingest.readers.plain import read_text
from ingest.readers.tables import table_text
from ingest.readers.text_builder import TextBuilder, one_line
from ingest.types import Extract

_DROPPED_NAMES = """
    audio button canvas footer head iframe nav noscript object script select style svg template video
"""
_BLOCK_NAMES = """
    address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption
    figure form header hgroup hr html legend li main ol p section summary table tbody td tfoot th thead tr ul
"""
_DROPPED = frozenset(_DROPPED_NAMES.split())
_BLOCK = frozenset(_BLOCK_NAMES.split())
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_STRUCTURED = ("table", "pre", *sorted(_HEADINGS))
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BLANKS = re.compile(r"[ \t]+")
_BREAK = re.compile(r" *\n *")
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_DECLARED_BYTES = 4096
_MAX_DEPTH = 500  # pages stay below 100; lists and tables cost their size times their depth


def read_html(path: Path) -> Extract:
    """The visible text of a page, its headings, its tables, lists and code as blocks, its title and author.

    Raises:
        UnreadableFileError: the file is not text, or its elements are nested too deeply.
    """
    with path.open("rb") as file:
        declared = EncodingDetector.find_declared_encoding(file.read(_DECLARED_BYTES), is_html=True)
    soup = parse_html(path, read_text(path, declared))
    builder = TextBuilder()
    append_html(soup, builder)
    fields = {name: _meta(soup, name) for name in ("author", "date")}
    return builder.extract({"title": _title(soup), **fields})


def parse_html(path: Path, markup: str) -> BeautifulSoup:
    """The tree of a page of the file; nothing is fetched.

    Raises:
        UnreadableFileError: no HTML, or nested more than `_MAX_DEPTH` deep.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bs4 warns of markup that resembles an address or XML
            soup = BeautifulSoup(_XML_DECLARATION.sub("", markup, count=1), "lxml")
    except ParserRejectedMarkup as error:
        raise UnreadableFileError(path, "is not HTML", "Save it again from its program") from error
    level: list[PageElement] = [soup]
    for _ in range(_MAX_DEPTH):
        level = [child for tag in level if isinstance(tag, Tag) for child in tag.contents]
        if not level:
            return soup
    raise UnreadableFileError(path, f"is nested more than {_MAX_DEPTH} deep", "Save it again from its program")


def append_html(soup: BeautifulSoup, builder: TextBuilder) -> None:
    """Add what a reader of the page sees to the builder."""
    inline: list[str] = []
    for node, leaving in _walk(soup):
        if isinstance(node, str):
            inline.append(_SPACES.sub(" ", node))
        elif node.name == "br":
            inline.append("" if leaving else "\n")
        elif node.name in _BLOCK or _is_leaf(node):
            _flush(inline, builder)
            if not leaving:
                _open(node, inline, builder)
    _flush(inline, builder)


def _walk(root: Tag) -> Iterator[tuple[Tag | str, bool]]:
    """Every visible string and tag, a tag once entered and once left; no recursion, whatever the depth."""
    stack: list[tuple[PageElement, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        if not isinstance(node, Tag):
            yield str(node), leaving
            continue
        yield node, leaving
        if leaving or _is_leaf(node):
            continue
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(node.contents) if _is_visible(child))


def _is_visible(node: object) -> bool:
    if isinstance(node, NavigableString):
        return type(node) in (NavigableString, CData)
    if not isinstance(node, Tag) or node.name in _DROPPED or node.has_attr("hidden"):
        return False
    return node.get("aria-hidden") != "true" and not _INVISIBLE.search(str(node.get("style", "")))


def _is_leaf(tag: Tag) -> bool:
    """Whether the tag is rendered whole, its inside not walked."""
    if tag.name in _HEADINGS or tag.name == "pre":
        return True
    if tag.name == "table":
        return tag.get("role") != "presentation" and not tag.find(_STRUCTURED)
    return tag.name in ("ul", "ol") and not tag.find(_STRUCTURED)


def _open(tag: Tag, inline: list[str], builder: TextBuilder) -> None:
    if tag.name in _HEADINGS:
        builder.heading(int(tag.name[1]), _visible_text(tag))
    elif tag.name == "pre":
        builder.block("".join(tag.strings).strip("\n"))
    elif tag.name == "table" and _is_leaf(tag):
        for caption in tag.find_all("caption", limit=1):
            builder.paragraph(_visible_text(caption))
        builder.block(table_text(_rows(tag)))
    elif tag.name in ("ul", "ol") and _is_leaf(tag):
        builder.block("\n".join(_items(tag)))
    elif tag.name == "li":
        inline.append("- ")


def _rows(table: Tag) -> Iterator[list[str]]:
    for row in table.find_all("tr"):
        if _is_visible(row):
            yield [_visible_text(cell) for cell in row.find_all(("td", "th"), recursive=False)]


def _items(outer: Tag) -> Iterator[str]:
    """A line for each item, indented by its depth."""
    for item in outer.find_all("li"):
        lists = item.find_parents(("ul", "ol"))
        depth = next(index for index, parent in enumerate(lists) if parent is outer)
        own = _visible_text(item, stop=("ul", "ol"))
        if own:
            yield f"{'  ' * depth}- {own}"


def _visible_text(tag: Tag, stop: tuple[str, ...] = ()) -> str:
    """The strings inside a tag on one line, without what is hidden and without tags named in `stop`."""
    parts: list[str] = []
    stack = list(reversed(tag.contents))
    while stack:
        node = stack.pop()
        if not _is_visible(node):
            continue
        if not isinstance(node, Tag):
            parts.append(str(node))
        elif node.name not in stop:
            parts.append(" " if node.name in _BLOCK or node.name == "br" else "")
            stack.extend(reversed(node.contents))
    return one_line("".join(parts))


def _flush(inline: list[str], builder: TextBuilder) -> None:
    text = _BREAK.sub("\n", _BLANKS.sub(" ", "".join(inline))).strip()
    inline.clear()
    if text != "-":
        builder.paragraph(text)


def _title(soup: BeautifulSoup) -> str:
    title = soup.find("title")
    return title.get_text() if isinstance(title, Tag) else ""


def _meta(soup: BeautifulSoup, name: str) -> str:
    tag = soup.find("meta", attrs={"name": name})
    return str(tag.get("content", "")) if isinstance(tag, Tag) else ""
