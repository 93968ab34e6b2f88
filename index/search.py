"""Questions become ranked chunks: dense and lexical channels, fused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from index.embedder import Embedder, Vectors
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.fusion import mixed, reciprocal_ranks, standardised
from index.generation import Generation, current_number, open_current
from index.store import Store
from index.types import Channel, Hit, SourceInfo
from ingest.types import Document

# A fixed sample that tells how similar an ordinary chunk is to the question.
_BACKGROUND_SIZE = 1000

Fusion = Literal["mix", "rrf"]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How channels are combined: `channel` to use, `fusion` of the two, weight of the dense one.

    `candidates` of each channel are fused. Raises: ValueError for an unknown mode or a value out of range.
    """

    channel: Channel = "fused"
    fusion: Fusion = "mix"
    dense_weight: float = 0.7
    candidates: int = 100

    def __post_init__(self) -> None:
        for name, known in (("channel", get_args(Channel)), ("fusion", get_args(Fusion))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {', '.join(known)}")
        if not 0.0 <= self.dense_weight <= 1.0:
            raise ValueError(f"dense_weight={self.dense_weight} must lie in [0, 1]")
        if self.candidates < 1:
            raise ValueError(f"candidates={self.candidates} must be at least 1")


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
        """The generation that the next question is answered from: the newest published.

        Raises: IndexNotFoundError, IndexMismatchError, IndexDamagedError for what was published meanwhile.
        """
        if current_number(self.folder) != self._generation.number:
            with self._refresh_lock:
                if current_number(self.folder) != self._generation.number:
                    # The old one is let go when the last search that uses it drops it.
                    self._generation = self._open_current()
        return self._generation

    def close(self) -> None:
        """Lets the files be collected; the index answers no more."""
        self._generation.close()

    def search(self, question: str, k: int, *, settings: SearchSettings | None = None) -> list[Hit]:
        """The `k` best chunks for a question, best first."""
        return self.search_many([question], k, settings=settings)[0]

    def search_many(
        self, questions: Sequence[str], k: int, *, settings: SearchSettings | None = None
    ) -> list[list[Hit]]:
        """The `k` best chunks for each question, all answered from one generation."""
        _positive(k)
        generation = self.generation
        lexical = generation.lexical
        if lexical is None:
            return [[] for _ in questions]
        vectors = self.embedder.encode_queries(questions)  # (Q, D)
        chosen = settings or self.settings
        return [
            self._hits(generation, *_rank(generation, lexical.scores(question), vector, k, chosen), chosen.channel)
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
        generation = self.generation  # held until the store has answered
        return self._store.document(document_id, generation.number)

    def documents_of(self, sources: Sequence[str]) -> dict[str, Document]:
        """The documents of these sources in the current generation, by source; unknown ones are left out."""
        generation = self.generation
        return self._store.documents_of(sources, generation.number)

    def sources(self) -> list[SourceInfo]:
        """Every file of the current generation."""
        generation = self.generation
        return self._store.source_infos(generation.number)

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


def _rank(
    generation: Generation, lexical_all: Vectors, vector: Vectors, k: int, settings: SearchSettings
) -> tuple[NDArray[np.int64], Vectors, Vectors, Vectors]:
    """Positions, scores, cosines and BM25 scores of the best k."""
    width = max(k, settings.candidates)
    channels = []
    if settings.channel != "lexical":
        channels.append(generation.dense.search(vector[None, :], width)[1][0])
    if settings.channel != "dense":
        channels.append(_top(lexical_all, width))
    positions = np.unique(np.concatenate(channels))
    dense = generation.dense.similarities(vector, positions)
    lexical = lexical_all[positions]
    if settings.channel == "fused":
        background = generation.dense.similarities(vector, _sample(len(generation.ids)))
        scores = _fused(dense, lexical, background, lexical_all, settings)
    else:
        scores = dense if settings.channel == "dense" else lexical
    order = np.lexsort((generation.ids[positions], -scores))[:k]
    return positions[order], scores[order], dense[order], lexical[order]


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


def _sample(size: int) -> NDArray[np.int64]:
    if size <= _BACKGROUND_SIZE:
        return np.arange(size)
    return np.sort(np.random.default_rng(0).choice(size, _BACKGROUND_SIZE, replace=False))
