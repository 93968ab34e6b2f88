"""Short answers, caution, flagged sentences and trimmed prompts."""

import math
from collections.abc import Sequence
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.types import Hit
from rag.answer_json import answer_json
from rag.answerer import Answerer
from rag.errors import OutOfMemoryError
from rag.phrases import LANGUAGES, phrases
from rag.spans import Piece, standing_in
from rag.types import Message, Options, TextDelta
from tests.rag.conftest import (
    FixedSearch,
    ScriptedChooser,
    ScriptedExtractor,
    ScriptedGenerator,
    bag_of_words,
    document,
    hits_of,
)

DOCUMENT = document(
    "El faro de la isla se encendió en 1823. Lo construyó Augustin Fresnel.\n\nEl museo guarda 412 lámparas.\n\nFin."
)
HITS = hits_of(DOCUMENT)  # with scores 4, 3 and 2
QUESTION = "¿Quién construyó el faro de la isla?"


def answerer(generator: ScriptedGenerator, hits: list[Hit] = HITS, **options: Any) -> Answerer:
    return Answerer(FixedSearch(hits), generator, bag_of_words, options=Options(**options))


@pytest.mark.parametrize(
    "generator", [ScriptedExtractor("Augustin Fresnel"), ScriptedChooser(["«augustin ", "Fresnel»."], 9.0)]
)
def test_a_short_answer_is_words_of_a_passage_and_cites_their_sentence(generator: ScriptedGenerator) -> None:
    events = list(answerer(generator, style="short").stream(QUESTION))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Augustin Fresnel [1]"]
    answer = answerer(generator, style="short").answer(QUESTION)
    (citation,) = answer.citations
    assert (citation.quote, citation.support) == ("Lo construyó Augustin Fresnel.", 1.0)
    assert DOCUMENT.text[citation.start : citation.end] == citation.quote
    first, *shown, last = generator.prompts[-1]
    assert first.content == phrases("es").short
    assert [message.content for message in shown[1::2]] == [example.answer for example in phrases("es").examples]
    assert last.content.endswith(QUESTION)


@pytest.mark.parametrize("generator", [ScriptedExtractor("Napoleón"), ScriptedChooser(["Napoleón"], 9.0)])
def test_words_that_stand_in_no_passage_are_no_short_answer(generator: ScriptedGenerator) -> None:
    answer = answerer(generator, style="short").answer(QUESTION)
    assert (answer.abstained, answer.text) == (True, phrases("es").abstained)


def test_the_style_of_one_question_leaves_the_others_as_they_are() -> None:
    one = answerer(ScriptedExtractor("1823"))
    assert one.answer(QUESTION, options=Options(style="short")).text == "1823 [1]"
    assert one.answer(QUESTION).abstained


@given(st.floats(-4, 4), st.floats(0, 1))
def test_it_answers_exactly_from_the_caution_upwards(log_odds: float, caution: float) -> None:
    asked = answerer(ScriptedChooser(["El museo guarda 412 lámparas."], log_odds))
    sure = asked.answer("¿Cuántas lámparas guarda el museo?", options=Options(caution=0.0))
    again = asked.answer("¿Cuántas lámparas guarda el museo?", options=Options(caution=caution))
    assert not sure.abstained
    assert again.abstained == (sure.confidence < caution)


def test_a_sentence_without_support_is_shown_flagged_where_that_is_asked_for() -> None:
    text = "El museo guarda 412 lámparas. El museo guarda 500 lámparas. Los marcianos bailan."
    generator = ScriptedChooser([text], 10.0)
    removed = answerer(generator).answer(QUESTION)
    assert (removed.text, removed.unsupported) == ("El museo guarda 412 lámparas. [1]", ())
    flagged = answerer(generator, unsupported="flag").answer(QUESTION)
    assert flagged.text == (
        "El museo guarda 412 lámparas. [1] El museo guarda 500 lámparas. [!] Los marcianos bailan. [!]"
    )
    assert flagged.unsupported == ("El museo guarda 500 lámparas.", "Los marcianos bailan.")
    assert [citation.marker for citation in flagged.citations] == ["1"]


