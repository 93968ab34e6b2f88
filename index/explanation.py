"""Why search gave out these passages and no others: every candidate's way through the stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.analysis import fold
from index.embedder import Vectors
from index.filters import Filter
from index.ranking import Asked, Ranked, Ranking
from index.selection import Taken
from index.store import Store
from index.types import DensePlan, Hit

Fate = Literal[
    "taken", "filter", "channels", "shortlist", "first stage", "second stage", "duplicate", "per source", "diversity"
]
"""Where a passage was lost, or that it was taken.

filter: it does not meet the filter · channels: none put it forward · shortlist: it was not among those compared anew ·
first stage, second stage: what decided the order put it behind the k-th · duplicate: it repeats a better one · per
source: its document had given its share · diversity: one less like the others was preferred.
"""

# So far down a passage's place in the dense channel is told, at least.
_DEPTH = 1000
# Passages of an expectation that are explained.
_EXPECTED = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """A place in an order, from 1, and the score that it is by."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Explained:
    """A passage's way. None where it has no place: far behind, without a word of the question, or not compared.

    `dense` and `lexical` are its places among all passages that meet the filter, `fused` and `promise` among the
    candidates, `reranked` among those compared anew. Where there is a second stage, promise decides what it is given:
    the cosine in deviations above ordinary passages and `coverage`, the share of the question's words, weighed.
    `rank` is that of the hit, None when it was lost. `repeats` is the id of the chunk that a duplicate repeats.
    """

    hit: Hit
    fate: Fate
    dense: Standing | None
    lexical: Standing | None
    fused: Standing | None = None
    coverage: float | None = None
    promise: Standing | None = None
    reranked: Standing | None = None
    rank: int | None = None
    repeats: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a question was answered: `candidates` in their final order, and the passages that were `expected`.

    `searched` passages met the filter, out of `chunks`. `dense_search` says which kind of index answered and why.
    `compared` passages went to the second stage; 0 where there is none, or the most promising was ahead of the next by
    `lead` deviations, which is enough. `lead` is None without a second stage.
    """

    question: str
    k: int
    chunks: int
    searched: int
    dense_search: DensePlan
    compared: int
    lead: float | None
    candidates: tuple[Explained, ...]
    expected: tuple[Explained, ...] = ()

    @property
    def taken(self) -> tuple[Explained, ...]:
        """Those that are given out, best first."""
        found = [each for each in self.candidates if each.rank is not None]
        return tuple(sorted(found, key=lambda each: each.rank or 0))


class Way:
    """The way of every passage through one search."""

    def __init__(self, asked: Asked, ranked: Ranked, taken: Taken, candidates: Sequence[Hit], *, diverse: bool) -> None:
        """`candidates` are those of `ranked` in their final order; `diverse` says that variety was asked for."""
        ids = asked.generation.ids[ranked.ranking.positions]
        self._asked = asked
        self._ranked = ranked
        self._candidates = candidates
        self._dense, self._lexical = _channels(asked, len(ids))
        self._fused = _standings(ids, ranked.ranking.scores)
        self._promise: Mapping[int, Standing] = {}
        self._coverage: Mapping[int, float] = {}
        if ranked.promise is not None and ranked.coverage is not None:
            self._promise = _standings(ids[ranked.order], ranked.promise[ranked.order])
            self._coverage = dict(zip(ids.tolist(), ranked.coverage.tolist(), strict=True))
        compared = ranked.head[: ranked.compared]
        self._reranked = {hit.chunk.id: Standing(rank, hit.rerank or 0.0) for rank, hit in enumerate(compared, 1)}
        self._taken = {hit.chunk.id: hit for hit in taken.hits}
        self._repeats = {copy.chunk.id: first for first, copies in taken.copies.items() for copy in copies}
        self._capped = {hit.chunk.id for hit in taken.capped}
        last = max((place for place, hit in enumerate(candidates) if hit.chunk.id in self._taken), default=0)
        self._passed_over = {hit.chunk.id for hit in candidates[:last]} if diverse else set()

    def explanation(self, k: int, expected: Sequence[Hit]) -> Explanation:
        """That of the whole search."""
        manifest, allowed = self._asked.generation.manifest, self._asked.allowed
        listed = {hit.chunk.id for hit in self._candidates}
        further = (hit for key, hit in self._taken.items() if key not in listed)
        return Explanation(
            question=self._asked.question,
            k=k,
            chunks=manifest.chunks,
            searched=manifest.chunks if allowed is None else int(allowed.sum()),
            dense_search=manifest.dense,
            compared=self._ranked.compared,
            lead=_lead(self._ranked),
            candidates=tuple(map(self.of, (*self._candidates, *further))),
            expected=tuple(map(self.of, expected)),
        )

    def of(self, hit: Hit) -> Explained:
        """The way of a passage."""
        key = hit.chunk.id
        given = self._taken.get(key)
        return Explained(
            hit=given or hit,
            fate=self._fate(key),
            dense=self._dense.get(key),
            lexical=self._lexical.get(key),
            fused=self._fused.get(key),
            coverage=self._coverage.get(key),
            promise=self._promise.get(key),
            reranked=self._reranked.get(key),
            rank=given.rank if given else None,
            repeats=self._repeats.get(key),
        )

    def _fate(self, key: int) -> Fate:
        if key in self._taken:
            return "taken"
        if key in self._repeats:
            return "duplicate"
        if key in self._capped:
            return "per source"
        if key in self._passed_over:
            return "diversity"
        if key not in self._fused:
            return "channels" if self._is_allowed(key) else "filter"
        if not self._ranked.compared:
            return "first stage"
        return "second stage" if key in self._reranked else "shortlist"

    def _is_allowed(self, key: int) -> bool:
        allowed = self._asked.allowed
        return allowed is None or bool(allowed[self._asked.generation.positions([key])[0]])


def expected_passages(asked: Asked, store: Store, expect: str) -> Ranking:
    """The passages that an expectation means, whether they meet the filter or not, nearest to the question first.

    Raises: ValueError when there is none.
    """
    generation = asked.generation
    documents = store.matching(Filter(sources=(expect,)), generation.number)
    if documents:
        positions = np.flatnonzero(generation.of_documents(documents))
    else:
        words = _words(expect)
        passages = enumerate(store.passages(generation.number))
        positions = np.array([place for place, (text, _) in passages if words in _words(text)], np.int64)
    if not len(positions):
        mend = "Give words as they stand within one passage, or the name of a file of the index"
        raise ValueError(f"no passage holds {expect!r}. {mend}")
    dense = generation.dense.similarities(asked.vector, positions)
    lexical = generation.lexical.scores(asked.question)[positions]
    return Ranking(positions, dense, dense, lexical).at(np.argsort(-dense, kind="stable")[:_EXPECTED])


def _words(text: str) -> str:
    """A text in a form in which copies of it are found whatever their line breaks, case and accents."""
    return " ".join(fold(text.casefold()).split())


def _lead(ranked: Ranked) -> float | None:
    """How far the most promising candidate is ahead of the next; None without a second one or a second stage."""
    if ranked.promise is None or len(ranked.order) < 2:
        return None
    first, second = ranked.promise[ranked.order[:2]]
    return float(first - second)


def _channels(asked: Asked, width: int) -> tuple[Mapping[int, Standing], Mapping[int, Standing]]:
    """The places of passages in the dense channel, as far as they are told, and in the lexical one."""
    generation = asked.generation
    found, places = generation.dense.search(asked.vector[None, :], max(width, _DEPTH), asked.allowed)
    near = places[0] >= 0
    lexical = generation.lexical.scores(asked.question)
    sharing = lexical > 0 if asked.allowed is None else (lexical > 0) & asked.allowed
    positions = np.flatnonzero(sharing)
    order = positions[np.lexsort((positions, -lexical[positions]))]
    return (
        _standings(generation.ids[places[0][near]], found[0][near]),
        _standings(generation.ids[order], lexical[order]),
    )


def _standings(ids: NDArray[np.int64], scores: Vectors) -> dict[int, Standing]:
    """By chunk id, of ids (K,) best first."""
    pairs = zip(ids.tolist(), scores.tolist(), strict=True)
    return {key: Standing(rank, score) for rank, (key, score) in enumerate(pairs, 1)}
