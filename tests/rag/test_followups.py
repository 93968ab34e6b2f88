"""A follow-up becomes a question that stands alone, or is joined with the one before it."""

import pytest

from rag.answerer import Answerer
from rag.conversation import Conversation, Turn
from rag.followups import flaw, standalone
from rag.types import Finished, Rewritten
from tests.rag.conftest import FixedSearch, InTurn, ScriptedGenerator, bag_of_words, document, hits_of

FIRST = "¿Quién presentó las GAN?"
SENTENCE = "Ian Goodfellow presentó las GAN en 2014."
HISTORY = Conversation((Turn(FIRST, SENTENCE),))
FOLLOW_UP = "¿Y en qué año las presentó?"
WRITTEN = "¿En qué año presentó Ian Goodfellow las GAN?"
HITS = hits_of(document(f"{SENTENCE} El generador crea muestras falsas."))


def test_a_question_that_stands_alone_asks_no_model() -> None:
    generator = ScriptedGenerator([WRITTEN])
    assert standalone("¿Qué es un autoencoder variacional?", HISTORY, generator) is None
    assert standalone(FOLLOW_UP, Conversation(), generator) is None
    assert generator.prompts == []


def test_a_follow_up_is_rewritten_from_the_last_turns() -> None:
    generator = ScriptedGenerator([WRITTEN])
    old = tuple(Turn(f"¿Qué es la cosa {number}?") for number in range(4))
    assert standalone(FOLLOW_UP, Conversation((*old, *HISTORY.turns)), generator) == Rewritten(WRITTEN, "rewritten")
    asked = generator.prompts[0][-1].content
    assert FIRST in asked
    assert SENTENCE in asked
    assert asked.endswith(FOLLOW_UP)
    assert "cosa 1" not in asked


@pytest.mark.parametrize(
    "written",
    [
        "",
        SENTENCE,
        FIRST,
        FOLLOW_UP,
        "In which year did Ian Goodfellow present the GANs?",
        "¿En qué año presentó Yoshua Bengio las GAN?",
        "¿En qué año, 1999 o 2014, las presentó Ian Goodfellow?",
        "¿Cuál es la receta tradicional para preparar tortillas esponjosas?",
    ],
)
def test_what_is_of_no_use_gives_way_to_both_questions_joined(written: str) -> None:
    assert flaw(written, FOLLOW_UP, HISTORY, "es") is not None
    found = standalone(FOLLOW_UP, HISTORY, ScriptedGenerator([written]))
    assert found == Rewritten(f"{FIRST} {FOLLOW_UP}", "joined")


@pytest.mark.parametrize(
    ("language", "turn", "question", "written"),
    [
        ("pt", Turn("Quem pintou o Abaporu?", "Foi Tarsila."), "Onde ela nasceu?", "Onde nasceu Tarsila?"),
        ("en", Turn("Who wrote Ulysses?", "James Joyce."), "When did he die?", "When did James Joyce die?"),
    ],
)
def test_every_language_has_its_follow_ups(language: str, turn: Turn, question: str, written: str) -> None:
    generator = ScriptedGenerator([written])
    assert standalone(question, Conversation((turn,)), generator) == Rewritten(written, "rewritten")
    assert flaw(written, question, Conversation((turn,)), language) is None


def test_a_conversation_searches_and_answers_what_was_meant() -> None:
    search = FixedSearch(HITS)
    answerer = Answerer(search, InTurn([SENTENCE, WRITTEN, SENTENCE]), bag_of_words)
    first = answerer.answer(FIRST, history=Conversation())
    history = Conversation().after(first)
    assert history == Conversation((Turn(FIRST, SENTENCE),))
    events = list(answerer.stream(FOLLOW_UP, history=history))
    assert events[0] == Rewritten(WRITTEN, "rewritten")
    assert isinstance(events[-1], Finished)
    second = events[-1].answer
    assert [asked for asked, *_ in search.asked] == [FIRST, WRITTEN]
    assert (second.question, second.standalone_question) == (FOLLOW_UP, WRITTEN)
    assert history.after(second).turns[-1] == Turn(WRITTEN, SENTENCE)


def test_a_refusal_leaves_no_reply_in_the_history() -> None:
    answer = Answerer(FixedSearch([]), ScriptedGenerator([]), bag_of_words).answer(FIRST)
    assert Conversation().after(answer).turns == (Turn(FIRST, ""),)
