"""ChatFuente passes LangChain's standard suites and keeps what it promises beyond them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import ValidationError

from rag.generator import Generator
from rag.langchain import ChatFuente
from rag.types import Message, Sampling

MODEL = "smollm2-135m-instruct"


class TestChatFuenteStandardUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatFuente

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        """Without `timeout` and `max_retries`: no service is called, and unknown fields are errors."""
        return {"temperature": 0, "max_tokens": 100, "stop": []}

    @property
    def supports_model_override(self) -> bool:
        return False


@pytest.mark.models
class TestChatFuenteStandardIntegration(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _use(self, small_generator: Generator) -> None:
        self.generator = small_generator

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatFuente

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"generator": self.generator, "temperature": 0, "max_tokens": 24, "seed": 0}

    @property
    def supports_model_override(self) -> bool:
        return False


class Recording:
    """A generator that replies with its prompt and remembers what it was asked."""

    name = "recording"
    context_tokens = 1000

    def __init__(self) -> None:
        self.prompts: list[tuple[Message, ...]] = []
        self.samplings: list[Sampling] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(3 + len(message.content.split()) for message in messages)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        self.prompts.append(tuple(messages))
        self.samplings.append(sampling)
        yield from ("one ", "two ", "three")


def test_turns_of_one_role_become_one() -> None:
    generator = Recording()
    ChatFuente(generator=generator).invoke(
        [SystemMessage("a"), SystemMessage("b"), HumanMessage("c"), AIMessage("d"), HumanMessage("e")]
    )
    assert generator.prompts == [
        (Message("system", "a\nb"), Message("user", "c"), Message("assistant", "d"), Message("user", "e"))
    ]


def test_text_blocks_are_read() -> None:
    generator = Recording()
    ChatFuente(generator=generator).invoke([HumanMessage([{"type": "text", "text": "hola"}])])
    assert generator.prompts == [(Message("user", "hola"),)]


def test_options_of_a_call_go_before_fields() -> None:
    generator = Recording()
    chat = ChatFuente(generator=generator, temperature=0.5, top_p=0.8, max_tokens=7, seed=3, stop=["x"])
    chat.invoke("hi")
    chat.invoke("hi", temperature=0.0, seed=4, stop=["y"])
    assert generator.samplings == [Sampling(0.5, 0.8, 7, 3, ("x",)), Sampling(0.0, 0.8, 7, 4, ("y",))]


def test_usage_counts_prompt_and_reply() -> None:
    reply = ChatFuente(generator=Recording()).invoke("four words are here")
    assert reply.usage_metadata == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert reply.response_metadata["model_name"] == "recording"


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
        AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "1"}]),
        ToolMessage("4", tool_call_id="1"),
    ],
    ids=["image", "tool call", "tool result"],
)
def test_what_is_not_text_is_refused(message: BaseMessage) -> None:
    generator = Recording()
    with pytest.raises(ValueError, match="takes"):
        ChatFuente(generator=generator).invoke([HumanMessage("hi"), message])
    assert not generator.prompts


def test_unknown_options_are_refused() -> None:
    chat = ChatFuente(generator=Recording())
    with pytest.raises(TypeError, match="model"):
        chat.invoke("hi", model="another")
    with pytest.raises(TypeError, match="frequency_penalty"):
        chat.invoke("hi", frequency_penalty=1.0)
    with pytest.raises(ValidationError, match="timeout"):
        ChatFuente(generator=Recording(), timeout=3)
    with pytest.raises(NotImplementedError):
        chat.bind_tools([])


@pytest.mark.parametrize(
    ("given", "reason"),
    [({}, "name a model"), ({"temperature": 3.0}, "temperature=3.0"), ({"top_p": 0.0}, "top_p=0.0")],
)
def test_wrong_fields_are_refused(given: dict[str, Any], reason: str) -> None:
    chosen = {"model": MODEL} | given if given else {}
    with pytest.raises(ValidationError, match=reason):
        ChatFuente(**chosen)


def test_traces_name_model_and_sampling() -> None:
    chat = ChatFuente(generator=Recording(), temperature=0.1, max_tokens=9, stop=["\n"])
    assert chat._get_ls_params() == {
        "ls_provider": "fuente",
        "ls_model_name": "recording",
        "ls_model_type": "chat",
        "ls_temperature": 0.1,
        "ls_max_tokens": 9,
        "ls_stop": ["\n"],
    }
    assert chat.asdict()["model"] == "recording"


@pytest.mark.models
def test_a_named_model_is_loaded_once_at_the_first_call(
    small_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import models

    loaded: list[str] = []
    load = models.load_causal_lm

    def counted(resolved: Any, plan: Any) -> Any:
        loaded.append(resolved.name)
        return load(resolved, plan)

    monkeypatch.setattr(models, "load_causal_lm", counted)
    monkeypatch.setenv("FUENTE_MODELS__DEVICE", "cpu")
    monkeypatch.setenv("FUENTE_MODELS__DTYPE", "float32")
    chat = ChatFuente(model=MODEL, temperature=0, max_tokens=12)
    assert loaded == []
    with ThreadPoolExecutor(2) as pool:
        replies = [reply.text for reply in pool.map(chat.invoke, ["Hello", "Hello"])]
    assert loaded == [MODEL]
    expected = "".join(small_generator.stream([Message("user", "Hello")], Sampling(temperature=0, max_tokens=12)))
    assert replies == [expected, expected]


@pytest.mark.models
def test_from_config_takes_the_configured_sampling(small_generator: Generator) -> None:
    chat = ChatFuente.from_config(
        models={"generator": MODEL}, generation={"temperature": 0.7, "top_p": 0.5, "max_tokens": 11, "seed": 5}
    )
    assert (chat.model, chat.temperature, chat.top_p, chat.max_tokens, chat.seed) == (MODEL, 0.7, 0.5, 11, 5)
    assert chat.get_num_tokens("Hello") == ChatFuente(generator=small_generator).get_num_tokens("Hello") > 0


@pytest.mark.models
def test_a_stop_text_ends_the_reply(small_generator: Generator) -> None:
    chat = ChatFuente(generator=small_generator, temperature=0, max_tokens=20)
    whole = chat.invoke("Hello").text
    stop = whole.split()[2]
    assert chat.invoke("Hello", stop=[stop]).text == whole[: whole.index(stop)]


@pytest.mark.models
def test_the_limit_of_tokens_is_what_usage_reports(small_generator: Generator) -> None:
    chat = ChatFuente(generator=small_generator, temperature=0, max_tokens=10)
    reply = chat.invoke("Tell me a long story about a whale.")
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 10
    prompt = [Message("user", "Tell me a long story about a whale.")]
    assert reply.usage_metadata["input_tokens"] == small_generator.count_tokens(prompt)


@pytest.mark.models
def test_equal_seeds_give_equal_replies(small_generator: Generator) -> None:
    chat = ChatFuente(generator=small_generator, temperature=1.5, top_p=1.0, max_tokens=16)
    first, second, other = (chat.invoke("Tell me a story.", seed=seed).text for seed in (1, 1, 2))
    assert first == second != other


@pytest.mark.models
def test_a_stream_that_is_left_early_frees_the_model(small_generator: Generator) -> None:
    chat = ChatFuente(generator=small_generator, temperature=0, max_tokens=200)
    stream = chat.stream("Tell me a story.")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert chat.invoke("Hello", max_tokens=5).text
