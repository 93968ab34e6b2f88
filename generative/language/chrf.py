"""chrF: how much of the letters of a translation and of its reference agree."""

from collections import Counter
from collections.abc import Sequence

_ORDERS = range(1, 7)
_BETA = 2.0  # recall counts twice as much as precision


def chrf(made: Sequence[str], references: Sequence[str]) -> float:
    """chrF2 from 0 to 1 over all pairs together: the F-score of n-grams of 1 to 6 letters, spaces left out.

    Source: Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"; orders that no reference
    and no translation is long enough for are left out of the mean, as sacrebleu does.
    """
    scores = []
    for order in _ORDERS:
        shared = own = wanted = 0
        for one, other in zip(made, references, strict=True):
            ours, theirs = _grams(one, order), _grams(other, order)
            shared += (ours & theirs).total()
            own, wanted = own + ours.total(), wanted + theirs.total()
        if own and wanted:
            scores.append(_f_score(shared / own, shared / wanted))
    return sum(scores) / len(scores) if scores else 0.0


def _grams(text: str, order: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[start : start + order] for start in range(len(letters) - order + 1))


def _f_score(precision: float, recall: float) -> float:
    if precision + recall == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)
