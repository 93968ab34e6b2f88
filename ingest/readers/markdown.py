"""Markdown: the text stays raw, so offsets are those of the file; only its structure is parsed."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.readers.plain import read_text
from ingest.readers.text_builder import one_line
from ingest.types import Extract, Heading, Span

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(title|author|date)[ \t]*+:[ \t]*+(\S.*)", re.MULTILINE | re.IGNORECASE)
_MAX_TITLE_CHARACTERS = 1000  # beyond that it is no title, and keeps its marks
_NEW_LINE = re.compile("\n")
_BLOCKS = {"table_open", "bullet_list_open", "ordered_list_open", "fence", "code_block"}


def read_markdown(path: Path) -> Extract:
    """The raw text with its headings, its tables, lists and code as blocks, and its front matter's fields."""
    return parse_markdown(read_text(path))


def parse_markdown(text: str) -> Extract:
    """The extract of clean Markdown text."""
    front = _FRONT_MATTER.match(text)
    skipped = front.end() if front else 0
    # Inside paragraphs nothing is needed, and what stands there may take a parser long.
    parser = MarkdownIt("commonmark").enable("table").disable("inline")
    references: dict[str, Any] = {}
    tokens = parser.parse(text[skipped:], references)
    starts = _line_starts(text, skipped)
    return Extract(
        text,
        headings=tuple(_headings(text, tokens, starts, references)),
        blocks=tuple(_blocks(text, tokens, starts)),
        metadata=_fields(front[1]) if front else {},
    )


def _line_starts(text: str, skipped: int) -> list[int]:
    """Where each line starts, counted after the front matter; str.splitlines would split at more than \\n."""
    starts = [skipped, *(match.end() for match in _NEW_LINE.finditer(text, skipped))]
    return [*starts, len(text)]


def _headings(
    text: str, tokens: Sequence[Token], starts: Sequence[int], references: dict[str, Any]
) -> Iterator[Heading]:
    parser = MarkdownIt("commonmark")
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open" or opening.level or not opening.map:
            continue
        start = starts[opening.map[0]]
        line = text[start : starts[opening.map[0] + 1]]
        start += len(line) - len(line.lstrip(" "))
        title = inline.content
        if len(title) <= _MAX_TITLE_CHARACTERS:
            title = "".join(_words(parser.parseInline(title, references)[0]))
        title = one_line(title)
        if title:
            yield Heading(int(opening.tag[1]), title, start)


def _words(inline: Token) -> Iterator[str]:
    """The visible text of a title, without its marks."""
    for child in inline.children or ():
        if child.type in ("softbreak", "hardbreak"):
            yield " "
        elif child.type in ("text", "code_inline", "image"):
            yield child.content


def _blocks(text: str, tokens: Sequence[Token], starts: Sequence[int]) -> Iterator[Span]:
    for token in tokens:
        if token.type in _BLOCKS and token.level == 0 and token.map:
            first, last = (starts[min(line, len(starts) - 1)] for line in token.map)
            yield Span(first, first + len(text[first:last].rstrip()))


def _fields(front_matter: str) -> dict[str, str]:
    return {match[1].lower(): match[2].strip().strip("\"'") for match in _FIELD.finditer(front_matter)}
