"""Attention: every position gathers from the others what it asks for, with its heads, positions and cache.

Source: Vaswani et al. 2017, "Attention is all you need", section 3.2; grouped heads of Ainslie et al. 2023,
"GQA"; rotary positions of Su et al. 2021, "RoFormer", equation 34; queries and keys of unit size of Henry et al.
2020, "Query-key normalization for transformers".
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What is gathered (…, T, D) and the weights (…, T, S) it was gathered with, each row summing to 1.

    softmax(Q Kᵀ / √D) V, written out; `mask` (T, S) or broadcastable is True where a query may look.
    """
    scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5  # (…, T, S)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ values, weights


def rotation(positions: Tensor, width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, D) of the angles by which RoPE turns a head of `width` D at these positions (T,)."""
    frequencies = base ** (-torch.arange(0, width, 2, device=positions.device, dtype=torch.float64) / width)
    angles = positions.double()[:, None] * frequencies  # (T, D/2)
    angles = torch.cat([angles, angles], -1)  # (T, D): number k turns with number k + D/2
    return angles.cos().float(), angles.sin().float()


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The heads (…, T, D), turned; the product of two then depends on how far apart they are, not on where."""
    first, second = heads.chunk(2, -1)
    return (heads * cosines + torch.cat([-second, first], -1) * sines).to(heads.dtype)


@dataclass(slots=True)
class KeyValueCache:
    """Keys and values of what was read already, so that a new token costs one row instead of the whole text.

    The tensors are (layers, B, heads, context, D); `length` positions of them are filled. A cache belongs to
    one text: make a new one for the next.
    """

    keys: Tensor
    values: Tensor
    length: int = field(default=0)

    @property
    def context(self) -> int:
        return self.keys.shape[-2]

    @property
    def room(self) -> float:
        return self.context - self.length

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Writes (B, heads, T, D) behind what is there and returns all of it; `length` is moved by the model.

        Raises:
            ValueError: it does not fit any more.
        """
        end = self.length + keys.shape[-2]
        if end > self.context:
            raise ValueError(f"{end} positions: this cache has {self.context}. Start a new one.")
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def of(self, rows: Tensor) -> "KeyValueCache":
        """The cache of these texts (B,), in this order."""
        return KeyValueCache(self.keys[:, rows], self.values[:, rows], self.length)


class RMSNorm(nn.Module):
    """Scales every vector (…, width) to root mean square 1, then each number by a learned weight.

    Where the numbers are bfloat16 and the weights are not, torch has no fused kernel, and warns.
    Source: Zhang & Sennrich 2019, "Root mean square layer normalization", equation 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, states: Tensor) -> Tensor:
        if states.dtype == self.weight.dtype:
            return functional.rms_norm(states, states.shape[-1:], self.weight)
        return functional.rms_norm(states, states.shape[-1:]) * self.weight


class Attention(nn.Module):
    """Heads over a sequence (B, T, W), or over another one given as `source` (B, S, W).

    `kv_heads` of the keys and values are shared by groups of the `heads` of the queries.
    """

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        if width % heads or heads % kv_heads or (width // heads) % 2:
            raise ValueError(f"Width {width}, {heads} heads, {kv_heads} of keys: each must divide the one before.")
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * kv_heads * self.head_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query_norm, self.key_norm = RMSNorm(self.head_width), RMSNorm(self.head_width)

    def forward(
        self,
        states: Tensor,
        *,
        source: Tensor | None = None,
        turns: tuple[Tensor, Tensor] | None = None,
        source_turns: tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        cache: tuple[KeyValueCache, int] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """(B, T, W). `turns` are RoPE's for these positions and `source_turns` those for the source's, by default the
        same; `cache` comes with the layer's number.

        `mask` is True where a query may look, and without one it may look everywhere. The weights
        (B, heads, T, S) are appended to `maps`, which costs the fast kernel.
        """
        queries, keys, values = self._project(states, states if source is None else source)
        if turns is not None:
            queries, keys = rotate(queries, *turns), rotate(keys, *(source_turns or turns))
        if cache is not None:
            keys, values = cache[0].extend(cache[1], keys, values)
        # The heads of a group are rows of one: keys and values, which may be long, are not copied for each.
        group, length = self.heads // self.kv_heads, queries.shape[2]
        queries = queries.reshape(len(queries), self.kv_heads, group * length, -1)  # (B, kv_heads, group · T, D)
        if mask is not None and mask.shape[-2] > 1:
            mask = mask.repeat(group, 1)
        if maps is None:
            gathered = _gather(queries, keys, values, mask)
        else:
            gathered, weights = attend(queries, keys, values, mask)
            maps.append(weights.reshape(len(weights), self.heads, length, -1))
        gathered = gathered.reshape(len(gathered), self.heads, length, -1)  # (B, heads, T, D)
        states = self.out(gathered.transpose(1, 2).flatten(2))  # (B, T, W)
        return states

    def _project(self, states: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries = self.query(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, D)
        keys, values = self.key_value(source).unflatten(-1, (2 * self.kv_heads, -1)).transpose(1, 2).chunk(2, 1)
        # Of one number type again: the norms' weights are float32 also where the rest is bfloat16.
        return self.query_norm(queries).to(values.dtype), self.key_norm(keys).to(values.dtype), values


def _gather(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """What `attend` gathers, by torch's kernel; on a CPU in float32, as its way back is far slower in bfloat16."""
    if queries.device.type != "cpu" or queries.dtype == torch.float32:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        gathered = functional.scaled_dot_product_attention(queries.float(), keys.float(), values.float(), mask)
        return gathered.to(queries.dtype)


def causal_mask(new: int, total: int, device: torch.device) -> Tensor:
    """True (new, total) where the last `new` of `total` positions may look: at themselves and what came before."""
    rows = torch.arange(total - new, total, device=device)
    return rows[:, None] >= torch.arange(total, device=device)
