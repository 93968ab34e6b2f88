"""Questions become ranked chunks: dense and lexical channels, fused, and the best of them compared anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from index.embedder import Embedder, Vectors
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.filters import Filter
from index.fusion import mixed, reciprocal_ranks, standardised
from index.generation import Generation, open_current
from index.manifest import current_number
from index.rerank import Candidate, Reranker
from index.store import Store, embedded_text
from index.types import Channel, Hit, SourceInfo
from ingest.types import Document

Fusion = Literal["mix", "rrf"]

# What the share of the question's words weighs against the cosine in deviations, in saying which chunks are promising.
# Chosen on half of the questions of five sets: of squad-es's the 20 most promising hold the right one of 99.2 %.
_COVERAGE = 4.4


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How channels are combined: `channel` to use, `fusion` of the two, weight of the dense one.

    `candidates` of each channel are fused. Where there is a second stage, the `rerank_candidates` most promising go to
    it, unless the first leads by `rerank_margin` deviations of the cosine.
    Raises: ValueError for an unknown mode or a value out of range.
    """

    channel: Channel = "fused"
    fusion: Fusion = "mix"
    dense_weight: float = 0.7
    candidates: int = 100
    rerank_candidates: int = 20
    rerank_margin: float = 1.5

    def __post_init__(self) -> None:
        for name, known in (("channel", get_args(Channel)), ("fusion", get_args(Fusion))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {', '.join(known)}")
        if not 0.0 <= self.dense_weight <= 1.0:
            raise ValueError(f"dense_weight={self.dense_weight} must lie in [0, 1]")
        for name in ("candidates", "rerank_candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not self.rerank_margin > 0.0:
            raise ValueError(f"rerank_margin={self.rerank_margin} must be above 0")


class Index:
    """A published index, open for questions; follows new generations by itself."""

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        settings: SearchSettings | None = None,
        *,
        load_reranker: Callable[[], Reranker | None] = lambda: None,
    ) -> None:
        """The first question that finds something loads the second stage, if there is one.

        Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError.
        """
        self.folder = folder
        self.embedder = embedder
        self.settings = settings or SearchSettings()
        self._store = Store.open(folder / "fuente.db")
        self._store.is_sealed()
        self._load_reranker = load_reranker
        self._refresh_lock = Lock()
        self._generation = self._open_current()

    @property
    def generation(self) -> Generation:
        """The generation that the next question is answered from: the newest published.

        Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError for what was published meanwhile.
        """
        if current_number(self.folder) != self._generation.number:
            with self._refresh_lock:
                if current_number(self.folder) != self._generation.number:
                    # The old one is let go when the last search that uses it drops it.
                    self._generation = self._open_current()
        return self._generation

    @cached_property
    def reranker(self) -> Reranker | None:
        """The second stage, loaded; None when there is none."""
        return self._load_reranker()

    def close(self) -> None:
        """Lets the files be collected; the index answers no more."""
        self._generation.close()

    def search(
        self, question: str, k: int, *, settings: SearchSettings | None = None, where: Filter | None = None
    ) -> list[Hit]:
        """The `k` best chunks for a question, best first, out of those that meet the filter."""
        return self.search_many([question], k, settings=settings, where=where)[0]

    def search_many(
        self,
        questions: Sequence[str],
        k: int,
        *,
        settings: SearchSettings | None = None,
        where: Filter | None = None,
    ) -> list[list[Hit]]:
        """The `k` best chunks for each question, all answered from one generation."""
        _positive(k)
        generation = self.generation
        if not len(generation.ids):
            return [[] for _ in questions]
        vectors = self.embedder.encode_queries(questions)  # (Q, D)
        chosen = settings or self.settings
        allowed = generation.mask(where, self._store) if where else None
        return [
            self._answered(generation, question, vector, k, chosen, allowed, where)
            for question, vector in zip(questions, vectors, strict=True)
        ]

    def search_vector(self, vector: Vectors, k: int, *, where: Filter | None = None) -> list[Hit]:
        """The `k` chunks nearest to a unit vector (D,) float32, best first, out of those that meet the filter."""
        if vector.shape != (self.embedder.dimension,):
            raise ValueError(f"the vector has shape {vector.shape}, it must be ({self.embedder.dimension},)")
        _positive(k)
        generation = self.generation
        if not len(generation.dense):
            return []
        allowed = generation.mask(where, self._store) if where else None
        found, places = generation.dense.search(vector[None, :], k, allowed)  # (1, K)
        positions, scores = places[0][places[0] >= 0], found[0][places[0] >= 0]
        ranking = _Ranking(positions, scores, scores, np.zeros_like(scores))
        return self._hits(generation, ranking, "dense", where)

    def document(self, document_id: str) -> Document | None:
        """A document of the current generation."""
        generation = self.generation  # held until the store has answered
        return self._store.document(document_id, generation.number)

    def documents_of(self, sources: Sequence[str], *, collection: str | None = None) -> dict[str, Document]:
        """The documents that these sources show in a collection, or in the first that has them; others are left out."""
        generation = self.generation
        return self._store.documents_of(sources, generation.number, collection)

    def sources(self) -> list[SourceInfo]:
        """Every file of the current generation."""
        generation = self.generation
        return self._store.source_infos(generation.number)

    def collections(self) -> list[str]:
        """Names of the collections of the current generation."""
        generation = self.generation
        return self._store.collections(generation.number)

    def _answered(
        self,
        generation: Generation,
        question: str,
        vector: Vectors,
        k: int,
        settings: SearchSettings,
        allowed: NDArray[np.bool_] | None,
        where: Filter | None,
    ) -> list[Hit]:
        ranking = _rank(generation, question, vector, k, settings, allowed)
        if self.reranker is None or not len(ranking.positions):
            return self._hits(generation, ranking.best(k), settings.channel, where)
        coverage = generation.lexical.coverage(question, ranking.positions)
        promise = standardised(ranking.dense, generation.background @ vector) + _COVERAGE * coverage
        order = np.lexsort((generation.ids[ranking.positions], -promise))
        size = settings.rerank_candidates if _is_close(promise[order], settings.rerank_margin) else 0
        hits = self._hits(generation, ranking.at(order[: max(k, size)]), settings.channel, where)
        return _reranked(self.reranker, question, hits, coverage[order[:size]])[:k] if size else hits

    def _hits(self, generation: Generation, ranking: "_Ranking", channel: Channel, where: Filter | None) -> list[Hit]:
        ids = generation.ids[ranking.positions].tolist()
        stored = self._store.chunks(ids, generation.number, where)
        missing = [chunk_id for chunk_id in ids if chunk_id not in stored]
        if missing:
            self._store.require_whole()
            reason = f"chunk {missing[0]} is in {generation.folder.name} but not in the store"
            raise IndexDamagedError(self.folder, reason, "Run `fuente ingest` once more to rebuild it")
        return [
            Hit(
                chunk=stored[chunk_id].chunk,
                score=float(ranking.scores[i]),
                rank=i + 1,
                channel=channel,
                source=stored[chunk_id].source,
                language=stored[chunk_id].language,
                dense=float(ranking.dense[i]),
                lexical=float(ranking.lexical[i]),
                metadata=stored[chunk_id].metadata,
                collection=stored[chunk_id].collection,
            )
            for i, chunk_id in enumerate(ids)
        ]

    def _open_current(self) -> Generation:
        generation = open_current(self.folder)
        if generation is None:
            raise IndexNotFoundError(self.folder, "nothing is published yet", "Run `fuente ingest PATH` first")
        try:
            self._check_identity(generation)
        except IndexMismatchError:
            generation.close()
            raise
        return generation

    def _check_identity(self, generation: Generation) -> None:
        built = generation.manifest.identity
        for field, given in (
            ("embedder", self.embedder.name),
            ("revision", self.embedder.revision),
            ("dimension", self.embedder.dimension),
            ("query_prefix", self.embedder.query_prefix),
            ("passage_prefix", self.embedder.passage_prefix),
        ):
            if built.get(field) != given:
                reason = f"it was built with {field} {built.get(field)!r}, not {given!r}"
                mend = "Configure the same embedder, or run `fuente reindex` to embed the stored texts anew"
                raise IndexMismatchError(self.folder, reason, mend)


def _positive(k: int) -> None:
    if k < 1:
        raise ValueError(f"k={k} must be at least 1")


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Positions (K,) best first, with their scores, cosines and BM25 scores."""

    positions: NDArray[np.int64]
    scores: Vectors
    dense: Vectors
    lexical: Vectors

    def at(self, places: NDArray[np.int64]) -> "_Ranking":
        """Those at some places (M,), in their order."""
        return _Ranking(self.positions[places], self.scores[places], self.dense[places], self.lexical[places])

    def best(self, k: int) -> "_Ranking":
        """The first `k`."""
        return self.at(np.arange(min(k, len(self.positions))))


def _reranked(reranker: Reranker, question: str, hits: Sequence[Hit], coverage: Vectors) -> list[Hit]:
    """Hits, most promising first, with the first len(coverage) of them in the order of the second stage."""
    size = len(coverage)
    candidates = [
        Candidate(embedded_text(hit.chunk.text, hit.chunk.headings), hit.dense, float(share))
        for hit, share in zip(hits[:size], coverage, strict=True)
    ]
    scores = reranker.scores(question, candidates)
    if scores.shape != (size,):
        raise ValueError(f"the reranker returned scores of shape {scores.shape}, it must be ({size},)")
    # Of equal ones the more promising comes first.
    found = [replace(hits[place], rerank=float(scores[place])) for place in np.argsort(-scores, kind="stable")]
    return [replace(hit, rank=rank) for rank, hit in enumerate([*found, *hits[size:]], 1)]


def _is_close(promise: Vectors, margin: float) -> bool:
    """Whether the second of chunks, most promising first, is within `margin` of the first.

    Where it is not, the first is right on xquad.es as often with a second stage as without, which is the dear one.
    """
    return len(promise) > 1 and float(promise[0] - promise[1]) < margin


def _rank(
    generation: Generation,
    question: str,
    vector: Vectors,
    k: int,
    settings: SearchSettings,
    allowed: NDArray[np.bool_] | None,
) -> _Ranking:
    """All that the channels put forward, best first."""
    width = max(k, settings.candidates)
    lexical_all = generation.lexical.scores(question)
    channels = []
    if settings.channel != "lexical":
        nearest = generation.dense.search(vector[None, :], width, allowed)[1][0]
        channels.append(nearest[nearest >= 0])
    if settings.channel != "dense":
        channels.append(_top(lexical_all if allowed is None else np.where(allowed, lexical_all, 0), width))
    positions = np.unique(np.concatenate(channels))
    dense = generation.dense.similarities(vector, positions)
    lexical = lexical_all[positions]
    if settings.channel == "fused":
        background = generation.background @ vector  # (B,)
        scores = _fused(dense, lexical, background, lexical_all, settings)
    else:
        scores = dense if settings.channel == "dense" else lexical
    order = np.lexsort((generation.ids[positions], -scores))
    return _Ranking(positions[order], scores[order], dense[order], lexical[order])


def _fused(
    dense: Vectors, lexical: Vectors, dense_background: Vectors, lexical_background: Vectors, settings: SearchSettings
) -> Vectors:
    if settings.fusion == "mix":
        return mixed(
            standardised(dense, dense_background), standardised(lexical, lexical_background), settings.dense_weight
        )
    by_words = np.argsort(-lexical, kind="stable")
    # What shares no word with the question has no rank in that channel.
    return reciprocal_ranks([np.argsort(-dense, kind="stable"), by_words[lexical[by_words] > 0]], len(dense))


def _top(scores: Vectors, k: int) -> NDArray[np.int64]:
    """Positions of the k best positive scores, best first; ties by position."""
    positions = np.flatnonzero(scores > 0)
    if positions.size > k:
        positions = positions[np.argpartition(-scores[positions], k - 1)[:k]]
    return positions[np.lexsort((positions, -scores[positions]))]
