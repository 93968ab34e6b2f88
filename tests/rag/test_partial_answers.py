"""A question that the documents answer in part gets that part, and a sentence about what they do not tell."""

from collections.abc import Iterator, Sequence
from threading import Event

import pytest

from index.types import Hit
from rag.answerer import Answerer
from rag.conversation import Conversation, Turn
from rag.phrases import phrases
from rag.question_parts import parts_of
from rag.types import Answer, Message, Options, Sampling, TextDelta
from rag.unmentioned import unmentioned
from tests.rag.conftest import FixedSearch, ScriptedChooser, bag_of_words, document, hits_of
from tests.rag.test_answerer import finished

MENINAS = "Diego Velázquez pintó Las meninas en 1656."
MUSEUM = "Las meninas está en el Museo del Prado."
HITS = hits_of(document(f"{MENINAS} {MUSEUM}", "museo.txt"))
COMPOUND = "¿Quién pintó Las meninas y en qué año nació Goya?"
FIRST, SECOND = "¿Quién pintó Las meninas?", "¿En qué año nació Goya?"


@pytest.mark.parametrize(
    ("question", "language", "parts"),
    [
        (COMPOUND, "es", [FIRST, SECOND]),
        ("¿Cuándo y dónde murió Bolívar?", "es", ["¿Cuándo murió Bolívar?", "¿Dónde murió Bolívar?"]),
        ("¿Quién inventó las GAN y en qué año?", "es", ["¿Quién inventó las GAN?", "¿En qué año inventó las GAN?"]),
        ("¿Qué es una GAN? ¿Quién la inventó?", "es", ["¿Qué es una GAN?", "¿Quién la inventó?"]),
        ("Quando e onde morreu Bolívar?", "pt", ["Quando morreu Bolívar?", "Onde morreu Bolívar?"]),
        ("Quem fez Abaporu e em que ano nasceu Eva?", "pt", ["Quem fez Abaporu?", "Em que ano nasceu Eva?"]),
        ("When and where did Bolívar die?", "en", ["When did Bolívar die?", "Where did Bolívar die?"]),
        ("Who painted it and when was Goya born?", "en", ["Who painted it?", "When was Goya born?"]),
        ("¿Qué ríos pasan por Zaragoza y Tudela?", "es", []),
        ("Que rios passam por Recife e Olinda?", "pt", []),
        ("Which rivers flow through Leeds and York?", "en", []),
        ("When many people are arrested, what is a common tactic?", "en", []),
        ("¿Qué es la ciudad en la que nació y en que murió?", "es", []),
        ("¿Quién es Ana y quién es Eva y quién es Luz y quién es Sol?", "es", []),
        ("", "es", []),
        (COMPOUND, "fr", []),
    ],
)  # fmt: skip
def test_a_compound_question_is_divided_by_its_words(question: str, language: str, parts: list[str]) -> None:
    assert [part.text for part in parts_of(question, language)] == parts


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("¿Qué es una GAN y para qué sirve?", "es"),
        ("O que é um autoencoder e como é treinado?", "pt"),
        ("When did the Thirty Years' War end and how many people died?", "en"),
    ],
)
def test_a_part_that_leans_on_the_others_is_asked_with_them(question: str, language: str) -> None:
    first, second = parts_of(question, language)
    assert first.stands_alone
    assert not second.stands_alone
    assert second.asked.startswith(question)
    assert second.asked.endswith(second.text)


class ByQuestion(ScriptedChooser):
    """What it replies, and how sure it is, depends on which of the questions a prompt asks."""

    def __init__(self, replies: dict[str, tuple[str, float]]) -> None:
        super().__init__([], 0.0)
        self._replies = replies

    def _reply(self, messages: Sequence[Message]) -> tuple[str, float]:
        shown = messages[-1].content.rpartition(": ")[2]
        return next(reply for question, reply in self._replies.items() if question in shown)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        self.prompts.append(messages)
        yield self._reply(messages)[0]

    def log_odds(self, messages: Sequence[Message], first: str, second: str, *, cancel: Event | None = None) -> float:
        return self._reply(messages)[1]


def ask(replies: dict[str, tuple[str, float]], question: str = COMPOUND, hits: Sequence[Hit] = HITS) -> Answer:
    events = list(Answerer(FixedSearch(hits), ByQuestion(replies), bag_of_words).stream(question))
    answer = finished(events)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text
    return answer


WHOLE = {COMPOUND: ("", 0.0)}


def test_what_the_documents_tell_is_answered_and_the_rest_named() -> None:
    answer = ask({**WHOLE, FIRST: (MENINAS, 10.0), SECOND: ("Goya nació en 1746.", -10.0)})
    assert answer.text == f"{MENINAS} [1]\n{phrases('es').missing_part.format(parts=SECOND)}"
    assert answer.missing == (SECOND,)
    assert not answer.abstained
    assert answer.confidence > 0.5


def test_a_part_whose_reply_no_passage_carries_is_missing_as_well() -> None:
    question, part = "¿Quién pintó Las meninas y en qué año murió Velázquez?", "¿En qué año murió Velázquez?"
    replies = {question: ("", 0.0), FIRST: (MENINAS, 10.0), part: ("Velázquez murió en 1660.", 10.0)}
    answer = ask(replies, question)
    assert answer.missing == (part,)
    assert "1660" not in answer.text


def test_a_part_about_what_no_document_names_is_not_written_about() -> None:
    about_another = "Las meninas se pintó en 1656."
    answer = ask({**WHOLE, FIRST: (MENINAS, 10.0), SECOND: (about_another, 10.0)})
    assert answer.missing == (SECOND,)
    assert about_another not in answer.text


