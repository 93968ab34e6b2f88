"""Examples, thoughts before the answer, and several replies of which the best supported is shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from rag.answerer import Answerer
from rag.errors import ConfigurationError
from rag.examples import NEUTRAL, load_examples
from rag.phrases import LANGUAGES, Example, phrases
from rag.types import Draft, Message, Options, Reasoning, Sampling, TextDelta
from tests.rag.conftest import FixedSearch, InTurn, ScriptedChooser, bag_of_words
from tests.rag.test_answerer import ENGLISH, FIRST, HITS, QUESTION, REFUSAL, SECOND, THIRD, finished

MINE = Example("El cielo es azul de día.", "¿De qué color es el cielo?", "El cielo es azul.")
FILE = """
[[example]]
passage = "El cielo es azul de día."
question = "¿De qué color es el cielo?"
answer = "El cielo es azul."
"""
EN_FILE = """
[[example]]
passage = "The sky is blue by day, and black by night."
question = "What colour does the sky have by day?"
answer = "The sky is blue by day."
"""


def answerer(generator: ScriptedChooser, examples: Any = None, **options: Any) -> Answerer:
    return Answerer(FixedSearch(HITS), generator, bag_of_words, options=Options(**options), examples=examples)


class TestExamples:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_there_are_neutral_ones_in_every_language(self, language: str) -> None:
        assert len(load_examples(NEUTRAL)[language]) >= 2
        assert load_examples("") == {}

    def test_those_of_a_file_are_used_for_questions_in_their_language(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(FILE + EN_FILE, encoding="utf-8")
        found = load_examples(str(path))
        assert found["es"] == (MINE,)
        assert set(found) == {"es", "en"}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "example"),
            ("x = 1\n" + FILE, "nothing else"),
            (FILE.replace("answer", "reply"), "passage, question, answer"),
            (FILE.replace('"El cielo es azul."', '" "'), "not empty"),
            (FILE * 5, "more than 4"),
            ("[[", "mine.toml"),
            (None, "mine.toml"),
        ],
    )
    def test_a_bad_file_is_told(self, text: str | None, told: str, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=told):
            load_examples(str(path))

    def test_they_stand_behind_the_question_of_the_answer_and_not_of_the_check(self) -> None:
        generator = ScriptedChooser([FIRST], 10.0)
        answerer(generator, {"es": (MINE,)}).answer(QUESTION)
        ((*_, asked),) = generator.prompts
        assert asked.content.index(QUESTION) < asked.content.index(MINE.passage) < asked.content.index(MINE.answer)
        assert asked.content.endswith(phrases("es").your_turn)
        assert all(MINE.answer not in message.content for check in generator.checks for message in check)

    def test_what_is_copied_from_them_is_no_answer(self) -> None:
        answer = answerer(ScriptedChooser([MINE.answer], 10.0), {"es": (MINE,)}).answer(QUESTION)
        assert (answer.text, answer.refusal) == (REFUSAL, "unsupported")

    def test_a_copy_that_looks_like_a_passage_is_left_out_unless_it_stands_in_one(self) -> None:
        alike = Example("El horno crea muestras de miel.", "¿Qué crea el horno?", "El generador crea muestras dulces.")
        copying = ScriptedChooser([f"{alike.answer} {SECOND}"], 10.0)
        assert answerer(copying).answer(QUESTION).text == f"{alike.answer} [1] {SECOND} [1]"
        assert answerer(copying, {"es": (alike,)}).answer(QUESTION).text == f"{SECOND} [1]"
        same = Example(SECOND, "¿Qué crea el generador?", SECOND)
        assert answerer(copying, {"es": (same,)}).answer(QUESTION).text.endswith(f"{SECOND} [1]")

    def test_other_languages_are_left_alone(self) -> None:
        generator = ScriptedChooser([FIRST], 10.0)
        answerer(generator, {"en": (MINE,)}).answer(QUESTION)
        assert MINE.passage not in generator.prompts[0][-1].content


class TestReasoning:
    THOUGHTS = "El pasaje 1 nombra a Bengio."

    def test_thoughts_come_before_the_answer_and_are_no_part_of_it(self) -> None:
        generator = InTurn([self.THOUGHTS, FIRST])
        events = list(answerer(generator, reasoning=True).stream(QUESTION))
        answer = finished(events)
        assert "".join(event.text for event in events if isinstance(event, Reasoning)) == self.THOUGHTS
        assert (answer.reasoning, answer.text) == (self.THOUGHTS, f"{FIRST} [1]")
        assert all("Bengio" not in citation.quote for citation in answer.citations)
        first_text = next(place for place, event in enumerate(events) if isinstance(event, TextDelta))
        assert all(not isinstance(event, Reasoning) for event in events[first_text:])
        assert "reason" in answer.timings_s

    def test_the_model_answers_behind_its_thoughts(self) -> None:
        generator = InTurn([self.THOUGHTS, FIRST])
        answerer(generator, reasoning=True).answer(QUESTION)
        thought, written = generator.prompts
        assert thought[-1].content.endswith(phrases("es").reason)
        assert [*written[: len(thought)]] == [*thought]
        assert written[-2] == Message("assistant", self.THOUGHTS)
        assert written[-1].content == phrases("es").conclude

    def test_an_answer_copied_from_thoughts_is_verified_like_any_other(self) -> None:
        answer = answerer(InTurn([self.THOUGHTS, "Lo presentó Bengio."]), reasoning=True).answer(QUESTION)
        assert (answer.text, answer.reasoning) == (REFUSAL, self.THOUGHTS)

    def test_thoughts_take_half_of_the_tokens_at_most(self) -> None:
        limits: list[int] = []

        class Counting(ScriptedChooser):
            def stream(
                self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None
            ) -> Iterator[str]:
                limits.append(sampling.max_tokens)
                return super().stream(messages, sampling, cancel=cancel)

        answerer(Counting([FIRST], 10.0), reasoning=True).answer(QUESTION, sampling=Sampling(max_tokens=100))
        assert limits == [50, 50]

    def test_without_it_nothing_is_thought(self) -> None:
        generator = ScriptedChooser([FIRST], 10.0)
        assert answerer(generator).answer(QUESTION).reasoning == ""
        assert len(generator.prompts) == 1


class TestCandidates:
    WARM = Sampling(temperature=0.7, seed=3)

    def test_the_best_supported_reply_is_shown(self) -> None:
        generator = InTurn(["Lo hizo Bengio.", f"{FIRST} Fue en 1999.", FIRST, f"{SECOND} Las hizo Curie."])
        events = list(answerer(generator, candidates=4).stream(QUESTION, sampling=self.WARM))
        answer = finished(events)
        assert answer.text == f"{FIRST} [1]"
        assert [event.text for event in events if isinstance(event, TextDelta)] == [f"{FIRST} [1]"]
        assert any(isinstance(event, Draft) for event in events)
        assert len(generator.prompts) == 4

    def test_when_no_reply_is_supported_it_abstains(self) -> None:
        generator = InTurn(["Lo hizo Bengio.", "NO_ANSWER"])
        assert answerer(generator, candidates=2).answer(QUESTION, sampling=self.WARM).abstained

    def test_of_equals_the_first_is_shown(self) -> None:
        generator = InTurn([FIRST, THIRD])
        assert answerer(generator, candidates=2).answer(QUESTION, sampling=self.WARM).text == f"{FIRST} [1]"

    def test_each_is_drawn_with_a_seed_of_its_own(self) -> None:
        seeds: list[int | None] = []

        class Seeds(ScriptedChooser):
            def stream(
                self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None
            ) -> Iterator[str]:
                seeds.append(sampling.seed)
                return super().stream(messages, sampling, cancel=cancel)

        answerer(Seeds([FIRST], 10.0), candidates=3).answer(QUESTION, sampling=self.WARM)
        assert seeds == [3, 4, 5]

    def test_at_temperature_0_one_is_written(self) -> None:
        generator = ScriptedChooser([FIRST], 10.0)
        answerer(generator, candidates=5).answer(QUESTION, sampling=Sampling(temperature=0.0))
        assert len(generator.prompts) == 1

    def test_a_reply_in_another_language_is_asked_for_again(self) -> None:
        generator = InTurn([ENGLISH, FIRST, SECOND])
        answer = answerer(generator, candidates=2).answer(QUESTION, sampling=self.WARM)
        assert answer.other_language is None
        assert answer.text == f"{FIRST} [1]"
        assert len(generator.prompts) == 3

    @pytest.mark.parametrize("candidates", [0, 9])
    def test_a_number_out_of_range_is_refused(self, candidates: int) -> None:
        with pytest.raises(ValueError, match="candidates"):
            Options(candidates=candidates)
