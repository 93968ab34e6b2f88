"""From records to the numbers of a report. Intervals are bootstrapped with paragraphs as clusters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rag.evaluation.abstention import AbstentionCounts, abstention_counts, auroc, risk_coverage
from rag.evaluation.answers import contains, exact_match, f1
from rag.evaluation.bootstrap import IndexArray, Interval, bootstrap_mean, bootstrap_statistic
from rag.evaluation.questions import Question
from rag.evaluation.records import AnswerRecord, RankingRecord
from rag.evaluation.report import Section, number
from rag.evaluation.retrieval import FloatArray, retrieval_scores

# A curve of more points says no more in a report.
_CURVE_POINTS = 20


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what the system made of it."""

    question: Question
    record: AnswerRecord

    @property
    def prediction(self) -> str:
        """The text that exact match and F1 judge: empty when the system abstained."""
        short = self.record.short_text
        return "" if self.record.abstained else self.record.text if short is None else short

    @property
    def long_text(self) -> str:
        return "" if self.record.abstained else self.record.text

    @property
    def judgeable(self) -> bool:
        """Whether it is known what would be right."""
        return self.question.impossible or bool(self.question.answers)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A question with the paragraphs that were found for it."""

    question: Question
    record: RankingRecord


def retrieval_section(ranked: Sequence[Ranked], seed: int) -> Section:
    """Recall, MRR and nDCG over the answerable questions: the others have no paragraph that answers them."""
    ranked = [one for one in ranked if not one.question.impossible]
    scores = retrieval_scores(
        [one.record.paragraph_ids for one in ranked], [one.question.relevant_ids for one in ranked]
    )
    clusters = [one.question.paragraph_id for one in ranked]
    return {name: bootstrap_mean(values, seed=seed, clusters=clusters) for name, values in scores.items()}


def answers_section(answered: Sequence[Answered], seed: int) -> Section:
    """Exact match, F1 and containment over all questions by the conventions of SQuAD v2.

    Where the set has impossible questions, the same over the answerable ones alone: the former can be
    raised by refusing everything.
    """
    answered = [one for one in answered if one.judgeable]
    section = _answer_means(answered, "", seed)
    answerable = [one for one in answered if not one.question.impossible]
    if len(answerable) < len(answered):
        section |= _answer_means(answerable, "_answerable", seed)
    return section


def citations_section(answered: Sequence[Answered], seed: int) -> Section:
    """How the cited paragraphs agree with the relevant ones, over the answered answerable questions.

    `precision` is the share of relevant ones among the cited (0 without citation), `recall` whether any
    relevant one is cited, `cited` whether anything is.
    """
    answered = [one for one in answered if not one.question.impossible and not one.record.abstained]
    cited = [set(one.record.cited_paragraph_ids) for one in answered]
    right = [len(ids & set(one.question.relevant_ids)) for ids, one in zip(cited, answered, strict=True)]
    values = {
        "precision": [hits / max(1, len(ids)) for hits, ids in zip(right, cited, strict=True)],
        "recall": [float(hits > 0) for hits in right],
        "cited": [float(bool(ids)) for ids in cited],
    }
    clusters = [one.question.paragraph_id for one in answered]
    return {
        name: bootstrap_mean(np.array(column, dtype=np.float64), seed=seed, clusters=clusters)
        for name, column in values.items()
    }


def abstention_section(answered: Sequence[Answered], seed: int) -> Section:
    """Counts, their scores, the AUROC of the confidence for "answerable", and risk against coverage."""
    answered = [one for one in answered if one.judgeable]
    abstained = np.array([one.record.abstained for one in answered], dtype=np.bool_)
    answerable = np.array([not one.question.impossible for one in answered], dtype=np.bool_)
    confidences = np.array([one.record.confidence for one in answered], dtype=np.float64)
    counts = abstention_counts(abstained, answerable)

    def counted(draw: IndexArray) -> AbstentionCounts:
        return abstention_counts(abstained[draw], answerable[draw])

    statistics: dict[str, Callable[[IndexArray], float]] = {
        "precision": lambda draw: counted(draw).precision,
        "recall": lambda draw: counted(draw).recall,
        "f1": lambda draw: counted(draw).f1,
        "false_refusal_rate": lambda draw: counted(draw).false_refusal_rate,
        "auroc": lambda draw: auroc(confidences[draw], answerable[draw]),
    }
    clusters = [one.question.paragraph_id for one in answered]
    section: Section = {
        "answered_answerable": counts.answered_answerable,
        "abstained_answerable": counts.abstained_answerable,
        "answered_unanswerable": counts.answered_unanswerable,
        "abstained_unanswerable": counts.abstained_unanswerable,
    }
    for name, statistic in statistics.items():
        section[name] = bootstrap_statistic(statistic, len(answered), seed=seed, clusters=clusters)
    section["risk_coverage"] = _risk_coverage(answered)
    return section


def answer_speed_section(answered: Sequence[Answered]) -> Section:
    """Seconds for a question and to the first token, and tokens a second over all questions."""
    seconds = np.array([one.record.seconds for one in answered], dtype=np.float64)
    waits = [one.record.time_to_first_token_s for one in answered]
    first = np.array([wait for wait in waits if wait is not None], dtype=np.float64)
    tokens = sum(one.record.generated_tokens for one in answered)
    return {
        **_quantiles("seconds_per_question", seconds),
        **_quantiles("time_to_first_token_s", first),
        "generated_tokens_per_second": _rate(tokens, seconds),
    }


def search_speed_section(ranked: Sequence[Ranked]) -> Section:
    """Seconds of search for a question, as its share of the batch, and searches a second."""
    seconds = np.array([one.record.seconds for one in ranked], dtype=np.float64)
    return {
        **_quantiles("seconds_per_search", seconds),
        "searches_per_second": _rate(len(ranked), seconds),
    }


def _answer_means(answered: Sequence[Answered], suffix: str, seed: int) -> Section:
    clusters = [one.question.paragraph_id for one in answered]

    def mean(score: Callable[[Answered], float]) -> Interval:
        values: FloatArray = np.array([score(one) for one in answered], dtype=np.float64)
        return bootstrap_mean(values, seed=seed, clusters=clusters)

    return {
        f"exact_match{suffix}": mean(
            lambda one: exact_match(one.prediction, one.question.answers, one.question.language)
        ),
        f"f1{suffix}": mean(lambda one: f1(one.prediction, one.question.answers, one.question.language)),
        f"contains{suffix}": mean(lambda one: contains(one.long_text, one.question.answers, one.question.language)),
    }


def _risk_coverage(answered: Sequence[Answered]) -> list[Section]:
    """At most 20 points; the risk is 1 - F1 of what was answered."""
    given = [one for one in answered if not one.record.abstained]
    losses = np.array([1 - f1(one.prediction, one.question.answers, one.question.language) for one in given])
    confidences = np.array([one.record.confidence for one in given], dtype=np.float64)
    points = risk_coverage(confidences, losses, total=len(answered))
    places = np.unique(np.linspace(0, len(points) - 1, min(_CURVE_POINTS, len(points))).round().astype(int))
    return [
        {"threshold": point.threshold, "coverage": point.coverage, "risk": point.risk}
        for point in (points[place] for place in places)
    ]


def _quantiles(name: str, values: FloatArray) -> Section:
    if not len(values):
        return {f"{name}_median": None, f"{name}_p95": None}
    median, high = np.quantile(values, [0.5, 0.95])
    return {f"{name}_median": float(median), f"{name}_p95": float(high)}


def _rate(count: int, seconds: FloatArray) -> float | None:
    total = float(seconds.sum())
    return number(count / total) if total > 0 else None
