"""The report of an evaluation, as JSON and as a table for the terminal."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table
from rich.text import Text

from rag.evaluation.bootstrap import LEVEL, RESAMPLES, Interval
from rag.evaluation.questions import Question, QuestionSet

Section: TypeAlias = dict[str, Any]
Report: TypeAlias = dict[str, Any]

_SECTIONS = ("retrieval", "answers", "citations", "abstention", "confidence", "speed", "words", "model", "person")


def assemble(
    question_set: QuestionSet,
    asked: Sequence[Question],
    sections: Section,
    *,
    seed: int,
    limit: int | None,
    interrupted: bool,
) -> Report:
    """The report as a JSON object: the named `sections`, and `set`, which says what they were measured on.

    An `Interval` becomes `{"value", "low", "high"}`; what is not defined becomes null. `asked` are the
    questions that the sections cover. An interrupted report has `"interrupted": true`, a whole one false.
    """
    return {
        **{name: as_json(section) for name, section in sections.items()},
        "set": {
            "name": question_set.name,
            "language": question_set.language,
            "questions": len(asked),
            "answerable": sum(not question.impossible for question in asked),
            "paragraphs": len(question_set.paragraphs),
            "seed": seed,
            "limit": limit,
        },
        "interval": {"level": LEVEL, "resamples": RESAMPLES, "clustered_by": "paragraph"},
        "interrupted": interrupted,
    }


def joined(first: Report, second: Report) -> Report:
    """One report of two over the same sample, entry by entry; where both have an entry it is the second's.

    Raises: ValueError for reports on different sets or samples.
    """
    same = ("name", "seed", "limit")
    if any(first["set"][key] != second["set"][key] for key in same):
        raise ValueError(f"{first['set']} and {second['set']} differ; join reports of one set, seed and limit")
    return {**_overlaid(first, second), "interrupted": first["interrupted"] or second["interrupted"]}


def as_json(value: Any) -> Any:
    """`value` with intervals as objects and numbers that JSON cannot hold as null, all the way down."""
    if isinstance(value, Interval):
        return {"value": number(value.value), "low": number(value.low), "high": number(value.high)}
    if isinstance(value, dict):
        return {key: as_json(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [as_json(entry) for entry in value]
    return number(value) if isinstance(value, float) else value


def number(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return value if math.isfinite(value) else None


def write_report(report: Report, path: Path) -> None:
    """Writes the report as indented JSON in UTF-8, replacing the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def table(report: Report) -> Table:
    """The report's numbers with their intervals, one a row, for a rich console."""
    drawn = Table(title=_title(report))
    drawn.add_column("")
    drawn.add_column("metric")
    for heading in ("value", "low", "high"):
        drawn.add_column(heading, justify="right")
    _add_sections(drawn, report, "")
    for language, sections in report.get("by_language", {}).items():
        _add_sections(drawn, sections, f"{language} ")
    return drawn


def _overlaid(first: Section, second: Section) -> Section:
    """`first` with the entries of `second` over it, at every depth."""
    laid = dict(first)
    for name, value in second.items():
        nested = isinstance(value, dict) and isinstance(laid.get(name), dict)
        laid[name] = _overlaid(laid[name], value) if nested else value
    return laid


def _title(report: Report) -> Text:
    # Text, because a set is named after its file, and a name with [brackets] would be read as markup.
    about = report["set"]
    state = ", interrupted" if report["interrupted"] else ""
    return Text(f"{about['name']}: {about['questions']} questions, {about['paragraphs']} paragraphs{state}")


def _add_sections(drawn: Table, sections: Report, prefix: str) -> None:
    for name in (name for name in _SECTIONS if name in sections):
        first = True
        for metric, value in sections[name].items():
            if isinstance(value, list):
                continue
            drawn.add_row(Text(f"{prefix}{name}" if first else ""), Text(metric), *_cells(value))
            first = False
        drawn.add_section()


def _cells(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [_shown(value[key]) for key in ("value", "low", "high")]
    return [_shown(value), "", ""]


def _shown(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
