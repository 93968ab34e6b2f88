"""Fits the confidence on questions of which it is known whether they have an answer, and judges it on others.

Questions of one article go together: what is fitted on some articles is judged on the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from rag.confidence import SIGNALS, UNCALIBRATED, Calibration, Signals
from rag.evaluation.abstention import BoolArray, FloatArray, auroc, threshold_for_refusal_rate
from rag.evaluation.bootstrap import IndexArray, Interval, bootstrap_statistic
from rag.evaluation.errors import TooFewQuestionsError

_FOLDS = 5
# Of either kind of question; fewer say nothing about the rest.
_FEWEST = 20
# As if so many questions had confirmed the weights that were there before: a few questions move them little.
_PRIOR = 5.0
# Of the signals, as measured on squad-es and rounded: a signal of wide range needs a narrow prior to weigh the same.
_VARIANCES = {"reading": 4.0, "coverage": 0.05, "retrieval": 0.5, "unknown": 0.5, "inner": 1.5}
_STEPS = 50
_NEEDLESS = 0.15


@dataclass(frozen=True, slots=True)
class Judged:
    """Questions with the confidence (N,) that was fitted on other articles, and whether they have an answer (N,)."""

    confidences: FloatArray
    answerable: BoolArray
    groups: tuple[str, ...]

    def statistics(self, seed: int) -> dict[str, Interval]:
        """AUROC, Brier score, calibration error, and the share wrongly answered, each with its interval."""
        measures = {
            "auroc": lambda draw: auroc(self.confidences[draw], self.answerable[draw]),
            "brier": lambda draw: float(np.mean((self.confidences[draw] - self.answerable[draw]) ** 2)),
            "calibration_error": lambda draw: calibration_error(self.confidences[draw], self.answerable[draw]),
            "wrongly_answered": lambda draw: wrongly_answered(self.confidences[draw], self.answerable[draw]),
        }
        count = len(self.answerable)
        return {
            name: bootstrap_statistic(measure, count, seed=seed, clusters=self.groups)
            for name, measure in measures.items()
        }


@dataclass(frozen=True, slots=True)
class Bin:
    """Questions of like confidence: its mean, the share of them with an answer, and their number."""

    confidence: float
    answerable: float
    count: int


def fitted(signals: Sequence[Signals], answerable: BoolArray, *, prior: Calibration = UNCALIBRATED) -> Calibration:
    """The weights that make the answers known likeliest, held near those of `prior`.

    Source: logistic regression by Newton's method with a Gaussian prior; Bishop 2006, "Pattern Recognition and Machine
    Learning", section 4.3.3.
    """
    names = list(SIGNALS)
    x = np.array([[*one.as_dict().values(), 1.0] for one in signals])  # (N, S + 1)
    start = np.array([*(prior.weights[name] for name in names), prior.bias])
    precision = _PRIOR * np.array([*(_VARIANCES[name] for name in names), 1.0])
    weights = start.copy()
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -50, 50)))
        gradient = x.T @ (p - answerable) + precision * (weights - start)
        hessian = (x * (p * (1.0 - p))[:, None]).T @ x + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-6:
            break
    return Calibration(dict(zip(names, weights[:-1].tolist(), strict=True)), float(weights[-1]))


def judged(
    signals: Sequence[Signals],
    answerable: BoolArray,
    groups: Sequence[str],
    *,
    prior: Calibration = UNCALIBRATED,
    seed: int = 0,
) -> Judged:
    """Each question with the confidence of weights that were fitted without its group.

    Raises: TooFewQuestionsError for fewer than 20 questions with an answer, or without.
    """
    rarer = int(min(answerable.sum(), (~answerable).sum()))
    if rarer < _FEWEST:
        kind = "questions with an answer" if answerable.sum() < (~answerable).sum() else "questions without an answer"
        raise TooFewQuestionsError(rarer, _FEWEST, kind=kind, purpose="calibrate the confidence")
    fold = _folds(groups, seed)
    confidences = np.zeros(len(answerable))
    for number in range(_FOLDS):
        inside = fold != number
        calibration = fitted(list(compress(signals, inside)), answerable[inside], prior=prior)
        confidences[~inside] = [calibration.confidence(one) for one in compress(signals, ~inside)]
    return Judged(confidences, answerable, tuple(groups))


def reliability(confidences: FloatArray, answerable: BoolArray, bins: int = 10) -> list[Bin]:
    """Bins of equally many questions, by rising confidence.

    Source: Niculescu-Mizil and Caruana 2005, "Predicting Good Probabilities with Supervised Learning".
    """
    order = np.argsort(confidences, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [Bin(float(confidences[part].mean()), float(answerable[part].mean()), len(part)) for part in parts]


def calibration_error(confidences: FloatArray, answerable: BoolArray) -> float:
    """The mean distance in [0, 1] of confidence from what came true, over ten bins of equally many questions."""
    bins = reliability(confidences, answerable)
    return sum(one.count * abs(one.confidence - one.answerable) for one in bins) / max(1, len(confidences))


def wrongly_answered(confidences: FloatArray, answerable: BoolArray, needless: float = _NEEDLESS) -> float:
    """The share of questions without an answer that are tried where at most `needless` of the others are refused."""
    if answerable.all() or not answerable.any():
        return float("nan")
    threshold = threshold_for_refusal_rate(confidences[answerable], needless)
    return float((confidences[~answerable] >= threshold).mean())


def _folds(groups: Sequence[str], seed: int) -> IndexArray:
    """A fold for each question, the same for those of a group."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {name: int(place) % _FOLDS for name, place in zip(names, order, strict=True)}
    return np.array([fold_of[group] for group in groups], dtype=np.intp)
