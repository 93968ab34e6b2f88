"""An index for asking the same questions many times, each time with other settings.

What does not depend on the settings is kept: vectors of questions, scores of both channels, stored chunks, and what
the second stage made of the same candidates. All else is done by `Index` itself, so what is found is what it finds.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.dense import DenseIndex, Positions
from index.embedder import Embedder, Vectors
from index.filters import Filter
from index.generation import Generation
from index.lexical import LexicalIndex, Places
from index.rerank import Candidate, Reranker, Scores
from index.schema import StoredChunk
from index.search import Index
from index.settings import SearchSettings
from index.store import Store


class RememberingIndex(Index):
    """An index of which the generation stays that it was opened on. Its memory grows with every new question."""

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        settings: SearchSettings | None = None,
        *,
        load_reranker: Callable[[], Reranker | None] = lambda: None,
    ) -> None:
        """Loads the embedder's model; that of another remembering index shares its memory of questions.

        Raises: what `Index` raises, ModelError.
        """

        def load() -> Reranker | None:
            reranker = load_reranker()
            return None if reranker is None else _RememberingReranker(reranker)

        known = embedder if isinstance(embedder, _RememberingEmbedder) else _RememberingEmbedder(embedder)
        super().__init__(folder, known, settings, load_reranker=load)
        self._store = _RememberingStore.open(folder / "fuente.db")
        self._generation.dense = _RememberingDense(self._generation.dense)
        self._generation.lexical = _RememberingLexical(self._generation.lexical)

    @property
    def generation(self) -> Generation:
        """The generation that the index was opened on."""
        return self._generation


class _RememberingEmbedder(Embedder):
    def __init__(self, of: Embedder) -> None:
        of.load()
        vars(self).update(vars(of))  # the same model, which is not loaded again
        self._known: dict[str, Vectors] = {}

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= zip(new, super().encode_queries(new), strict=True)
        return np.stack([self._known[text] for text in texts])


class _RememberingDense(DenseIndex):
    def __init__(self, of: DenseIndex) -> None:
        super().__init__(of._shards, of._probes)
        self._known: dict[bytes, tuple[Vectors, Positions]] = {}

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Vectors, Positions]:
        if allowed is not None:
            return super().search(queries, k, allowed)
        key, width = queries.tobytes(), min(k, len(self))
        if key not in self._known or self._known[key][0].shape[1] < width:
            self._known[key] = super().search(queries, k)
        scores, positions = self._known[key]
        return scores[:, :width], positions[:, :width]


class _RememberingLexical(LexicalIndex):
    def __init__(self, of: LexicalIndex) -> None:
        super().__init__(of._shards, of._languages)
        self._scores: dict[str, tuple[Places, NDArray[np.float32]]] = {}
        self._covered: dict[tuple[str, bytes], NDArray[np.float32]] = {}

    def scores(self, question: str) -> NDArray[np.float32]:
        if question not in self._scores:
            found = super().scores(question)
            having = np.flatnonzero(found)  # most passages have none of the words
            self._scores[question] = having, found[having]
        scores = np.zeros(len(self), np.float32)
        having, known = self._scores[question]
        scores[having] = known
        return scores

    def coverage(self, question: str, positions: Places) -> NDArray[np.float32]:
        key = question, positions.tobytes()
        if key not in self._covered:
            self._covered[key] = super().coverage(question, positions)
        return self._covered[key].copy()


class _RememberingStore(Store):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._known: dict[int, StoredChunk] = {}

    def chunks(self, ids: Sequence[int], generation: int, where: Filter | None = None) -> dict[int, StoredChunk]:
        if where is not None:
            return super().chunks(ids, generation, where)
        new = [chunk_id for chunk_id in ids if chunk_id not in self._known]
        if new:
            self._known |= super().chunks(new, generation)
        return {chunk_id: self._known[chunk_id] for chunk_id in ids if chunk_id in self._known}


class _RememberingReranker:
    def __init__(self, of: Reranker) -> None:
        self._of = of
        self._known: dict[tuple[str, tuple[Candidate, ...]], Scores] = {}

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        key = question, tuple(candidates)
        if key not in self._known:
            self._known[key] = self._of.scores(question, candidates)
        return self._known[key].copy()
