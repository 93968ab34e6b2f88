"""The tones of a telephone's keys: a digit is a low tone and a high one (ITU-T Q.23), made, told and in tokens."""

import math

import torch
from torch import Tensor

SAMPLES, RATE_HZ = 400, 8000
_LOW_HZ, _HIGH_HZ = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0)
_KEYS = ((3, 1), (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2))
# Tokens: in each of four moments the strongest frequency of either band, in steps of 20 Hz.
MOMENTS, STEP_HZ, STEPS = 4, 20, 22
_BAND_STARTS_HZ = (600, 1140)
SOUND_TOKENS = 2 * MOMENTS


def tones(digits: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Sounds (N, 400) of 50 ms: the two tones of each digit's key, at any phase, in noise."""
    device = digits.device
    keys = torch.tensor(_KEYS, device=device)[digits]
    low, high = torch.tensor(_LOW_HZ, device=device)[keys[:, 0]], torch.tensor(_HIGH_HZ, device=device)[keys[:, 1]]
    phases = 2 * math.pi * torch.rand(2, len(digits), 1, generator=generator, device=device)
    time = torch.arange(SAMPLES, device=device) / RATE_HZ
    sound = sum(
        torch.sin(2 * math.pi * frequency[:, None] * time + phase)
        for frequency, phase in zip((low, high), phases, strict=True)
    )
    return sound + noise * torch.randn(len(digits), SAMPLES, generator=generator, device=device)


def dialled(sounds: Tensor) -> Tensor:
    """The digits (N,) of sounds (N, 400), by the strongest tone of either band; -1 for a key without a digit."""
    time = torch.arange(SAMPLES, device=sounds.device) / RATE_HZ
    rows, columns = (
        (sounds.to(torch.complex64) @ torch.exp(-2j * math.pi * time[:, None] * torch.tensor(band))).abs().argmax(1)
        for band in (_LOW_HZ, _HIGH_HZ)
    )
    keys = {key: digit for digit, key in enumerate(_KEYS)}
    return torch.tensor([keys.get(key, -1) for key in zip(rows.tolist(), columns.tolist(), strict=True)])


def encode_sounds(sounds: Tensor) -> Tensor:
    """Steps (N, 8) of sounds (N, 400): low and high of the first moment, of the second, …; 22 steps a band."""
    moments = sounds.view(len(sounds), MOMENTS, -1)  # (N, 4, 100)
    strengths = torch.fft.rfft(moments, n=RATE_HZ // STEP_HZ).abs()  # (N, 4, 201), each 20 Hz
    starts = (start // STEP_HZ for start in _BAND_STARTS_HZ)
    return torch.stack([strengths[..., start : start + STEPS].argmax(-1) for start in starts], -1).flatten(1)


def decode_sounds(steps: Tensor) -> Tensor:
    """Sounds (N, 400) of steps (N, 8), without a jump where one moment follows another."""
    bands = steps.reshape(-1, MOMENTS, 2).permute(2, 0, 1)  # (2, N, 4)
    frequencies = torch.tensor(_BAND_STARTS_HZ, device=steps.device)[:, None, None] + STEP_HZ * bands
    turns = frequencies.float().repeat_interleave(SAMPLES // MOMENTS, 2) / RATE_HZ  # (2, N, 400), of each sample
    return torch.sin(2 * math.pi * turns.cumsum(2)).sum(0)
