"""Documents cut into passages along headings, paragraphs and sentences, with exact offsets."""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ingest.sentences import sentence_spans, trimmed
from ingest.tokens import TokenCounter
from ingest.types import Chunk, Document, Heading, Page, Span

ChunkFunction = Callable[[Document], list[Chunk]]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence or a kept-whole block; `paragraph_end` when a blank line or the section's end follows."""

    start: int
    end: int
    tokens: int
    paragraph_end: bool


class Chunker:
    """Cuts documents into chunks of about equal size within each section.

    Sections (the text under one heading) are never mixed unless the first is shorter than
    `min_tokens`, such as a heading directly followed by another. Tables, lists and code stay whole
    when they fit into `max_tokens`. Every non-blank character of a document is in exactly one chunk.
    """

    def __init__(self, counter: TokenCounter, *, max_tokens: int = 256, min_tokens: int = 48) -> None:
        if not 0 <= min_tokens < max_tokens:
            raise ValueError(f"min_tokens={min_tokens} must be at least 0 and below max_tokens={max_tokens}")
        self._counter = counter
        self._max_tokens = max_tokens
        self._min_tokens = min_tokens

    def __call__(self, document: Document) -> list[Chunk]:
        """Chunks of `document` in text order."""
        return [make_chunk(document, span) for span in self._spans(document)]

    def _spans(self, document: Document) -> Iterator[Span]:
        for section in self._sections(document):
            yield from self._pack(section)

    def _sections(self, document: Document) -> Iterator[list[_Unit]]:
        """Units of each section; sections that are too short are joined with what follows."""
        bounds = sorted({0, len(document.text), *(heading.start for heading in document.headings)})
        pending: list[_Unit] = []
        for start, end in zip(bounds, bounds[1:], strict=False):
            units = self._units(document, start, end)
            if pending and _tokens(pending) + _tokens(units) > self._max_tokens:
                yield pending
                pending = []
            pending = pending + units
            if _tokens(pending) >= self._min_tokens:
                yield pending
                pending = []
        if pending:
            yield pending

    def _units(self, document: Document, start: int, end: int) -> list[_Unit]:
        spans = list(_with_blocks(document.text, document.blocks, start, end))
        counts = self._counter.counts([document.text[span.start : span.end] for span in spans])
        sized: list[tuple[Span, int]] = []
        for span, count in zip(spans, counts, strict=True):
            sized.extend([(span, count)] if count <= self._max_tokens else self._divide(document.text, span))
        following = [span.start for span, _ in sized[1:]] + [end]
        return [
            _Unit(span.start, span.end, count, _breaks(document.text, span.end, after, end))
            for (span, count), after in zip(sized, following, strict=True)
        ]

    def _divide(self, text: str, span: Span) -> Iterator[tuple[Span, int]]:
        """A block or sentence over the limit: by lines first, a line over the limit by words."""
        for line in _lines(text, span):
            for part in self._counter.split(text[line.start : line.end], self._max_tokens):
                piece = trimmed(text, line.start + part.start, line.start + part.end)
                if piece is not None:
                    yield piece, self._counter.counts([text[piece.start : piece.end]])[0]

    def _pack(self, units: Sequence[_Unit]) -> Iterator[Span]:
        """Chunks of about `total / ceil(total / max_tokens)` tokens, ended at a paragraph when one is near."""
        remaining = _tokens(units)
        current: list[_Unit] = []
        for unit in units:
            if current and _tokens(current) + unit.tokens > self._max_tokens:
                yield Span(current[0].start, current[-1].end)
                remaining -= _tokens(current)
                current = []
            current.append(unit)
            size = _tokens(current)
            target = remaining / -(-remaining // self._max_tokens) if remaining else 0
            rest = remaining - size
            near = size >= target * (0.75 if unit.paragraph_end else 1.0)
            if near and rest >= min(self._min_tokens, target / 2):
                yield Span(current[0].start, current[-1].end)
                remaining = rest
                current = []
        if current:
            yield Span(current[0].start, current[-1].end)


def whole_document(document: Document) -> list[Chunk]:
    """The whole text as one chunk, as evaluation sets with one passage a paragraph want it."""
    span = trimmed(document.text, 0, len(document.text))
    return [] if span is None else [make_chunk(document, span)]


def make_chunk(document: Document, span: Span) -> Chunk:
    """The chunk of a range; its id depends on the document's id and the range alone."""
    key = f"{document.id}:{span.start}:{span.end}".encode()
    return Chunk(
        id=int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1,
        document_id=document.id,
        text=document.text[span.start : span.end],
        start=span.start,
        end=span.end,
        page=_page_at(document.pages, span.start),
        headings=_heading_path(document.headings, span.start),
    )


def _tokens(units: Sequence[_Unit]) -> int:
    return sum(unit.tokens for unit in units)


def _with_blocks(text: str, blocks: Sequence[Span], start: int, end: int) -> Iterator[Span]:
    """Sentences between the blocks, and each block whole."""
    at = start
    for block in blocks:
        if block.end <= at or block.start >= end:
            continue
        yield from sentence_spans(text, at, max(at, block.start))
        kept = trimmed(text, max(at, block.start), min(block.end, end))
        if kept is not None:
            yield kept
        at = min(block.end, end)
    yield from sentence_spans(text, at, end)


def _lines(text: str, span: Span) -> Iterator[Span]:
    at = span.start
    for line in text[span.start : span.end].splitlines(keepends=True):
        yield Span(at, at + len(line))
        at += len(line)


def _breaks(text: str, end: int, following: int, section_end: int) -> bool:
    return following >= section_end or text.count("\n", end, following) > 1


def _page_at(pages: Sequence[Page], offset: int) -> int | None:
    index = bisect_right([page.start for page in pages], offset) - 1
    return pages[index].number if index >= 0 else None


def _heading_path(headings: Sequence[Heading], offset: int) -> tuple[str, ...]:
    """Titles above `offset`, highest level first; a heading that starts there is part of the chunk."""
    path: list[Heading] = []
    for heading in headings:
        if heading.start > offset:
            break
        path = [above for above in path if above.level < heading.level]
        if heading.start < offset:
            path.append(heading)
    return tuple(heading.title for heading in path)
