"""Inner-product search over unit vectors with FAISS, in shards."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from index.embedder import Vectors
from index.files import write

Positions = NDArray[np.int64]

# Lists and rounds of k-means of a shard: at 16k vectors 128 lists of 128, trained in half a second.
_VECTORS_PER_LIST = 128
_TRAINING_ROUNDS = 8
_MOST_THREADS = 8

# FAISS's own threads share out questions, of which there is one, and would train other lists every time.
faiss.omp_set_num_threads(1)


def exact_shard(vectors: Vectors) -> faiss.Index:
    """Vectors (N, D) as they are."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def inverted_shard(vectors: Vectors) -> faiss.IndexIVF:
    """Vectors (N, D) with 8 bits a dimension, in lists by their nearest centroid."""
    lists = max(1, len(vectors) // _VECTORS_PER_LIST)
    dimension = vectors.shape[1]
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension), dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter, index.cp.seed, index.cp.spherical = _TRAINING_ROUNDS, 0, True
    # FAISS warns of few vectors a list; they are meant.
    index.cp.min_points_per_centroid = 1
    index.train(vectors)
    index.add(vectors)
    # Makes a vector's place known by its position.
    index.make_direct_map(True)
    return index


def save_shard(index: faiss.Index, path: Path) -> None:
    """Writes a shard and flushes it to disk."""
    # Through Python: FAISS's own writer leaves the file unflushed.
    write(path, faiss.serialize_index(index).data)


def load_shard(path: Path) -> faiss.Index:
    """The shard saved at `path`, memory-mapped; its checksum must have been verified before."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


class DenseIndex:
    """Cosine similarity of a question to every chunk; results are positions, counted through the shards."""

    def __init__(self, shards: Sequence[faiss.Index], probes: int = 0) -> None:
        """`probes` lists of each inverted shard are read for a question."""
        self._shards = shards
        self._probes = probes
        self._starts = np.cumsum([0, *(shard.ntotal for shard in shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Vectors, Positions]:
        """Scores and positions (Q, min(k, N)), best first; position -1 where fewer are allowed.

        `allowed` (N,) is a filter, applied before the best are taken.
        """
        width = min(k, len(self))
        if not width:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)

        def search_part(shard: faiss.Index, start: int, end: int) -> tuple[Vectors, Positions]:
            part = None if allowed is None else allowed[start:end]
            found, places = self._search_shard(shard, queries, min(k, end - start), part)
            return np.where(places < 0, -np.inf, found), np.where(places < 0, -1, places + start)

        # FAISS lets other threads run while it reads a shard, which is bound by the memory of one core.
        found = list(_threads().map(search_part, self._shards, self._starts[:-1].tolist(), self._starts[1:].tolist()))
        return _best(np.hstack([scores for scores, _ in found]), np.hstack([places for _, places in found]), width)

    def similarities(self, query: Vectors, positions: Positions) -> NDArray[np.float32]:
        """Cosine of one query (D,) to the vectors at `positions` (M,), float32 (M,)."""
        return np.asarray(self.vectors(positions) @ query, np.float32) if len(positions) else np.zeros(0, np.float32)

    def vectors(self, positions: Positions) -> Vectors:
        """The vectors (M, D) at `positions` (M,), as exact as they are kept."""
        shards = np.searchsorted(self._starts, positions, "right") - 1
        vectors = np.zeros((len(positions), self._shards[0].d if self._shards else 0), np.float32)
        for number in np.unique(shards):
            chosen = shards == number
            vectors[chosen] = self._shards[number].reconstruct_batch(positions[chosen] - self._starts[number])
        return vectors

    def _search_shard(
        self, shard: faiss.Index, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[Vectors, Positions]:
        selector = None
        if allowed is not None:
            if not allowed.any():
                return np.zeros((len(queries), k), np.float32), np.full((len(queries), k), -1, np.int64)
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits.size, faiss.swig_ptr(bits))
        if not isinstance(shard, faiss.IndexIVF):
            parameters = faiss.SearchParameters(sel=selector) if selector else None  # type: ignore[call-arg]
            return shard.search(queries, k, params=parameters)
        # What passes a filter may lie in any list.
        probes = shard.nlist if selector else min(self._probes, shard.nlist)
        found = shard.search(queries, k, params=faiss.SearchParametersIVF(sel=selector, nprobe=probes))  # type: ignore[call-arg]
        if probes < shard.nlist and (found[1] < 0).any():
            return shard.search(queries, k, params=faiss.SearchParametersIVF(nprobe=shard.nlist))  # type: ignore[call-arg]
        return found


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS), thread_name_prefix="dense")


if hasattr(os, "register_at_fork"):
    # A forked process has the pool but none of its threads.
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _best(scores: Vectors, positions: Positions, k: int) -> tuple[Vectors, Positions]:
    """The k best of each row (Q, M), best first; ties by position."""
    order = np.lexsort((positions, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1).astype(np.float32), np.take_along_axis(positions, order, 1)
