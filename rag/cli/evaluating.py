"""The commands that measure: on a question set, and by writing one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ingest.language import detect_language
from rag.cli.calibrating import Sample, calibrated
from rag.cli.library import prepare_missing
from rag.cli.options import (
    CautionOption,
    IndexOption,
    JsonOption,
    PassagesOption,
    StyleOption,
    app,
    configured,
)
from rag.cli.progress import count_progress
from rag.cli.rendering import notes, out, print_json
from rag.compose import Fuente
from rag.evaluation import evaluate_answers, evaluate_retrieval, joined, table
from rag.evaluation.building import QuestionWriter
from rag.evaluation.curves import curves
from rag.evaluation.judge import verdict
from rag.evaluation.opening import Opened, open_set, read_set
from rag.evaluation.plots import figure_class, write_plots
from rag.evaluation.questions import Question
from rag.evaluation.ratings import RATINGS, Rated, judged, ratings_report, read_ratings, to_rate, write_ratings
from rag.evaluation.records import kept_answers
from rag.evaluation.report import Report
from rag.phrases import LANGUAGES


class _RunByDefault(TyperGroup):
    """`eval FILE` is `eval run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


_eval = typer.Typer(
    cls=_RunByDefault, no_args_is_help=True, help="Measure on a question set, or write one over your documents."
)
app.add_typer(_eval, name="eval")


@_eval.command(epilog="Example: fuente eval run xquad.es.json --retrieval-only, or shorter: fuente eval xquad.es.json")
def run(
    questions: Annotated[
        Path, typer.Argument(help="A file of `eval build`, one in SQuAD format, or a folder in BEIR format.")
    ],
    index: IndexOption = None,
    passages: Annotated[
        Path | None, typer.Option(help="Parallel SQuAD-format file whose paragraphs are searched instead.")
    ] = None,
    chunked: Annotated[
        bool, typer.Option(help="Cut whole documents as your files are cut, instead of one passage a paragraph.")
    ] = False,
    retrieval_only: Annotated[bool, typer.Option(help="Do not write answers.")] = False,
    answers_only: Annotated[
        bool, typer.Option("--answers-only", help="Judge retrieval by the passages of the answers alone.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Measure on so many questions, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw and the intervals.")] = 0,
    k: PassagesOption = None,
    rerank: Annotated[
        str | None,
        typer.Option(help="auto, late, likelihood, none, or a cross-encoder, instead of what is configured."),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(help="Keep what was done (answers, or rankings without them) in this JSONL file, to go on from."),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw recall, channels and latency here; with --calibrate, the confidence."),
    ] = None,
    given_paragraph: Annotated[
        bool, typer.Option("--given-paragraph", help="Hand over the question's own paragraph in place of a search.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit the confidence on this set and keep it with the index.")
    ] = False,
    short: Annotated[
        bool, typer.Option("--short", help="Judge exact match and F1 by a short answer asked for besides.")
    ] = False,
    style: StyleOption = None,
    caution: CautionOption = None,
    json: JsonOption = False,
) -> None:
    """Measure retrieval, answers and abstention: a set of `eval build` on your own index, others on their own text."""
    # Before any work: models are loaded and sets indexed below.
    if retrieval_only and (answers_only or given_paragraph):
        raise typer.BadParameter("--retrieval-only goes with neither --answers-only nor --given-paragraph")
    if plots:
        figure_class()
    fuente = configured(index, retrieval={"k": k, "rerank": rerank}, generation={"style": style, "caution": caution})
    prepare_missing(fuente, embedder_only=retrieval_only)
    opened = open_set(fuente, questions, tell=notes.print, passages=passages, chunked=chunked)
    if given_paragraph and not opened.by_paragraph:
        raise typer.BadParameter("--given-paragraph goes with a public set whose paragraphs are the passages")
    sample = Sample(limit, seed, records, given_paragraph, short)
    if calibrate:
        calibrated(fuente, opened, sample, plots, json=json)
        return
    report: Report = {}
    if not (answers_only or given_paragraph):
        report = _retrieval(fuente, opened, sample, records if retrieval_only else None)
    if not retrieval_only:
        answers = _answers(fuente, opened, sample)
        report = joined(report, answers) if report else answers
    if plots:
        _draw(opened, plots, fuente.config.retrieval.k, limit, seed)
    if json:
        print_json(report)
    else:
        out.print(table(report))


@_eval.command(epilog="Example: fuente eval build questions.json --questions 60")
def build(
    file: Annotated[Path, typer.Argument(help="Where to write the questions; what exists is not overwritten.")],
    index: IndexOption = None,
    questions: Annotated[int, typer.Option(min=1, help="How many; a quarter of them without an answer.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the passages that are asked about.")] = 0,
    language: Annotated[
        list[str] | None, typer.Option(help="es, pt or en; may be given several times [default: all].")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Let the local model write questions about your documents, for you to review; Ctrl-C and run again to go on."""
    languages = language or list(LANGUAGES)
    unknown = set(languages) - set(LANGUAGES)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: known are {', '.join(LANGUAGES)}")
    fuente = configured(index)
    prepare_missing(fuente)
    writer = QuestionWriter(fuente.index, fuente.generator, seed=seed, languages=languages)
    try:
        with count_progress("writing questions") as progress:
            built = writer.build(file, questions, progress=progress)
    except KeyboardInterrupt:
        notes.print("interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    if json:
        counts = {"answerable": built.answerable, "unanswerable": built.unanswerable, "hard": built.hard}
        print_json({"file": str(file), **counts, "left_out": dict(built.left_out)})
        return
    out.print(f"{built.answerable} questions, {built.hard} of them hard to find, and {built.unanswerable} unanswerable")
    for reason, times in sorted(built.left_out.items(), key=lambda pair: -pair[1]):
        out.print(f"  left out {times}: {reason}")
    out.print(f'Review {file}: set "status" to "accepted" or "rejected". Then: fuente eval {file}')


@_eval.command(epilog="Example: fuente eval rate questions.json answers.jsonl ratings.json --limit 50 --model")
def rate(
    questions: Annotated[Path, typer.Argument(help="The set that was answered.")],
    records: Annotated[Path, typer.Argument(help="The file of `fuente eval run … --records`.")],
    ratings: Annotated[Path, typer.Argument(help="The file to rate in; what it holds already is kept.")],
    model: Annotated[bool, typer.Option("--model", help="Let the generator judge them, too.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Rate so many answers, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw and the intervals.")] = 0,
    json: JsonOption = False,
) -> None:
    """Rate kept answers by hand, let the model judge them, and see how far both and the counting of words agree."""
    question_set = read_set(questions)
    if ratings.exists():
        rated = read_ratings(ratings, question_set)
    else:
        rated = to_rate(question_set, kept_answers(records), records, limit, seed)
    if model:
        rated = _judged(configured(None), rated)
    if model or not ratings.exists():
        write_ratings(ratings, question_set.name, rated)
    report = ratings_report(question_set.name, rated, seed)
    if json:
        print_json(report)
    else:
        out.print(table(report))
    open_ones = sum(one.rating is None for one in rated)
    if open_ones:
        choices = ", ".join(f'"{name}"' for name in RATINGS)
        notes.print(
            f"{open_ones} answers in {ratings} are not rated: put {choices} in place of null, then run it again"
        )


def _judged(fuente: Fuente, rated: Sequence[Rated]) -> list[Rated]:
    prepare_missing(fuente)

    def judge(question: Question, answer: str) -> float:
        language = question.language or detect_language(question.text, candidates=LANGUAGES)
        return verdict(fuente.generator, question.text, question.answers, answer, language)

    with count_progress("judging") as progress:
        return judged(rated, judge, progress)


def _retrieval(fuente: Fuente, opened: Opened, sample: Sample, records: Path | None) -> Report:
    with count_progress("searching") as progress:
        return evaluate_retrieval(
            opened.question_set,
            opened.harness.search,
            limit=sample.limit,
            seed=sample.seed,
            progress=progress,
            records=records,
            settings={**fuente.answer_settings(), **_named_reranker(fuente)},
        )


def _named_reranker(fuente: Fuente) -> dict[str, str]:
    named = fuente.config.models.reranker
    return {"reranker": named} if named else {}


def _answers(fuente: Fuente, opened: Opened, sample: Sample) -> Report:
    with count_progress("answering") as progress:
        return evaluate_answers(
            opened.question_set,
            opened.harness.answering(given=sample.given, short=sample.short),
            limit=sample.limit,
            seed=sample.seed,
            progress=progress,
            records=sample.records,
            settings=sample.settings(fuente),
            together=fuente.config.models.together,
        )


def _draw(opened: Opened, folder: Path, k: int, limit: int | None, seed: int) -> None:
    questions = opened.answerable(limit, seed)
    with count_progress("measuring for the plots") as progress:
        written = write_plots(curves(opened.harness, questions, k=k, seed=seed, progress=progress), folder)
    notes.print("wrote " + ", ".join(str(path) for path in written))
