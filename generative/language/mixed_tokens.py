"""Tokens of three kinds in one vocabulary: bytes of words, patches of pictures, steps of sounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.language import telephone

KINDS = ("text", "image", "sound")
LONGEST_WORD = 8
_SIDE, _PATCH = 8, 2
IMAGE_TOKENS = (_SIDE // _PATCH) ** 2
_BYTES = 256
_COMMON = 64


@dataclass(frozen=True, slots=True)
class MixedTokeniser:
    """0 to 255 are bytes; then come the patches, the steps of the low and of the high band, the beginnings, the end."""

    patches: tuple[tuple[float, ...], ...]

    @property
    def begins(self) -> tuple[int, int, int]:
        """What begins a text, a picture and a sound."""
        first = self._steps + 2 * telephone.STEPS
        return first, first + 1, first + 2

    def begin(self, kind: str) -> int:
        """What begins that kind."""
        return self.begins[KINDS.index(kind)]

    @property
    def end(self) -> int:
        return self.begins[-1] + 1

    @property
    def size(self) -> int:
        return self.end + 1

    def prompt(self, kind: str, ids: Sequence[int]) -> list[int]:
        """The tokens of one part, with what begins it."""
        return [self.begin(kind), *ids]

    def encode_text(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_text(self, ids: Sequence[int]) -> str:
        """The text up to the first token that is no byte."""
        length = next((place for place, token in enumerate(ids) if token >= _BYTES), len(ids))
        return bytes(ids[:length]).decode("utf-8", "replace")

    def encode_images(self, x: Tensor) -> Tensor:
        """The nearest patches (N, 16) of pictures (N, 1, 8, 8), row by row."""
        table = torch.tensor(self.patches, device=x.device)  # (P, 4)
        return _BYTES + torch.cdist(_cut(x), table).argmin(-1)

    def decode_images(self, ids: Tensor) -> Tensor:
        """Pictures (N, 1, 8, 8) of patches (N, 16); a token of another kind is the patch whose number is nearest."""
        table = torch.tensor(self.patches)
        parts = table[(ids - _BYTES).clamp(0, len(table) - 1)]  # (N, 16, 4)
        across = _SIDE // _PATCH
        tiles = parts.view(-1, across, across, _PATCH, _PATCH)  # (N, row, column, y, x)
        return tiles.permute(0, 1, 3, 2, 4).reshape(-1, 1, _SIDE, _SIDE)

    def encode_sounds(self, sounds: Tensor) -> Tensor:
        """Tokens (N, 8) of sounds (N, 400), low and high by turns."""
        return self._bands(sounds.device) + telephone.encode_sounds(sounds)

    def decode_sounds(self, ids: Tensor) -> Tensor:
        """Sounds (N, 400) of tokens (N, 8); a token of another kind is the step whose number is nearest."""
        return telephone.decode_sounds((ids - self._bands(ids.device)).clamp(0, telephone.STEPS - 1))

    @property
    def _steps(self) -> int:
        return _BYTES + len(self.patches)

    def _bands(self, device: torch.device) -> Tensor:
        low, high = self._steps, self._steps + telephone.STEPS
        return torch.tensor([low, high] * telephone.MOMENTS, device=device)


def common_patches(x: Tensor, count: int = _COMMON) -> tuple[tuple[float, ...], ...]:
    """So many patches of 2×2 pixels that together come nearest to those of pictures (N, 1, 8, 8), by k-means."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=1, random_state=0).fit(_cut(x).flatten(0, 1).numpy()).cluster_centers_
    return tuple(tuple(round(float(value), 4) for value in patch) for patch in found)


def _cut(x: Tensor) -> Tensor:
    """Patches (N, 16, 4) of pictures (N, 1, 8, 8)."""
    across = _SIDE // _PATCH
    tiles = x.reshape(-1, across, _PATCH, across, _PATCH)  # (N, row, y, column, x)
    return tiles.permute(0, 1, 3, 2, 4).flatten(1, 2).flatten(2)
