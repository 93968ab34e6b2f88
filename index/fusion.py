"""Dense and lexical evidence combined into one score."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


def standardised(scores: Scores, background: Scores) -> Scores:
    """Z-scores (N,) of `scores` under the mean and deviation of `background` (M,)."""
    deviation = float(background.std())
    return np.asarray((scores - background.mean()) / (deviation or 1.0), np.float32)


def mixed(dense: Scores, lexical: Scores, dense_weight: float) -> Scores:
    """Weighted sum (N,) of two standardised channels; `dense_weight` in [0, 1]."""
    if not 0.0 <= dense_weight <= 1.0:
        raise ValueError(f"dense_weight={dense_weight} must lie in [0, 1]")
    return np.asarray(dense_weight * dense + (1.0 - dense_weight) * lexical, np.float32)


def reciprocal_ranks(rankings: Sequence[NDArray[np.int64]], size: int, constant: float = 60.0) -> Scores:
    """Reciprocal-rank fusion (size,) of rankings of positions, best first.

    Source: Cormack, Clarke & Buettcher 2009, "Reciprocal Rank Fusion outperforms Condorcet …", eq. 1.
    """
    fused = np.zeros(size, np.float32)
    for ranking in rankings:
        fused[ranking] += 1.0 / (constant + np.arange(1, len(ranking) + 1))
    return fused
