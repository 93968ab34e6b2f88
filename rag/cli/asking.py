"""Commands that ask: search, ask, demo and serve."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from index.errors import IndexNotFoundError
from index.filters import Filter
from index.types import Hit
from models import NotPreparedError
from rag.answer_json import answer_json, answer_schema, hit_json
from rag.cli.explaining import explanation_json, print_explanation, print_packing
from rag.cli.library import index_state, prepare_missing
from rag.cli.options import (
    CandidatesOption,
    CautionOption,
    DiversityOption,
    ExamplesOption,
    IndexOption,
    JsonOption,
    PassagesOption,
    PerSourceOption,
    ReasoningOption,
    StyleOption,
    app,
    configured,
)
from rag.cli.picturing import print_pictures
from rag.cli.progress import loading_progress, sync_progress
from rag.cli.rendering import (
    channels_json,
    notes,
    out,
    plain,
    print_hits,
    print_json,
    print_sources,
)
from rag.cli.scope import Scope, filter_of, scoped
from rag.cli.speaking import AloudOption, write_aloud
from rag.compose import Fuente
from rag.conversation import Conversation
from rag.packing import Packing
from rag.sources import pictures_folder
from rag.types import Answer, Finished, Reasoning, Retrieved, Rewritten, TextDelta

# Each is answered by one of the sample documents, in its language.
_DEMO_QUESTIONS = (
    "¿Qué casa de subastas vendió el Retrato de Edmond de Belamy y por cuánto?",
    "Qual porta da LSTM não fazia parte do desenho original de 1997?",
    "How much memory does the KV cache of Qwen2.5 1.5B take per token?",
)
_SamplesOption = Annotated[
    Path, typer.Option(help="Documents that are ingested when the index is empty.", show_default=True)
]


@app.command(epilog='Example: fuente search "What is a variational autoencoder?" -k 3 --source "*.pdf"')
@scoped
def search(
    question: str,
    scope: Scope,
    k: PassagesOption = None,
    diversity: DiversityOption = None,
    per_source: PerSourceOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say how each stage placed the candidates.")] = False,
    expect: Annotated[
        str | None, typer.Option(help="Words of a passage, or a source: say where it stood and why it was missed.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Find pictures by what they show; pictures.model says by whom.")
    ] = False,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Find the passages that are nearest to a question, or the pictures."""
    fuente = configured(index, retrieval={"k": k, "diversity": diversity, "per_source": per_source})
    infos = index_state(fuente)[1]
    if pictures:
        where = filter_of(scope, fuente, infos, folder=pictures_folder(fuente.config.index))
        print_pictures(fuente.media.pictures.search(question, fuente.config.retrieval.k, where=where), json=json)
        return
    where = filter_of(scope, fuente, infos)
    prepare_missing(fuente, embedder_only=True)
    if explain or expect is not None:
        _explained(fuente, question, where, expect, json=json)
        return
    hits = fuente.retriever.search(question, where=where)
    if json:
        print_json({"hits": [hit_json(hit) for hit in hits]})
        return
    print_hits(hits)


def _explained(fuente: Fuente, question: str, where: Filter | None, expect: str | None, *, json: bool) -> None:
    """The same passages, and the way that they and others went."""
    try:
        explanation = fuente.retriever.explain(question, where=where, expect=expect)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    hits = fuente.retriever.read([each.hit for each in explanation.taken])
    packing = _packing(fuente, question, hits)
    if json:
        found = [{**hit_json(hit), **channels_json(hit)} for hit in hits]
        print_json({"hits": found, "explanation": explanation_json(explanation, packing)})
        return
    print_hits(hits, explain=True)
    print_explanation(explanation)
    if packing:
        print_packing(packing)


def _packing(fuente: Fuente, question: str, hits: list[Hit]) -> Packing | None:
    """How the prompt of an answer would fill up; searching needs no generator, so none may be there to count for."""
    try:
        return fuente.packing(question, hits)
    except NotPreparedError as error:
        notes.print(Text(f"The prompt is not shown: {plain(str(error))}", style="dim"))
        return None


def _tell_schema(asked: bool) -> None:
    if asked:
        print_json(answer_schema())
        raise typer.Exit


