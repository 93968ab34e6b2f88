"""A probe that is trained beside the program reads what the program then reads with it."""

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench.probe import __main__ as command
from bench.probe.prefixes import Prefixes, prompt_of
from bench.probe.tasks import Task, tasks_of
from bench.probe.training import Learner, Settings, scores
from rag.compose import Fuente
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from rag.finetuning.kept import KeptTraining
from rag.probe import Probe
from rag.transformers_generator import TransformersGenerator
from tests.rag.conftest import END, tiny_causal_lm, tiny_tokenizer

WORDS = ["faro", "puente", "torre", "museo", "molino", "plaza"]
TINY = Settings(first=1, layer=2, rank=2, steps=12, batch=2, rate=1e-2, line_rate=1e-2, warmup=2, ridge=1.0)


def tiny_generator() -> TransformersGenerator:
    tokenizer = tiny_tokenizer()
    model = tiny_causal_lm(len(tokenizer), tokenizer.convert_tokens_to_ids(END), num_hidden_layers=3)
    return TransformersGenerator(model, tokenizer, name="tiny")


@pytest.fixture
def tasks() -> list[Task]:
    """Each passage names three things, and a question names one of these or another."""
    random_ = random.Random(1)  # noqa: S311
    made = []
    for _ in range(8):
        here = random_.sample(WORDS, 3)
        asked = random_.sample(WORDS, 4)
        questions = tuple(f"¿qué es el {word}?" for word in asked)
        made.append(
            Task("alone", "A", "es", (f"el {', el '.join(here)}",), questions, tuple(word in here for word in asked))
        )
    return made


def learner_of(folder: Path, settings: Settings = TINY) -> Learner:
    return Learner(Prefixes(tiny_generator(), settings.first, settings.layer, folder / "prefixes"), settings)


def quiet(step: int, loss: float) -> None:
    """Tells nobody."""


def test_what_was_trained_is_what_the_program_reads(tasks: Sequence[Task], tmp_path: Path) -> None:
    learner = learner_of(tmp_path)
    learner.fit_line(tasks)
    learner.train(tasks, KeptTraining(tmp_path, "this"), quiet)
    learner.save(tmp_path / "probe.safetensors")
    odds, _ = scores(learner, tasks)
    probe, generator = Probe.load(tmp_path / "probe.safetensors"), tiny_generator()
    assert all(up.abs().max() > 1e-3 for _, up in probe.adapter.values())
    read = []
    for task in tasks:
        for question in task.questions:
            prompt = prompt_of(task).showing(question)
            states = generator.read(prompt.check, prompt.blank, probe.layer, adapter=probe.adapter)
            assert states is not None
            read.append(probe.log_odds(states))
    assert np.allclose(read, odds, atol=0.05)  # weights are kept in 16 bits


def test_the_adapter_learns_what_the_line_alone_cannot(tasks: Sequence[Task], tmp_path: Path) -> None:
    def last_loss(rate: float) -> float:
        losses: list[float] = []
        folder = tmp_path / str(rate)
        learner = learner_of(folder, replace(TINY, steps=80, rate=rate))
        learner.train(tasks, KeptTraining(folder, "this"), lambda _, loss: losses.append(loss))
        assert losses[0] == pytest.approx(np.log(2))  # an adapter and a line of zeros
        return float(np.mean(losses[-4:]))

    alone, adapted = last_loss(0.0), last_loss(3e-2)
    assert adapted < 0.8 * alone < 0.8 * np.log(2)


