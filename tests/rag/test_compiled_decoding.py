"""Replies that a compiled step writes are those that would have been written without."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

import models
from rag import model_loading
from rag.config import ModelsConfig
from rag.errors import OutOfMemoryError
from rag.model_loading import load_generator
from rag.transformers_generator import TransformersGenerator
from rag.types import Message, Sampling
from tests.rag.conftest import END, tiny_causal_lm, tiny_tokenizer, tiny_writer

GREEDY = Sampling(temperature=0.0, max_tokens=30)
SEEDED = Sampling(temperature=1.0, max_tokens=30, seed=5, repetition_penalty=1.2)
TEXTS = ["uno", "las redes compiten", "el codificador comprime " * 12, "uno"]

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # torch's own, when its compiler is first loaded
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning"),
]
_compile = torch.compile


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


@pytest.fixture
def model(tokenizer: Any) -> Any:
    torch.compiler.reset()
    return tiny_writer(tokenizer)


@pytest.fixture
def alone(model: Any, tokenizer: Any) -> TransformersGenerator:
    return TransformersGenerator(model, tokenizer, name="tiny")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads of all compiled steps, which are traced, but run without a compiler."""
    seen: list[str] = []

    def traced(step: Callable[..., Any], *, fullgraph: bool, dynamic: bool, **_: Any) -> Callable[..., Any]:
        compiled = _compile(step, backend="eager", fullgraph=fullgraph, dynamic=dynamic)

        def run(*args: Any) -> Any:
            seen.append(threading.current_thread().name)
            return compiled(*args)

        return run

    monkeypatch.setattr(torch, "compile", traced)
    return seen


@pytest.fixture
def compiled(model: Any, tokenizer: Any, steps: list[str]) -> TransformersGenerator:
    return TransformersGenerator(model, tokenizer, name="tiny", compiled=True)


def ask(text: str) -> list[Message]:
    return [Message("system", "Responde con los pasajes."), Message("user", text)]


def whole(generator: TransformersGenerator, text: str, sampling: Sampling = GREEDY) -> str:
    return "".join(generator.stream(ask(text), sampling))


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED])
def test_replies_are_those_written_without(
    sampling: Sampling, alone: TransformersGenerator, compiled: TransformersGenerator, steps: list[str]
) -> None:
    for text in TEXTS:
        assert whole(compiled, text, sampling) == whole(alone, text, sampling)
    assert steps


def test_longer_buffers_are_made_when_they_are_needed(
    alone: TransformersGenerator, compiled: TransformersGenerator
) -> None:
    assert compiled._compiled is not None
    compiled._compiled._length = 32
    lengths = []
    for text in (TEXTS[0], TEXTS[2], TEXTS[0]):
        assert whole(compiled, text) == whole(alone, text)
        lengths.append(compiled._compiled._length)
    assert lengths[0] < lengths[1] == lengths[2]


def test_all_steps_run_in_one_thread_whoever_asks(compiled: TransformersGenerator, steps: list[str]) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda text: whole(compiled, text), TEXTS[:3]))
    assert len(set(steps)) == 1


def test_what_else_is_asked_is_the_same_afterwards(
    alone: TransformersGenerator, compiled: TransformersGenerator
) -> None:
    whole(compiled, TEXTS[1])
    expected = alone.log_odds(ask(TEXTS[1]), "Sí", "No")
    assert compiled.log_odds(ask(TEXTS[1]), "Sí", "No") == pytest.approx(expected, abs=1e-4)
    pieces = compiled.extract(ask(TEXTS[1]), ["las redes compiten"])
    assert [piece.start for piece in pieces] == [
        piece.start for piece in alone.extract(ask(TEXTS[1]), ["las redes compiten"])
    ]


