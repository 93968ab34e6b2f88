"""The U-Net that undoes noise: sizes halve and double again, with attention at the smallest.

Source: Ronneberger et al., U-Net (2015); Ho et al., DDPM (2020), appendix B; Dhariwal and Nichol, Diffusion Models
Beat GANs (2021), section 3, the scale and shift by time and condition.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.captions import Vocabulary

_GROUPS = 8
_HEAD = 32


class UNet(nn.Module):
    """Images (B, C, H, W), noise levels (B,) and a condition's embedding (B, D) → (B, C, H, W)."""

    def __init__(
        self, channels: int, widths: Sequence[int], blocks: int, dropout: float, vocabulary: Vocabulary
    ) -> None:
        super().__init__()
        size = 2 * widths[-1]
        self.embedding = ConditionEmbedding(vocabulary, size)
        self.time = nn.Sequential(nn.Linear(widths[0], size), nn.SiLU(), nn.Linear(size, size))
        self.time_width = widths[0]
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.shrink, self.up, self.grow = (nn.ModuleList() for _ in range(4))
        width = widths[0]
        kept = [width]  # the widths of what the way down leaves for the way up
        for level, wider in enumerate(widths):
            for _ in range(blocks):
                self.down.append(_Block(width, wider, size, dropout))
                width = wider
                kept.append(width)
            if level < len(widths) - 1:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                kept.append(width)
        self.middle = nn.ModuleList(
            [_Block(width, width, size, dropout), _Attention(width), _Block(width, width, size, dropout)]
        )
        for level, narrower in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(_Block(width + kept.pop(), narrower, size, dropout))
                width = narrower
            if level:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))
        self.blocks = blocks
        self.last = nn.Sequential(
            nn.GroupNorm(_GROUPS, width), nn.SiLU(), _zeroed(nn.Conv2d(width, channels, 3, padding=1))
        )

    def forward(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """What the noise level `t` and the condition make of `x`."""
        context = F.silu(self.time(waves(t, self.time_width)) + condition)
        x = self.first(x)  # (B, W0, H, W)
        kept = [x]
        for number, block in enumerate(self.down):
            x = block(x, context)
            kept.append(x)
            level, last = divmod(number, self.blocks)
            if last == self.blocks - 1 and level < len(self.shrink):
                x = self.shrink[level](x)  # half the height and width
                kept.append(x)
        x = self.middle[2](self.middle[1](self.middle[0](x, context)), context)
        for number, block in enumerate(self.up):
            x = block(torch.cat([x, kept.pop()], 1), context)
            level, last = divmod(number, self.blocks + 1)
            if last == self.blocks and level < len(self.grow):
                x = self.grow[level](F.interpolate(x, scale_factor=2.0))
        output: Tensor = self.last(x)
        return output


class ConditionEmbedding(nn.Module):
    """Classes, captions and their absence as vectors (B, D)."""

    bank: Tensor

    def __init__(self, vocabulary: Vocabulary, size: int) -> None:
        super().__init__()
        classes = len(vocabulary.captions)
        self.classes = nn.Embedding(classes + 1, size)  # the last one stands for no condition
        self.words = nn.Embedding(len(vocabulary), size, padding_idx=0)
        self.project = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))
        self.longest = vocabulary.longest
        bank = torch.stack([self._padded(group) for group in vocabulary.captions])  # (classes, captions, longest)
        self.register_buffer("bank", bank, persistent=False)

    def label(self, labels: Tensor) -> Tensor:
        """Of classes (B,)."""
        found: Tensor = self.classes(labels)
        return found

    def nothing(self, n: int) -> Tensor:
        """Of no condition, `n` times."""
        return self.classes.weight[-1].expand(n, -1)

    def caption(self, labels: Tensor, chance: Tensor) -> Tensor:
        """Of captions of classes (B,), chosen by chances (B,) in [0, 1)."""
        return self._of_words(self.bank[labels, (chance * self.bank.shape[1]).long()])

    def texts(self, numbers: Sequence[Sequence[int]]) -> Tensor:
        """Of captions as numbers of their words."""
        return self._of_words(self._padded(numbers).to(self.bank.device))

    def _of_words(self, numbers: Tensor) -> Tensor:
        known = (numbers > 0).sum(1, keepdim=True)
        mean = self.words(numbers).sum(1) / known.sqrt()  # (B, D)
        found: Tensor = self.project(mean)
        return found

    def _padded(self, numbers: Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor([[*one, *[0] * (self.longest - len(one))] for one in numbers])


def waves(t: Tensor, width: int) -> Tensor:
    """Noise levels (B,) as sines and cosines of falling frequency, (B, width).

    Source: Vaswani et al., Attention Is All You Need (2017), section 3.5.
    """
    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2, device=t.device) / (width // 2))
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


class _Block(nn.Module):
    """Two convolutions and a shortcut; time and condition scale and shift in between."""

    def __init__(self, inner: int, outer: int, context: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.GroupNorm(_GROUPS, inner), nn.SiLU(), nn.Conv2d(inner, outer, 3, padding=1))
        self.affine = nn.Linear(context, 2 * outer)
        self.norm = nn.GroupNorm(_GROUPS, outer)
        self.leave = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), _zeroed(nn.Conv2d(outer, outer, 3, padding=1)))
        self.shortcut = nn.Conv2d(inner, outer, 1) if inner != outer else nn.Identity()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, inner, H, W) → (B, outer, H, W)."""
        scale, shift = self.affine(context)[:, :, None, None].chunk(2, 1)
        inside = self.norm(self.enter(x)) * (1 + scale) + shift
        output: Tensor = self.shortcut(x) + self.leave(inside)
        return output


class _Attention(nn.Module):
    """Every place looks at every other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // _HEAD)
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.project = nn.Conv2d(width, 3 * width, 1)
        self.leave = _zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, W, H, W') → the same."""
        batch, width, height, wide = x.shape
        parts = self.project(self.norm(x)).view(batch, 3, self.heads, width // self.heads, height * wide)
        query, key, value = parts.transpose(3, 4).unbind(1)  # each (B, heads, places, head)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(2, 3).reshape(batch, width, height, wide)
        output: Tensor = x + self.leave(seen)
        return output


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with weights of nothing, so that a block begins as its shortcut."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
