"""A decoder-only transformer: predicts the next token from all before it.

Source: Radford et al. 2019, "Language models are unsupervised multitask learners"; as later models have it:
RMSNorm before every part (Zhang & Sennrich 2019), rotary positions, grouped heads, squared ReLU (So et al. 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.config import Config
from generative.errors import ConfigError
from generative.language.attention import Attention, KeyValueCache, RMSNorm, causal_mask, rotation
from generative.language.model import LanguageConfig, LanguageFamily
from generative.training import Training


@dataclass(frozen=True, slots=True)
class TransformerShape(Config):
    """How large a transformer is."""

    width: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    """Heads of keys and values, each shared by a group of the others; the fewer, the smaller is the cache."""
    position: Literal["rope", "learned"] = "rope"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.heads, self.kv_heads) < 1 or not 0 <= self.dropout < 1:
            raise ValueError("width, layers, heads and kv_heads must be 1 or more, dropout in [0, 1)")
        if self.width % (2 * self.heads) or self.heads % self.kv_heads:
            raise ValueError("width must be an even multiple of heads, and heads a multiple of kv_heads")


@dataclass(frozen=True, slots=True)
class TransformerConfig(LanguageConfig):
    """A decoder-only transformer."""

    shape: TransformerShape = field(default_factory=TransformerShape)


class TransformerFamily(LanguageFamily[TransformerConfig]):
    """A transformer that writes text, character by character."""

    name = "transformer"
    config_class = TransformerConfig

    def build(self) -> nn.Module:
        """The network."""
        return Transformer(self.characters.size, self.config.context, self.config.shape)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> TransformerConfig:
        """`cpu`: 1.5 million parameters; `gpu`: 10.6 million, more dropout and longer."""
        alphabet = cls.alphabet_of(about)
        if name == "cpu":
            training = Training(steps=3000, batch_size=16, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05, log_every=100)
            return TransformerConfig(training, alphabet)
        if name == "gpu":
            training = Training(steps=12_000, batch_size=128, lr=1.5e-3, weight_decay=0.1, log_every=500)
            return TransformerConfig(training, alphabet, shape=TransformerShape(384, 6, 6, 6, dropout=0.1))
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")


class FeedForward(nn.Module):
    """Every position by itself: W → 4 W, squared ReLU, → W."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.back = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        states = self.back(functional.relu(self.wide(states)).square())
        return states


class Block(nn.Module):
    """Attention, then feed-forward, each added to what came in."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = RMSNorm(shape.width), RMSNorm(shape.width)
        self.attention = Attention(shape.width, shape.heads, shape.kv_heads)
        self.feed = FeedForward(shape.width)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(
        self,
        states: Tensor,
        turns: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        cache: tuple[KeyValueCache, int] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        attended = self.attention(self.attention_norm(states), turns=turns, mask=mask, cache=cache, maps=maps)
        states = states + self.dropout(attended)
        states = states + self.dropout(self.feed(self.feed_norm(states)))
        return states


class Transformer(nn.Module):
    """Token numbers (B, T) → logits of the next token at every position (B, T, size)."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, size: int, context: int, shape: TransformerShape) -> None:
        super().__init__()
        self.shape, self.context = shape, context
        self.embedding = nn.Embedding(size, shape.width)
        self.positions = nn.Embedding(context, shape.width) if shape.position == "learned" else None
        cosines, sines = rotation(torch.arange(context), shape.width // shape.heads)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width)
        self.head = nn.Linear(shape.width, size, bias=False)
        self.apply(initialise)
        nn.init.zeros_(self.head.weight)

    def forward(self, ids: Tensor, memory: KeyValueCache | None = None, maps: list[Tensor] | None = None) -> Tensor:
        """Logits (B, T, size), float32. With a memory `ids` come after what it holds, and it holds them after."""
        logits: Tensor = self.head(self.hidden(ids, memory, maps))
        return logits.float()

    def hidden(self, ids: Tensor, memory: KeyValueCache | None = None, maps: list[Tensor] | None = None) -> Tensor:
        """States (B, T, W) after the last block.

        Raises:
            ValueError: the text is longer than the context.
        """
        start, new = (0 if memory is None else memory.length), ids.shape[1]
        if start + new > self.context:
            raise ValueError(f"{start + new} tokens: this model looks back over {self.context}. Give it the last.")
        places = slice(start, start + new)
        states = self.embedding(ids)  # (B, T, W)
        if self.positions is not None:
            states = states + self.positions.weight[places]
        turns = (self.cosines[places], self.sines[places]) if self.positions is None else None
        mask = causal_mask(new, start + new, ids.device) if new > 1 else None  # a single new token looks at all
        for number, block in enumerate(self.blocks):
            states = block(states, turns, mask, None if memory is None else (memory, number), maps)
        if memory is not None:
            memory.length += new
        normed: Tensor = self.norm(states)
        return normed

    def attention_maps(self, ids: Tensor) -> Tensor:
        """How every token (rows) looks at every other (columns): (layers, B, heads, T, T), rows sum to 1."""
        maps: list[Tensor] = []
        with torch.no_grad():
            self.hidden(ids, maps=maps)
        return torch.stack(maps)

    def memory(self, batch: int) -> KeyValueCache:
        """An empty cache for so many texts."""
        sizes = (self.shape.layers, batch, self.shape.kv_heads, self.context, self.shape.width // self.shape.heads)
        return KeyValueCache(self.embedding.weight.new_zeros(sizes), self.embedding.weight.new_zeros(sizes))


def initialise(module: nn.Module) -> None:
    """First weights; for `nn.Module.apply`. At the start a block passes on what it was given."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, Attention):
        nn.init.zeros_(module.out.weight)
    if isinstance(module, FeedForward):
        nn.init.zeros_(module.back.weight)
