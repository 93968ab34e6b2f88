"""Exact inner-product search over unit vectors with FAISS."""

from collections.abc import Iterable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from index.embedder import Vectors

Positions = NDArray[np.int64]


class DenseIndex:
    """Cosine similarity of a question to every chunk; results are positions, not ids."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    @classmethod
    def build(cls, batches: Iterable[Vectors], dimension: int) -> "DenseIndex":
        """An index of vectors (N, D) in the order of their positions."""
        index = faiss.IndexFlatIP(dimension)
        for batch in batches:
            index.add(batch)
        return cls(index)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def save(self, path: Path) -> None:
        """Writes the index to `path`."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path) -> "DenseIndex":
        """The index saved at `path`, memory-mapped; its checksum must have been verified before."""
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Vectors, Positions]:
        """Scores and positions (Q, min(k, N)), best first; position -1 where fewer are allowed.

        `allowed` (N,) is a filter, applied before the best are taken.
        """
        if len(self) == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        parameters = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits.size, faiss.swig_ptr(bits))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, positions = self._index.search(queries, min(k, len(self)), params=parameters)
        return scores, positions

    def similarities(self, query: Vectors, positions: Positions) -> NDArray[np.float32]:
        """Cosine of one query (D,) to the vectors at `positions` (M,), float32 (M,)."""
        if positions.size == 0:
            return np.zeros(0, np.float32)
        return np.asarray(self._index.reconstruct_batch(positions) @ query, np.float32)
