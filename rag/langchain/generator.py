"""A LangChain chat model as generator."""

from collections.abc import Collection, Iterator, Sequence
from threading import Event

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.utils import count_tokens_approximately

from rag.types import Message, Sampling

# LangChain's own count may download a tokenizer. Spanish and Portuguese prose has 3 to 4 characters a token with
# the usual vocabularies; the low end keeps prompts inside the context.
_CHARACTERS_PER_TOKEN = 3.0
_TOKENS_PER_MESSAGE = 8.0
_PARAMETERS = frozenset({"temperature", "top_p", "min_p", "repetition_penalty", "max_tokens", "seed"})
_TYPES: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


class LangChainGenerator:
    """Replies of any LangChain chat model.

    `parameters` of the sampling are passed with each call; those that the model does not know must be left out,
    and are then as the model was built. What the model raises passes through.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str | None = None,
        context_tokens: int = 8192,
        parameters: Collection[str] = ("temperature", "max_tokens"),
    ) -> None:
        unknown = set(parameters) - _PARAMETERS
        if unknown:
            raise ValueError(f"parameters has {min(unknown)!r}; choose among {', '.join(sorted(_PARAMETERS))}")
        self.name = name or model.get_name()
        self.context_tokens = context_tokens
        self._model = model
        self._parameters = tuple(parameters)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate, on the high side for multilingual vocabularies."""
        return count_tokens_approximately(
            _as_langchain(messages),
            chars_per_token=_CHARACTERS_PER_TOKEN,
            extra_tokens_per_message=_TOKENS_PER_MESSAGE,
        )

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        """Pieces of the reply."""
        values = {name: getattr(sampling, name) for name in self._parameters}
        options = {name: value for name, value in values.items() if value is not None}
        for chunk in self._model.stream(_as_langchain(messages), stop=list(sampling.stop) or None, **options):
            if cancel is not None and cancel.is_set():
                return
            if chunk.text:
                yield str(chunk.text)


def _as_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    return [_TYPES[message.role](content=message.content) for message in messages]
