"""Questions become ranked chunks: dense and lexical channels, fused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.embedder import Embedder, Vectors
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.fusion import mixed, reciprocal_ranks, standardised
from index.generation import Generation, current_number, folder_name
from index.store import Store
from index.types import Channel, Hit, SourceInfo
from ingest.types import Document

# A fixed sample that tells how similar an ordinary chunk is to the question.
_BACKGROUND_SIZE = 1000


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How channels are combined: `channel` to use, `fusion` of the two, weight of the dense one."""

    channel: Channel = "fused"
    fusion: Literal["mix", "rrf"] = "mix"
    dense_weight: float = 0.7
    candidates: int = 100


class Index:
    """A published index, open for questions; follows new generations by itself."""

    def __init__(self, folder: Path, embedder: Embedder, settings: SearchSettings | None = None) -> None:
        """Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError."""
        self.folder = folder
        self.embedder = embedder
        self.settings = settings or SearchSettings()
        self._store = Store.open(folder / "fuente.db")
        self._refresh_lock = Lock()
        self._generation = self._open_current()

    @property
    def generation(self) -> Generation:
        """The generation that the next question is answered from: the newest published."""
        if current_number(self.folder) != self._generation.number:
            with self._refresh_lock:
                if current_number(self.folder) != self._generation.number:
                    # The old one is let go when the last search that uses it drops it.
                    self._generation = self._open_current()
        return self._generation

    def search(self, question: str, k: int, *, settings: SearchSettings | None = None) -> list[Hit]:
        """The `k` best chunks for a question, best first."""
        return self.search_many([question], k, settings=settings)[0]

    def search_many(
        self, questions: Sequence[str], k: int, *, settings: SearchSettings | None = None
    ) -> list[list[Hit]]:
        """The `k` best chunks for each question, all answered from one generation."""
        _positive(k)
        generation = self.generation
        if generation.lexical is None:
            return [[] for _ in questions]
        vectors = self.embedder.encode_queries(questions)  # (Q, D)
        chosen = settings or self.settings
        return [
            self._hits(generation, *self._rank(generation, question, vector, k, chosen), chosen.channel)
            for question, vector in zip(questions, vectors, strict=True)
        ]

    def search_vector(self, vector: Vectors, k: int) -> list[Hit]:
        """The `k` chunks nearest to a unit vector (D,) float32, best first."""
        if vector.shape != (self.embedder.dimension,):
            raise ValueError(f"the vector has shape {vector.shape}, it must be ({self.embedder.dimension},)")
        _positive(k)
        generation = self.generation
        if not len(generation.dense):
            return []
        scores, positions = generation.dense.search(vector[None, :], k)  # (1, K)
        return self._hits(generation, positions[0], scores[0], scores[0], np.zeros_like(scores[0]), "dense")

    def document(self, document_id: str) -> Document | None:
        """A document of the current generation."""
        return self._store.document(document_id, self.generation.number)

    def documents_of(self, sources: Sequence[str]) -> dict[str, Document]:
        """The documents of these sources in the current generation, by source; unknown ones are left out."""
        return self._store.documents_of(sources, self.generation.number)

    def sources(self) -> list[SourceInfo]:
        """Every file of the current generation."""
        return self._store.source_infos(self.generation.number)

    def _rank(
        self, generation: Generation, question: str, vector: Vectors, k: int, settings: SearchSettings
    ) -> tuple[NDArray[np.int64], Vectors, Vectors, Vectors]:
        """Positions, scores, cosines and BM25 scores of the best k."""
        assert generation.lexical is not None
        width = max(k, settings.candidates)
        dense_top = generation.dense.search(vector[None, :], width)[1][0]
        lexical_all = generation.lexical.scores(question)  # (N,)
        lexical_top = _top(lexical_all, width)
        if settings.channel == "dense":
            positions = dense_top
        elif settings.channel == "lexical":
            positions = lexical_top
        else:
            positions = np.union1d(dense_top, lexical_top)
        dense = generation.dense.similarities(vector, positions)
        lexical = lexical_all[positions]
        if settings.channel == "fused":
            scores = self._fuse(generation, vector, positions, lexical_all, dense, settings)
        else:
            scores = dense if settings.channel == "dense" else lexical
        order = np.lexsort((generation.ids[positions], -scores))[:k]
        return positions[order], scores[order], dense[order], lexical[order]

    def _fuse(
        self,
        generation: Generation,
        vector: Vectors,
        positions: NDArray[np.int64],
        lexical_all: Vectors,
        dense: Vectors,
        settings: SearchSettings,
    ) -> Vectors:
        lexical = lexical_all[positions]
        if settings.fusion == "rrf":
            rankings = [np.argsort(-dense, kind="stable"), np.argsort(-lexical, kind="stable")]
            return reciprocal_ranks(rankings, len(positions))
        background = generation.dense.similarities(vector, _sample(len(generation.ids)))
        return mixed(
            standardised(dense, background), standardised(lexical, lexical_all), settings.dense_weight
        )

    def _hits(
        self,
        generation: Generation,
        positions: NDArray[np.int64],
        scores: Vectors,
        dense: Vectors,
        lexical: Vectors,
        channel: Channel,
    ) -> list[Hit]:
        ids = generation.ids[positions].tolist()
        stored = self._store.chunks(ids, generation.number)
        missing = [chunk_id for chunk_id in ids if chunk_id not in stored]
        if missing:
            reason = f"chunk {missing[0]} is in {generation.folder.name} but not in the store"
            raise IndexDamagedError(self.folder, reason, "Run `fuente ingest` once more to rebuild it")
        return [
            Hit(
                chunk=stored[chunk_id].chunk,
                score=float(scores[i]),
                rank=i + 1,
                channel=channel,
                source=stored[chunk_id].source,
                language=stored[chunk_id].language,
                dense=float(dense[i]),
                lexical=float(lexical[i]),
                metadata=stored[chunk_id].metadata,
            )
            for i, chunk_id in enumerate(ids)
        ]

    def _open_current(self) -> Generation:
        number = current_number(self.folder)
        if number == 0:
            raise IndexNotFoundError(self.folder, "nothing is published yet", "Run `fuente ingest PATH` first")
        generation = Generation(self.folder / folder_name(number))
        self._check_identity(generation)
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


def _top(scores: Vectors, k: int) -> NDArray[np.int64]:
    """Positions of the k best positive scores, best first; ties by position."""
    positions = np.flatnonzero(scores > 0)
    if positions.size > k:
        positions = positions[np.argpartition(-scores[positions], k - 1)[:k]]
    return positions[np.lexsort((positions, -scores[positions]))]


def _sample(size: int) -> NDArray[np.int64]:
    if size <= _BACKGROUND_SIZE:
        return np.arange(size)
    return np.sort(np.random.default_rng(0).choice(size, _BACKGROUND_SIZE, replace=False))
