"""What reaches the reader: verified sentences with markers that resolve, or an honest refusal."""

import re
from collections.abc import Sequence
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.filters import Filter
from index.types import Hit
from ingest.types import Span
from rag.answerer import Answerer
from rag.errors import PromptTooLongError
from rag.grounding import Grounder, Support
from rag.phrases import LANGUAGES, NO_ANSWER, phrases
from rag.prompt import messages_of
from rag.types import Answer, Draft, Finished, Retrieved, Sampling, TextDelta
from rag.types import Event as AnswerEvent
from rag.verification import VerifiedText
from tests.rag.conftest import FixedSearch, InTurn, ScriptedChooser, ScriptedGenerator, bag_of_words, document, hits_of

DOCUMENT = document(
    "Redes\n\nIan Goodfellow presentó las GAN en 2014. El generador crea muestras falsas.\n\n"
    "El discriminador distingue las muestras reales de las falsas. Usa una función sigmoide.\n\n"
    "El agua hierve a cien grados al nivel del mar [12]."
)
HITS = hits_of(DOCUMENT)
QUESTION = "¿Quién presentó las GAN?"
FIRST, SECOND = "Ian Goodfellow presentó las GAN en 2014.", "El generador crea muestras falsas."
THIRD, FOURTH = "El discriminador distingue las muestras reales de las falsas.", "Usa una función sigmoide."
REFUSAL = phrases("es").abstained


def pieces_of(text: str, size: int = 3) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def answerer(generator: ScriptedGenerator, hits: Sequence[Hit] = HITS, **options: Any) -> Answerer:
    return Answerer(FixedSearch(hits), generator, bag_of_words, **options)


def writing(text: str, **options: Any) -> Answerer:
    """An answerer whose model is sure and writes `text` in small pieces."""
    return answerer(ScriptedChooser(pieces_of(text), 10.0), **options)


def check(answer: Answer, document_text: str = DOCUMENT.text) -> None:
    """Every marker resolves, every citation is used and its quote is verbatim."""
    shown = re.findall(r"\[\s*([\d,;\s–-]+)\]", answer.text)
    assert set(shown) == {citation.marker for citation in answer.citations}
    for citation in answer.citations:
        assert document_text[citation.start : citation.end] == citation.quote
        assert citation.document_id == DOCUMENT.id
        assert citation.source == DOCUMENT.source
        assert 0.25 <= citation.support <= 1.0
    assert [citation.marker for citation in answer.citations] == [
        str(number) for number in range(1, len(answer.citations) + 1)
    ]


def test_events_come_in_order_and_the_deltas_are_the_answer() -> None:
    events = list(writing(f"{FIRST} {SECOND}").stream(QUESTION))
    assert isinstance(events[0], Retrieved)
    assert list(events[0].hits) == HITS
    assert isinstance(events[-1], Finished)
    assert all(isinstance(event, Draft | TextDelta) for event in events[1:-1])
    assert [event.text for event in events if isinstance(event, TextDelta)] == [f"{FIRST} [1]", f" {SECOND} [2]"]
    assert events[-1].answer.text == f"{FIRST} [1] {SECOND} [2]"


def test_the_answer_says_how_it_came_about() -> None:
    answer = writing(FIRST).answer(QUESTION)
    check(answer)
    assert [citation.quote for citation in answer.citations] == [FIRST]
    assert (answer.question, answer.language, answer.model) == (QUESTION, "es", "scripted")
    assert not answer.abstained
    assert answer.confidence > 0.9
    assert answer.hits == tuple(HITS)
    assert {"retrieve", "check", "write", "verify", "first_token", "total"} <= answer.timings_s.keys()
    assert answer.usage.prompt_tokens > 20
    assert answer.usage.answer_tokens == len(pieces_of(FIRST))


def test_the_filter_reaches_the_search() -> None:
    search = FixedSearch(HITS)
    asked = Answerer(search, ScriptedChooser(pieces_of(FIRST), 10.0), bag_of_words)
    where = Filter(collections=("tesis",))
    asked.answer(QUESTION, k=2, where=where)
    list(asked.stream(QUESTION, where=where))
    asked.answer(QUESTION)
    assert search.asked == [(QUESTION, 2, where), (QUESTION, None, where), (QUESTION, None, None)]


