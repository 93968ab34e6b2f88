"""Questions are changed in one place, by something of the same kind, so that the paragraph does not answer them."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.probe.changes import Changer
from bench.probe.tasks import Task, changed_tasks
from rag.evaluation.questions import Paragraph, Question, QuestionSet

NEAR = "El faro de Lugo fue construido por Marta Ruiz en 1931 y tiene 40 metros."
OTHERS = ["En la ciudad de Vigo hay un puente de 1954.", "La torre de Celanova es de Pedro Sanz, con 35 metros."]


def by_length(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors that are alike where the number of letters is."""
    angles = np.array([min(len(text), 30) for text in texts]) / 20
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def changes(question: str, language: str = "es", others: Sequence[str] = OTHERS) -> set[str | None]:
    changer = Changer(by_length, random.Random(0))  # noqa: S311
    return {changer.changed(question, language, NEAR, others) for _ in range(60)}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("¿Qué pasó en 1931?", {"¿Qué pasó en 1954?"}),
        ("¿Cuál es el faro más alto?", {"¿Cuál es el faro menos alto?", "¿Cuál es el faro más bajo?"}),
        ("¿Qué mide 7 metros?", {None}),
        ("¿Qué es un faro?", {None}),
        ("", {None}),
    ],
)
def test_a_number_becomes_another_as_long_and_a_word_its_opposite(question: str, expected: set[str | None]) -> None:
    assert changes(question) == expected


def test_a_name_becomes_one_of_the_paragraph_or_of_its_article() -> None:
    found = changes("¿Quién construyó el faro de Lugo?")
    assert found == {
        f"¿Quién construyó el faro de {name}?" for name in ("Vigo", "Celanova", "Marta Ruiz", "Pedro Sanz")
    }


def test_what_is_most_alike_is_put_in() -> None:
    others = [f"Fueron {name} y nadie más." for name in ("Ana", "Abc", "Bcd", "Cde", "Un Nombre Mucho Más Largo")]
    found = {one for one in changes("¿Qué hizo en Roma la de Eva?", others=others) if one is not None}
    assert not any("Largo" in one for one in found)
    assert any("Ana" in one for one in found)


def test_what_is_spelt_alike_is_often_the_same_and_is_not_put_in() -> None:
    assert "¿Dónde nace el Rhin?" not in changes("¿Dónde nace el Rin?", others=["Los ríos Rhin y Sena."])


@pytest.mark.parametrize(
    ("language", "question", "changed"),
    [("en", "Who came first?", "Who came last?"), ("pt", "Quem é o maior?", "Quem é o menor?")],
)
def test_each_language_has_opposites(language: str, question: str, changed: str) -> None:
    assert changes(question, language) == {changed}


def test_the_same_lot_gives_the_same_changes() -> None:
    questions = ["¿Quién construyó el faro de Lugo?", "¿Qué pasó antes de 1931 en Lugo?"] * 5
    first, second = (
        [changer.changed(question, "es", NEAR, OTHERS) for question in questions]
        for changer in (Changer(by_length, random.Random(7)), Changer(by_length, random.Random(7)))  # noqa: S311
    )
    assert first == second


def tasks_of_paragraphs(count: int, *, only: Sequence[str] = ()) -> list[Task]:
    """Paragraphs of two articles, each with a question that it answers and one that it does not."""
    paragraphs = tuple(Paragraph(f"{n}", "AB"[n % 2], f"{NEAR} Dato {n}.") for n in range(count))
    asked = [
        question
        for n in range(count)
        for question in (
            Question(f"{n}", "¿Quién construyó el faro de Lugo?", ("Marta Ruiz",), (None,), f"{n}", impossible=False),
            Question(f"{n} not", "¿Quién pintó el faro de Lugo?", (), (), f"{n}", impossible=True),
        )
    ]
    changer = Changer(by_length, random.Random(0))  # noqa: S311
    return changed_tasks(QuestionSet("set", "es", paragraphs, tuple(asked)), changer, only=only)


def test_a_changed_question_stands_beside_itself() -> None:
    tasks = tasks_of_paragraphs(12)
    assert 0 < len(tasks) < 12
    for task in tasks:
        assert task.kind == "changed"
        assert task.answerable == (True, False)
        assert task.questions[0] == "¿Quién construyó el faro de Lugo?" != task.questions[1]


def test_only_the_named_articles_are_changed() -> None:
    assert {task.article for task in tasks_of_paragraphs(12, only=["A"])} == {"A"}
