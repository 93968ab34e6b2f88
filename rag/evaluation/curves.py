"""The data of the figures about retrieval, for any program that draws."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from index.search import Index, SearchSettings
from rag.evaluation.bootstrap import bootstrap_mean
from rag.evaluation.channels import DEPTH, ChannelScores, Ranks, searched_ranks
from rag.evaluation.harness import Harness
from rag.evaluation.questions import Question, sampled

# Of each setting so many searches are timed.
_TIMED = 40
CONFIGURED = "configured"
# Ways of searching without a second stage.
_WAYS = {
    "dense": SearchSettings("dense"),
    "lexical": SearchSettings("lexical"),
    "rrf": SearchSettings(fusion="rrf"),
    **{f"mix {weight}": SearchSettings(dense_weight=weight) for weight in (0.3, 0.5, 0.7, 0.9)},
}


@dataclass(frozen=True, slots=True)
class RecallPoint:
    """The share of questions answered by one of the first `k` passages, with the ends of its interval."""

    k: int
    recall: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SettingPoint:
    """What a way of searching finds among `k` passages, and its median time for a question, in milliseconds."""

    name: str
    recall: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Curves:
    """`recall` by k for each channel and for what is configured; `channels` is the share of questions whose passage
    is among the first `k` of both channels, of one alone, or of none; `settings` are ways of searching tried."""

    k: int
    questions: int
    recall: Mapping[str, Sequence[RecallPoint]]
    channels: Mapping[str, float]
    settings: Sequence[SettingPoint]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def curves(
    harness: Harness,
    questions: Sequence[Question],
    *,
    k: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Curves:
    """Measures the answerable `questions` on the index of a harness; recall is at most that of ten passages."""
    configured, depth = harness.index.settings, min(k, DEPTH)
    scores = ChannelScores.of(harness, questions, width=max(100, configured.candidates), progress=progress)
    ranks = {name: scores.ranks(settings) for name, settings in _WAYS.items()}
    ranks[CONFIGURED] = searched_ranks(harness.index, harness.name, questions, configured, progress)
    clusters = [question.paragraph_id for question in questions]
    timed = [question.text for question in sampled(questions, min(_TIMED, len(questions)), seed)]
    with closing(Index(harness.index.folder, harness.index.embedder)) as first_stage:
        times = {name: _milliseconds(first_stage, settings, timed, depth) for name, settings in _WAYS.items()}
    times[CONFIGURED] = _milliseconds(harness.index, configured, timed, depth)
    return Curves(
        k=depth,
        questions=len(questions),
        recall={name: _recall(ranks[name], clusters, seed) for name in ("dense", "lexical", CONFIGURED)},
        channels=_channels(ranks["dense"], ranks["lexical"], depth),
        settings=[SettingPoint(name, float((ranks[name] <= depth).mean()), times[name]) for name in ranks],
    )


def _recall(ranks: Ranks, clusters: Sequence[str], seed: int) -> list[RecallPoint]:
    points = []
    for k in range(1, DEPTH + 1):
        interval = bootstrap_mean((ranks <= k).astype(np.float64), seed=seed, clusters=clusters)
        points.append(RecallPoint(k, interval.value, interval.low, interval.high))
    return points


def _channels(dense: Ranks, lexical: Ranks, k: int) -> dict[str, float]:
    by_meaning, by_words = dense <= k, lexical <= k
    return {
        "both": float((by_meaning & by_words).mean()),
        "dense only": float((by_meaning & ~by_words).mean()),
        "lexical only": float((by_words & ~by_meaning).mean()),
        "none": float((~by_meaning & ~by_words).mean()),
    }


def _milliseconds(index: Index, settings: SearchSettings, questions: Sequence[str], k: int) -> float:
    times = []
    for question in questions:
        started = time.perf_counter()
        index.search(question, k, settings=settings)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
