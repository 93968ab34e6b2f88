"""Short answers, caution, flagged sentences and trimmed prompts."""

import math
from collections.abc import Iterator, Sequence
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
from rag.types import Draft, Finished, Message, Options, Sampling, TextDelta
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
    """The words that are found word for word against what is written of the model's own accord."""

    BUILDER = "Lo construyó Augustin Fresnel."
    YEAR = "El faro se encendió en 1823."

    def asked(self, generator: ScriptedExtractor, **options: Any) -> tuple[str, tuple[str, ...], bool]:
        """What is shown, the words with it, and whether words were told to the model in the end."""
        answer = answerer(generator, **options).answer(QUESTION)
        told = generator.prompts[-1][-1].content.rpartition("\n")[2]
        return answer.text, answer.words, told == phrases("es").with_words.format(words="Augustin Fresnel")

    def test_a_reply_that_has_the_words_is_shown(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [self.BUILDER])
        assert self.asked(generator) == (f"{self.BUILDER} [1]", ("Augustin Fresnel",), False)

    def test_a_reply_without_them_is_not_shown_and_another_is_written_for_which_they_are_told(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [self.YEAR], told=[self.BUILDER])
        assert self.asked(generator) == (f"{self.BUILDER} [1]", ("Augustin Fresnel",), True)
        events = list(answerer(generator).stream(QUESTION))
        assert [event.text for event in events if isinstance(event, TextDelta)] == [f"{self.BUILDER} [1]"]

    def test_what_is_held_back_is_seen_as_a_draft(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [f"{self.YEAR} ", "El museo "], told=[self.BUILDER])
        drafts = [event.text for event in answerer(generator).stream(QUESTION) if isinstance(event, Draft)]
        assert drafts[:3] == [self.YEAR, self.YEAR, f"{self.YEAR} El museo"]

    @pytest.mark.parametrize(("other", "shown"), [(-1.9, "own"), (-2.1, "told")])
    def test_other_words_do_where_they_are_nearly_as_likely(self, other: float, shown: str) -> None:
        found = {"Augustin Fresnel": -0.05, "1823": other}
        text, words, told = self.asked(ScriptedExtractor(found, [self.YEAR], told=[self.BUILDER]))
        if shown == "own":
            assert (text, words, told) == (f"{self.YEAR} [1]", ("1823",), False)
        else:
            assert (text, words, told) == (f"{self.BUILDER} [1]", ("Augustin Fresnel",), True)

    @pytest.mark.parametrize(("log_likelihood", "told"), [(-2.9, True), (-3.1, False)])
    def test_unlikely_words_are_not_told(self, log_likelihood: float, told: bool) -> None:
        generator = ScriptedExtractor({"Augustin Fresnel": log_likelihood}, [self.YEAR], told=[self.BUILDER])
        shown = self.BUILDER if told else self.YEAR
        assert self.asked(generator) == (f"{shown} [1]", ("Augustin Fresnel",), told)

    @pytest.mark.parametrize(
        ("own", "told", "shown"),
        [
            ("1823.", [YEAR], f"{YEAR} [1]"),
            ("En 1823.", [YEAR], f"{YEAR} [1]"),
            ("Se encendió en 1823.", ["Fue en 1823."], "Se encendió en 1823. [1]"),
            ("En 1823.", ["Lo encendió Napoleón."], "En 1823. [1]"),
            ("En 1823.", [BUILDER], f"{BUILDER} [1] «1823» [2]"),
        ],
    )
    def test_a_reply_that_is_nothing_but_words_becomes_a_sentence_about_the_same(
        self, own: str, told: list[str], shown: str
    ) -> None:
        generator = ScriptedExtractor({"Augustin Fresnel": 0.0, "1823": -1.0}, [own], told=told)
        answer = answerer(generator).answer(QUESTION)
        assert answer.text == shown
        hint = phrases("es").with_words.format(words="1823")
        assert generator.prompts[-1][-1].content.endswith(hint) == (own != "Se encendió en 1823.")

    def test_nothing_is_told_where_nothing_is_found(self) -> None:
        assert self.asked(ScriptedExtractor("Napoleón", [self.YEAR])) == (f"{self.YEAR} [1]", (), False)

    def test_a_marker_is_no_word(self) -> None:
        hits = hits_of(document("El faro se encendió en 1823.\n\nTiene 1 torre."))
        generator = ScriptedExtractor("1", ["El faro se encendió en 1823."], told=["Tiene 1 torre."])
        assert answerer(generator, hits).answer("¿Cuántas torres tiene?").text == "Tiene 1 torre. [1]"

    def test_the_rest_of_a_reply_is_shown_as_it_comes_once_it_has_them(self) -> None:
        reply = f"{self.YEAR} {self.BUILDER} El museo guarda 412 lámparas. Fin."
        events = list(answerer(ScriptedExtractor("Augustin Fresnel", [reply], told=[self.BUILDER])).stream(QUESTION))
        deltas = [event.text for event in events if isinstance(event, TextDelta)]
        assert deltas == [f"{self.YEAR} [1] {self.BUILDER} [2]", " El museo guarda 412 lámparas. [3]", " Fin. [4]"]

    @pytest.mark.parametrize("first", [YEAR, "Augustin Fresnel."])
    def test_of_several_replies_a_sentence_that_has_them_is_shown(self, first: str) -> None:
        class Anew(ScriptedExtractor):
            replies = iter([first, "Lo construyó Augustin Fresnel."])

            def stream(self, *args: Any, **options: Any) -> Iterator[str]:
                self._replies = ([next(self.replies)], [])
                return super().stream(*args, **options)

        one = answerer(Anew("Augustin Fresnel"), candidates=2)
        assert one.answer(QUESTION, sampling=Sampling(temperature=0.5)).text == f"{self.BUILDER} [1]"

    def test_what_was_verified_is_shown_when_the_reader_stops_it(self) -> None:
        stop = Event()
        generator = ScriptedExtractor("Augustin Fresnel", [f"{self.YEAR} ", "Lo construyó "])
        generator._on_piece = lambda number: stop.set() if number else None
        *_, last = answerer(generator).stream(QUESTION, cancel=stop)
        assert isinstance(last, Finished)
        assert last.answer.text == f"{self.YEAR} [1]"
        assert len(generator.prompts) == 2  # to find the words, and to write

    def test_they_are_not_looked_for_where_an_explanation_is_asked_for(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [self.BUILDER])
        assert answerer(generator).answer("¿Por qué construyó el faro Augustin Fresnel?").words == ()

    def test_they_are_not_looked_for_where_that_is_not_wanted(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [self.YEAR], told=[self.BUILDER])
        assert self.asked(generator, words_first=False) == (f"{self.YEAR} [1]", (), False)

    @pytest.mark.parametrize("words", ["Augustin» Fresnel", "Augustin [2] Fresnel"])
    def test_words_that_could_end_their_quotation_or_look_like_a_marker_are_not_told_to_the_model(
        self, words: str
    ) -> None:
        hits = hits_of(document(f"Lo construyó {words}. El faro se encendió en 1823."))
        generator = ScriptedExtractor(words, [self.YEAR], told=[self.BUILDER])
        answer = answerer(generator, hits).answer(QUESTION)
        assert (answer.text, answer.words) == (f"{self.YEAR} [1]", (words,))

    def test_words_of_another_language_are_not_told_to_the_model(self) -> None:
        hits = hits_of(document("Augustin Fresnel built it.", language="en"), DOCUMENT)
        generator = ScriptedExtractor("Augustin Fresnel", [self.YEAR], told=[self.BUILDER])
        answer = answerer(generator, hits).answer(QUESTION)
        assert (answer.text, answer.words) == (f"{self.YEAR} [1]", ("Augustin Fresnel",))

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            (YEAR, f"{YEAR} [1] «Augustin Fresnel» [2]"),
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

    @pytest.mark.parametrize(
        ("own", "told", "log_likelihood", "shown"),
        [
            ("Lo construyó Napoleón.", "Fue Napoleón.", -0.9, "«Augustin Fresnel» [1]"),
            ("Lo construyó Napoleón.", "Fue Napoleón.", -1.1, phrases("es").abstained),
            (YEAR, "Fue Napoleón.", -1.1, f"{YEAR} [1]"),
            ("Lo construyó Napoleón.", YEAR, -1.1, f"{YEAR} [1] «Augustin Fresnel» [2]"),
        ],
    )
    def test_they_are_quoted_alone_only_where_the_model_is_sure(
        self, own: str, told: str, log_likelihood: float, shown: str
    ) -> None:
        generator = ScriptedExtractor({"Augustin Fresnel": log_likelihood}, [own], told=[told])
        assert answerer(generator).answer(QUESTION).text == shown

    def test_those_of_every_part_of_a_compound_question_are_told(self) -> None:
        class ByPart(ScriptedExtractor):
            def extract(
                self, messages: Sequence[Message], texts: Sequence[str], *, cancel: Event | None = None
            ) -> list[Piece]:
                year = "año" in messages[-1].content.rpartition(": ")[2]
                self._found = {"1823": 0.0} if year else {"Augustin Fresnel": 0.0}
                return super().extract(messages, texts, cancel=cancel)

        generator = ByPart("", ["El faro se encendió en 1823."])
        answer = answerer(generator).answer("¿Quién construyó el faro y en qué año se encendió el faro?")
        assert answer.words == ("Augustin Fresnel", "1823")
        assert answer_json(answer)["words"] == "Augustin Fresnel; 1823"

    def test_words_of_the_part_before_do_not_answer_the_next_one(self) -> None:
        class ByPart(ScriptedExtractor):
            def stream(self, messages: Sequence[Message], *args: Any, **options: Any) -> Iterator[str]:
                second = "lámparas" in messages[-1].content.rpartition("Pregunta: ")[2]
                self._replies = (["El museo guarda 412 lámparas." if second else TestWordsFirst.YEAR],) * 2
                return super().stream(messages, *args, **options)

        generator = ByPart("1823")
        question = "¿En qué año se encendió el faro y cuántas lámparas guarda el museo?"
        assert answerer(generator).answer(question).words == ("1823",)
        told = phrases("es").with_words.format(words="1823")
        assert [told in prompt[-1].content for prompt in generator.prompts] == [False, False, False, False, True]

    def test_words_that_the_model_was_not_told_are_not_quoted(self) -> None:
        generator = ScriptedExtractor({"Augustin Fresnel": -3.1}, ["Lo construyó Napoleón en 1999."])
        assert answerer(generator).answer(QUESTION).abstained

    def test_without_memory_to_look_for_them_the_answer_is_written_all_the_same(self) -> None:
        generator = ScriptedExtractor("Augustin Fresnel", [self.BUILDER])

        def failing(*_: object, **__: object) -> None:
            raise OutOfMemoryError("out of memory with 900 tokens")

        generator.extract = failing  # type: ignore[method-assign]
        assert answerer(generator).answer(QUESTION).text == f"{self.BUILDER} [1]"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_examples_of_short_answers_are_words_of_their_passages(language: str) -> None:
    for example in phrases(language).examples:
        assert standing_in([example.passage], example.answer)
