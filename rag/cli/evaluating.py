"""The command that measures."""

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.library import prepare_missing
from rag.cli.options import JsonOption, PassagesOption, app, configured
from rag.cli.progress import count_progress
from rag.cli.rendering import notes, out, print_json
from rag.evaluation import evaluate_answers, evaluate_retrieval, joined, parallel, read_beir, read_squad, table
from rag.evaluation.harness import Harness
from rag.evaluation.questions import QuestionSet
from rag.evaluation.report import Report


@app.command(name="eval", epilog="Example: fuente eval xquad.es.json --retrieval-only")
def evaluate(
    questions: Annotated[Path, typer.Argument(help="A SQuAD-format file, or a folder in BEIR format.")],
    passages: Annotated[
        Path | None, typer.Option(help="Parallel SQuAD-format file whose paragraphs are searched instead.")
    ] = None,
    retrieval_only: Annotated[bool, typer.Option(help="Do not write answers.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Measure on so many questions, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw and the intervals.")] = 0,
    k: PassagesOption = None,
    records: Annotated[
        Path | None, typer.Option(help="Keep every answer in this JSONL file; a second run goes on from it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure retrieval, answers and abstention on a question set, every paragraph being one passage."""
    fuente = configured(None, retrieval={"k": k})
    question_set = _read(questions, passages)
    prepare_missing(fuente, embedder_only=retrieval_only)
    notes.print(f"{len(question_set.paragraphs)} paragraphs, {len(question_set.questions)} questions; indexing")
    harness = Harness(fuente, question_set, fuente.config.models.cache / "evaluation")
    with count_progress("searching") as progress:
        report: Report = evaluate_retrieval(question_set, harness.search, limit=limit, seed=seed, progress=progress)
    if not retrieval_only:
        with count_progress("answering") as progress:
            answers = evaluate_answers(
                question_set,
                harness.answering(),
                limit=limit,
                seed=seed,
                progress=progress,
                records=records,
                settings=fuente.answer_settings(),
            )
        report = joined(report, answers)
    if json:
        print_json(report)
    else:
        out.print(table(report))


def _read(questions: Path, passages: Path | None) -> QuestionSet:
    if questions.is_dir():
        return read_beir(questions)
    return parallel(questions, passages) if passages else read_squad(questions)
