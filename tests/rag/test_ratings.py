"""Answers are rated by a person and a model, and what was rated is never lost."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rag.cli import app
from rag.evaluation import AnswerRecord, EvaluationDataError, EvaluationRecordsError, evaluate_answers, read_squad
from rag.evaluation.judge import verdict
from rag.evaluation.questions import Question
from rag.evaluation.ratings import (
    Rated,
    judged,
    kappa,
    ratings_report,
    read_ratings,
    to_rate,
    write_ratings,
)
from rag.evaluation.records import kept_answers
from rag.types import Message, Sampling

ANSWERS = {
    "q0": "La ley pide dos tercios.",
    "q1": "Se firmó en 1871.",
    "q2": "",
    "q3": "La firmó la reina.",
    "q4": "Era de Lugo.",
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A set of four answerable questions and one that is not, and records of answers to it, one a refusal."""
    expected = {
        "q0": ["una mayoría de dos tercios"],
        "q1": ["1871"],
        "q2": ["en Viena"],
        "q3": ["el rey"],
        "q4": [],
    }
    qas = [
        {"id": key, "question": f"¿Pregunta {key}?", "is_impossible": not golds, "answers": [
            {"text": gold, "answer_start": 0} for gold in golds
        ]}
        for key, golds in expected.items()
    ]  # fmt: skip
    text = "una mayoría de dos tercios, 1871, en Viena, el rey"
    questions = tmp_path / "ley.es.json"
    content = {"data": [{"title": "Ley", "paragraphs": [{"context": text, "qas": qas}]}]}
    questions.write_text(json.dumps(content), encoding="utf-8")
    records = tmp_path / "answers.jsonl"

    def answer(question: Question) -> AnswerRecord:
        said = ANSWERS[question.id]
        return AnswerRecord(said, None, not said, 0.9, (), (), 1.0, 5, 0.5)

    evaluate_answers(read_squad(questions), answer, records=records)
    return questions, records


def rated_as(path: Path, **ratings: str) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for entry in content["answers"]:
        entry["rating"] = ratings.get(entry["id"])
    path.write_text(json.dumps(content), encoding="utf-8")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["eval", "rate", *map(str, arguments)])


def test_answers_are_rated_by_hand_and_what_was_rated_is_kept(files: tuple[Path, Path], tmp_path: Path) -> None:
    ratings = tmp_path / "ratings.json"
    first = run(*files, ratings, "--json")
    assert first.exit_code == 0, first.output
    content = json.loads(ratings.read_text(encoding="utf-8"))
    # Neither the refusal nor the question without an answer.
    assert {entry["id"] for entry in content["answers"]} == {"q0", "q1", "q3"}
    assert all(entry["rating"] is None for entry in content["answers"])
    rated_as(ratings, q0="right", q1="right", q3="wrong")
    before = ratings.read_bytes()
    second = run(*files, ratings, "--json")
    assert second.exit_code == 0, second.output
    assert ratings.read_bytes() == before
    report = json.loads(second.stdout)
    assert report["person"]["score"]["value"] == pytest.approx(2 / 3)
    assert report["words"]["contains"]["value"] == pytest.approx(1 / 3)  # "dos tercios" is right in fewer words
    assert report["person"]["words_agree"] == pytest.approx(2 / 3)
    assert "model" not in report


def test_a_model_judges_each_answer_once(files: tuple[Path, Path]) -> None:
    question_set = read_squad(files[0])
    rated = to_rate(question_set, kept_answers(files[1]), files[1], None, 0)
    asked: list[str] = []

    def judge(question: Question, answer: str) -> float:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(question.id)
        return 0.75

    told = judged(rated, judge, lambda done, total: None)
    assert [one.verdict for one in told] == [0.75, 0.75, None]
    assert ratings_report("ley.es", told, 0)["interrupted"]
    asked.clear()
    told = judged(told, judge, lambda done, total: None)
    assert asked == [rated[2].question.id]
    assert all(one.verdict == 0.75 for one in told)


