"""Passages with what stands around them: small ones are matched, and more is read."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from ingest.chunking import MAX_CHARACTERS_PER_TOKEN, with_blocks
from ingest.tokens import TokenCounter
from ingest.types import Document, Span

_Sized = list[tuple[Span, int]]


def surroundings(document: Document, passages: Sequence[Span], counter: TokenCounter, max_tokens: int) -> list[Span]:
    """Each passage, the most important first, with whole sentences and blocks around it, within its section.

    With its surroundings a passage has at most `max_tokens` tokens; a longer one stays as it is. They do not overlap
    when the passages do not: what two could have goes to the first.
    """
    taken = list(passages)
    for place, passage in enumerate(passages):
        taken[place] = _grown(document, passage, taken, counter, max_tokens)
    return taken


def _grown(document: Document, passage: Span, taken: Sequence[Span], counter: TokenCounter, max_tokens: int) -> Span:
    low, high = _section(document, passage)
    low = max([low, *(other.end for other in taken if other.end <= passage.start)])
    high = min([high, *(other.start for other in taken if other.start >= passage.end)])
    (room,) = counter.counts([document.text[passage.start : passage.end]])
    before = iter(_sized(document, Span(low, passage.start), counter, max_tokens, last_first=True))
    after = iter(_sized(document, Span(passage.end, high), counter, max_tokens, last_first=False))
    start, end = passage.start, passage.end
    for is_before, span in _in_turns(before, after, max_tokens - room):
        start, end = (span.start, end) if is_before else (start, span.end)
    return Span(start, end)


def _in_turns(
    before: Iterator[tuple[Span, int]], after: Iterator[tuple[Span, int]], room: int
) -> Iterator[tuple[bool, Span]]:
    """What fits, from the side that has had less so far; a side ends with the first that does not fit."""
    sides = {True: before, False: after}
    had = {True: 0, False: 0}
    while sides:
        side = min(sides, key=lambda one: (had[one], not one))
        following = next(sides[side], None)
        if following is None or following[1] > room:
            del sides[side]
            continue
        span, size = following
        room -= size
        had[side] += size
        yield side, span


def _sized(document: Document, gap: Span, counter: TokenCounter, max_tokens: int, *, last_first: bool) -> _Sized:
    """Sentences and blocks of a gap with their tokens, those next to the passage first; what is too far is left out."""
    reach = max_tokens * MAX_CHARACTERS_PER_TOKEN
    start, end = (
        (max(gap.start, gap.end - reach), gap.end) if last_first else (gap.start, min(gap.end, gap.start + reach))
    )
    spans = list(with_blocks(document.text, document.blocks, start, end))
    if last_first:
        spans.reverse()
    if Span(start, end) != gap:
        del spans[-1:]  # the farthest may have been cut apart
    return list(zip(spans, counter.counts([document.text[span.start : span.end] for span in spans]), strict=True))


def _section(document: Document, passage: Span) -> tuple[int, int]:
    """From the last heading at or before the passage to the first one after it."""
    starts = [heading.start for heading in document.headings]
    first, following = bisect_right(starts, passage.start) - 1, bisect_left(starts, passage.end)
    low = starts[first] if first >= 0 else 0
    return low, starts[following] if following < len(starts) else len(document.text)
