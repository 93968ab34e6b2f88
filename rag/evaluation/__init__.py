"""Measures retrieval, answers, citations and abstention on question sets, without a model or an index."""

from rag.evaluation.abstention import (
    AbstentionCounts,
    RiskCoveragePoint,
    abstention_counts,
    auroc,
    risk_coverage,
    threshold_for_refusal_rate,
)
from rag.evaluation.answers import contains, exact_match, f1, normalised
from rag.evaluation.beir import read_beir
from rag.evaluation.bootstrap import Interval, bootstrap_mean, bootstrap_statistic
from rag.evaluation.errors import EvaluationDataError, EvaluationError, EvaluationRecordsError
from rag.evaluation.questions import Paragraph, Question, QuestionSet, merged, sampled
from rag.evaluation.records import AnswerRecord
from rag.evaluation.report import joined, table, write_report
from rag.evaluation.retrieval import retrieval_scores
from rag.evaluation.run import evaluate_answers, evaluate_retrieval
from rag.evaluation.squad import parallel, read_squad

__all__ = [
    "AbstentionCounts",
    "AnswerRecord",
    "EvaluationDataError",
    "EvaluationError",
    "EvaluationRecordsError",
    "Interval",
    "Paragraph",
    "Question",
    "QuestionSet",
    "RiskCoveragePoint",
    "abstention_counts",
    "auroc",
    "bootstrap_mean",
    "bootstrap_statistic",
    "contains",
    "evaluate_answers",
    "evaluate_retrieval",
    "exact_match",
    "f1",
    "joined",
    "merged",
    "normalised",
    "parallel",
    "read_beir",
    "read_squad",
    "retrieval_scores",
    "risk_coverage",
    "sampled",
    "table",
    "threshold_for_refusal_rate",
    "write_report",
]