def test_it_ends_once_the_reader_stops(compiled: TransformersGenerator, alone: TransformersGenerator) -> None:
    stop = threading.Event()
    written = []
    for piece in compiled.stream(ask(TEXTS[1]), GREEDY, cancel=stop):
        written.append(piece)
        stop.set()
    assert 1 <= len(written) <= 2
    assert whole(compiled, TEXTS[1]) == whole(alone, TEXTS[1])


def test_a_reader_who_goes_away_leaves_the_prompt_cached(compiled: TransformersGenerator) -> None:
    next(iter(compiled.stream(ask(TEXTS[1]), GREEDY)))
    assert compiled._caches.ids == compiled._tokens.prompt(ask(TEXTS[1]))


def test_a_step_is_compiled_once_for_all_readers(model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[Any] = []

    def counted(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(
        torch, "compile", lambda step, **_: _compile(step, backend=counted, fullgraph=True, dynamic=False)
    )
    generator = TransformersGenerator(model, tokenizer, name="tiny", compiled=True)
    for cancel in (None, threading.Event(), threading.Event()):
        assert "".join(generator.stream(ask(TEXTS[1]), GREEDY, cancel=cancel))
    assert len(graphs) == 1


def test_out_of_memory_is_told(compiled: TransformersGenerator, alone: TransformersGenerator) -> None:
    assert compiled._compiled is not None
    step = compiled._compiled._step

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    compiled._compiled._step = full  # type: ignore[assignment]
    with pytest.raises(OutOfMemoryError, match="tiny: out of memory with"):
        whole(compiled, TEXTS[1])
    compiled._compiled._step = step
    assert whole(compiled, TEXTS[1]) == whole(alone, TEXTS[1])


def test_without_a_compiler_the_step_runs_as_it_is(
    model: Any,
    tokenizer: Any,
    alone: TransformersGenerator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def backend(*_: Any) -> None:
        raise RuntimeError("no compiler was found")

    monkeypatch.setattr(
        torch, "compile", lambda step, **_: _compile(step, backend=backend, fullgraph=True, dynamic=False)
    )
    without = TransformersGenerator(model, tokenizer, name="tiny", compiled=True)
    with caplog.at_level(logging.WARNING):
        for text in TEXTS[:2]:
            assert whole(without, text) == whole(alone, text)
    assert caplog.text.count("cannot be compiled here") == 1


def test_a_step_that_would_be_compiled_too_often_runs_as_it_is(
    compiled: TransformersGenerator, alone: TransformersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch._dynamo.config.recompile_limit", 1)
    assert compiled._compiled is not None
    compiled._compiled._length = 32
    for text in (TEXTS[0], TEXTS[2]):
        assert whole(compiled, text) == whole(alone, text)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_it_is_for_a_gpu(
    device: str,
    model: Any,
    tokenizer: Any,
    steps: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(model_loading, "resolved_model", lambda *_: None)
    monkeypatch.setattr(models, "load_causal_lm", lambda *_: (model.to(device), tokenizer))
    for wanted in (False, True):
        made = load_generator(ModelsConfig(compiled=wanted), "tiny", lambda _: None)
        assert isinstance(made, TransformersGenerator)
        assert (made._compiled is not None) == (wanted and device != "cpu")
        assert ("is for a GPU" in caplog.text) == (wanted and device == "cpu")


def test_replies_beside_others_are_not_compiled(model: Any, tokenizer: Any, steps: list[str]) -> None:
    generator = TransformersGenerator(model, tokenizer, name="tiny", together=2, compiled=True)
    assert whole(generator, TEXTS[1])
    assert generator._compiled is None
    assert not steps


def test_layers_that_forget_are_not_compiled(tokenizer: Any, steps: list[str]) -> None:
    end = tokenizer.convert_tokens_to_ids(END)
    model = tiny_causal_lm(len(tokenizer), end, use_sliding_window=True, sliding_window=16, max_window_layers=1)
    assert whole(TransformersGenerator(model, tokenizer, name="tiny", compiled=True), TEXTS[1])
    assert not steps
