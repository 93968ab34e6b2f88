"""Documents cut into passages along headings, paragraphs and sentences, with exact offsets."""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.sentences import sentence_spans, trimmed
from ingest.tokens import TokenCounter
from ingest.types import Chunk, Document, Heading, Page, Span

ChunkFunction = Callable[[Document], list[Chunk]]

# A tokenizer makes one token of a whole run of unknown characters or blanks; such text is measured by its length.
# Ordinary words have about four characters a token.
MAX_CHARACTERS_PER_TOKEN = 16

# How readers part the cells of a row, and the longest first row that is carried along.
_CELLS = " | "
_LONGEST_ROW = 200

# Another number for other rules: what was cut by older ones is not what these cut.
CUTTING = 2

# The share of the longest chunk from which a paragraph is a chunk of its own.
_PASSAGE = 0.375

_Sized = list[tuple[Span, int]]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, or a block or part of one; `paragraph_end` when a blank line or the section's end follows."""

    start: int
    end: int
    tokens: int
    paragraph_end: bool
    in_block: bool


class Chunker:
    """Cuts documents into chunks along what their authors kept together.

    Sections (the text under one heading) are never mixed unless the first is shorter than `min_tokens`, such as a
    heading directly followed by another. Within one, a paragraph of a passage's worth is a chunk of its own, with the
    few words beside it that are too little for one, and what lies between such is gathered into chunks of about equal
    size. Tables, lists and code stay whole when they fit into `max_tokens`. Every non-blank character of a document is
    in exactly one chunk. A chunk that begins within a table has the table's first row as the last of its titles.
    Tokens are counted sentence by sentence, without the blanks between them. A single character that is more than
    `max_tokens` is a chunk.
    """

    def __init__(self, counter: TokenCounter, *, max_tokens: int = 256, min_tokens: int = 48) -> None:
        if not 0 <= min_tokens < max_tokens:
            raise ValueError(f"min_tokens={min_tokens} must be at least 0 and below max_tokens={max_tokens}")
        self._counter = counter
        self._max_tokens = max_tokens
        self._min_tokens = min_tokens
        self._passage_tokens = int(max_tokens * _PASSAGE)

    def __call__(self, document: Document) -> list[Chunk]:
        """Chunks of `document` in text order."""
        titles = _Titles(document)
        spans = (
            span for section in self._sections(document) for run in self._runs(section) for span in self._pack(run)
        )
        return [chunk_at(document, titles.at(span.start), span) for span in spans]

    def _sections(self, document: Document) -> Iterator[list[_Unit]]:
        """Units of each section; a section that is too short is joined with the next one."""
        bounds = sorted({0, len(document.text), *(heading.start for heading in document.headings)})
        pending: list[_Unit] = []
        for start, end in pairwise(bounds):
            pending += self._units(document, start, end)
            if _tokens(pending) >= self._min_tokens:
                yield pending
                pending = []
        if pending:
            yield pending

    def _units(self, document: Document, start: int, end: int) -> list[_Unit]:
        text = document.text
        sized = self._measured(text, with_blocks(text, document.blocks, start, end))
        for divide in (_lines, self._pieces):
            sized = [
                part
                for span, size in sized
                for part in ([(span, size)] if size <= self._max_tokens else self._measured(text, divide(text, span)))
            ]
        if not sized:
            return []
        following = [*(span.start for span, _ in sized[1:]), end]
        return [
            _Unit(span.start, span.end, size, _breaks(text, span.end, after, end), _within(document.blocks, span.start))
            for (span, size), after in zip(sized, following, strict=True)
        ]

    def _measured(self, text: str, spans: Iterable[Span]) -> _Sized:
        """Each range with its tokens; what is too long to fit anyway is not tokenised to its end."""
        limit = self._max_tokens * MAX_CHARACTERS_PER_TOKEN
        listed = list(spans)
        counts = self._counter.counts([text[span.start : min(span.end, span.start + limit)] for span in listed])
        return [
            (span, max(count, -(-(span.end - span.start) // MAX_CHARACTERS_PER_TOKEN)))
            for span, count in zip(listed, counts, strict=True)
        ]

    def _pieces(self, text: str, span: Span) -> Iterator[Span]:
        """A line over the limit, cut between words; in quarters, so that a title before it finds room beside one."""
        for window in _windows(text, span, self._max_tokens * MAX_CHARACTERS_PER_TOKEN):
            for part in self._counter.split(text[window.start : window.end], -(-self._max_tokens // 4)):
                piece = trimmed(text, window.start + part.start, window.start + part.end)
                if piece is not None:
                    yield piece

    def _runs(self, section: Sequence[_Unit]) -> Iterator[list[_Unit]]:
        """What is cut apart from the rest of its section: a paragraph that is long enough, or what lies between such.

        Of the latter, less than `min_tokens` joins what follows, and less than a passage's worth or at the end what
        precedes, where that still fits into a chunk.
        """
        runs: list[list[_Unit]] = []
        waiting: list[_Unit] = []
        for is_passage, found in self._gathered(section):
            run, waiting = [*waiting, *found], []
            size = _tokens(run)
            if not is_passage and size < self._min_tokens:
                waiting = run
            elif not is_passage and size < self._passage_tokens and self._fits(runs, size):
                runs[-1] += run
            else:
                runs.append(run)
        if self._fits(runs, _tokens(waiting)):
            runs[-1] += waiting
        elif waiting:
            runs.append(waiting)
        yield from runs

    def _gathered(self, section: Sequence[_Unit]) -> Iterator[tuple[bool, list[_Unit]]]:
        """Each paragraph of a passage's worth, and together what lies between two of them, with whether it is such."""
        between: list[_Unit] = []
        for paragraph in _paragraphs(section):
            if _tokens(paragraph) < self._passage_tokens or any(unit.in_block for unit in paragraph):
                between += paragraph
                continue
            if between:
                yield False, between
                between = []
            yield True, paragraph
        if between:
            yield False, between

    def _fits(self, runs: Sequence[list[_Unit]], size: int) -> bool:
        return bool(runs) and _tokens(runs[-1]) + size <= self._max_tokens

    def _pack(self, units: Sequence[_Unit]) -> Iterator[Span]:
        """Chunks of about `total / ceil(total / max_tokens)` tokens, ended at a paragraph when one is near."""
        remaining = _tokens(units)
        current: list[_Unit] = []
        size = 0
        for unit in units:
            if current and size + unit.tokens > self._max_tokens:
                yield Span(current[0].start, current[-1].end)
                remaining -= size
                current, size = [], 0
            current.append(unit)
            size += unit.tokens
            target = remaining / -(-remaining // self._max_tokens)
            rest = remaining - size
            near = size >= target * (0.75 if unit.paragraph_end else 1.0)
            if near and rest >= min(self._min_tokens, target / 2):
                yield Span(current[0].start, current[-1].end)
                remaining = rest
                current, size = [], 0
        if current:
            yield Span(current[0].start, current[-1].end)


class _Outline:
    """The path of titles above each place of a document, highest level first."""

    def __init__(self, headings: Sequence[Heading]) -> None:
        self._starts = [heading.start for heading in headings]
        self._above: list[tuple[str, ...]] = []
        self._through: list[tuple[str, ...]] = []
        path: list[Heading] = []
        for heading in headings:
            while path and path[-1].level >= heading.level:
                path.pop()
            self._above.append(tuple(higher.title for higher in path))
            path.append(heading)
            self._through.append(tuple(higher.title for higher in path))

    def at(self, offset: int) -> tuple[str, ...]:
        """Titles above `offset`; a heading that starts there is part of the text and not of the path."""
        index = bisect_left(self._starts, offset)
        if index < len(self._starts) and self._starts[index] == offset:
            return self._above[index]
        return self._through[index - 1] if index else ()


class _Titles:
    """What stands above each place of a document: titles, and within a table its first row, without which the cells
    of the rows below it name nothing."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._blocks = document.blocks
        self._outline = _Outline(document.headings)

    def at(self, offset: int) -> tuple[str, ...]:
        row = self._first_row(offset)
        return (*self._outline.at(offset), row) if row else self._outline.at(offset)

    def _first_row(self, offset: int) -> str:
        """Of the table that holds `offset` below its first row; empty where there is none."""
        index = bisect_left(self._blocks, offset, key=lambda block: block.start) - 1
        if index < 0 or self._blocks[index].end <= offset:
            return ""
        start = self._blocks[index].start
        end = self._text.find("\n", start, offset)
        here = self._text[offset : self._blocks[index].end].partition("\n")[0]
        row = self._text[start:end].strip(" |") if end >= 0 else ""
        return row if _CELLS in row and _CELLS in here and len(row) <= _LONGEST_ROW else ""


def whole_document(document: Document) -> list[Chunk]:
    """The whole text as one chunk, as evaluation sets with one passage a paragraph want it."""
    span = trimmed(document.text, 0, len(document.text))
    return [] if span is None else [chunk_at(document, _Titles(document).at(span.start), span)]


def chunk_at(document: Document, titles: tuple[str, ...], span: Span) -> Chunk:
    """The chunk of a range; its id depends on the document's id and the range alone."""
    key = f"{document.id}:{span.start}:{span.end}".encode()
    return Chunk(
        id=int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1,
        document_id=document.id,
        text=document.text[span.start : span.end],
        start=span.start,
        end=span.end,
        page=page_at(document.pages, span.start),
        headings=titles,
    )


def _paragraphs(units: Sequence[_Unit]) -> Iterator[list[_Unit]]:
    paragraph: list[_Unit] = []
    for unit in units:
        paragraph.append(unit)
        if unit.paragraph_end:
            yield paragraph
            paragraph = []
    if paragraph:
        yield paragraph


def _tokens(units: Sequence[_Unit]) -> int:
    return sum(unit.tokens for unit in units)


def with_blocks(text: str, blocks: Sequence[Span], start: int, end: int) -> Iterator[Span]:
    """Sentences between the blocks, and each block whole."""
    at = start
    for index in range(bisect_right(blocks, start, key=lambda block: block.end), len(blocks)):
        block = blocks[index]
        if block.start >= end:
            break
        yield from sentence_spans(text, at, max(at, block.start))
        kept = trimmed(text, max(at, block.start), min(block.end, end))
        if kept is not None:
            yield kept
        at = min(block.end, end)
    yield from sentence_spans(text, at, end)


def _lines(text: str, span: Span) -> Iterator[Span]:
    at = span.start
    for line in text[span.start : span.end].splitlines(keepends=True):
        kept = trimmed(text, at, at + len(line))
        if kept is not None:
            yield kept
        at += len(line)


def _windows(text: str, span: Span, size: int) -> Iterator[Span]:
    """Ranges of at most `size` characters, cut after a space when one is in their second half."""
    at = span.start
    while span.end - at > size:
        space = text.rfind(" ", at + size // 2, at + size)
        end = at + size if space < 0 else space + 1
        yield Span(at, end)
        at = end
    yield Span(at, span.end)


def _within(blocks: Sequence[Span], offset: int) -> bool:
    index = bisect_right(blocks, offset, key=lambda block: block.start) - 1
    return index >= 0 and offset < blocks[index].end


def _breaks(text: str, end: int, following: int, section_end: int) -> bool:
    return following >= section_end or text.count("\n", end, following) > 1


def page_at(pages: Sequence[Page], offset: int) -> int | None:
    """The number of the page that holds a character; None for a document without pages."""
    index = bisect_right(pages, offset, key=lambda page: page.start) - 1
    return pages[index].number if index >= 0 else None
