"""Replies that are written together are those that would have been written alone."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from rag.batched_decoding import Reply, StackedCaches
from rag.errors import OutOfMemoryError
from rag.transformers_generator import TransformersGenerator
from rag.types import Message, Sampling
from tests.rag.conftest import tiny_tokenizer, tiny_writer

GREEDY = Sampling(temperature=0.0, max_tokens=30)
SEEDED = Sampling(temperature=1.0, max_tokens=30, seed=5, repetition_penalty=1.2)
TEXTS = ["uno", "las redes compiten", "el codificador comprime " * 12, "¿qué?", "the decoder reads them all " * 4]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    return tiny_writer(tokenizer)


@pytest.fixture
def alone(model: Any, tokenizer: Any) -> TransformersGenerator:
    return TransformersGenerator(model, tokenizer, name="tiny")


@pytest.fixture
def together(model: Any, tokenizer: Any) -> TransformersGenerator:
    return TransformersGenerator(model, tokenizer, name="tiny", together=3)


def ask(text: str) -> list[Message]:
    return [Message("system", "Responde con los pasajes."), Message("user", text)]


def whole(generator: TransformersGenerator, text: str, sampling: Sampling = GREEDY) -> str:
    return "".join(generator.stream(ask(text), sampling))


def all_at_once(generator: TransformersGenerator, texts: Sequence[str], sampling: Sampling = GREEDY) -> list[str]:
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda text: whole(generator, text, sampling), texts))


def widths(model: Any) -> tuple[list[int], Callable[[], None]]:
    """The number of rows of every run of the model, and what ends the counting."""
    seen: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _, args, given: seen.append(given["input_ids"].shape[0]), with_kwargs=True
    )
    return seen, hook.remove


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED])
def test_replies_written_together_are_those_written_alone(
    sampling: Sampling, alone: TransformersGenerator, together: TransformersGenerator, model: Any
) -> None:
    expected = [whole(alone, text, sampling) for text in TEXTS]
    assert len(set(expected)) > 2
    seen, stop = widths(model)
    assert all_at_once(together, TEXTS, sampling) == expected
    stop()
    # More than one at a time, and never more than asked for.
    assert 1 < max(seen) <= 3


def test_one_reply_alone_and_one_after_another_are_the_same(
    alone: TransformersGenerator, together: TransformersGenerator
) -> None:
    assert [whole(together, text) for text in TEXTS] == [whole(alone, text) for text in TEXTS]


def test_a_reply_joins_while_another_is_written(alone: TransformersGenerator, together: TransformersGenerator) -> None:
    first = together.stream(ask(TEXTS[2]), GREEDY)
    begun = next(first)
    assert whole(together, TEXTS[0]) == whole(alone, TEXTS[0])
    assert begun + "".join(first) == whole(alone, TEXTS[2])


def test_what_else_the_model_does_goes_on_between_two_tokens(
    alone: TransformersGenerator, together: TransformersGenerator
) -> None:
    expected = alone.log_odds(ask("¿sí?"), "Sí", "No")
    reply = together.stream(ask(TEXTS[1]), GREEDY)
    begun = next(reply)
    assert together.log_odds(ask("¿sí?"), "Sí", "No") == pytest.approx(expected, abs=1e-4)
    assert begun + "".join(reply) == whole(alone, TEXTS[1])


def test_who_stops_reading_or_is_stopped_keeps_nobody(
    alone: TransformersGenerator, together: TransformersGenerator
) -> None:
    closed, cancel = together.stream(ask(TEXTS[2]), GREEDY), threading.Event()
    stopped = together.stream(ask(TEXTS[4]), GREEDY, cancel=cancel)
    next(closed)
    next(stopped)
    closed.close()
    cancel.set()
    assert len("".join(stopped)) < len(whole(alone, TEXTS[4]))
    assert whole(together, TEXTS[0]) == whole(alone, TEXTS[0])
    assert "".join(together.stream(ask("uno"), GREEDY, cancel=cancel)) == ""


def test_a_reply_that_nobody_reads_any_more_gets_no_token() -> None:
    reply = Reply(DynamicCache(), torch.tensor([0.0, 1.0]), GREEDY, torch.Generator(), limit=9)
    assert reply.draw(()) == 1
    reader: Any = reply.tokens()
    assert next(reader) == 1
    reader.close()
    assert reply.draw(()) is None
    assert reply.written == [1]


def test_the_thread_ends_with_the_last_reply(together: TransformersGenerator) -> None:
    all_at_once(together, TEXTS)
    for thread in [one for one in threading.enumerate() if one.name == "replies"]:
        thread.join(20)
    assert not any(one.name == "replies" for one in threading.enumerate())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemoryError),
        (RuntimeError("the device is gone"), RuntimeError),
    ],
)
def test_an_error_reaches_every_reader_and_the_next_reply_is_written(
    error: Exception, told: type[Exception], together: TransformersGenerator, alone: TransformersGenerator, model: Any
) -> None:
    expected = whole(alone, "uno")
    replies = [together.stream(ask(text), GREEDY) for text in TEXTS[1:3]]

    def fail(_: Any, args: Any, given: Any) -> None:
        if given["input_ids"].shape[1] == 1:
            raise error

    hook = model.register_forward_pre_hook(fail, with_kwargs=True)
    for reply in replies:
        with pytest.raises(told):
            list(reply)
    hook.remove()
    assert whole(together, "uno") == expected


def test_the_mend_of_too_little_memory_is_named(together: TransformersGenerator, model: Any) -> None:
    def fail(_: Any, args: Any, given: Any) -> None:
        if given["input_ids"].shape[1] == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = model.register_forward_pre_hook(fail, with_kwargs=True)
    try:
        with pytest.raises(OutOfMemoryError, match=r"1 replies.*models\.together"):
            whole(together, "uno")
    finally:
        hook.remove()


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    later=st.integers(1, 20),
    data=st.data(),
)
def test_stacked_caches_give_the_logits_of_each_alone(
    lengths: list[int], later: int, data: st.DataObject, model: Any
) -> None:
    texts = [[5 + (row + n) % 40 for n in range(length)] for row, length in enumerate([*lengths, later])]
    stacked = StackedCaches(model)
    with torch.inference_mode():
        stacked.add([read(model, text)[0] for text in texts[:-1]])
        grown = [[*text, 9] for text in texts[:-1]]
        same(stacked.run([9] * len(grown)), grown, model)
        kept = sorted(data.draw(st.sets(st.integers(0, len(grown) - 1))))
        stacked.keep(kept)
        stacked.add([read(model, texts[-1])[0]])
        grown = [[*grown[row], 11] for row in kept] + [[*texts[-1], 11]]
        same(stacked.run([11] * len(grown)), grown, model)


def read(model: Any, ids: list[int]) -> tuple[DynamicCache, torch.Tensor]:
    cache = DynamicCache(config=model.config)
    logits = model(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True).logits[0, -1]
    return cache, logits


def same(found: Sequence[torch.Tensor], texts: Sequence[list[int]], model: Any) -> None:
    for logits, text in zip(found, texts, strict=True):
        assert torch.allclose(logits, read(model, text)[1], atol=1e-4)
