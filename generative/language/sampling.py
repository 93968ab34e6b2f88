"""Drawing the next token: one sampler for every language model, from counts to transformers.

Source: temperature, top-k (Fan et al. 2018), top-p (Holtzman et al. 2020, "The curious case of neural text
degeneration"), min-p (Nguyen et al. 2024), repetition penalty (Keskar et al. 2019, "CTRL", section 4.1).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from generative.config import Config
from generative.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Sampling(Config):
    """How to draw. The filters apply in the order of the fields; a temperature of 0 takes the likeliest token."""

    repetition: float = 1.0
    """Logits of tokens that were used are divided by it where positive, multiplied where negative."""
    temperature: float = 1.0
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together reach this probability."""
    min_p: float = 0.0
    """Keep tokens at least this probable beside the likeliest one."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or self.repetition <= 0:
            raise ConfigError("temperature and top_k must be 0 or more, repetition above 0")
        if not 0 < self.top_p <= 1 or not 0 <= self.min_p <= 1:
            raise ConfigError("top_p must be in (0, 1], min_p in [0, 1]")


class Memory(Protocol):
    """What a model keeps of the text that it has read."""

    @property
    def room(self) -> float:
        """How many more tokens fit."""
        ...


class TokenModel(Protocol):
    """A model of sequences: token numbers (B, T) after what `memory` holds → logits (B, T, size)."""

    def __call__(self, ids: Tensor, memory: Memory | None = None) -> Tensor: ...

    def memory(self, batch: int) -> Memory:
        """An empty memory for so many texts."""
        ...


def distribution(logits: Tensor, sampling: Sampling, used: Tensor | None = None) -> Tensor:
    """Probabilities (B, V) to draw from, of logits (B, V); `used` (B, T) are the tokens so far."""
    if sampling.repetition != 1 and used is not None:
        scores = logits.gather(1, used)
        scores = torch.where(scores > 0, scores / sampling.repetition, scores * sampling.repetition)
        logits = logits.scatter(1, used, scores)
    if sampling.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        lowest = logits.topk(sampling.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < lowest, -torch.inf)
    if sampling.top_p < 1:
        logits = _nucleus(logits, sampling.top_p)
    if sampling.min_p > 0:
        lowest = logits.amax(-1, keepdim=True) + math.log(sampling.min_p)
        logits = logits.masked_fill(logits < lowest, -torch.inf)
    return logits.softmax(-1)


def _nucleus(logits: Tensor, share: float) -> Tensor:
    ordered, order = logits.sort(-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)  # what the likelier ones have together
    ordered = ordered.masked_fill(before >= share, -torch.inf)
    return logits.scatter(1, order, ordered)


@torch.no_grad()
def generate(
    model: TokenModel,
    prompt: Tensor,
    length: int,
    sampling: Sampling,
    generator: torch.Generator,
    *,
    stop: int | None = None,
) -> Tensor:
    """The prompt (B, T), T ≥ 1, with `length` tokens drawn after it: (B, T + length) int64.

    Ends earlier where every text has drawn the token `stop`; what one has behind it means nothing. Where the
    memory is full, a new one begins with the last half of what fitted in it.
    """
    ids, memory, unread = prompt, model.memory(len(prompt)), prompt
    whole = memory.room
    for _ in range(length):
        if unread.shape[1] > memory.room:
            memory, unread = model.memory(len(prompt)), ids[:, -max(1, int(whole) // 2) :]
        probabilities = distribution(model(unread, memory)[:, -1], sampling, ids)
        unread = torch.multinomial(probabilities, 1, generator=generator)  # (B, 1)
        ids = torch.cat([ids, unread], 1)
        if stop is not None and bool((ids[:, prompt.shape[1] :] == stop).any(1).all()):
            break
    return ids
