"""Chat models behind one small protocol."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rag.spans import Piece
from rag.types import Message, Sampling

if TYPE_CHECKING:  # torch takes seconds to load, and a server's model needs none of it
    from rag.low_rank import LowRank


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


@dataclass(frozen=True, slots=True)
class States:
    """What one layer of a model made of a prompt: of its last token, and on average of a part of it, (D,) float32."""

    last: NDArray[np.float32]
    part: NDArray[np.float32]


@runtime_checkable
class Reader(Protocol):
    """A generator whose inner states can be read."""

    def read(
        self,
        messages: Sequence[Message],
        without: Sequence[Message],
        layer: int,
        *,
        adapter: "LowRank | None" = None,
        cancel: Event | None = None,
    ) -> States | None:
        """The states of a prompt after so many layers; the part is where it differs from `without`, a like prompt.

        From there on an adapter is on, and off again afterwards. None once `cancel` is set.
        """
        ...


@runtime_checkable
class Likelihood(Protocol):
    """A generator that can also tell how likely it finds a text to go on in a given way."""

    def log_likelihoods(self, texts: Sequence[str], continuation: str) -> list[float]:
        """The mean ln P of the continuation's tokens after each text, which no chat template surrounds."""
        ...


@runtime_checkable
class Extractor(Protocol):
    """A generator that can also reply with nothing but a piece of given texts, word for word."""

    def extract(self, messages: Sequence[Message], texts: Sequence[str], *, cancel: Event | None = None) -> list[Piece]:
        """Likely replies among the pieces of the texts, the likeliest first; none once `cancel` is set."""
        ...
