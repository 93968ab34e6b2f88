"""Chooses how dense search is done, and measures what an approximation costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.dense import DenseIndex, Positions
from index.embedder import Vectors
from index.store import Range, Store
from index.types import DensePlan

EXACT_CHUNKS = 200_000
RECALL_FLOOR = 0.95

# Aimed at above the floor, because the sample's recall is not the whole corpus'.
_RECALL_AIM = 0.97
# What reading twice as many lists must add to be worth its time.
_GAIN = 0.005
_SAMPLE = 200
_DEPTH = 10
_FIRST_PROBES = 4


def exact_plan(chunks: int, exact_chunks: int) -> DensePlan:
    """Exact search, of a corpus that is small enough for it."""
    return DensePlan("exact", 0, 1.0, f"{chunks} chunks are not more than {exact_chunks}")


def inverted_plan(store: Store, generation: int, first: Range, shards: Sequence[Any], exact_chunks: int) -> DensePlan:
    """How many lists to read, measured on the corpus' own vectors; exact search when no number is enough.

    `first` is the range of the first shard. Its documents are a fair sample, because ids are hashes.
    """
    queries, positions = _sample(store, generation, first)  # (Q, D), (Q,)
    wanted = _nearest(store, generation, queries, positions)  # (Q, 10)
    chunks = sum(shard.ntotal for shard in shards)
    most = max(shard.nlist for shard in shards)

    def measured_recall(probes: int) -> float:
        found = DenseIndex(shards, probes).search(queries, _DEPTH + 1)[1]
        return float(np.mean([_shared(*one) for one in zip(found, positions, wanted, strict=True)]))

    probes = _FIRST_PROBES
    recall = measured_recall(probes)
    while recall < _RECALL_AIM and probes < most:
        doubled = measured_recall(2 * probes)
        if recall >= RECALL_FLOOR and doubled - recall < _GAIN:
            break  # what is still missed is lost by the 8-bit values, not by the lists left out
        probes, recall = 2 * probes, doubled
    measured = f"recall@{_DEPTH} against exact search is {recall:.3f} on {len(queries)} of its own vectors"
    if recall < RECALL_FLOOR:
        return DensePlan("exact", 0, 1.0, f"{chunks} chunks are more than {exact_chunks}, but {measured}")
    return DensePlan("ivf", probes, round(recall, 4), f"{chunks} chunks are more than {exact_chunks}; {measured}")


def _sample(store: Store, generation: int, documents: Range) -> tuple[Vectors, Positions]:
    dimension = store.identity().dimension
    vectors = np.concatenate(list(store.vectors(generation, dimension, documents)))
    positions = np.unique(np.linspace(0, len(vectors) - 1, _SAMPLE).astype(np.int64))
    return vectors[positions], positions


def _nearest(store: Store, generation: int, queries: Vectors, own: Positions) -> Positions:
    """Positions (Q, 10) of the vectors nearest to each query but itself, by exact search."""
    rows = np.arange(len(queries))[:, None]
    best = np.full((len(queries), _DEPTH), -np.inf, np.float32)
    places = np.full((len(queries), _DEPTH), -1, np.int64)
    start = 0
    for batch in store.vectors(generation, queries.shape[1]):
        positions = np.arange(start, start + len(batch))
        scores = np.where(positions == own[:, None], -np.inf, queries @ batch.T)  # (Q, B)
        scores = np.hstack((best, scores))
        candidates = np.hstack((places, np.broadcast_to(positions, (len(queries), len(batch)))))
        kept = np.argpartition(-scores, _DEPTH - 1, axis=1)[:, :_DEPTH]
        best, places = scores[rows, kept], candidates[rows, kept]
        start += len(batch)
    return places


def _shared(found: NDArray[np.int64], own: int, wanted: NDArray[np.int64]) -> float:
    """Share of the wanted positions among the first ten found that are not the query itself."""
    others = [place for place in found.tolist() if place != own][:_DEPTH]
    return len(set(others) & set(wanted.tolist())) / len(wanted)