def test_when_every_part_is_told_nothing_is_missing() -> None:
    answer = ask(
        {"y dónde": ("", 0.0), FIRST: (MENINAS, 10.0), "está": (MUSEUM, 8.0)},
        "¿Quién pintó Las meninas y dónde está?",
    )
    assert (answer.text, answer.missing) == (f"{MENINAS} [1] {MUSEUM} [2]", ())


def test_one_sentence_may_answer_two_parts() -> None:
    question = "¿Quién pintó Las meninas y en qué año?"
    answer = ask({question: ("", 0.0), "Quién": (MENINAS, 10.0), "En qué año": (MENINAS, 10.0)}, question)
    assert (answer.text, answer.missing) == (f"{MENINAS} [1]", ())


def test_when_no_part_is_told_it_abstains() -> None:
    answer = ask({**WHOLE, FIRST: (MENINAS, -10.0), SECOND: ("", -10.0)})
    assert (answer.abstained, answer.text, answer.missing) == (True, phrases("es").abstained, ())
    assert answer.confidence < 0.5


def test_the_passages_of_each_part_are_searched() -> None:
    more = hits_of(document("Goya nació en 1746.", "goya.txt"))

    class Apart(FixedSearch):
        def search(self, question: str, **options: object) -> list[Hit]:
            return more if question == SECOND else list(HITS)

    replies = {**WHOLE, FIRST: (MENINAS, 10.0), SECOND: ("Goya nació en 1746.", 10.0)}
    answer = Answerer(Apart(HITS), ByQuestion(replies), bag_of_words).answer(COMPOUND)
    assert answer.text == f"{MENINAS} [1] Goya nació en 1746. [2]"
    assert [hit.rank for hit in answer.hits] == [1, 2]


def test_short_answers_stand_side_by_side() -> None:
    question = "¿Quién pintó Las meninas y en qué año?"
    replies = {question: ("", 0.0), "Quién": ("Diego Velázquez", 10.0), "En qué año": ("1656", 10.0)}
    answerer = Answerer(FixedSearch(HITS), ByQuestion(replies), bag_of_words, options=Options(style="short"))
    assert answerer.answer(question).text == "Diego Velázquez [1]; 1656 [1]"


@pytest.mark.parametrize("language", ["es", "pt", "en"])
def test_what_the_question_names_and_no_document_does_is_told(language: str) -> None:
    question = {
        "es": "¿Quién pintó Las meninas en Toledo?",
        "pt": "Quem pintou Las meninas em Toledo?",
        "en": "Who painted Las meninas in Toledo?",
    }[language]
    hits = hits_of(document(MENINAS, language=language))
    answer = Answerer(FixedSearch(hits), ScriptedChooser([MENINAS], 10.0), bag_of_words).answer(
        question, language=language
    )
    assert answer.missing == ("Toledo",)
    assert answer.text == f"{MENINAS} [1]\n{phrases(language).missing_name.format(names='Toledo')}"


def test_a_name_that_another_passage_has_is_not_said_to_be_missing() -> None:
    toledo = hits_of(document("Toledo es una ciudad.", "toledo.txt"))
    assert unmentioned("¿Quién pintó Las meninas en Toledo?", "es", HITS, lambda _: toledo) == ()
    assert unmentioned("¿Quién pintó Las meninas en Toledo?", "es", HITS, lambda _: HITS) == ("Toledo",)


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("¿Pintó Velázquez Las meninas en 1656?", ()),
        ("¿Adónde llevó Velázquez Las meninas?", ()),
        ("¿Qué dos cuadros pintó Velázquez?", ()),
        ("¿Pintó Silva Velázquez Las meninas?", ()),
        ("¿Pintó Velázquez Las meninas en 1657?", ("1657",)),
        ("¿Vio Las meninas Ada Lovelace en Toledo?", ("Ada Lovelace", "Toledo")),
    ],
)
def test_only_what_is_wholly_unknown_is_missing(question: str, missing: Sequence[str]) -> None:
    assert unmentioned(question, "es", HITS, lambda _: HITS) == missing


def test_in_another_language_only_numbers_are_said_to_be_missing() -> None:
    assert unmentioned("Did Velázquez paint in London in 1657?", "en", HITS, lambda _: HITS) == ("1657",)


def test_stopped_in_the_first_part_nothing_is_said_to_be_missing() -> None:
    cancel = Event()

    class Stopped(ByQuestion):
        def stream(self, *arguments: object, **options: object) -> Iterator[str]:
            cancel.set()
            yield MENINAS

    replies = {**WHOLE, FIRST: (MENINAS, 10.0), SECOND: ("", -10.0)}
    events = list(Answerer(FixedSearch(HITS), Stopped(replies), bag_of_words).stream(COMPOUND, cancel=cancel))
    assert finished(events).missing == ()


def test_of_a_question_and_its_follow_up_only_the_follow_up_is_answered() -> None:
    class Follower(ScriptedChooser):
        def stream(
            self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None
        ) -> Iterator[str]:
            last = messages[-1].content.rpartition("\n")[2]
            self._pieces = [MUSEUM if last.endswith("¿Dónde está?") else MENINAS]
            return super().stream(messages, sampling, cancel=cancel)

    generator = Follower([], 10.0)
    history = Conversation((Turn(FIRST, ""),))
    answer = Answerer(FixedSearch(HITS), generator, bag_of_words).answer("¿Dónde está?", history=history)
    assert answer.standalone_question == f"{FIRST} ¿Dónde está?"
    assert (answer.text, answer.missing) == (f"{MUSEUM} [1]", ())
