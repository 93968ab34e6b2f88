"""The command that tunes retrieval."""

import hashlib
import json as json_format
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from index.remembering import RememberingIndex
from rag.cli.library import prepare_missing
from rag.cli.options import IndexOption, JsonOption, app, configured
from rag.cli.progress import count_progress
from rag.cli.rendering import notes, out, print_json
from rag.evaluation.bootstrap import IndexArray, Interval
from rag.evaluation.documents import moved_to
from rag.evaluation.opening import Opened, open_set
from rag.evaluation.plots import figure_class, write_tuning_plots
from rag.evaluation.questions import Question
from rag.evaluation.ranks import Ranks, searched_ranks
from rag.evaluation.records import RecordFile, about_set
from rag.evaluation.report import as_json
from rag.evaluation.toml_file import difference, replace_text, toml_editor, with_keys
from rag.evaluation.tuning import NO_RERANK, Choice, Search, Tuned, divided, optimiser
from rag.evaluation.tuning import tune as tune_settings

_USUAL_RERANK = "auto"
_READ_AT_ONCE = 64


@app.command(epilog="Example: fuente tune questions.json --trials 100 --dry-run")
def tune(
    questions: Annotated[
        Path, typer.Argument(help="A file of `eval build`, one in SQuAD format, or a folder in BEIR format.")
    ],
    index: IndexOption = None,
    chunked: Annotated[bool, typer.Option(help="As in `fuente eval`.")] = False,
    limit: Annotated[int | None, typer.Option(min=20, help="Use so many questions, drawn at random.")] = None,
    second_stage: Annotated[
        bool, typer.Option("--rerank/--no-rerank", help="Whether the second stage is tried; it takes most of the time.")
    ] = True,
    trials: Annotated[int, typer.Option(min=1, help="How many settings to try.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the division, the search and the intervals.")] = 0,
    output: Annotated[Path, typer.Option(help="Configuration file whose keys are set.")] = Path("fuente.toml"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write although the gain is not beyond doubt.")] = False,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the trials and the gain here.")] = None,
    json: JsonOption = False,
) -> None:
    """Search better settings of retrieval on half of the questions; write them if the other half finds more."""
    optimiser()
    toml_editor()
    if plots:
        figure_class()  # before hours of work
    fuente = configured(index)
    prepare_missing(fuente, embedder_only=True)
    opened = open_set(fuente, questions, tell=notes.print, chunked=chunked)
    try:
        tuned = _tuned(opened, _reranks(opened, second_stage), limit, trials, seed)
    except KeyboardInterrupt:
        notes.print("interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    if plots:
        notes.print("wrote " + ", ".join(map(str, write_tuning_plots(tuned, plots))))
    before, after = with_keys(output, {"retrieval": tuned.changes()})
    written = bool(tuned.changes()) and (tuned.is_better or force) and not dry_run
    if written:
        replace_text(output, after)
    if json:
        print_json(_as_json(tuned, str(output) if written else None))
        return
    _show(tuned)
    out.print(difference(output, before, after))
    notes.print(_outcome(tuned, output, written, dry_run))


def _tuned(opened: Opened, reranks: Sequence[str], limit: int | None, trials: int, seed: int) -> Tuned:
    fuente = opened.harness.fuente
    asked = opened.answerable(limit, seed)
    rerank = reranks[-1] if fuente.config.retrieval.rerank != NO_RERANK else NO_RERANK
    before = Choice(fuente.search_settings(), rerank)
    about = about_set(
        opened.question_set, {"seed": str(seed), "limit": str(limit), "before": str(before), "reranks": str(reranks)}
    )
    about["index"] = f"{opened.harness.index.folder} {opened.harness.index.generation.number}"
    name = hashlib.sha256(json_format.dumps(about).encode()).hexdigest()[:16]
    part = fuente.config.models.cache / "evaluation" / f"tune-{name}.part"
    search = _search(opened, asked, reranks)
    with ExitStack() as stack:
        records = stack.enter_context(RecordFile(part, "tuning trials", about))
        progress = stack.enter_context(count_progress("trying settings"))
        tuned = tune_settings(
            search,
            divided(opened.question_set, asked, seed),
            before,
            reranks=reranks,
            k=fuente.config.retrieval.k,
            trials=trials,
            seed=seed,
            records=records,
            progress=progress,
        )
    part.unlink()
    return tuned


def _reranks(opened: Opened, second_stage: bool) -> list[str]:
    """The second stages to try: none, and the configured one, or the usual where none is configured.

    Raises: ValueError where the one that is configured is not to be tried.
    """
    wanted = opened.harness.fuente.config.retrieval.rerank
    if not second_stage:
        if wanted != NO_RERANK:
            raise ValueError(f'retrieval.rerank is "{wanted}". Leave out --no-rerank, or set it to "none"')
        return [NO_RERANK]
    wanted = _USUAL_RERANK if wanted == NO_RERANK else wanted
    moved = moved_to(opened.harness.fuente, opened.harness.index.folder, rerank=wanted)
    return [NO_RERANK] if moved.index.reranker is None else [NO_RERANK, wanted]


def _search(opened: Opened, asked: Sequence[Question], reranks: Sequence[str]) -> Search:
    harness = opened.harness
    folder = harness.index.folder
    plain = RememberingIndex(folder, harness.fuente.embedder)
    with count_progress("reading questions") as progress:
        for start in range(0, len(asked), _READ_AT_ONCE):
            progress(start, len(asked))
            plain.embedder.encode_queries([question.text for question in asked[start : start + _READ_AT_ONCE]])

    def reranked(rerank: str) -> RememberingIndex:
        moved = moved_to(harness.fuente, folder, rerank=rerank)
        return RememberingIndex(folder, plain.embedder, load_reranker=lambda: moved.index.reranker)

    indexes = {rerank: plain if rerank == NO_RERANK else reranked(rerank) for rerank in reranks}

    def ranks(choice: Choice, places: IndexArray) -> Ranks:
        return searched_ranks(indexes[choice.rerank], harness.name, [asked[place] for place in places], choice.settings)

    return ranks


def _show(tuned: Tuned) -> None:
    out.print(f"tuned on {tuned.tuned_on} questions; on the {tuned.held_back} held back:")
    out.print(f"  MRR@10    {_shown(tuned.before)} before, {_shown(tuned.after)} after")
    out.print(f"  gain      {_shown(tuned.gain, sign=True)}")
    out.print(f"  recall@{tuned.before_k}  {_shown(tuned.recall_before)} before")
    out.print(f"  recall@{tuned.k}  {_shown(tuned.recall_after)} after")


def _outcome(tuned: Tuned, output: Path, written: bool, dry_run: bool) -> str:
    if written:
        return f"Wrote these keys into {output}."
    if not tuned.changes():
        return "No setting was found that is better than the present one; nothing was written."
    if not tuned.is_better:
        return "The gain on the questions held back is not above zero beyond doubt; nothing was written (--force does)."
    return "Nothing was written." if dry_run else ""


def _shown(interval: Interval, *, sign: bool = False) -> str:
    plus = "+" if sign else ""
    return f"{interval.value:{plus}.3f} [{interval.low:{plus}.3f}, {interval.high:{plus}.3f}]"


def _as_json(tuned: Tuned, written: str | None) -> dict[str, Any]:
    names = ("tuned_on", "held_back", "before", "after", "gain", "recall_before", "recall_after", "before_k", "k")
    tried = [{**choice.keys(), "mrr@10": value} for choice, value in tuned.tried]
    found: dict[str, Any] = as_json({name: getattr(tuned, name) for name in names})
    return {**found, "changes": {"retrieval": tuned.changes()}, "written": written, "tried": tried}