def test_an_interrupted_training_ends_as_one_that_was_not(tasks: Sequence[Task], tmp_path: Path) -> None:
    def stop(step: int, _: float) -> None:
        if step == 11:
            raise KeyboardInterrupt

    whole = learner_of(tmp_path / "whole")
    whole.train(tasks, KeptTraining(tmp_path / "whole", "this"), quiet)
    first, second = learner_of(tmp_path / "parts"), learner_of(tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        first.train(tasks, KeptTraining(tmp_path / "parts", "this"), stop)
    steps: list[int] = []
    second.train(tasks, KeptTraining(tmp_path / "parts", "this"), lambda step, _: steps.append(step))
    assert steps == [11, 12]
    for name, one in whole.named().items():
        assert torch.equal(one, second.named()[name]), name


def question_set(*, impossible: bool) -> QuestionSet:
    """Two articles of four paragraphs, with two questions each."""
    paragraphs = [Paragraph(f"p{n}", f"Artículo {n // 4}", f"El {WORDS[n % 6]} {n}.") for n in range(8)]
    questions = [
        Question(f"q{n}-{i}", f"¿Qué {i} del {n}?", ("x",), (0,), f"p{n}", impossible and i == 1, "es")
        for n in range(8)
        for i in range(2)
    ]
    return QuestionSet("set.es", "es", tuple(paragraphs), tuple(questions))


@pytest.mark.parametrize("impossible", [False, True])
def test_a_question_counts_as_answered_only_beside_its_paragraph(impossible: bool) -> None:
    whole = question_set(impossible=impossible)
    text = {paragraph.id: paragraph.text for paragraph in whole.paragraphs}
    about = {question.text: question for question in whole.questions}
    tasks = [task for seed in range(5) for task in tasks_of(whole, seed=seed)]
    assert {len(task.passages) for task in tasks} == {1, 2, 3}
    for task in tasks:
        assert len(set(task.passages)) == len(task.passages)
        for asked, answerable in zip(task.questions, task.answerable, strict=True):
            question = about[asked]
            here = text[question.paragraph_id] in task.passages
            assert answerable == (here and not question.impossible), asked
    assert {True, False} == {answerable for task in tasks for answerable in task.answerable}


def test_only_named_articles_are_used_where_a_set_has_them() -> None:
    whole = question_set(impossible=True)
    assert {task.article for task in tasks_of(whole, only=["Artículo 1"])} == {"Artículo 1"}
    assert {task.article for task in tasks_of(whole, only=["Another"])} == {"Artículo 0", "Artículo 1"}


def test_tasks_of_other_passages_or_questions_have_other_keys(tasks: Sequence[Task]) -> None:
    changed: list[Any] = [
        tasks[0],
        replace(tasks[0], passages=("otro",)),
        replace(tasks[0], language="pt"),
        replace(tasks[0], questions=("¿y?",), answerable=(True,)),
    ]
    assert len({task.key for task in changed}) == len(changed)


def test_the_command_trains_and_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {f"El {word} es alto. Dato {n}.": word for n, word in enumerate(WORDS * 2)}
    data = []
    for start in (0, 6):
        paragraphs = []
        for n, text in enumerate(list(texts)[start : start + 6]):
            qas = [
                {"id": f"{start}-{n}-{i}", "question": f"¿Qué dato {i} es {n}?", "is_impossible": i == 1,
                 "answers": [] if i else [{"text": "alto", "answer_start": text.index("alto")}]}
                for i in range(2)
            ]  # fmt: skip
            paragraphs.append({"context": text, "qas": qas})
        data.append({"title": f"A{start}", "paragraphs": paragraphs})
    (tmp_path / "set.es.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    generator = tiny_generator()
    monkeypatch.setattr(Fuente, "configured", lambda: SimpleNamespace(generator=generator))
    monkeypatch.setattr(command, "Settings", lambda **given: replace(TINY, **given))
    arguments = ["probe", "set.es.json", "--held-out", "A6", "--work", "work", "--output", "probe.safetensors"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--steps", "2"])
    monkeypatch.chdir(tmp_path)
    command.main()
    said = capsys.readouterr().out
    assert "es, alone, 12 questions: AUROC" in said
    assert Probe.load(tmp_path / "probe.safetensors").layer == TINY.layer
