"""Beam search against looking at every text, and against taking the likeliest token."""

from dataclasses import dataclass, field, replace
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from generative.language.beam import search
from generative.language.sampling import Sampling, generate

SIZE, STOP, LENGTH = 4, 3, 3


@dataclass
class Chain:
    """A model whose next token depends on the last two: logits (SIZE, SIZE, SIZE). Its memory is the last token."""

    logits: Tensor
    room: float = float("inf")
    last: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def memory(self, batch: int) -> "Chain":
        return replace(self, last=torch.zeros(batch, dtype=torch.int64))

    def of(self, rows: Tensor) -> "Chain":
        return replace(self, last=self.last[rows])

    def __call__(self, ids: Tensor, memory: "Chain") -> Tensor:
        logits, memory.last = self.logits[memory.last, ids[:, -1]], ids[:, -1]
        return logits[:, None]

    def mean(self, ids: list[int]) -> float:
        """The mean log-probability of these tokens after a 0."""
        before = [(0, 0), (0, ids[0]), *pairwise(ids)]
        gains = self.logits.log_softmax(-1)
        return float(sum(gains[one, other, token] for (one, other), token in zip(before, ids, strict=False))) / len(ids)


def chain(seed: int) -> Chain:
    return Chain(torch.randn(SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 2)


def ended(ids: list[int]) -> list[int]:
    return ids[: ids.index(STOP) + 1] if STOP in ids else ids


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_wide_enough_it_finds_the_best_of_all_texts(seed: int) -> None:
    model, beams = chain(seed), SIZE**LENGTH
    found = search(model, torch.zeros(2 * beams, 1, dtype=torch.int64), LENGTH, beams, STOP)
    every = {tuple(ended(list(text))) for text in product(range(SIZE), repeat=LENGTH)}
    # The end counts as a token also where the length left no room for it.
    best = max(model.mean(list(one)) * len(one) / (len(one) + (STOP not in one)) for one in every)
    for row in found[:, 1:].tolist():
        one = ended(row)
        assert model.mean(one) * len(one) / (len(one) + (STOP not in one)) == pytest.approx(best, abs=1e-5)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_one_beam_takes_the_likeliest_token(seed: int) -> None:
    model, prompt = chain(seed), torch.zeros(1, 1, dtype=torch.int64)
    likeliest = generate(model, prompt, LENGTH, Sampling(temperature=0.0), torch.Generator(), stop=STOP)
    assert search(model, prompt, LENGTH, 1, STOP).tolist() == likeliest.tolist()


def test_texts_do_not_mix() -> None:
    model, beams = chain(0), 3
    starts = torch.tensor([[0], [1], [2]])
    alone = [search(model, one.repeat(beams, 1), LENGTH, beams, STOP)[0].tolist() for one in starts]
    together = search(model, starts.repeat_interleave(beams, 0), LENGTH, beams, STOP).tolist()
    assert [ended(row) for row in together] == [ended(row) for row in alone]
