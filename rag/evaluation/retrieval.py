"""How well ranked paragraphs find the relevant ones, question by question."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

RECALL_DEPTHS = (1, 3, 5, 10)
_DEPTH = 10


def retrieval_scores(rankings: Sequence[Sequence[str]], relevant: Sequence[Sequence[str]]) -> dict[str, FloatArray]:
    """Arrays (N,) in [0, 1] named `recall@1`, `recall@3`, `recall@5`, `recall@10`, `mrr@10` and `ndcg@10`.

    `rankings[i]` are paragraph ids, best first; an id that comes again is ignored, so the chunks of one
    paragraph take one rank. `relevant[i]` are the ids to find, at least one.

    Raises: ValueError for different lengths, or a question without a relevant id.
    """
    pairs = list(zip(rankings, relevant, strict=True))
    gains = [_gains(ranked, set(wanted)) for ranked, wanted in pairs]
    totals = [len(set(wanted)) for _, wanted in pairs]
    scores = {
        f"recall@{depth}": [recall(gain, total, depth) for gain, total in zip(gains, totals, strict=True)]
        for depth in RECALL_DEPTHS
    }
    scores["mrr@10"] = [reciprocal_rank(gain, _DEPTH) for gain in gains]
    scores["ndcg@10"] = [ndcg(gain, total, _DEPTH) for gain, total in zip(gains, totals, strict=True)]
    return {name: np.array(values, dtype=np.float64) for name, values in scores.items()}


def recall(gains: Sequence[bool], total: int, depth: int) -> float:
    """The share in [0, 1] of the `total` relevant paragraphs among the first `depth`."""
    return sum(gains[:depth]) / total


def reciprocal_rank(gains: Sequence[bool], depth: int) -> float:
    """1 / rank of the first relevant paragraph among the first `depth`, 0 when there is none."""
    return next((1 / rank for rank, gain in enumerate(gains[:depth], start=1) if gain), 0.0)


def ndcg(gains: Sequence[bool], total: int, depth: int) -> float:
    """Discounted gain of the first `depth` over that of the best order, in [0, 1].

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with binary
    gains and the discount 1 / log2(rank + 1).
    """
    discounts = 1 / np.log2(np.arange(2, depth + 2))  # (depth,)
    gained = float(discounts[: len(gains[:depth])] @ np.array(gains[:depth], dtype=np.float64))
    return min(1.0, gained / float(discounts[:total].sum()))


def _gains(ranked: Sequence[str], wanted: set[str]) -> list[bool]:
    if not wanted:
        raise ValueError("a question has no relevant paragraph; leave such questions out of the retrieval scores")
    return [paragraph_id in wanted for paragraph_id in dict.fromkeys(ranked)]
