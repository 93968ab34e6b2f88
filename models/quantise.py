"""Weights of linear layers in 4 or 8 bits, whichever keeps them as they are.

Writing one token reads every weight once, so on a CPU it takes as long as memory needs to deliver them. A
model that was published in 4 bits loses nothing when its blocks of 32 are found again in the numbers that it was
dequantised to; what was published with more bits is kept in 8.
"""

from dataclasses import dataclass

import torch

BLOCK = 32
# A block of 4-bit weights seldom uses fewer of its 16 levels: on the packaged 1.5B 79 % have 16, 21 % have 15.
_STEPS = (15, 14, 13)
# Ends and weights were each rounded to bfloat16, which has 8 significant bits; a third of a bit is room for errors.
_TOLERANCE = 2.0**-7.5
_EXACT_SHARE = 0.98
_SAMPLE_ROWS = 64
# Converted a piece at a time: float32 copies of a whole output layer would take gigabytes.
_PIECE_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Int4:
    """Weights (N, K) as `codes * scales + minima` by blocks of 32 along K.

    `codes` (N, K / 2) uint8 hold an even column in the low half and the next one in the high half; `scales` and
    `minima` are (N, K / 32) float32.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    minima: torch.Tensor


@dataclass(frozen=True, slots=True)
class Int8:
    """Weights (N, K) as `codes * scales`: `codes` (N, K) int8, `scales` (N,) float32."""

    codes: torch.Tensor
    scales: torch.Tensor


def quantise(weight: torch.Tensor) -> Int4 | Int8:
    """The weights (N, K) in 4 bits where that is what they were published in, else in 8."""
    if weight.shape[1] % BLOCK == 0 and _has_16_levels(weight):
        return int4(weight)
    return int8(weight)


def int4(weight: torch.Tensor) -> Int4:
    """The weights (N, K) in 4 bits; K is a multiple of 32. Blocks of up to 16 even levels are found again exactly."""
    parts = [_fit(piece)[0] for piece in torch.split(weight, _PIECE_ROWS)]
    return Int4(
        torch.cat([part.codes for part in parts]),
        torch.cat([part.scales for part in parts]),
        torch.cat([part.minima for part in parts]),
    )


def int8(weight: torch.Tensor) -> Int8:
    """The weights (N, K) in 8 bits, one scale a row, symmetric around 0."""
    codes, scales = [], []
    for piece in torch.split(weight, _PIECE_ROWS):
        values = piece.float()
        scale = values.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127  # (n,)
        codes.append((values / scale[:, None]).round().to(torch.int8))
        scales.append(scale)
    return Int8(torch.cat(codes), torch.cat(scales))


def unpacked(codes: torch.Tensor) -> torch.Tensor:
    """The levels 0 to 15, (N, K) uint8, of packed `codes` (N, K / 2)."""
    return torch.stack((codes & 15, codes >> 4), dim=-1).flatten(1)


def _has_16_levels(weight: torch.Tensor) -> bool:
    sample = weight[:: max(1, weight.shape[0] // _SAMPLE_ROWS)]
    return _fit(sample)[1] >= _EXACT_SHARE


def _fit(weight: torch.Tensor) -> tuple[Int4, float]:
    """The weights (n, K) in 4 bits, and the share of blocks that are even levels but for rounding."""
    blocks = weight.float().reshape(-1, BLOCK)  # (B, 32)
    low, high = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)  # (B, 1)
    tolerance = torch.maximum(low.abs(), high.abs()) * _TOLERANCE
    span = (high - low).clamp(min=torch.finfo(torch.float32).tiny)
    scales, exact = span / _STEPS[0], torch.zeros_like(low, dtype=torch.bool)
    for steps in _STEPS:
        rest = (~exact).nonzero()[:, 0]
        part, start, scale = blocks[rest], low[rest], span[rest] / steps
        error = (part - start - ((part - start) / scale).round() * scale).abs()
        fits = (error <= tolerance[rest]).all(1)
        scales[rest[fits]] = scale[fits]
        exact[rest[fits]] = True
    levels = ((blocks - low) / scales).round().clamp(0, 15).to(torch.uint8).reshape(weight.shape)
    codes = levels[:, ::2] | (levels[:, 1::2] << 4)
    shape = (weight.shape[0], -1)
    return Int4(codes, scales.reshape(shape), low.reshape(shape)), float(exact.float().mean())
