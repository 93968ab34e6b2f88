"""Chat models behind one small protocol."""

from collections.abc import Iterator, Sequence
from threading import Event
from typing import Protocol, runtime_checkable

from rag.types import Message, Sampling


@runtime_checkable
class Generator(Protocol):
    """Writes text for a conversation."""

    name: str
    context_tokens: int

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt that these messages become."""
        ...

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        """Pieces of the reply as they are made; ends early once `cancel` is set."""
        ...


@runtime_checkable
class Chooser(Protocol):
    """A generator that can also weigh two replies without writing one."""

    def log_odds(self, messages: Sequence[Message], first: str, second: str, *, cancel: Event | None = None) -> float:
        """ln P(first) − ln P(second) of the reply's first token; 0 once `cancel` is set."""
        ...


@runtime_checkable
class Likelihood(Protocol):
    """A generator that can also tell how likely it finds a text to go on in a given way."""

    def log_likelihoods(self, texts: Sequence[str], continuation: str) -> list[float]:
        """The mean ln P of the continuation's tokens after each text, which no chat template surrounds."""
        ...
