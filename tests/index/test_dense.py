"""Search over vectors, in shards, exact and approximate."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.dense import DenseIndex, exact_shard, inverted_shard, load_shard, save_shard

SIZE, DIMENSION = 300, 24


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    found = np.random.default_rng(0).normal(size=(SIZE, DIMENSION)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def index(vectors: NDArray[np.float32]) -> DenseIndex:
    return DenseIndex([exact_shard(vectors[:100]), exact_shard(vectors[100:])])


def test_search_is_exact(index: DenseIndex, vectors: NDArray[np.float32]) -> None:
    queries = vectors[:5] + np.float32(0.1)
    scores, positions = index.search(queries, 7)
    cosines = queries @ vectors.T
    np.testing.assert_array_equal(positions, np.argsort(-cosines, axis=1)[:, :7])
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :7], rtol=1e-5)


@pytest.mark.parametrize("make", [exact_shard, inverted_shard])
def test_save_and_load_search_alike(make: Any, vectors: NDArray[np.float32], tmp_path: Path) -> None:
    save_shard(make(vectors), tmp_path / "dense.faiss")
    shard, loaded = DenseIndex([make(vectors)], 2), DenseIndex([load_shard(tmp_path / "dense.faiss")], 2)
    assert len(loaded) == SIZE
    for ours, theirs in zip(shard.search(vectors, 10), loaded.search(vectors, 10), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    some = np.array([7, 299, 0])
    np.testing.assert_array_equal(shard.similarities(vectors[4], some), loaded.similarities(vectors[4], some))


@pytest.fixture
def inverted(vectors: NDArray[np.float32]) -> DenseIndex:
    many = np.concatenate([vectors] + [_near(vectors, seed) for seed in range(9)])
    assert len(many) == 10 * SIZE
    return DenseIndex([inverted_shard(many[:1000]), inverted_shard(many[1000:])], 1)


def _near(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    found = vectors + 0.1 * np.random.default_rng(seed).normal(size=vectors.shape).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def test_inverted_lists_find_nearly_all_of_the_nearest(inverted: DenseIndex, vectors: NDArray[np.float32]) -> None:
    positions = inverted.search(vectors, 1)[1][:, 0]
    assert (positions == np.arange(SIZE)).mean() > 0.9
    np.testing.assert_allclose(inverted.similarities(vectors[3], np.array([3])), [1.0], atol=0.01)


def test_inverted_lists_give_as_many_as_are_asked_for(inverted: DenseIndex, vectors: NDArray[np.float32]) -> None:
    """Few lists are read for a question; more when these do not hold enough."""
    positions = inverted.search(vectors[:2], 2500)[1]
    assert [len(set(row.tolist())) for row in positions] == [2500, 2500]
    assert (positions >= 0).all()


def test_a_filter_over_inverted_lists_looks_in_all_of_them(inverted: DenseIndex, vectors: NDArray[np.float32]) -> None:
    allowed = np.zeros(len(inverted), bool)
    allowed[[5, 999, 1000, 2400]] = True
    assert sorted(inverted.search(vectors[:1], 4, allowed)[1][0].tolist()) == [5, 999, 1000, 2400]


def test_inverted_lists_are_the_same_every_time(vectors: NDArray[np.float32], tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_shard(inverted_shard(vectors), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_filter_is_applied_before_the_best_are_taken(index: DenseIndex, vectors: NDArray[np.float32]) -> None:
    cosines = vectors @ vectors[0]
    worst = np.argsort(cosines)[:9]
    allowed = np.zeros(SIZE, bool)
    allowed[worst] = True
    scores, positions = index.search(vectors[:1], 9, allowed)
    assert positions[0].tolist() == worst[::-1].tolist()
    assert (scores[0] < cosines.max()).all()


def test_places_that_nothing_fills_are_minus_one(index: DenseIndex, vectors: NDArray[np.float32]) -> None:
    allowed = np.zeros(SIZE, bool)
    allowed[[3, SIZE - 1]] = True
    positions = index.search(vectors[:1], 5, allowed)[1][0]
    assert sorted(positions.tolist()) == [-1, -1, -1, 3, SIZE - 1]
    assert index.search(vectors[:1], 2, np.zeros(SIZE, bool))[1].tolist() == [[-1, -1]]


def test_more_than_there_are_is_all_there_are(index: DenseIndex, vectors: NDArray[np.float32]) -> None:
    assert sorted(index.search(vectors[:1], 1000)[1][0].tolist()) == list(range(SIZE))


def test_an_empty_index_finds_nothing(vectors: NDArray[np.float32]) -> None:
    scores, positions = DenseIndex([]).search(vectors[:2], 5)
    assert scores.shape == positions.shape == (2, 0)


def test_similarities_are_cosines(index: DenseIndex, vectors: NDArray[np.float32]) -> None:
    positions = np.array([5, 1, 299])
    np.testing.assert_allclose(index.similarities(vectors[1], positions), vectors[positions] @ vectors[1], rtol=1e-5)
    assert index.similarities(vectors[1], np.zeros(0, np.int64)).shape == (0,)
