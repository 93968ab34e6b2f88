"""What both channels say about each question, kept so that any way of combining them is tried in milliseconds."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from index.fusion import mixed, reciprocal_ranks, standardised
from index.search import Index, SearchSettings
from index.types import Hit
from rag.evaluation.harness import Harness
from rag.evaluation.questions import Question

# Ranks beyond are not asked for; what is not found has the rank infinity.
DEPTH = 10
_AT_ONCE = 32
_NOWHERE = np.iinfo(np.int32).max

Ranks = NDArray[np.float64]
Name = Callable[[Question, Hit], str]


@dataclass(frozen=True, slots=True)
class ChannelScores:
    """The candidates of Q questions, P each, in the order of the index; arrays (Q, P), unused places with id -1.

    `dense` and `lexical` are the scores, `dense_places` and `lexical_places` the places in their channel from 0;
    `standard_dense` and `standard_lexical` are standardised over the index; `gold` marks what answers the question.
    Each channel's `width` best are there.
    """

    ids: NDArray[np.int64]
    dense: NDArray[np.float32]
    lexical: NDArray[np.float32]
    standard_dense: NDArray[np.float32]
    standard_lexical: NDArray[np.float32]
    dense_places: NDArray[np.int32]
    lexical_places: NDArray[np.int32]
    gold: NDArray[np.bool_]
    width: int

    @classmethod
    def of(
        cls,
        harness: Harness,
        questions: Sequence[Question],
        *,
        width: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Asks the index of a harness; `questions` are answerable, and `width` at least 10."""
        rows: list[_Row] = []
        # Without the second stage, which would reorder the channels.
        with closing(Index(harness.index.folder, harness.index.embedder)) as index:
            for start in range(0, len(questions), _AT_ONCE):
                if progress:
                    progress(start, len(questions))
                rows += _rows(index, harness.name, questions[start : start + _AT_ONCE], max(width, DEPTH))
        longest = max(len(row.ids) for row in rows)
        padded = {
            field.name: np.stack([_padded(getattr(row, field.name), longest, _PADS[field.name]) for row in rows])
            for field in fields(_Row)
        }
        return cls(**padded, width=max(width, DEPTH))

    def __len__(self) -> int:
        return len(self.ids)

    def ranks(self, settings: SearchSettings) -> Ranks:
        """The rank (Q,) from 1 of the first hit that answers each question, infinity beyond the first ten.

        They are those of `Index.search` with these settings, without a second stage.

        Raises: ValueError for more candidates than were asked for.
        """
        if settings.candidates > self.width:
            raise ValueError(f"candidates={settings.candidates}: the scores of only {self.width} are kept")
        scores, taken = self._combined(settings)
        scores = np.where(taken, scores, -np.inf)
        gold = self.gold & taken
        best = np.where(gold, scores, -np.inf).max(axis=1, keepdims=True)  # (Q, 1)
        first = np.where(gold & (scores == best), self.ids, np.iinfo(np.int64).max).min(axis=1, keepdims=True)
        before = taken & ((scores > best) | ((scores == best) & (self.ids < first)))
        ranks = 1.0 + before.sum(axis=1)
        return np.where(gold.any(axis=1) & (ranks <= DEPTH), ranks, np.inf)

    def _combined(self, settings: SearchSettings) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Scores (Q, P), and which candidates (Q, P) take part."""
        width = max(settings.candidates, DEPTH)
        by_meaning, by_words = self.dense_places < width, self.lexical_places < width
        if settings.channel == "dense":
            return self.dense, by_meaning
        if settings.channel == "lexical":
            return self.lexical, by_words
        taken = by_meaning | by_words
        if settings.fusion == "mix":
            return mixed(self.standard_dense, self.standard_lexical, settings.dense_weight), taken
        return np.stack([_fused(*row) for row in zip(self.dense, self.lexical, taken, strict=True)]), taken


def searched_ranks(
    index: Index,
    name: Name,
    questions: Sequence[Question],
    settings: SearchSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Ranks:
    """The same ranks (Q,) by searching, which takes longer and has the second stage, where the index has one."""
    ranks: list[float] = []
    for start in range(0, len(questions), _AT_ONCE):
        if progress:
            progress(start, len(questions))
        batch = questions[start : start + _AT_ONCE]
        found = index.search_many([question.text for question in batch], DEPTH, settings=settings)
        ranks += [_rank(name, *pair) for pair in zip(batch, found, strict=True)]
    return np.array(ranks, np.float64)


def _rank(name: Name, question: Question, hits: Sequence[Hit]) -> float:
    return next((float(hit.rank) for hit in hits if name(question, hit) in question.relevant_ids), np.inf)


@dataclass(frozen=True, slots=True)
class _Row:
    """The arrays of one question."""

    ids: NDArray[Any]
    dense: NDArray[Any]
    lexical: NDArray[Any]
    standard_dense: NDArray[Any]
    standard_lexical: NDArray[Any]
    dense_places: NDArray[Any]
    lexical_places: NDArray[Any]
    gold: NDArray[Any]


_PADS = {
    "ids": -1,
    "dense": -np.inf,
    "lexical": -np.inf,
    "standard_dense": 0.0,
    "standard_lexical": 0.0,
    "dense_places": _NOWHERE,
    "lexical_places": _NOWHERE,
    "gold": False,
}


def _rows(index: Index, name: Name, questions: Sequence[Question], width: int) -> list[_Row]:
    texts = [question.text for question in questions]
    plain = SearchSettings(candidates=width)
    by_meaning = index.search_many(texts, width, settings=replace(plain, channel="dense"))
    by_words = index.search_many(texts, width, settings=replace(plain, channel="lexical"))
    vectors = index.embedder.encode_queries(texts)  # (Q, D)
    return [
        _row(index, name, question, found, index.generation.background @ vector)
        for question, vector, *found in zip(questions, vectors, by_meaning, by_words, strict=True)
    ]


def _row(
    index: Index, name: Name, question: Question, found: Sequence[list[Hit]], background: NDArray[np.float32]
) -> _Row:
    hits = {hit.chunk.id: hit for channel in found for hit in channel}
    dense_places, lexical_places = ({hit.chunk.id: hit.rank - 1 for hit in channel} for channel in found)
    ids = _in_order(index, list(hits))
    dense = np.array([hits[key].dense for key in ids], np.float32)
    lexical = np.array([hits[key].lexical for key in ids], np.float32)
    return _Row(
        ids=np.array(ids, np.int64),
        dense=dense,
        lexical=lexical,
        standard_dense=standardised(dense, background),
        standard_lexical=standardised(lexical, index.generation.lexical.scores(question.text)),
        dense_places=np.array([dense_places.get(key, _NOWHERE) for key in ids], np.int32),
        lexical_places=np.array([lexical_places.get(key, _NOWHERE) for key in ids], np.int32),
        gold=np.array([name(question, hits[key]) in question.relevant_ids for key in ids], np.bool_),
    )


def _in_order(index: Index, ids: list[int]) -> list[int]:
    """Chunk ids as the index has them, which decides between equal scores."""
    known = index.generation.ids
    order = np.argsort(known)
    positions = order[np.searchsorted(known[order], ids)]
    return [ids[place] for place in np.argsort(positions)]


def _fused(dense: NDArray[np.float32], lexical: NDArray[np.float32], taken: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Reciprocal-rank fusion (P,) of the candidates that take part, 0 for the others."""
    places = np.flatnonzero(taken)
    by_words = np.argsort(-lexical[places], kind="stable")
    rankings = [np.argsort(-dense[places], kind="stable"), by_words[lexical[places][by_words] > 0]]
    fused = np.zeros(len(dense), np.float32)
    fused[places] = reciprocal_ranks(rankings, len(places))
    return fused


def _padded(values: NDArray[Any], size: int, pad: float | bool) -> NDArray[Any]:
    return np.pad(values, (0, size - len(values)), constant_values=pad)
