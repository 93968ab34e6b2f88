"""Why a passage entered the prompt or was left out: the budget of tokens, passage by passage."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from index.types import Hit
from rag.prompt import messages_of, parted
from rag.types import Message


@dataclass(frozen=True, slots=True)
class Packed:
    """A passage with the tokens that it adds to the prompt, and those of the prompt with it and all before it."""

    hit: Hit
    tokens: int
    total: int


@dataclass(frozen=True, slots=True)
class Packing:
    """How the prompt of a question fills up: `frame` tokens of instructions and question, then the passages, best
    first, as long as the total is within `budget`. `trailing` scored too far behind the best to be packed."""

    budget: int
    frame: int
    passages: tuple[Packed, ...]
    trailing: tuple[Hit, ...] = ()

    @property
    def kept(self) -> tuple[Packed, ...]:
        """Those that are in the prompt."""
        return tuple(passage for passage in self.passages if passage.total <= self.budget)

    @property
    def dropped(self) -> tuple[Packed, ...]:
        """Those that did not fit."""
        return self.passages[len(self.kept) :]


def packing(
    question: str,
    hits: Sequence[Hit],
    language: str,
    *,
    max_tokens: int,
    count_tokens: Callable[[Sequence[Message]], int],
    margin: float = math.inf,
) -> Packing:
    """How `build_prompt` fills the prompt with these hits, best first."""
    near, trailing = parted(hits, margin)
    totals = [count_tokens(messages_of(question, near[:size], language)) for size in range(len(near) + 1)]
    pairs = zip(near, totals, totals[1:], strict=False)
    packed = tuple(Packed(hit, total - before, total) for hit, before, total in pairs)
    return Packing(max_tokens, totals[0], packed, trailing)
