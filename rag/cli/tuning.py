"""The command that tunes retrieval."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from index.search import SearchSettings
from rag.cli.library import prepare_missing
from rag.cli.options import IndexOption, JsonOption, configured
from rag.cli.progress import count_progress, sync_progress
from rag.cli.question_sets import Opened, open_set
from rag.cli.rendering import notes, out, print_json
from rag.evaluation.bootstrap import Interval
from rag.evaluation.channels import ChannelScores, Ranks, searched_ranks
from rag.evaluation.documents import moved_to
from rag.evaluation.harness import Harness
from rag.evaluation.questions import Question
from rag.evaluation.rechunking import recut
from rag.evaluation.report import as_json
from rag.evaluation.toml_file import toml_editor, write_keys
from rag.evaluation.tuning import MOST_CANDIDATES, NO_RERANK, Choice, Searches, Tuned, optimiser
from rag.evaluation.tuning import tune as tune_settings

_CHUNK_TOKENS = (96, 160, 256, 384)
_USUAL_RERANK = "auto"


def tune(
    questions: Annotated[
        Path, typer.Argument(help="A file of `eval build`, one in SQuAD format, or a folder in BEIR format.")
    ],
    index: IndexOption = None,
    chunked: Annotated[bool, typer.Option(help="As in `fuente eval`.")] = False,
    rechunk: Annotated[
        bool, typer.Option(help="Try sizes of chunks, too, on temporary copies of the index; takes long.")
    ] = False,
    trials: Annotated[int, typer.Option(min=1, help="How many settings to try.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the division, the search and the intervals.")] = 0,
    output: Annotated[Path, typer.Option(help="Configuration file whose keys are set.")] = Path("fuente.toml"),
    json: JsonOption = False,
) -> None:
    """Search better settings of retrieval on half of the questions; write them if the other half finds more."""
    optimiser()
    toml_editor()
    fuente = configured(index)
    prepare_missing(fuente, embedder_only=True)
    opened = open_set(fuente, questions, chunked=chunked)
    if rechunk and not (opened.own or chunked):
        raise ValueError(f"{questions}: its paragraphs are passages that are not cut. Give --chunked with --rechunk")
    asked = opened.answerable(None, seed)
    reranks = _reranks(opened.harness)
    present = reranks[-1] if fuente.config.retrieval.rerank != NO_RERANK else NO_RERANK
    before = Choice(fuente.search_settings(), fuente.config.ingest.chunk_tokens, present)
    with _searches(opened, asked, before, reranks, rechunk) as searches, count_progress("trying") as progress:
        k = fuente.config.retrieval.k
        tuned = tune_settings(
            searches, asked, before, reranks=reranks, k=k, trials=trials, seed=seed, progress=progress
        )
    if tuned.is_better:
        write_keys(output, tuned.changes())
    if json:
        print_json(_as_json(tuned, output))
    else:
        _show(tuned, output)


def _reranks(harness: Harness) -> list[str]:
    """The second stages to try: none, and the configured one, or the usual where none is configured."""
    configured_one = harness.fuente.config.retrieval.rerank
    wanted = _USUAL_RERANK if configured_one == NO_RERANK else configured_one
    reranker = moved_to(harness.fuente, harness.index.folder, rerank=wanted).index.reranker
    return [NO_RERANK] if reranker is None else [NO_RERANK, wanted]


@contextmanager
def _searches(
    opened: Opened, asked: Sequence[Question], before: Choice, reranks: Sequence[str], rechunk: bool
) -> Iterator[dict[int, Searches]]:
    """What is searched, by size of chunks."""
    width = max(MOST_CANDIDATES, before.settings.candidates)
    with tempfile.TemporaryDirectory(prefix="fuente-tune-") as folder:
        found = {}
        for size in sorted({before.chunk_tokens, *(_CHUNK_TOKENS if rechunk else ())}):
            harness = opened.harness
            if size != before.chunk_tokens:
                with sync_progress() as progress:
                    harness = recut(harness, Path(folder) / str(size), size, progress=progress)
            with count_progress(f"searching, {size} tokens a chunk") as counted:
                channels = ChannelScores.of(harness, asked, width=width, progress=counted)
            found[size] = Searches(channels, _second_stage(harness, asked, reranks[-1]))
        yield found


def _second_stage(harness: Harness, asked: Sequence[Question], rerank: str) -> Callable[[SearchSettings], Ranks] | None:
    if rerank == NO_RERANK:
        return None
    index = moved_to(harness.fuente, harness.index.folder, rerank=rerank).index

    def ranks(settings: SearchSettings) -> Ranks:
        with count_progress(f"comparing {settings.rerank_candidates} a question anew") as progress:
            return searched_ranks(index, harness.name, asked, settings, progress)

    return ranks


def _show(tuned: Tuned, output: Path) -> None:
    out.print(f"tuned on {tuned.tuned_on} questions; on the {tuned.held_back} held back:")
    out.print(f"  MRR@10           {_shown(tuned.before)} before, {_shown(tuned.after)} after")
    out.print(f"  gain             {_shown(tuned.gain, sign=True)}")
    out.print(f"  recall@k         {_shown(tuned.recall_before)} with k = {tuned.before_k}")
    out.print(f"                   {_shown(tuned.recall_after)} with k = {tuned.k}")
    for section, values in tuned.changes().items():
        for key, value in values.items():
            out.print(f"  {section}.{key} = {value}")
    if not tuned.changes():
        notes.print("No setting was found that is better than the present one; nothing was written.")
    elif not tuned.is_better:
        notes.print("The gain on the questions held back is not above zero beyond doubt; nothing was written.")
    else:
        again = " Run `fuente reindex`, since the size of chunks changes." if "ingest" in tuned.changes() else ""
        notes.print(f"Wrote these keys into {output}.{again}")


def _shown(interval: Interval, *, sign: bool = False) -> str:
    plus = "+" if sign else ""
    return f"{interval.value:{plus}.3f} [{interval.low:{plus}.3f}, {interval.high:{plus}.3f}]"


def _as_json(tuned: Tuned, output: Path) -> dict[str, Any]:
    names = ("tuned_on", "held_back", "before", "after", "gain", "recall_before", "recall_after", "before_k", "k")
    tried = [{**choice.sections()["retrieval"], "mrr@10": value} for choice, value in tuned.tried]
    found: dict[str, Any] = as_json({name: getattr(tuned, name) for name in names})
    written = str(output) if tuned.is_better else None
    return {**found, "changes": tuned.changes(), "written": written, "tried": tried}
