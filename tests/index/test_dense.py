"""Exact search over vectors."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.dense import DenseIndex

SIZE, DIMENSION = 300, 24


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    found = np.random.default_rng(0).normal(size=(SIZE, DIMENSION)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def index(vectors: NDArray[np.float32]) -> DenseIndex:
    return DenseIndex.build([vectors[:100], vectors[100:]], DIMENSION)


def test_search_is_exact(index: DenseIndex, vectors: NDArray[np.float32]) -> None:
    queries = vectors[:5] + np.float32(0.1)
    scores, positions = index.search(queries, 7)
    cosines = queries @ vectors.T
    np.testing.assert_array_equal(positions, np.argsort(-cosines, axis=1)[:, :7])
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :7], rtol=1e-5)


def test_save_and_load_search_alike(index: DenseIndex, vectors: NDArray[np.float32], tmp_path: Path) -> None:
    index.save(tmp_path / "dense.faiss")
    loaded = DenseIndex.load(tmp_path / "dense.faiss")
    assert len(loaded) == SIZE
    for ours, theirs in zip(index.search(vectors, 10), loaded.search(vectors, 10), strict=True):
        np.testing.assert_array_equal(ours, theirs)


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


def test_an_empty_index_finds_nothing(vectors: NDArray[np.float32], tmp_path: Path) -> None:
    DenseIndex.build([], DIMENSION).save(tmp_path / "dense.faiss")
    empty = DenseIndex.load(tmp_path / "dense.faiss")
    scores, positions = empty.search(vectors[:2], 5)
    assert scores.shape == positions.shape == (2, 0)


def test_similarities_are_cosines(index: DenseIndex, vectors: NDArray[np.float32]) -> None:
    positions = np.array([5, 1, 299])
    np.testing.assert_allclose(index.similarities(vectors[1], positions), vectors[positions] @ vectors[1], rtol=1e-5)
    assert index.similarities(vectors[1], np.zeros(0, np.int64)).shape == (0,)
