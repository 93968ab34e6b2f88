"""Collects pieces of text and keeps the offsets of pages, headings and blocks exact."""

import re
from collections.abc import Iterable, Mapping

from ingest.types import Extract, Heading, Page, Span

# A hundred times the longest novels. A small file can ask for far more, by naming one text over and over.
MAX_TEXT_CHARACTERS = 100_000_000

_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LINE_END = re.compile(r"\r\n?|[\x0b\x0c\x85]")


def clean_text(text: str) -> str:
    """The text with `\\n` as its only line end and without control characters or lone surrogates.

    Everything else, NFD accents and no-break spaces included, stays as it is.
    """
    if not _UNWANTED.search(text):
        return text
    return _UNWANTED.sub("", _LINE_END.sub("\n", text))


def one_line(text: str) -> str:
    """The text with every run of white space turned into one space."""
    return " ".join(clean_text(text).split())


class TextLimitReached(Exception):
    """A document's text grows beyond `MAX_TEXT_CHARACTERS`."""


class TextBuilder:
    """Joins pieces with blank lines. Every piece is cleaned before its offset is taken."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._pages: list[Page] = []
        self._page: tuple[int, int | None] | None = None
        self._headings: list[Heading] = []
        self._blocks: list[Span] = []

    def page(self, number: int) -> None:
        """Begin a page; it holds every piece until the next page, or nothing."""
        self._close_page()
        self._page = (number, None)

    def heading(self, level: int, title: str) -> None:
        title = one_line(title)
        span = self.paragraph(title)
        if span:
            self._headings.append(Heading(min(max(level, 1), 6), title, span.start))

    def paragraph(self, text: str, separator: str = "\n\n") -> Span | None:
        """Where the text now stands, or None when it is blank. Indentation of the first line stays."""
        text = clean_text(text).rstrip()
        text = text[_leading_blank_lines(text) :]
        if not text:
            return None
        if self._length:
            self._append(separator)
        start = self._length
        self._append(text)
        if self._page and self._page[1] is None:
            self._page = (self._page[0], start)
        return Span(start, self._length)

    def block(self, text: str, separator: str = "\n\n") -> None:
        """A paragraph that should stay whole when the text is cut."""
        span = self.paragraph(text, separator)
        if span:
            self._blocks.append(span)

    def rows(self, lines: Iterable[str]) -> None:
        """Each line a block of its own; an empty line leaves a gap."""
        separator = "\n\n"
        for line in lines:
            self.block(line, separator)
            separator = "\n" if line else "\n\n"

    def splice(self, extract: Extract) -> None:
        """A paragraph that brings its own headings and blocks, with text that is clean already."""
        span = self.paragraph(extract.text)
        if not span:
            return
        shift = span.start - _leading_blank_lines(extract.text)
        for heading in extract.headings:
            self._headings.append(Heading(heading.level, heading.title, heading.start + shift))
        for block in extract.blocks:
            self._blocks.append(Span(block.start + shift, min(block.end + shift, span.end)))

    def extract(self, metadata: Mapping[str, str] | None = None) -> Extract:
        """Everything collected; metadata values are put on one line, and empty ones are left out."""
        self._close_page()
        known = {key: one_line(value) for key, value in (metadata or {}).items()}
        return Extract(
            "".join(self._parts),
            tuple(self._pages),
            tuple(self._headings),
            tuple(self._blocks),
            {key: value for key, value in known.items() if value},
        )

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > MAX_TEXT_CHARACTERS:
            raise TextLimitReached

    def _close_page(self) -> None:
        if self._page:
            number, start = self._page
            self._pages.append(Page(number, self._length if start is None else start, self._length))
            self._page = None


def _leading_blank_lines(text: str) -> int:
    """How many characters of blank lines stand before the first line with text."""
    first = len(text) - len(text.lstrip())
    return text.rfind("\n", 0, first) + 1
