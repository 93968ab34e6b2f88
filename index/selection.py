"""Which of the ranked passages are given out: copies collapsed, variety where it is asked for, few of one document."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from index.types import Hit

Likeness = Callable[[Sequence[Hit]], NDArray[np.float32]]
"""How alike passages are, two by two: (P, P), 1 for equal ones and about 0 for any two."""

_SHINGLE_WORDS = 3
# A passage of 170 words may differ from a copy in six of them, one of 20 in none.
_COPY_OVERLAP = 0.8
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is taken of a ranking.

    `collapse` leaves out near-duplicates of better passages. `diversity` in [0, 1] weighs being unlike the passages
    before it against the rank, 0 is off. `per_source` is the most of one document, 0 is no limit. At least the first
    `pool` are looked at, for copies and for variety.

    Raises: ValueError for a value out of range.
    """

    collapse: bool = True
    diversity: float = 0.0
    per_source: int = 0
    pool: int = 20

    def __post_init__(self) -> None:
        if not 0.0 <= self.diversity <= 1.0:
            raise ValueError(f"diversity={self.diversity} must lie in [0, 1]")
        if self.per_source < 0:
            raise ValueError(f"per_source={self.per_source} must be at least 0, which is no limit")
        if self.pool < 1:
            raise ValueError(f"pool={self.pool} must be at least 1")

    def take(self, ranked: Iterator[Hit], k: int, likeness: Likeness, taken: "Taken") -> None:
        """Takes the `k` best of hits that come best first, fewer when all that come are not enough.

        No more of them are drawn than it takes, and what is left out is noted as soon as it is known.
        """
        distinct = _distinct(ranked, taken.copies) if self.collapse else ranked
        pool = list(islice(distinct, max(k, self.pool)))
        if self.diversity and pool:
            pool = _diversified(pool, self.diversity, likeness(pool))
        chosen = list(islice(_capped(chain(pool, distinct), self.per_source, taken.capped), k))
        # Only now are all copies known.
        taken.hits.extend(
            replace(hit, rank=rank, duplicates=tuple(taken.copies.get(hit.chunk.id, ())))
            for rank, hit in enumerate(chosen, 1)
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """The hits chosen, best first; the copies left out, by the id of the chunk that they repeat; and those over the
    limit of their document. Of what ranked lower than the last hit not all is there."""

    hits: list[Hit] = field(default_factory=list)
    copies: dict[int, list[Hit]] = field(default_factory=dict)
    capped: list[Hit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Print:
    """What two passages must have in common to be copies: titles, numbers and most triples of words."""

    titles: tuple[str, ...]
    numbers: Counter[str]
    shingles: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, hit: Hit) -> "_Print":
        # Two versions of a contract may differ in one figure, and two products in their title alone.
        words = _WORD.findall(hit.chunk.text.casefold()) or [hit.chunk.text]
        last = max(1, len(words) - _SHINGLE_WORDS + 1)
        return cls(
            tuple(title.casefold() for title in hit.chunk.headings),
            Counter(_NUMBER.findall(hit.chunk.text)),
            frozenset(tuple(words[start : start + _SHINGLE_WORDS]) for start in range(last)),
        )

    def is_copy(self, other: "_Print") -> bool:
        """Source: Broder 1997, "On the resemblance and containment of documents", resemblance, here of all shingles."""
        if self.titles != other.titles or self.numbers != other.numbers:
            return False
        shared = len(self.shingles & other.shingles)
        return shared >= _COPY_OVERLAP * (len(self.shingles) + len(other.shingles) - shared)


def _distinct(ranked: Iterator[Hit], copies: dict[int, list[Hit]]) -> Iterator[Hit]:
    """The first of each passage and its copies; the others are noted in `copies`."""
    firsts: list[tuple[int, _Print]] = []
    for hit in ranked:
        own = _Print.of(hit)
        original = next((chunk_id for chunk_id, seen in firsts if seen.is_copy(own)), None)
        if original is None:
            firsts.append((hit.chunk.id, own))
            yield hit
        else:
            copies.setdefault(original, []).append(hit)


def _diversified(pool: Sequence[Hit], diversity: float, likeness: NDArray[np.float32]) -> list[Hit]:
    """A pool that is not empty, each next one as well placed and as unlike those before it as may be.

    The relevance is the place, evenly from 1 to 0: scores of the first and the second stage have no common scale.

    Source: Carbonell & Goldstein 1998, "The Use of MMR, Diversity-Based Reranking …", section 2.
    """
    relevance = 1.0 - np.arange(len(pool)) / len(pool)  # (P,)
    order, nearest = [0], likeness[0]
    while len(order) < len(pool):
        values = (1.0 - diversity) * relevance - diversity * nearest
        values[order] = -np.inf
        order.append(int(np.argmax(values)))
        nearest = np.maximum(nearest, likeness[order[-1]])
    return [pool[place] for place in order]


def _capped(ranked: Iterator[Hit], per_source: int, left: list[Hit]) -> Iterator[Hit]:
    """Up to `per_source` of each document, all for 0; the others are noted in `left`."""
    counts: Counter[str] = Counter()
    for hit in ranked:
        counts[hit.chunk.document_id] += 1
        if per_source and counts[hit.chunk.document_id] > per_source:
            left.append(hit)
        else:
            yield hit
