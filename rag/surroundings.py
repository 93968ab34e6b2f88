"""Hits that are read with what stands around them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from index.types import Hit
from ingest.chunking import page_at
from ingest.surroundings import surroundings
from ingest.tokens import TokenCounter
from ingest.types import Document, Span


def with_surroundings(
    hits: Sequence[Hit], document_of: Callable[[str], Document | None], counter: TokenCounter, max_tokens: int
) -> list[Hit]:
    """The hits with whole sentences around them, at most `max_tokens` tokens each, and offsets that are exact.

    A hit keeps the id of the chunk that was found, and `matched` says where that stands. No text comes twice.
    """
    read = list(hits)
    for document_id in dict.fromkeys(hit.chunk.document_id for hit in hits):
        document = document_of(document_id)
        if document is None:
            continue  # a newer generation no longer has it
        places = [place for place, hit in enumerate(hits) if hit.chunk.document_id == document_id]
        passages = [Span(hits[place].chunk.start, hits[place].chunk.end) for place in places]
        for place, span in zip(places, surroundings(document, passages, counter, max_tokens), strict=True):
            read[place] = _read(hits[place], document, span)
    return read


def _read(hit: Hit, document: Document, span: Span) -> Hit:
    chunk = replace(
        hit.chunk,
        text=document.text[span.start : span.end],
        start=span.start,
        end=span.end,
        page=page_at(document.pages, span.start),
    )
    return replace(hit, chunk=chunk, matched=Span(hit.chunk.start, hit.chunk.end))
