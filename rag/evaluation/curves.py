"""The data of the figures about retrieval, for any program that draws."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from index.remembering import RememberingIndex
from index.search import Index
from index.settings import SearchSettings
from rag.evaluation.bootstrap import bootstrap_mean
from rag.evaluation.harness import Harness
from rag.evaluation.questions import Question, sampled
from rag.evaluation.ranks import DEPTH, Ranks, searched_ranks

Progress = Callable[[int, int], None]

# Of each way so many searches are timed.
_TIMED = 40
DENSE, LEXICAL, FUSED, RERANKED = "dense", "lexical", "fused", "reranked"


@dataclass(frozen=True, slots=True)
class RecallPoint:
    """The share of questions answered by one of the first `k` passages, with the ends of its interval."""

    k: int
    recall: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WayPoint:
    """What a way of searching finds among `k` passages, and its median time for a question, in milliseconds."""

    name: str
    recall: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Curves:
    """`recall` by k of each stage; `channels` is the share of questions whose passage is among the first `k` of both
    channels, of one alone, or of none; `ways` are ways of searching with what they cost."""

    k: int
    questions: int
    recall: Mapping[str, Sequence[RecallPoint]]
    channels: Mapping[str, float]
    ways: Sequence[WayPoint]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def curves(
    harness: Harness,
    questions: Sequence[Question],
    *,
    k: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> Curves:
    """Measures the answerable `questions` on the index of a harness; recall is at most that of ten passages."""
    configured, depth = harness.index.settings, min(k, DEPTH)
    folder, embedder = harness.index.folder, harness.fuente.embedder
    clusters = [question.paragraph_id for question in questions]
    timed = [question.text for question in sampled(questions, min(_TIMED, len(questions)), seed)]
    with (
        closing(RememberingIndex(folder, embedder)) as remembering,
        closing(Index(folder, embedder)) as first_stage,
    ):
        searched: dict[str, tuple[Index, Index, SearchSettings]] = {
            way: (remembering, first_stage, settings) for way, settings in _first_stages(configured).items()
        }
        if harness.index.reranker is not None:
            searched[RERANKED] = (harness.index, harness.index, configured)
        steps = _Steps(progress, len(searched) * (len(questions) + len(timed)))
        ranks = {
            way: searched_ranks(one, harness.name, questions, settings, steps.further(len(questions)))
            for way, (one, _, settings) in searched.items()
        }
        times = {
            way: _milliseconds(one, settings, timed, depth, steps.further(len(timed)))
            for way, (_, one, settings) in searched.items()
        }
    stages = [way for way in (DENSE, LEXICAL, FUSED, RERANKED) if way in ranks]
    return Curves(
        k=depth,
        questions=len(questions),
        recall={way: _recall(ranks[way], clusters, seed) for way in stages},
        channels=_channels(ranks[DENSE], ranks[LEXICAL], depth),
        ways=[WayPoint(way, float((ranks[way] <= depth).mean()), times[way]) for way in ranks],
    )


class _Steps:
    """The progress of several pieces of work, one after the other, as that of the whole."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._before = 0

    def further(self, size: int) -> Progress:
        """Takes the progress of the next piece, of `size` steps."""
        before, self._before = self._before, self._before + size

        def advance(done: int, _: int) -> None:
            if self._progress:
                self._progress(before + done, self._total)

        return advance


def _first_stages(configured: SearchSettings) -> dict[str, SearchSettings]:
    """Ways of searching without a second stage, by name."""
    fused = replace(configured, channel="fused")
    weights = {f"mix {weight}": replace(fused, fusion="mix", dense_weight=weight) for weight in (0.3, 0.5, 0.7, 0.9)}
    return {
        DENSE: replace(configured, channel="dense"),
        LEXICAL: replace(configured, channel="lexical"),
        FUSED: fused,
        "rrf": replace(fused, fusion="rrf"),
        **weights,
    }


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


def _milliseconds(
    index: Index, settings: SearchSettings, questions: Sequence[str], k: int, progress: Progress
) -> float:
    """The median time of a search."""
    times = []
    for number, question in enumerate(questions):
        progress(number, len(questions))
        started = time.perf_counter()
        index.search(question, k, settings=settings)
        times.append(time.perf_counter() - started)
    progress(len(questions), len(questions))
    return 1000 * statistics.median(times)