def test_a_model_cannot_write_the_signs_itself() -> None:
    answer = answerer(ScriptedChooser(["El museo guarda 412 lámparas [?] [ ! ]. Fin [!]"], 10.0)).answer(QUESTION)
    assert answer.text.startswith("El museo guarda 412 lámparas")
    assert answer.citations
    assert not {"!", "?"} & set(answer.text)


# In a corpus of 200 passages a deviation counts for four fifths of one.
@pytest.mark.parametrize(("margin", "kept"), [(0.0, 1), (0.75, 1), (0.85, 2), (1.55, 2), (1.65, 3), (math.inf, 3)])
def test_passages_far_behind_the_best_stay_out_of_the_prompt_but_are_shown(margin: float, kept: int) -> None:
    generator = ScriptedChooser(["El museo guarda 412 lámparas."], 10.0)
    answer = answerer(generator, passage_margin=margin).answer(QUESTION)
    prompt = generator.prompts[0][1].content
    assert [hit.chunk.text in prompt for hit in HITS] == [rank < kept for rank in range(3)]
    assert answer.hits == tuple(HITS)
    assert (answer.usage.trailing_passages, answer.usage.dropped_passages) == (3 - kept, 0)


def test_scores_without_a_scale_trim_nothing() -> None:
    generator = ScriptedChooser(["El museo guarda 412 lámparas."], 10.0)
    search = FixedSearch(HITS, corpus_size=None)
    answer = Answerer(search, generator, bag_of_words, options=Options(passage_margin=0.1)).answer(QUESTION)
    assert answer.usage.trailing_passages == 0


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"style": "long"}, "style='long'"),
        ({"caution": 1.5}, "caution=1.5"),
        ({"unsupported": "keep"}, "unsupported='keep'"),
        ({"passage_margin": -1.0}, "passage_margin=-1.0"),
    ],
)
def test_options_out_of_range_are_named(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Options(**values)


class _Cramped(ScriptedChooser):
    """Has memory for prompts of so many passages."""

    def __init__(self, most: int) -> None:
        super().__init__(["El faro de la isla se encendió en 1823."], 0.0)
        self._most = most

    def log_odds(self, messages: Any, first: str, second: str, *, cancel: Any = None) -> float:
        super().log_odds(messages, first, second, cancel=cancel)
        if sum(hit.chunk.text in messages[1].content for hit in HITS) > self._most:
            raise OutOfMemoryError("no memory for 3000 tokens")
        return 5.0


@pytest.mark.parametrize(("most", "read"), [(3, 3), (2, 1), (1, 1)])
def test_without_memory_the_better_half_of_the_passages_is_read_and_that_is_said(
    most: int, read: int, caplog: pytest.LogCaptureFixture
) -> None:
    generator = _Cramped(most)
    answer = answerer(generator).answer(QUESTION)
    assert answer.text == "El faro de la isla se encendió en 1823. [1]"
    assert [hit.chunk.text in generator.prompts[0][1].content for hit in HITS] == [rank < read for rank in range(3)]
    assert (answer.usage.dropped_passages, answer.hits) == (3 - read, tuple(HITS))
    assert ("Reading the best 1 of 3 passages instead" in caplog.text) == (read < 3)


def test_without_memory_for_one_passage_the_error_is_told() -> None:
    with pytest.raises(OutOfMemoryError, match="no memory"):
        answerer(_Cramped(0)).answer(QUESTION)


class TestWordsFirst:
    WRITTEN = "Lo construyó Augustin Fresnel."

    def asked(self, words: str, log_likelihood: float = 0.0, **options: Any) -> tuple[str, str]:
        """The words that are told with the answer, and the last prompt."""
        generator = ScriptedExtractor(words, [self.WRITTEN], log_likelihood)
        answer = answerer(generator, **options).answer(QUESTION)
        assert answer.text == f"{self.WRITTEN} [1]"
        return "; ".join(answer.words), generator.prompts[-1][-1].content

    def test_the_words_are_told_to_the_model_and_with_the_answer(self) -> None:
        words, prompt = self.asked("Augustin Fresnel")
        assert words == "Augustin Fresnel"
        assert prompt.endswith(phrases("es").with_words.format(words="Augustin Fresnel"))

    @pytest.mark.parametrize(("found", "log_likelihood"), [("Augustin Fresnel", -3.0), ("Napoleón", 0.0)])
    def test_words_that_are_unlikely_or_not_found_are_not_told_to_the_model(
        self, found: str, log_likelihood: float
    ) -> None:
        words, prompt = self.asked(found, log_likelihood)
        assert words == ("" if found == "Napoleón" else found)
        assert prompt.endswith(QUESTION)

    def test_they_are_not_looked_for_where_an_explanation_is_asked_for(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [self.WRITTEN])
        assert answerer(generator).answer("¿Por qué construyó el faro Augustin Fresnel?").words == ()

    def test_they_are_not_looked_for_where_that_is_not_wanted(self) -> None:
        assert self.asked("Augustin Fresnel", words_first=False)[0] == ""

    @pytest.mark.parametrize("words", ["Augustin» Fresnel", "Augustin [2] Fresnel"])
    def test_words_that_could_end_their_quotation_or_look_like_a_marker_are_not_told_to_the_model(
        self, words: str
    ) -> None:
        hits = hits_of(document(f"Lo construyó {words}."))
        generator = ScriptedExtractor(words, [self.WRITTEN])
        assert answerer(generator, hits).answer(QUESTION).words == (words,)
        assert generator.prompts[-1][-1].content.endswith(QUESTION)

    def test_words_of_another_language_are_not_told_to_the_model(self) -> None:
        hits = hits_of(document("Augustin Fresnel built it.", language="en"), DOCUMENT)
        generator = ScriptedExtractor("Augustin Fresnel", [self.WRITTEN])
        assert answerer(generator, hits).answer(QUESTION).words == ("Augustin Fresnel",)
        assert generator.prompts[-1][-1].content.endswith(QUESTION)

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("El faro se encendió en 1823.", "El faro se encendió en 1823. [1] «Augustin Fresnel» [2]"),
            ("Lo construyó Napoleón en 1999.", "«Augustin Fresnel» [1]"),
            ("Lo construyó AUGUSTIN FRESNEL.", "Lo construyó AUGUSTIN FRESNEL. [1]"),
            ("NO_ANSWER", phrases("es").abstained),
        ],
    )
    def test_they_are_quoted_where_no_sentence_tells_them_unless_the_model_refuses(
        self, written: str, shown: str
    ) -> None:
        answer = answerer(ScriptedExtractor("Augustin Fresnel", [written])).answer(QUESTION)
        assert answer.text == shown
        assert answer.abstained or "Augustin Fresnel" in answer.citations[-1].quote

    def test_those_of_every_part_of_a_compound_question_are_told(self) -> None:
        class ByPart(ScriptedExtractor):
            def extract(
                self, messages: Sequence[Message], texts: Sequence[str], *, cancel: Event | None = None
            ) -> Piece | None:
                self._words = "1823" if "año" in messages[-1].content.rpartition(": ")[2] else "Augustin Fresnel"
                return super().extract(messages, texts, cancel=cancel)

        generator = ByPart("", ["El faro se encendió en 1823."])
        answer = answerer(generator).answer("¿Quién construyó el faro y en qué año se encendió el faro?")
        assert answer.words == ("Augustin Fresnel", "1823")
        assert answer_json(answer)["words"] == "Augustin Fresnel; 1823"

    def test_words_that_the_model_was_not_told_are_not_quoted(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", ["Lo construyó Napoleón en 1999."], -3.0)
        assert answerer(generator).answer(QUESTION).abstained

    def test_without_memory_to_look_for_them_the_answer_is_written_all_the_same(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [self.WRITTEN])

        def failing(*_: object, **__: object) -> None:
            raise OutOfMemoryError("out of memory with 900 tokens")

        generator.extract = failing  # type: ignore[method-assign]
        assert answerer(generator).answer(QUESTION).text == f"{self.WRITTEN} [1]"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_examples_of_short_answers_are_words_of_their_passages(language: str) -> None:
    for example in phrases(language).examples:
        assert standing_in([example.passage], example.answer)
