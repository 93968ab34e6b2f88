"""A generator as LangChain chat model."""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, Self

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    UsageMetadata,
    merge_message_runs,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from rag.compose import Fuente
from rag.generator import Generator
from rag.types import Message, Sampling

_PER_CALL = frozenset({"temperature", "top_p", "min_p", "repetition_penalty", "max_tokens", "seed"})


class ChatFuente(BaseChatModel):
    """Replies of a generator of Fuente, in text; it knows neither tools nor images.

        from rag.langchain import ChatFuente
        chat = ChatFuente(model="smollm2-135m-instruct", temperature=0)
        print(chat.invoke("¿Qué es un autoencoder?").text)

    A model given by name is loaded at the first call, as the configuration says where and how.
    `temperature`, `top_p`, `min_p`, `repetition_penalty`, `max_tokens` and `seed` can be given with a call, too.

    Raises: ValueError for a message with tools or anything but text, TypeError for another option of a call;
    NotPreparedError, UnknownModelError and GenerationError at a call.
    """

    model_config = ConfigDict(extra="forbid")

    model: str = ""
    """Catalogue name, hub name, folder or GGUF file; the generator's name when that is given."""
    generator: Generator | None = Field(default=None, exclude=True, repr=False)
    temperature: float = 0.2
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 400
    seed: int | None = None
    stop: list[str] | None = None
    streaming: bool = False
    """Whether `invoke`, too, reports its tokens to callbacks as they come."""

    _loading: Any = PrivateAttr(default_factory=Lock)

    @classmethod
    def from_config(cls, **flags: Any) -> Self:
        """The configured generator, loaded, with the configured sampling; `flags` are nested like the configuration.

        Raises: ConfigurationError, NotPreparedError, UnknownModelError.
        """
        fuente = Fuente.configured(**flags)
        sampling = fuente.config.generation.sampling()
        return cls(generator=fuente.generator, **{name: getattr(sampling, name) for name in _PER_CALL})

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.generator is None and not self.model:
            raise ValueError("neither model nor generator is given; name a model, or use ChatFuente.from_config()")
        if self.generator is not None and not self.model:
            self.model = self.generator.name
        self._sampling(None, {})
        return self

    @property
    def _llm_type(self) -> str:
        return "fuente"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("model", *sorted(_PER_CALL), "stop")}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return super()._get_ls_params(stop=stop or self.stop, **kwargs)

    def get_num_tokens(self, text: str) -> int:
        """Tokens of a text in the model's own vocabulary."""
        return _reply_tokens(self._opened(), text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Tokens of the prompt that the messages become.

        Raises: ValueError when `tools` are given.
        """
        if tools:
            raise ValueError(f"{self.model} takes no tools; count the messages alone")
        return self._opened().count_tokens(_turns(messages))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        sampling = self._sampling(stop, kwargs)
        turns = _turns(messages)
        generator = self._opened()
        text = ""
        for piece in generator.stream(turns, sampling):
            text += piece
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager is not None:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        # Only the last chunk carries these: LangChain adds the chunks up.
        last = AIMessageChunk(
            content="",
            usage_metadata=_usage(generator, turns, text),
            response_metadata={"model_name": generator.name},
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)

    def _sampling(self, stop: list[str] | None, options: dict[str, Any]) -> Sampling:
        unknown = options.keys() - _PER_CALL
        if unknown:
            known = ", ".join(sorted(_PER_CALL))
            raise TypeError(f"{min(unknown)}: not an option of a call to ChatFuente; there are {known} and stop")
        chosen = {name: options.get(name, getattr(self, name)) for name in _PER_CALL}
        stops = self.stop if stop is None else stop
        return Sampling(**chosen, stop=tuple(stops or ()))

    def _opened(self) -> Generator:
        # LangChain calls from several threads in a batch, and the model must be loaded once.
        with self._loading:
            if self.generator is None:
                self.generator = Fuente.configured(models={"generator": self.model}, server={"url": ""}).generator
            return self.generator


def _turns(messages: Sequence[BaseMessage]) -> list[Message]:
    # Many chat templates demand that roles alternate, so turns of one role in a row become one.
    return [_turn(message) for message in merge_message_runs(messages)]


def _turn(message: BaseMessage) -> Message:
    content = [message.content] if isinstance(message.content, str) else message.content
    for block in content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind != "text":
            raise ValueError(f"a message holds a block of type {kind!r}; ChatFuente takes text alone")
    if isinstance(message, SystemMessage):
        return Message("system", str(message.text))
    if isinstance(message, HumanMessage):
        return Message("user", str(message.text))
    if isinstance(message, AIMessage) and not message.tool_calls:
        return Message("assistant", str(message.text))
    what = "tool calls" if isinstance(message, AIMessage) else f"a message of type {message.type!r}"
    raise ValueError(f"the conversation holds {what}; ChatFuente takes system, human and AI messages of text")


def _usage(generator: Generator, turns: Sequence[Message], text: str) -> UsageMetadata:
    read, written = generator.count_tokens(turns), _reply_tokens(generator, text)
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _reply_tokens(generator: Generator, text: str) -> int:
    """Tokens of a text without those that the chat template puts around it."""
    asked = Message("user", "")
    empty = generator.count_tokens([asked, Message("assistant", "")])
    return generator.count_tokens([asked, Message("assistant", text)]) - empty
