"""How well a system knows when not to answer. Refusing an unanswerable question is the true positive."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AbstentionCounts:
    """Numbers of questions; the scores are NaN where their denominator is 0."""

    answered_answerable: int
    abstained_answerable: int
    answered_unanswerable: int
    abstained_unanswerable: int

    @property
    def precision(self) -> float:
        """The share of abstentions that were due."""
        return _ratio(self.abstained_unanswerable, self.abstained_answerable + self.abstained_unanswerable)

    @property
    def recall(self) -> float:
        """The share of unanswerable questions that were refused."""
        return _ratio(self.abstained_unanswerable, self.answered_unanswerable + self.abstained_unanswerable)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        wrong = self.abstained_answerable + self.answered_unanswerable
        return _ratio(2 * self.abstained_unanswerable, 2 * self.abstained_unanswerable + wrong)

    @property
    def false_refusal_rate(self) -> float:
        """The share of answerable questions that were refused."""
        return _ratio(self.abstained_answerable, self.answered_answerable + self.abstained_answerable)


@dataclass(frozen=True, slots=True)
class RiskCoveragePoint:
    """Answering from confidence `threshold` upwards answers the share `coverage` at mean loss `risk`."""

    threshold: float
    coverage: float
    risk: float


def abstention_counts(abstained: BoolArray, answerable: BoolArray) -> AbstentionCounts:
    """The four counts over arrays (N,)."""
    return AbstentionCounts(
        answered_answerable=int((~abstained & answerable).sum()),
        abstained_answerable=int((abstained & answerable).sum()),
        answered_unanswerable=int((~abstained & ~answerable).sum()),
        abstained_unanswerable=int((abstained & ~answerable).sum()),
    )


def auroc(confidences: FloatArray, positives: BoolArray) -> float:
    """The chance in [0, 1] that a positive has a higher confidence than a negative; a tie counts half.

    Both arrays have shape (N,). NaN when there are no positives or no negatives.

    Source: the Mann-Whitney statistic from mid-ranks; Fawcett, "An introduction to ROC analysis" (2006).
    """
    count = int(positives.sum())
    others = len(positives) - count
    if not count or not others:
        return float("nan")
    _, inverse, sizes = np.unique(confidences, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(sizes) - (sizes - 1) / 2  # (distinct,), the lowest has rank 1 when it is single
    return float((mid_ranks[inverse][positives].sum() - count * (count + 1) / 2) / (count * others))


def risk_coverage(confidences: FloatArray, losses: FloatArray, total: int | None = None) -> list[RiskCoveragePoint]:
    """Points by falling threshold, one for each distinct confidence, so that ties are answered together.

    Both arrays have shape (N,). `total` is the number of questions that coverage refers to, N unless some
    were refused whatever the threshold.

    Source: El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification" (2010).
    """
    order = np.argsort(-confidences, kind="stable")
    ordered = confidences[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)])  # last of each tie
    risks = np.cumsum(losses[order])[last] / (last + 1)
    total = len(confidences) if total is None else total
    return [
        RiskCoveragePoint(float(ordered[place]), (int(place) + 1) / total, float(risk))
        for place, risk in zip(last, risks, strict=True)
    ]


def threshold_for_refusal_rate(confidences: FloatArray, rate: float) -> float:
    """The highest threshold below which at most the share `rate` of the confidences (N,) lies.

    Refusing what is strictly below it refuses that share, or less where ties leave no choice. Give the
    confidences of answerable questions to bound the rate of needless refusals. Rate 1 gives infinity.

    Raises: ValueError for a rate outside [0, 1] or without confidences.
    """
    if not 0 <= rate <= 1 or not len(confidences):
        raise ValueError(f"rate {rate} over {len(confidences)} confidences; give a rate in [0, 1] and at least one")
    # The small addend keeps 0.29 * 100 from becoming 28.
    refused = int(rate * len(confidences) + 1e-9)
    return float(np.sort(confidences)[refused]) if refused < len(confidences) else float("inf")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