def test_a_file_of_ratings_comes_back_whole(files: tuple[Path, Path], tmp_path: Path) -> None:
    question_set = read_squad(files[0])
    questions = {question.id: question for question in question_set.questions}
    rated = [
        Rated(questions["q0"], 'dos "tercios"\n\ud800', "partly", 0.1234),
        Rated(questions["q1"], "=1+1", None, None),
    ]
    write_ratings(tmp_path / "new" / "ratings.json", question_set.name, rated)
    back = read_ratings(tmp_path / "new" / "ratings.json", question_set)
    assert [(one.question, one.rating, one.verdict) for one in back] == [
        (one.question, one.rating, one.verdict) for one in rated
    ]
    assert back[1].answer == "=1+1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rating": "good"}, "right, partly, wrong"),
        ({"id": "q9"}, "no such question"),
        ({"answer": 4}, "a string was expected"),
    ],
)
def test_a_wrong_file_names_the_place_and_the_mend(
    files: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    ratings = tmp_path / "ratings.json"
    run(*files, ratings)
    content = json.loads(ratings.read_text(encoding="utf-8"))
    content["answers"][1] |= change
    ratings.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(EvaluationDataError, match=said) as error:
        read_ratings(ratings, read_squad(files[0]))
    assert "answers[1]" in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"fuente": {"ratings": 2, "set": "ley.es"}},
        {"fuente": {"ratings": 1, "set": "another"}},
        {"verdicts": {"q1": 3}},
    ],
)
def test_a_file_of_another_kind_is_refused(files: tuple[Path, Path], tmp_path: Path, change: dict[str, Any]) -> None:
    ratings = tmp_path / "ratings.json"
    run(*files, ratings)
    ratings.write_text(json.dumps(json.loads(ratings.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(EvaluationDataError, match=r"format is 2|answers to 'another'|from 0 to 1"):
        read_ratings(ratings, read_squad(files[0]))


def test_records_without_answers_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    rankings = tmp_path / "rankings.jsonl"
    rankings.write_text('{"kind": "retrieval"}\n', encoding="utf-8")
    with pytest.raises(EvaluationRecordsError, match="no answers"):
        kept_answers(rankings)
    with pytest.raises(EvaluationRecordsError, match="no answer to a question"):
        to_rate(read_squad(files[0]), {}, files[1], None, 0)


def test_agreement_beyond_chance() -> None:
    yes, no = np.array([True, True, False, False]), np.array([False, False, True, True])
    assert kappa(yes, yes) == 1
    assert kappa(yes, no) == -1
    assert kappa(yes, np.array([True, False, True, False])) == 0
    assert math.isnan(kappa(np.ones(3, np.bool_), np.ones(3, np.bool_)))


class Scribe:
    """Replies to anything with one text."""

    name, context_tokens = "scribe", 1000

    def __init__(self, reply: str) -> None:
        self.reply = reply
        self.asked = ""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 1

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        self.asked = messages[-1].content
        yield self.reply


class Chooser(Scribe):
    """Weighs replies besides."""

    def log_odds(self, messages: Sequence[Message], first: str, second: str, *, cancel: Event | None = None) -> float:
        self.asked = messages[-1].content
        assert (first, second) == ("Sim", "Não")
        return math.log(3)


def test_the_judge_sees_question_and_both_answers() -> None:
    chooser = Chooser("")
    assert verdict(chooser, "Quem?", ["o rei", "o rei", "D. João"], "Foi o rei.", "pt") == pytest.approx(0.75)
    for text in ("Quem?", "o rei / D. João\n", "Foi o rei."):
        assert text in chooser.asked
    assert verdict(Scribe(" Sí, lo dice"), "¿Quién?", ["el rey"], "Fue el rey.", "es") == 1
    assert verdict(Scribe("No."), "¿Quién?", ["el rey"], "Fue la reina.", "es") == 0