def test_without_a_document_in_the_filter_it_abstains() -> None:
    answer = writing(FIRST, hits=[]).answer(QUESTION, where=Filter(languages=("pt",)))
    assert (answer.abstained, answer.text, answer.hits, answer.confidence) == (True, REFUSAL, (), 0.0)


def test_a_sentence_that_says_less_of_what_was_said_of_the_same_source_is_left_out() -> None:
    answer = writing(f"{FIRST} {SECOND} Las GAN las presentó Ian Goodfellow.").answer(QUESTION)
    check(answer)
    assert answer.text == f"{FIRST} [1] {SECOND} [2]"


def test_what_denies_an_earlier_sentence_of_the_same_source_repeats_none() -> None:
    class Certain(Grounder):
        """Every sentence is supported by the first."""

        def verified(self, sentence: str, language: str) -> tuple[Support, ...]:
            return (Support(HITS[0], Span(0, len(FIRST)), 1.0),)

    text = VerifiedText(Certain(HITS, bag_of_words), "es", lambda hit, start: None)
    assert [text.add(FIRST), text.add("No Goodfellow."), text.add("Goodfellow.")] == [
        f"{FIRST} [1]",
        " No Goodfellow. [1]",
        "",
    ]
    assert text.supported == 3


def test_equal_evidence_keeps_its_marker() -> None:
    answer = writing(f"{FIRST} {SECOND} Ian Goodfellow presentó en 2014 las GAN y el generador.").answer(QUESTION)
    check(answer)
    assert answer.text.endswith("Ian Goodfellow presentó en 2014 las GAN y el generador. [1]")
    assert len(answer.citations) == 2


