"""The best passages are kept within the budget, and both prompts begin alike."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.types import Hit
from rag.errors import PromptTooLongError
from rag.packing import packing
from rag.phrases import LANGUAGES, NO_ANSWER, phrases
from rag.prompt import build_prompt
from rag.transformers_generator import TransformersGenerator
from rag.types import Message
from tests.rag.conftest import END, document, hits_of, tiny_causal_lm, tiny_tokenizer

QUESTION = "¿Qué aprende una red?"
HITS = hits_of(document("Una red aprende pesos.\n\nOtra red compite.\n\nEl agua hierve a cien grados.\n\nFin."))


def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


def needed(hits: Sequence[Hit]) -> int:
    return words(build_prompt(QUESTION, hits, "es", max_tokens=10**6, count_tokens=words).short)


def test_every_passage_is_numbered_in_order_when_all_fit() -> None:
    prompt = build_prompt(QUESTION, HITS, "es", max_tokens=10**6, count_tokens=words)
    assert prompt.hits == tuple(HITS)
    assert prompt.dropped == ()
    body = prompt.answer[1].content
    places = [body.index(f"[{number}] {hit.chunk.text}") for number, hit in enumerate(HITS, 1)]
    assert places == sorted(places)
    assert body.endswith(f"Pregunta: {QUESTION}")


@given(st.integers(0, 120))
def test_the_best_are_kept_the_rest_reported_and_the_budget_respected(spare: int) -> None:
    budget = needed(HITS[:1]) + spare
    prompt = build_prompt(QUESTION, HITS, "es", max_tokens=budget, count_tokens=words)
    kept = len(prompt.hits)
    assert (*prompt.hits, *prompt.dropped) == tuple(HITS)
    assert words(prompt.answer) <= words(prompt.check) <= words(prompt.short) <= budget
    assert kept == len(HITS) or needed(HITS[: kept + 1]) > budget


@given(st.integers(0, 120))
def test_the_packing_tells_what_the_prompt_holds(spare: int) -> None:
    budget = needed(HITS[:1]) + spare
    prompt = build_prompt(QUESTION, HITS, "es", max_tokens=budget, count_tokens=words)
    told = packing(QUESTION, HITS, "es", max_tokens=budget, count_tokens=words)
    assert tuple(one.hit for one in told.kept) == prompt.hits
    assert tuple(one.hit for one in told.dropped) == prompt.dropped
    assert told.budget == budget
    assert told.frame + sum(one.tokens for one in told.kept) == words(prompt.short) == told.kept[-1].total


def test_the_packing_of_nothing_is_its_frame() -> None:
    told = packing(QUESTION, [], "es", max_tokens=5, count_tokens=words)
    assert (told.frame > 5, told.kept, told.dropped) == (True, (), ())


def test_a_passage_is_never_cut() -> None:
    budget = needed(HITS[:2]) - 1
    prompt = build_prompt(QUESTION, HITS, "es", max_tokens=budget, count_tokens=words)
    assert len(prompt.hits) == 1
    assert HITS[1].chunk.text[:8] not in prompt.answer[1].content


def test_no_room_for_the_best_passage_is_an_error_with_its_mend() -> None:
    with pytest.raises(PromptTooLongError, match="exceed 5 tokens") as caught:
        build_prompt(QUESTION, HITS, "es", max_tokens=5, count_tokens=words)
    assert "generation.prompt_tokens" in str(caught.value)


def test_without_hits_there_is_a_prompt_without_passages() -> None:
    prompt = build_prompt(QUESTION, [], "es", max_tokens=5, count_tokens=words)
    assert (prompt.hits, prompt.dropped) == ((), ())


def test_titles_stand_before_their_passage() -> None:
    titled = replace(HITS[0], chunk=replace(HITS[0].chunk, headings=("Redes", "Aprendizaje")))
    prompt = build_prompt(QUESTION, [titled], "es", max_tokens=10**6, count_tokens=words)
    assert "[1] (Redes > Aprendizaje) Una red aprende pesos." in prompt.answer[1].content


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_prompts_share_all_tokens_up_to_the_question(language: str) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_causal_lm(len(tokenizer), tokenizer.convert_tokens_to_ids(END))
    generator = TransformersGenerator(model, tokenizer, name="tiny")
    prompt = build_prompt(QUESTION, HITS, language, max_tokens=10**6, count_tokens=generator.count_tokens)
    answer, check = (generator._tokens.prompt(messages) for messages in (prompt.answer, prompt.check))
    shared = next(n for n, (a, b) in enumerate(zip(answer, check, strict=False)) if a != b)
    assert QUESTION in tokenizer.decode(answer[:shared])
    assert phrases(language).check in tokenizer.decode(check[shared:])
    assert NO_ANSWER in prompt.answer[0].content


def test_languages_have_their_own_phrases_and_others_get_english() -> None:
    assert len({phrases(language) for language in LANGUAGES}) == 3
    assert phrases("fr") == phrases("en")
