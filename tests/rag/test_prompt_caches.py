"""Which cache a prompt goes on from, for one question at a time and for several."""

from typing import Any

import pytest
import torch

from rag.prompt_caches import PromptCaches, common_prefix
from tests.rag.conftest import tiny_causal_lm

INSTRUCTIONS = list(range(3, 43))
ANOTHER_KIND = list(range(60, 100))


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_causal_lm(200, 0)


def read(caches: PromptCaches, model: Any, prompt: list[int]) -> int:
    """Runs what is new of a prompt; how many tokens that is."""
    caches.turn_to_like(prompt)
    shared = common_prefix(prompt[:-1], caches.ids)
    caches.shorten(shared)
    new = prompt[shared:]
    with torch.inference_mode():
        model(input_ids=torch.tensor([new]), past_key_values=caches.cache, use_cache=True)
    caches.grow(new)
    assert caches.ids == prompt
    assert caches.cache.get_seq_length() == len(prompt)
    return len(new)


def passages(number: int) -> list[int]:
    return [100 + number] * 70


def test_a_kind_of_prompt_comes_back_to_its_own_cache(model: Any) -> None:
    caches = PromptCaches(model.config)
    assert read(caches, model, INSTRUCTIONS + passages(1)) == 110
    assert read(caches, model, ANOTHER_KIND + passages(1)) == 110
    assert read(caches, model, INSTRUCTIONS + passages(1) + [7]) == 1
    assert read(caches, model, ANOTHER_KIND + passages(2)) == 70
    assert read(caches, model, INSTRUCTIONS + passages(2)) == 70


def test_of_one_question_at_a_time_the_instructions_are_not_copied(model: Any) -> None:
    caches = PromptCaches(model.config)
    read(caches, model, INSTRUCTIONS + passages(1))
    read(caches, model, ANOTHER_KIND + passages(1))
    read(caches, model, INSTRUCTIONS + passages(2))
    assert read(caches, model, ANOTHER_KIND + passages(2)) == 70


def test_questions_in_turn_keep_their_passages(model: Any) -> None:
    caches = PromptCaches(model.config, questions=2)
    assert read(caches, model, INSTRUCTIONS + passages(1)) == 110
    assert read(caches, model, INSTRUCTIONS + passages(2)) == 70
    assert read(caches, model, ANOTHER_KIND + passages(1)) == 110
    assert read(caches, model, ANOTHER_KIND + passages(2)) == 70
    for number in (1, 2):
        assert read(caches, model, INSTRUCTIONS + passages(number) + [7]) == 1
        assert read(caches, model, ANOTHER_KIND + passages(number) + [7]) == 1


def test_a_copied_beginning_is_read_as_if_it_were_new(model: Any) -> None:
    caches = PromptCaches(model.config, questions=2)
    read(caches, model, INSTRUCTIONS + passages(1))
    read(caches, model, INSTRUCTIONS + passages(2))
    with torch.inference_mode():
        fresh = model(input_ids=torch.tensor([INSTRUCTIONS + passages(2)]), use_cache=True).past_key_values
    for ours, theirs in zip(caches.cache.layers, fresh.layers, strict=True):
        assert torch.allclose(ours.keys, theirs.keys, atol=1e-5)
        assert torch.allclose(ours.values, theirs.values, atol=1e-5)


def test_cleared_caches_know_nothing(model: Any) -> None:
    caches = PromptCaches(model.config, questions=2)
    read(caches, model, INSTRUCTIONS)
    read(caches, model, ANOTHER_KIND)
    caches.clear()
    assert read(caches, model, INSTRUCTIONS) == 40
    assert read(caches, model, ANOTHER_KIND) == 40
