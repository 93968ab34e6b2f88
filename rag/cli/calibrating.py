"""Fits the confidence on a question set, reports how well it does on others, and keeps it with the index."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer

from index.errors import IndexNotFoundError
from rag.cli.progress import count_progress
from rag.cli.rendering import notes, out, print_json
from rag.compose import Fuente
from rag.confidence import CALIBRATION_FILE, PROBED, UNCALIBRATED
from rag.evaluation.calibration import Judged, fitted, judged
from rag.evaluation.opening import Opened
from rag.evaluation.plots import write_confidence_plots
from rag.evaluation.report import as_json, table
from rag.evaluation.run import collect_signals


@dataclass(frozen=True, slots=True)
class Sample:
    """Which questions are asked and how: so many, drawn by `seed`; `given` hands over their own paragraph.

    `short` asks for the bare answer besides.
    """

    limit: int | None
    seed: int
    records: Path | None
    given: bool
    short: bool

    def settings(self, fuente: Fuente) -> dict[str, str]:
        """What decides an answer besides its question; records made with others do not count."""
        probe = fuente.probe.revision if fuente.probe else ""
        asked = {"paragraph": "given" if self.given else "", "besides": "short" if self.short else "", "probe": probe}
        return {**fuente.answer_settings(), **{name: value for name, value in asked.items() if value}}


def calibrated(fuente: Fuente, opened: Opened, sample: Sample, plots: Path | None, *, json: bool) -> None:
    """Collects signals, fits, reports on articles that each fit did not see, and stores the fit on all.

    Raises: IndexNotFoundError when there is no index to keep it with, TooFewQuestionsError, ExtraMissingError.
    """
    folder = fuente.config.index
    if not (folder / "fuente.db").exists():
        raise IndexNotFoundError(folder, "there is no index to keep the calibration with", "Run `fuente ingest` first")
    with count_progress("asking") as progress:
        asked, interrupted = collect_signals(
            opened.question_set,
            opened.harness.signalling(given=sample.given),
            limit=sample.limit,
            seed=sample.seed,
            progress=progress,
            records=sample.records,
            settings=sample.settings(fuente),
        )
    if interrupted:
        notes.print("interrupted; with --records the same command goes on from here")
        raise typer.Exit(130)
    found = [(question, record.signals) for question, record in asked if record.signals is not None]
    signals = [one for _, one in found]
    answerable = np.array([not question.impossible for question, _ in found], np.bool_)
    titles = {paragraph.id: paragraph.document_title for paragraph in opened.question_set.paragraphs}
    groups = [titles.get(question.paragraph_id, question.paragraph_id) for question, _ in found]
    prior = PROBED if any(one.inner for one in signals) else UNCALIBRATED
    judgement = judged(signals, answerable, groups, prior=prior, seed=sample.seed)
    report = _report(opened, judgement, sample)
    about = {"set": opened.question_set.name, "questions": len(found), "confidence": report["confidence"]}
    calibration = replace(
        fitted(signals, answerable, prior=prior),
        generator=fuente.signalling,
        embedder=fuente.embedder.name,
        about=about,
    )
    calibration.save(folder / CALIBRATION_FILE)
    if plots:
        title = f"{opened.question_set.name} · {len(found)} questions"
        written = write_confidence_plots(judgement.confidences, judgement.answerable, plots, title)
        notes.print("wrote " + ", ".join(map(str, written)))
    notes.print(f"kept as {folder / CALIBRATION_FILE}")
    if json:
        print_json(report)
    else:
        out.print(table(report))


def _report(opened: Opened, judgement: Judged, sample: Sample) -> dict[str, Any]:
    count = len(judgement.answerable)
    about = {
        "name": opened.question_set.name,
        "questions": count,
        "answerable": int(judgement.answerable.sum()),
        "paragraphs": len(opened.question_set.paragraphs),
        "given_paragraph": sample.given,
        "seed": sample.seed,
        "limit": sample.limit,
    }
    return {"set": about, "confidence": as_json(judgement.statistics(sample.seed)), "interrupted": False}
