"""Recurrent networks: a state of fixed size is carried from token to token, plain (Elman) or gated (LSTM).

Elman:  h = tanh(W x + U h + b)
LSTM:   i, f, g, o = W x + U h + b;  c = σ(f) c + σ(i) tanh(g);  h = σ(o) tanh(c)

The plain state is rewritten whole at every step, so what was long ago fades; the LSTM's cell c is only added to.

Source: Elman 1990, "Finding structure in time"; Hochreiter & Schmidhuber 1997, "Long short-term memory", with the
forget gate of Gers et al. 2000.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from generative.errors import ConfigError
from generative.language.model import LanguageConfig, LanguageFamily
from generative.training import Training

State = tuple[Tensor, ...]


@dataclass(slots=True)
class RecurrentMemory:
    """The state after what was read: (h,) or (h, c), each (layers, B, width); it never fills."""

    state: State

    @property
    def room(self) -> float:
        return math.inf


class ElmanCell(nn.Module):
    """One layer of the plain network."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.input, self.recurrent = nn.Linear(inputs, width), nn.Linear(width, width, bias=False)
        nn.init.orthogonal_(self.recurrent.weight)  # neither grows nor fades at first

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs (B, T, width) and the last state, from inputs (B, T, inputs) and a state (B, width)."""
        (hidden,) = state
        outputs = []
        for step in self.input(inputs).unbind(1):
            hidden = torch.tanh(step + self.recurrent(hidden))
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden,)


class LongShortTermCell(nn.Module):
    """One layer of the gated network; runs as torch's kernel, which a test holds against the equations above."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layer = nn.LSTM(inputs, width, batch_first=True)
        # A forget gate that starts open: what is in the cell stays there until training says otherwise.
        nn.init.constant_(self.layer.get_parameter("bias_ih_l0")[width : 2 * width], 1.0)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs (B, T, width) and the last state (h, c), from inputs (B, T, inputs) and a state."""
        hidden, cell = state
        outputs, (hidden, cell) = self.layer(inputs, (hidden[None], cell[None]))
        return outputs, (hidden[0], cell[0])


CELLS: dict[str, tuple[type[ElmanCell] | type[LongShortTermCell], int]] = {
    "elman": (ElmanCell, 1),
    "lstm": (LongShortTermCell, 2),
}


class RecurrentNetwork(nn.Module):
    """Token numbers (B, T) → logits of the next token at every position (B, T, size)."""

    def __init__(self, kind: str, size: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        cell, self.parts = CELLS[kind]
        self.width = width
        self.embedding = nn.Embedding(size, width)
        self.cells = nn.ModuleList(cell(width, width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, size)

    def memory(self, batch: int) -> RecurrentMemory:
        """The state before anything is read: zeros."""
        zeros = self.head.weight.new_zeros(len(self.cells), batch, self.width)
        return RecurrentMemory((zeros,) * self.parts)

    def forward(self, ids: Tensor, memory: RecurrentMemory | None = None) -> Tensor:
        """Logits (B, T, size), float32. With a memory `ids` come after what it holds, and it holds them after."""
        before = self.memory(len(ids)).state if memory is None else memory.state
        outputs, after = self.embedding(ids), []
        for number, cell in enumerate(self.cells):
            read, state = cell(outputs, tuple(part[number] for part in before))
            outputs = self.dropout(outputs + read)  # (B, T, width)
            after.append(state)
        if memory is not None:
            memory.state = tuple(torch.stack(parts) for parts in zip(*after, strict=True))
        logits: Tensor = self.head(outputs)
        return logits.float()


@dataclass(frozen=True, slots=True)
class RecurrentConfig(LanguageConfig):
    """A recurrent network."""

    width: int = 256
    layers: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.layers) < 1 or not 0 <= self.dropout < 1:
            raise ValueError("width and layers must be 1 or more, dropout in [0, 1)")


class Elman(LanguageFamily[RecurrentConfig]):
    """A plain recurrent network that writes text, character by character."""

    name = "elman"
    config_class = RecurrentConfig

    def build(self) -> nn.Module:
        """The network."""
        config = self.config
        return RecurrentNetwork(self.name, self.characters.size, config.width, config.layers, config.dropout)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> RecurrentConfig:
        """`cpu`: two layers of 256; `gpu`: of 1024, with dropout and longer."""
        alphabet = cls.alphabet_of(about)
        if name == "cpu":
            training = Training(steps=1200, batch_size=32, lr=3e-3, weight_decay=0.0)
            return RecurrentConfig(training, alphabet)
        if name == "gpu":
            training = Training(steps=12_000, batch_size=128, lr=2e-3, weight_decay=0.0, log_every=500)
            return RecurrentConfig(training, alphabet, width=1024, dropout=0.2)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")


class LongShortTerm(Elman):
    """A gated recurrent network that writes text, character by character."""

    name = "lstm"