@pytest.mark.parametrize(
    "text",
    [
        f"{FIRST[:-1]} [3]. {SECOND} [7]",
        f"{FIRST} [1][2] {SECOND} [1, 2]",
        f"{FIRST} [2-3]\n{SECOND} [ 9 ]",
        f"[5] {FIRST} [1 y 2] {SECOND} [1 and 2]",
        f"{FIRST[:-1]} [[8]9]. {SECOND[:-1]} [[[8]9]2].",
        f"{FIRST} {SECOND} [1]",
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_markers_that_the_model_invents_never_reach_the_reader(text: str, size: int) -> None:
    events = list(answerer(ScriptedChooser(pieces_of(text, size), 10.0)).stream(QUESTION))
    answer = finished(events)
    check(answer)
    assert answer.text == f"{FIRST} [1]{chr(10) if chr(10) in text else ' '}{SECOND} [2]"
    assert not [event for event in events if isinstance(event, Draft) and re.search(r"\[[\d, -]+\]", event.text)]


def finished(events: Sequence[AnswerEvent]) -> Answer:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.answer


@pytest.mark.parametrize(
    "text",
    [
        NO_ANSWER,
        f"\n {NO_ANSWER}.",
        "No_ANSWER",
        "no_answer.",
        f"**{NO_ANSWER}**",
        f"Lo siento: {NO_ANSWER}",
        f"{FIRST[:-1]}, pero {NO_ANSWER}",
        f"Lo siento. {NO_ANSWER}",
        f"{FIRST} {NO_ANSWER}",
        f"{NO_ANSWER}. {FIRST} {SECOND}",
        f"Los pasajes no lo dicen. Nada más. {NO_ANSWER}",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(("question", "language"), [(QUESTION, "es"), ("Quem são os autores?", "pt"), ("Who?", "en")])
def test_a_model_that_finds_no_answer_abstains_in_the_language_of_the_question(
    text: str, size: int, question: str, language: str
) -> None:
    events = list(answerer(ScriptedChooser(pieces_of(text, size), 10.0)).stream(question))
    answer = finished(events)
    assert (answer.text, answer.abstained, answer.citations) == (phrases(language).abstained, True, ())
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text
    assert not any(isinstance(event, Draft) and "NO_" in event.text for event in events)


def test_what_was_verified_before_the_model_gives_up_stays() -> None:
    answer = writing(f"{FIRST} {SECOND} {NO_ANSWER} {THIRD}").answer(QUESTION)
    check(answer)
    assert answer.text == f"{FIRST} [1]"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_asked_for_is_used(language: str) -> None:
    assert writing(NO_ANSWER).answer(QUESTION, language=language).text == phrases(language).abstained
    assert writing(NO_ANSWER, language=language).answer(QUESTION).language == language


def test_with_low_confidence_nothing_is_written() -> None:
    generator = ScriptedChooser(pieces_of(FIRST), -10.0)
    answer = answerer(generator).answer(QUESTION)
    assert (answer.text, answer.abstained) == (REFUSAL, True)
    assert answer.confidence < 0.5
    assert generator.checks
    assert not generator.prompts


def test_a_generator_that_cannot_choose_is_judged_by_retrieval() -> None:
    assert answerer(ScriptedGenerator([FIRST])).answer(QUESTION).text == f"{FIRST} [1]"
    weak = [replace(hit, score=0.0) for hit in HITS]
    assert answerer(ScriptedGenerator([FIRST]), weak).answer(QUESTION).abstained


def test_passages_of_another_search_are_judged_by_the_generator() -> None:
    search = FixedSearch(hits_of(DOCUMENT, channel="external"), corpus_size=None)
    sure, unsure = (Answerer(search, ScriptedChooser([FIRST], odds), bag_of_words) for odds in (10.0, -10.0))
    assert not sure.answer(QUESTION).abstained
    assert unsure.answer(QUESTION).abstained


@pytest.mark.parametrize(
    "wrong",
    [
        "El generador crea 50 muestras falsas.",
        "El generador de Bengio crea muestras falsas.",
        "Mañana jugamos al tenis en la playa.",
        "…",
    ],
)
def test_a_sentence_that_no_passage_carries_is_left_out(wrong: str) -> None:
    answer = writing(f"{FIRST} {wrong} {THIRD}").answer(QUESTION)
    check(answer)
    assert answer.text == f"{FIRST} [1] {THIRD} [2]"


def test_when_every_sentence_is_left_out_it_abstains() -> None:
    answer = writing("Fue en 1999. Lo hizo la señora Curie.").answer(QUESTION)
    assert (answer.text, answer.abstained, answer.citations) == (REFUSAL, True, ())
    assert answer.confidence < 0.5


def test_without_passages_it_abstains_and_asks_no_model() -> None:
    generator = ScriptedChooser([FIRST], 10.0)
    answer = answerer(generator, []).answer(QUESTION)
    assert (answer.text, answer.abstained, answer.confidence) == (REFUSAL, True, 0.0)
    assert not generator.prompts
    assert not generator.checks


def test_an_empty_reply_is_an_abstention() -> None:
    assert writing(" \n ").answer(QUESTION).abstained


@pytest.mark.parametrize("question", ["", " \n\t"])
def test_an_empty_question_is_refused_at_once(question: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        writing(FIRST).stream(question)


def test_bytes_of_a_question_that_are_no_text_become_question_marks() -> None:
    asked = writing(FIRST)
    answer = asked.answer("¿Quién presentó las \udcff GAN?")
    assert answer.question == "¿Quién presentó las ? GAN?"
    assert answer.question in asked.generator.prompts[0][-1].content  # type: ignore[attr-defined]


def test_lists_keep_their_lines() -> None:
    text = f"Son estas:\n\n- {SECOND}\n- Fue en 1999.\n- {THIRD}\n\n1. {FIRST}\n2. {FOURTH} {SECOND[:-1]} y rápidas."
    answer = writing(text).answer(QUESTION)
    check(answer)
    assert answer.text.splitlines() == [
        f"- {SECOND} [1]",
        f"- {THIRD} [2]",
        f"1. {FIRST} [3]",
        f"2. {FOURTH} [4] {SECOND[:-1]} y rápidas. [1]",
    ]


def test_a_reply_without_a_full_stop_is_verified_at_its_end() -> None:
    assert writing(FIRST[:-1]).answer(QUESTION).text == f"{FIRST[:-1]} [1]"


def test_drafts_show_the_sentence_that_is_being_written() -> None:
    events = list(writing(f"{FIRST} {SECOND}").stream(QUESTION))
    drafts = [event.text for event in events if isinstance(event, Draft)]
    assert drafts[:2] == [FIRST[:3], FIRST[:6]]
    assert all(FIRST.startswith(draft) or SECOND.startswith(draft) for draft in drafts)


def test_cancelled_it_keeps_the_verified_sentences_only() -> None:
    cancel = Event()
    pieces = [f"{FIRST} ", f"{SECOND} ", "El discriminador ", "distingue las muestras reales."]

    def on_piece(number: int) -> None:
        if number == 2:
            cancel.set()

    generator = ScriptedChooser(pieces, 10.0, on_piece=on_piece)
    events = list(answerer(generator).stream(QUESTION, cancel=cancel))
    answer = finished(events)
    check(answer)
    assert answer.text == f"{FIRST} [1] {SECOND} [2]"
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text
    assert not answer.abstained


def test_cancelled_before_the_first_sentence_it_is_empty_and_no_refusal() -> None:
    cancel = Event()
    cancel.set()
    events = list(writing(FIRST).stream(QUESTION, cancel=cancel))
    answer = finished(events)
    assert (answer.text, answer.abstained, answer.citations) == ("", False, ())
    assert not any(isinstance(event, TextDelta | Draft) for event in events)


def test_passages_that_do_not_fit_are_counted_and_never_cited() -> None:
    needed = ScriptedGenerator([]).count_tokens(messages_of(QUESTION, HITS, "es"))
    answer = writing(f"{FIRST} El agua hierve a cien grados.", prompt_tokens=needed - 1).answer(QUESTION)
    check(answer)
    assert answer.usage.dropped_passages == 1
    assert answer.text == f"{FIRST} [1]"
    assert len(answer.hits) == len(HITS)


def test_a_question_that_does_not_fit_is_told() -> None:
    with pytest.raises(PromptTooLongError):
        writing(FIRST, prompt_tokens=20).answer(QUESTION)


def test_the_reply_has_room_in_the_context() -> None:
    with pytest.raises(PromptTooLongError, match=r"generation\.max_tokens"):
        writing(FIRST).answer(QUESTION, sampling=Sampling(max_tokens=4090))


def test_fewer_passages_can_be_asked_for() -> None:
    assert len(writing(FIRST).answer(QUESTION, k=2).hits) == 2


_FRAGMENTS = st.sampled_from(
    [
        FIRST,
        SECOND,
        THIRD,
        "El agua hierve",
        NO_ANSWER,
        "NO_",
        "[1]",
        "[",
        "]",
        "1",
        "[2",
        ", 3]",
        "\n",
        "\n- ",
        ". ",
        " ",
    ]
)


@settings(deadline=None, max_examples=200)
@given(st.lists(_FRAGMENTS | st.text(max_size=8), max_size=14), st.integers(1, 12))
@example([FIRST, "[[1]2]"], 1)
@example([FIRST[:-1], " [", "[1]", "2", "]."], 3)
def test_whatever_the_model_writes_the_markers_resolve(fragments: list[str], size: int) -> None:
    text = "".join(fragments)
    events = list(answerer(ScriptedChooser(pieces_of(text, size), 10.0)).stream(QUESTION))
    answer = finished(events)
    check(answer)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text
    assert NO_ANSWER not in answer.text
    assert answer.abstained == (not answer.citations)
    assert answer.text == REFUSAL or not answer.abstained


ENGLISH = "Ian Goodfellow presented the GANs in the year 2014 in Montreal, and they compete."


def test_a_reply_in_another_language_is_asked_for_once_more() -> None:
    generator = InTurn([ENGLISH, FIRST])
    events = list(answerer(generator).stream(QUESTION))
    answer = finished(events)
    check(answer)
    assert (answer.text, answer.other_language) == (f"{FIRST} [1]", None)
    assert [event.text for event in events if isinstance(event, TextDelta)] == [f"{FIRST} [1]"]
    first, second = (prompt[-1].content for prompt in generator.prompts)
    assert second == f"{first}\n{phrases('es').in_this_language}"


def test_a_model_that_keeps_to_another_language_is_told_of() -> None:
    english = document(ENGLISH, language="en")
    generator = InTurn([ENGLISH, ENGLISH])
    answer = answerer(generator, hits_of(english)).answer(QUESTION)
    assert (answer.text, answer.language, answer.other_language) == (f"{ENGLISH} [1]", "es", "en")
    assert len(generator.prompts) == 2
