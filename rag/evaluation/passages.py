"""Passages of an index to ask about, spread over its documents and languages."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from index.search import Index
from index.types import SourceInfo
from ingest.language import detect_language
from ingest.sentences import sentence_spans
from ingest.types import Document, Span
from rag.phrases import LANGUAGES

# A passage is taken from a block of this size, so that two never overlap and a long document is not read through.
_BLOCK_CHARACTERS = 1500
_MOST_CHARACTERS = 900
_FEWEST_CHARACTERS = 100
# Less of letters and blanks is a table, a bibliography or code.
_SHARE_OF_LETTERS = 0.75
_ENDS = tuple('.!?…:;"”»)')


@dataclass(frozen=True, slots=True)
class SourcePassage:
    """Some sentences of a document: `document.text[start:start + len(text)] == text`."""

    source: str
    document_id: str
    language: str
    page: int | None
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def key(self) -> str:
        return f"{self.document_id}:{self.start}"


def source_passages(index: Index, seed: int, languages: Sequence[str] = LANGUAGES) -> Iterator[SourcePassage]:
    """Passages in an order that the seed and the documents decide: languages in turn, in each the documents in turn."""
    sources = {info.document_id: info for info in reversed(index.sources())}  # each content once
    drawn = sorted(sources.values(), key=lambda info: _lot(seed, info.document_id))
    by_language = [[info for info in drawn if info.language == language] for language in languages]
    passages = _in_turn([_in_turn([_of_source(index, info, seed) for info in infos]) for infos in by_language])
    return (passage for passage in passages if passage.language in languages)


def _in_turn(several: Sequence[Iterator[SourcePassage]]) -> Iterator[SourcePassage]:
    waiting = deque(several)
    while waiting:
        passages = waiting.popleft()
        passage = next(passages, None)
        if passage is not None:
            waiting.append(passages)
            yield passage


def _of_source(index: Index, info: SourceInfo, seed: int) -> Iterator[SourcePassage]:
    blocks = range(0, info.characters, _BLOCK_CHARACTERS)
    for start in sorted(blocks, key=lambda start: _lot(seed, f"{info.document_id}:{start}")):
        # Read for each passage anew: holding every document's text would take as much memory as the corpus.
        document = index.document(info.document_id)
        span = None if document is None else _whole_sentences(document.text, start)
        if document is not None and span is not None:
            text = document.text[span.start : span.end]
            # A Spanish thesis may have an English abstract.
            language = detect_language(text, default=info.language)
            yield SourcePassage(info.source, document.id, language, _page(document, span.start), span.start, text)


def _whole_sentences(text: str, start: int) -> Span | None:
    """The first whole sentences of a block, or None where there is too little or no prose."""
    end = min(start + _BLOCK_CHARACTERS, len(text))
    spans = sentence_spans(text, start, end)
    if spans and start and not text[start - 1].isspace():
        spans = spans[1:]
    if spans and end < len(text) and not text[: spans[-1].end].endswith(_ENDS):
        spans = spans[:-1]
    kept = [span for span in spans if span.end - spans[0].start <= _MOST_CHARACTERS]
    if not kept:
        return None
    found = Span(kept[0].start, kept[-1].end)
    prose = text[found.start : found.end]
    letters = sum(character.isalpha() or character.isspace() for character in prose)
    enough = len(prose) >= _FEWEST_CHARACTERS and letters >= _SHARE_OF_LETTERS * len(prose)
    return found if enough else None


def _page(document: Document, offset: int) -> int | None:
    return next((page.number for page in reversed(document.pages) if page.start <= offset), None)


def _lot(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()
