"""The command that fine-tunes the generator on a person's own documents."""

import json as json_format
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import models
from index.types import Hit
from rag.cli.library import prepare_missing
from rag.cli.options import IndexOption, JsonOption, app, configured
from rag.cli.progress import count_progress
from rag.cli.rendering import notes, out, print_json
from rag.compose import Fuente
from rag.confidence import weight_of_deviations
from rag.evaluation.opening import Opened, open_set
from rag.evaluation.questions import Question, QuestionSet, sampled
from rag.evaluation.report import table
from rag.evaluation.run import evaluate_answers

_SEARCHED_AT_ONCE = 64


@app.command(epilog="Example: fuente finetune questions.json --output adapter --dry-run")
def finetune(
    questions: Annotated[Path, typer.Argument(help="A file of `eval build`, or one in SQuAD format.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the adapter and what it was made from.")],
    index: IndexOption = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Use so many questions, drawn at random.")] = None,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter: larger learns more and forgets more.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0, help="The highest learning rate.")] = 2e-4,
    epochs: Annotated[int, typer.Option(min=1, help="How often every example is seen.")] = 2,
    batch: Annotated[int, typer.Option(min=1, help="Examples that make a step.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the division, the draws and the adapter.")] = 0,
    judge: Annotated[
        int, typer.Option(min=0, help="Ask so many questions about the other documents before and after; 0 asks none.")
    ] = 60,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the examples and the held-out questions, and train nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a LoRA adapter of the generator on half of the documents asked about, and judge it by the other half.

    Interrupted, the same command goes on from where it was.
    """
    from rag.finetuning import AdapterSettings, held_out_copy
    from rag.finetuning.adapter import require_peft

    settings = AdapterSettings(rank, learning_rate, epochs, batch, seed=seed)
    if not dry_run:
        require_peft()  # before the documents are searched
    fuente = configured(index)
    prepare_missing(fuente)
    opened = open_set(fuente, questions, tell=notes.print)
    learnt, titles = _division(opened, limit, seed)
    examples = _examples(opened, learnt, seed)
    output.mkdir(parents=True, exist_ok=True)
    _write_examples(examples, output / "examples.jsonl")
    held_out_copy(questions, titles, output / "held-out.json")
    report: dict[str, Any] = {"examples": Counter(one.kind for one in examples), "output": str(output)}
    if not dry_run:
        try:
            report |= _trained(fuente, opened, examples, settings, output, Judging(learnt, judge, seed))
        except KeyboardInterrupt:
            notes.print("interrupted; the same command goes on from here")
            raise typer.Exit(130) from None
    if json:
        print_json(report)
    else:
        _show(report, output)


@dataclass(frozen=True, slots=True)
class Judging:
    """By how many of the questions that were not learnt from the adapter is judged, drawn by the seed."""

    learnt: Sequence[Question]
    count: int
    seed: int

    def of(self, opened: Opened) -> QuestionSet:
        """The questions about the other documents, over all passages."""
        titles = {paragraph.id: paragraph.document_title for paragraph in opened.question_set.paragraphs}
        seen = {titles[question.paragraph_id] for question in self.learnt}
        others = (one for one in opened.question_set.questions if titles[one.paragraph_id] not in seen)
        return replace(opened.question_set, questions=tuple(others))


def _trained(
    fuente: Fuente, opened: Opened, examples: Sequence[Any], settings: Any, output: Path, judging: Judging
) -> dict[str, Any]:
    """What was learnt, and how the generator did before and with the adapter."""
    from rag.finetuning import train_adapter

    before = _judged(fuente, opened, judging, output / "before.jsonl")
    with count_progress("learning") as progress:
        model, tokenizer = _model(fuente)
        name = fuente.generator.name
        trained = train_adapter(model, tokenizer, examples, settings, output, progress=progress, name=name)
    section = fuente.config.models.model_copy(update={"adapter": output})
    tuned = Fuente(fuente.config.model_copy(update={"models": section}), embedder=fuente.embedder)
    after = _judged(tuned, opened, judging, output / "after.jsonl")
    return {"trained": asdict(trained), "before": before, "after": after}


def _judged(fuente: Fuente, opened: Opened, judging: Judging, records: Path) -> dict[str, Any] | None:
    """The report of `fuente eval` on the questions that nothing was learnt from; None where none are asked."""
    if not judging.count:
        return None
    harness = replace(opened.harness, fuente=fuente)
    with count_progress(f"answering ({records.stem})") as progress:
        report = evaluate_answers(
            judging.of(opened),
            harness.answering(),
            limit=judging.count,
            seed=judging.seed,
            progress=progress,
            records=records,
            settings=fuente.answer_settings(),
            together=fuente.config.models.together,
        )
    if report["interrupted"]:
        raise KeyboardInterrupt
    return report


def _division(opened: Opened, limit: int | None, seed: int) -> tuple[list[Question], set[str]]:
    """The questions to learn from, and the titles of their documents; no document is on both sides."""
    asked = sampled(opened.question_set.questions, limit, seed)
    titles = {paragraph.id: paragraph.document_title for paragraph in opened.question_set.paragraphs}
    order = list(dict.fromkeys(titles[question.paragraph_id] for question in asked))  # by lot, as the questions are
    if len(order) < 2:
        raise ValueError(f"all questions are about {order[0]}; nothing is left to judge by. Ask of more documents")
    learnt = set(order[: len(order) // 2])
    return [question for question in asked if titles[question.paragraph_id] in learnt], learnt


def _examples(opened: Opened, questions: Sequence[Question], seed: int) -> list[Any]:
    from rag.chat_tokens import ChatTokens
    from rag.finetuning.examples import Budget, examples_of

    fuente = opened.harness.fuente
    section = fuente.config.models
    tokenizer, context = models.load_chat_tokenizer(
        models.resolve(section.generator, section.cache, allow_network=section.network)
    )
    written = fuente.config.generation
    room = min(written.prompt_tokens, context - written.max_tokens)
    margin = written.passage_margin / weight_of_deviations(fuente.retriever_over(opened.harness.index).corpus_size)
    budget = Budget(room, ChatTokens(tokenizer).count, margin)
    made: list[Any] = []
    with count_progress("building examples") as progress:
        for question, hits in _searched(opened, questions, progress):
            holds = partial(_holds, opened, question)
            made += examples_of(question, hits, holds, budget, seed) if hits else []
    return made


def _searched(
    opened: Opened, questions: Sequence[Question], progress: Callable[[int, int], None]
) -> list[tuple[Question, list[Hit]]]:
    k = opened.harness.fuente.config.retrieval.k
    retriever = opened.harness.fuente.retriever_over(opened.harness.index)
    found: list[tuple[Question, list[Hit]]] = []
    for start in range(0, len(questions), _SEARCHED_AT_ONCE):
        some = questions[start : start + _SEARCHED_AT_ONCE]
        found += zip(some, retriever.search_many([one.text for one in some], k), strict=True)
        progress(len(found), len(questions))
    return found


def _holds(opened: Opened, question: Question, hit: Hit) -> bool:
    return opened.harness.name(question, hit) in question.relevant_ids


def _model(fuente: Fuente) -> tuple[Any, Any]:
    section = fuente.config.models
    resolved = models.resolve(section.generator, section.cache, allow_network=section.network)
    plan = models.plan_device(section.device, section.dtype, role="generator")
    return models.load_causal_lm(resolved, plan)


def _write_examples(examples: Sequence[Any], path: Path) -> None:
    lines = (json_format.dumps(asdict(example), ensure_ascii=False) for example in examples)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _show(report: dict[str, Any], output: Path) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report["examples"].items()))
    out.print(f"{sum(report['examples'].values())} examples ({kinds}) in {output / 'examples.jsonl'}")
    if "trained" not in report:
        notes.print("nothing was trained; the same command without --dry-run does, best on a GPU")
        return
    trained = report["trained"]
    out.print(
        "{parameters:,} numbers learnt in {seconds:.0f} s; {first_loss:.3f} → {last_loss:.3f} nats a token".format(
            **trained
        )
    )
    for label in ("before", "after"):
        if report[label] is not None:
            out.print(label)
            out.print(table(report[label]))
    out.print(f"to use it: FUENTE_MODELS__ADAPTER={output}")
