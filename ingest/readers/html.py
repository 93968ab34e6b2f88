"""HTML pages, and the walk that EPUB chapters share."""

import re
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from bs4.dammit import EncodingDetector
from bs4.element import CData, NavigableString, PageElement
from bs4.exceptions import ParserRejectedMarkup

from ingest.errors import NestedFileError, OversizeFileError, UnreadableFileError
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
_LISTS = ("ul", "ol")
_STRUCTURED = ("table", "pre", *sorted(_HEADINGS))
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BLANKS = re.compile(r"[ \t]+")
_BREAK = re.compile(r" *\n *")
_XML_DECLARATION = re.compile(r"\s*+<\?xml[^>]*+>")
_DECLARED_BYTES = 4096
_MAX_DEPTH = 500  # pages stay below 100; lists cost their size times their depth
_MAX_TAGS = 500_000  # 7 s and half a gigabyte; the longest specifications on one page have as many


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
        OversizeFileError: more than `_MAX_TAGS` tags.
        NestedFileError: nested more than `_MAX_DEPTH` deep.
        UnreadableFileError: no HTML.
    """
    if markup.count("<") - markup.count("</") > _MAX_TAGS:
        raise OversizeFileError(path, f"has more than {_MAX_TAGS} tags on a page", "Split it into files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bs4 warns of markup that resembles an address or XML
            declaration = _XML_DECLARATION.match(markup)
            soup = BeautifulSoup(markup[declaration.end() if declaration else 0 :], "lxml")
    except ParserRejectedMarkup as error:
        raise UnreadableFileError(path, "is not HTML", "Save it again from its program") from error
    level: list[PageElement] = [soup]
    for _ in range(_MAX_DEPTH):
        level = [child for tag in level if isinstance(tag, Tag) for child in tag.contents]
        if not level:
            return soup
    raise NestedFileError(path, f"is nested more than {_MAX_DEPTH} deep", "Save it again from its program")


def append_html(soup: BeautifulSoup, builder: TextBuilder) -> None:
    """Add what a reader of the page sees to the builder."""
    inline: list[str] = []
    structured = _around_structure(soup)
    for node, leaving in _walk(soup, structured):
        if isinstance(node, str):
            inline.append(_SPACES.sub(" ", node))
        elif node.name == "br":
            inline.append("" if leaving else "\n")
        elif node.name in _BLOCK or _is_leaf(node, structured):
            _flush(inline, builder)
            if not leaving:
                _open(node, _is_leaf(node, structured), inline, builder)
    _flush(inline, builder)


def _around_structure(root: Tag) -> set[int]:
    """Identities of the tags with a table, code or heading somewhere inside, each looked at once."""
    around: set[int] = set()
    for tag in root.find_all(_STRUCTURED):
        for parent in tag.parents:
            if id(parent) in around:
                break
            around.add(id(parent))
    return around


def _walk(root: Tag, structured: Collection[int]) -> Iterator[tuple[Tag | str, bool]]:
    """Every visible string and tag, a tag once entered and once left; no recursion, whatever the depth."""
    stack: list[tuple[PageElement, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        if not isinstance(node, Tag):
            yield str(node), leaving
            continue
        yield node, leaving
        if leaving or _is_leaf(node, structured):
            continue
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(node.contents) if _is_visible(child))


def _is_visible(node: object) -> bool:
    if isinstance(node, NavigableString):
        return type(node) in (NavigableString, CData)
    if not isinstance(node, Tag) or node.name in _DROPPED or node.has_attr("hidden"):
        return False
    return node.get("aria-hidden") != "true" and not _INVISIBLE.search(str(node.get("style", "")))


def _is_leaf(tag: Tag, structured: Collection[int]) -> bool:
    """Whether the tag is rendered whole, its inside not walked."""
    if tag.name in _HEADINGS or tag.name == "pre":
        return True
    if tag.name == "table":
        return tag.get("role") != "presentation" and id(tag) not in structured
    return tag.name in _LISTS and id(tag) not in structured


def _open(tag: Tag, is_leaf: bool, inline: list[str], builder: TextBuilder) -> None:
    if tag.name in _HEADINGS:
        builder.heading(int(tag.name[1]), _visible_text(tag))
    elif tag.name == "pre":
        builder.block("".join(tag.strings).strip("\n"))
    elif tag.name == "table" and is_leaf:
        for caption in tag.find_all("caption", limit=1):
            builder.paragraph(_visible_text(caption))
        builder.block(table_text(_rows(tag)))
    elif tag.name in _LISTS and is_leaf:
        builder.block("\n".join(_items(tag)))
    elif tag.name == "li":
        inline.append("- ")


def _rows(table: Tag) -> Iterator[list[str]]:
    for row in table.find_all("tr"):
        if _is_visible(row):
            yield [_visible_text(cell) for cell in row.find_all(("td", "th"), recursive=False)]


def _items(outer: Tag) -> Iterator[str]:
    """A line for each item, indented by its depth."""
    depths = {id(outer): 0}
    for item in outer.find_all("li"):
        own = _visible_text(item, stop=_LISTS)
        if own:
            yield f"{'  ' * _depth(item, depths)}- {own}"


def _depth(item: Tag, depths: dict[int, int]) -> int:
    """How many lists of the outer one's inside hold the item; each list is measured once, into `depths`."""
    unknown = []
    around = item.find_parent(_LISTS)
    while around is not None and id(around) not in depths:
        unknown.append(around)
        around = around.find_parent(_LISTS)
    for depth, inner in enumerate(reversed(unknown), start=depths[id(around)] + 1):
        depths[id(inner)] = depth
    return depths[id(unknown[0] if unknown else around)]


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