@app.command(epilog='Example: fuente ask "¿Quién inventó las GAN?" --temperature 0')
@scoped
def ask(
    question: str,
    scope: Scope,
    k: PassagesOption = None,
    diversity: DiversityOption = None,
    per_source: PerSourceOption = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="0 is greedy and repeatable, 2 is wild.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Draw only among the likeliest tokens that together reach this."),
    ] = None,
    min_p: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Draw only tokens so likely as this share of the likeliest.")
    ] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(min=0.5, max=2, help="Above 1, words already written are less likely to come again.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of the answer.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal answers.")] = None,
    caution: CautionOption = None,
    style: StyleOption = None,
    unsupported: Annotated[
        str | None, typer.Option(help="remove or flag: what becomes of a sentence that no passage supports.")
    ] = None,
    examples: ExamplesOption = None,
    reasoning: ReasoningOption = None,
    candidates: CandidatesOption = None,
    aloud: AloudOption = None,
    index: IndexOption = None,
    json: JsonOption = False,
    _schema: Annotated[
        bool,
        typer.Option("--json-schema", is_eager=True, callback=_tell_schema, help="Print the schema of --json and end."),
    ] = False,
) -> None:
    """Answer a question from the documents, with the source of every sentence."""
    fuente = configured(
        index,
        retrieval={"k": k, "diversity": diversity, "per_source": per_source},
        generation={
            "temperature": temperature,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "max_tokens": max_tokens,
            "seed": seed,
            "caution": caution,
            "style": style,
            "unsupported": unsupported,
            "examples": examples,
            "reasoning": reasoning,
            "candidates": candidates,
        },
    )
    _, infos = index_state(fuente)
    where = filter_of(scope, fuente, infos)
    prepare_missing(fuente)
    voice = fuente.media.voice if aloud else None  # before the answer, which takes longer than to say what is missing
    answer = _stream(fuente, question, show=not json, where=where)
    if voice and aloud:
        write_aloud(answer, voice, aloud)
    if json:
        print_json(answer_json(answer))
        return
    print_sources(answer)
    if answer.abstained and where:
        notes.print(Text(f"Only part of the documents was asked: {plain(str(scope))}"))


@app.command(
    epilog='Example: fuente chat --collection thesis, or: printf "¿Qué es una GAN?\\n¿Quién la inventó?" | fuente chat'
)
@scoped
def chat(
    scope: Scope,
    k: PassagesOption = None,
    caution: CautionOption = None,
    style: StyleOption = None,
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Hold a conversation: one question a line, follow-ups understood; an empty line or Ctrl-D ends it."""
    fuente = configured(index, retrieval={"k": k}, generation={"caution": caution, "style": style})
    _, infos = index_state(fuente)
    where = filter_of(scope, fuente, infos)
    prepare_missing(fuente)
    conversation = Conversation()
    for question in _questions():
        answer = _stream(fuente, question, show=not json, where=where, history=conversation)
        conversation = conversation.after(answer)
        if json:
            print_json(answer_json(answer), indent=None)
        else:
            print_sources(answer)


@app.command(epilog="Example: fuente demo")
def demo(samples: _SamplesOption = Path("samples"), index: IndexOption = None) -> None:
    """Answer three questions about the sample documents, in Spanish, Portuguese and English."""
    fuente = configured(index, generation={"temperature": 0.0})
    prepare_missing(fuente)
    _fill_when_empty(fuente, samples)
    for question in _DEMO_QUESTIONS:
        out.print(Text(f"\n? {question}", style="bold"))
        print_sources(_stream(fuente, question, show=True))


@app.command(epilog="Example: fuente serve --port 8600")
def serve(
    samples: _SamplesOption = Path("samples"),
    index: IndexOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8501,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Open Fuente in the browser, on this machine only."""
    # Imported here: the interface lies above this package and brings Streamlit with it.
    from ui.launch import launch

    fuente = configured(index)
    prepare_missing(fuente)
    _fill_when_empty(fuente, samples)
    raise typer.Exit(launch(index=fuente.config.index, port=port, open_browser=browser))


def _questions() -> Iterator[str]:
    """The lines of standard input up to an empty one; in a terminal each is asked for."""
    while True:
        if sys.stdin.isatty():
            notes.print(Text("\n? ", style="bold"), end="")
        line = sys.stdin.readline()
        if not line.strip():
            return
        yield line.strip()


def _stream(
    fuente: Fuente,
    question: str,
    *,
    show: bool,
    where: Filter | None = None,
    history: Conversation | None = None,
) -> Answer:
    """Prints verified sentences as they come and returns the whole answer."""
    with loading_progress(fuente.config.models.generator) as progress:
        fuente.load_generator(progress)
        answerer = fuente.answerer
    status = notes.status("searching")
    status.start()
    try:
        for event in answerer.stream(question, where=where, history=history):
            if isinstance(event, Rewritten):
                notes.print(Text(f"understood ({event.how}): {plain(event.question)}", style="dim"))
            elif isinstance(event, Retrieved):
                status.update(f"reading {len(event.hits)} passages")
            elif isinstance(event, Reasoning) and show:
                status.stop()
                notes.print(Text(plain(event.text), style="dim"), end="")
            elif isinstance(event, TextDelta) and show:
                status.stop()
                sys.stdout.write(plain(event.text))
                sys.stdout.flush()
            elif isinstance(event, Finished):
                if show:
                    sys.stdout.write("\n")
                return event.answer
    finally:
        status.stop()
    raise AssertionError("a stream ends with Finished")


def _fill_when_empty(fuente: Fuente, samples: Path) -> None:
    """Ingests the sample documents into an index that has no documents yet."""
    try:
        state, _ = index_state(fuente)
    except IndexNotFoundError:
        state = {"documents": 0}
    if state["documents"] or not samples.is_dir():
        return
    notes.print(f"The index {fuente.config.index} is empty; ingesting {samples}")
    with sync_progress() as progress:
        report = fuente.ingest([samples], progress=progress)
    notes.print(f"{len(report.added)} documents, {report.chunks} chunks")
