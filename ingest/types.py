"""The data that ingestion emits. All offsets count Unicode characters of `Document.text`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open range `[start, end)` of a document's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Page:
    """The range of one page, slide or sheet; `number` counts from 1."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading line: `level` 1 is the highest, `start` the offset of its first character."""

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class Extract:
    """What a reader gets out of one file, before it has an identity.

    `pages` is empty for formats without pages, otherwise ascending, non-overlapping and covering
    every non-blank character. `headings` ascend by `start`. `blocks` are ranges that should stay
    whole when the text is cut (tables, lists, code), ascending and non-overlapping.
    """

    text: str
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    blocks: tuple[Span, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """One readable file. `id` is derived from the file's bytes, so equal files are one document."""

    id: str
    source: str
    text: str
    pages: tuple[Page, ...]
    language: str
    metadata: Mapping[str, str]
    sha256: str
    headings: tuple[Heading, ...] = ()
    blocks: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: `document.text[start:end] == text`, always.

    `id` is a non-negative int64 derived from the document and the range, hence reproducible.
    `page` is the page of the first character, or None. `headings` is the path of titles above it;
    in a table that was cut, its first row is the last of them.
    """

    id: int
    document_id: str
    text: str
    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]
