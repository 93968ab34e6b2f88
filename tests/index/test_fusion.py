"""Two channels become one score."""

import numpy as np
import pytest

from index.fusion import mixed, reciprocal_ranks, standardised


def test_reciprocal_ranks_by_hand() -> None:
    fused = reciprocal_ranks([np.array([2, 0, 1]), np.array([0, 3])], 4)
    np.testing.assert_allclose(fused, [1 / 62 + 1 / 61, 1 / 63, 1 / 61, 1 / 62], rtol=1e-6)


def test_the_constant_flattens_the_ranks() -> None:
    np.testing.assert_allclose(reciprocal_ranks([np.array([1, 0])], 2, constant=0.0), [0.5, 1.0])


def test_no_ranking_is_no_score() -> None:
    np.testing.assert_array_equal(reciprocal_ranks([np.zeros(0, np.int64)], 3), np.zeros(3))


def test_standardised_by_hand() -> None:
    background = np.array([1.0, 3.0], np.float32)
    np.testing.assert_allclose(standardised(np.array([4.0, 2.0], np.float32), background), [2.0, 0.0])


def test_a_background_without_deviation_only_centres() -> None:
    same = np.full(3, 0.5, np.float32)
    np.testing.assert_allclose(standardised(np.array([1.5], np.float32), same), [1.0])


def test_mixed_by_hand() -> None:
    dense, lexical = np.array([1.0, -1.0], np.float32), np.array([0.0, 4.0], np.float32)
    np.testing.assert_allclose(mixed(dense, lexical, 0.75), [0.75, 0.25])


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="dense_weight"):
        mixed(np.zeros(1, np.float32), np.zeros(1, np.float32), weight)
