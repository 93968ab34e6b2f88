"""Percentile bootstrap intervals over questions.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]

RESAMPLES = 1000
LEVEL = 0.95
# Bounds the memory of one batch of draws to some megabytes.
_DRAWS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the ends of its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def bootstrap_mean(
    values: FloatArray,
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """The mean of `values` (N,) with its interval; NaN without values.

    With `clusters` whole groups are drawn: questions about one paragraph succeed and fail together, and
    drawing them one by one would make the interval too narrow.
    """
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    members = _members(len(values), clusters)
    sums = np.array([values[group].sum() for group in members])  # (C,)
    sizes = np.array([len(group) for group in members])  # (C,)
    means = [sums[draw].sum(axis=1) / sizes[draw].sum(axis=1) for draw in _draws(len(members), resamples, seed)]
    return _interval(float(values.mean()), np.concatenate(means), level)


def bootstrap_statistic(
    statistic: Callable[[IndexArray], float],
    size: int,
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """`statistic` of all `size` questions with its interval, for what is no mean.

    It is called with the indices of the drawn questions and may return NaN where a draw leaves it undefined;
    such draws do not count.
    """
    if not size:
        return Interval(float("nan"), float("nan"), float("nan"))
    members = _members(size, clusters)
    values = [
        statistic(np.concatenate([members[cluster] for cluster in row]))
        for draw in _draws(len(members), resamples, seed)
        for row in draw
    ]
    return _interval(statistic(np.arange(size)), np.array(values), level)


def _members(size: int, clusters: Sequence[str] | None) -> list[IndexArray]:
    """The indices of each cluster, in order of first appearance."""
    if clusters is None:
        return list(np.arange(size)[:, None])
    if len(clusters) != size:
        raise ValueError(f"{len(clusters)} cluster names for {size} questions; give one for each")
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(clusters):
        groups.setdefault(name, []).append(place)
    return [np.array(group, dtype=np.intp) for group in groups.values()]


def _draws(clusters: int, resamples: int, seed: int) -> Iterator[IndexArray]:
    """Drawn cluster numbers with replacement, in batches (B, C) that make `resamples` rows together."""
    generator = np.random.default_rng(seed)
    batch = max(1, _DRAWS_AT_ONCE // clusters)
    for start in range(0, resamples, batch):
        yield generator.integers(0, clusters, size=(min(batch, resamples - start), clusters), dtype=np.intp)


def _interval(value: float, drawn: FloatArray, level: float) -> Interval:
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
