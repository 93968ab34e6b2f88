import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from generative.errors import ConfigError
from generative.language.sampling import Sampling, distribution, generate

SAMPLINGS = st.builds(
    Sampling,
    repetition=st.sampled_from([1.0, 1.3]),
    temperature=st.sampled_from([0.5, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 4, 100]),
    top_p=st.sampled_from([1.0, 0.3, 0.9]),
    min_p=st.sampled_from([0.0, 0.05, 0.5]),
)


def theirs(logits: torch.Tensor, sampling: Sampling, used: torch.Tensor) -> torch.Tensor:
    """What transformers' processors make of the logits, in the same order."""
    steps = [RepetitionPenaltyLogitsProcessor(sampling.repetition), TemperatureLogitsWarper(sampling.temperature)]
    steps += [TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []
    steps += [TopPLogitsWarper(sampling.top_p)] if sampling.top_p < 1 else []
    steps += [MinPLogitsWarper(sampling.min_p)] if sampling.min_p else []
    for step in steps:
        logits = step(used, logits)
    return logits.softmax(-1)


@given(st.integers(0, 10_000), SAMPLINGS)
def test_probabilities_are_those_of_transformers(seed: int, sampling: Sampling) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 12, generator=generator)
    used = torch.randint(0, 12, (2, 5), generator=generator)
    ours = distribution(logits, sampling, used)
    torch.testing.assert_close(ours, theirs(logits, sampling, used), atol=1e-6, rtol=1e-5)


def test_without_temperature_the_likeliest_is_taken() -> None:
    assert distribution(torch.tensor([[1.0, 3.0, 2.0]]), Sampling(temperature=0)).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"min_p": 2.0}, {"repetition": 0.0}]
)
def test_values_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Sampling(**wrong)  # type: ignore[arg-type]


class Counting:
    """Says that after n comes n + 1; remembers nothing, and notes what it was given."""

    def __init__(self, room: float = math.inf) -> None:
        self.room, self.read = room, []

    def memory(self, batch: int) -> "Counting":
        self.left = self.room
        return self

    def __call__(self, ids: torch.Tensor, memory: object = None) -> torch.Tensor:
        self.read.append(ids[0].tolist())
        self.room -= ids.shape[1]
        return torch.nn.functional.one_hot((ids + 1) % 10, 10).float() * 100


def test_every_token_is_read_once_and_in_order() -> None:
    model = Counting()
    out = generate(model, torch.tensor([[1, 2, 3]]), 4, Sampling(), torch.Generator().manual_seed(0))
    assert out.tolist() == [[1, 2, 3, 4, 5, 6, 7]]
    assert model.read == [[1, 2, 3], [4], [5], [6]]


class Windowed(Counting):
    """The same with a memory of six tokens."""

    def memory(self, batch: int) -> "Counting":
        self.room = 6
        return self


def test_a_full_memory_begins_anew_with_the_last_half() -> None:
    model = Windowed()
    out = generate(model, torch.tensor([[1, 2, 3]]), 6, Sampling(), torch.Generator().manual_seed(0))
    assert out.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9]]
    assert model.read == [[1, 2, 3], [4], [5], [6], [5, 6, 7], [8]]
