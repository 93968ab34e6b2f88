"""LoRA: a trained layer stays as it is, and a product of two thin matrices beside it learns the difference.

    y = W x + (α / r) B A x        A is r × inputs, B is outputs × r; only A and B are trained

B starts at zero, so that at first nothing changes; at the end (α / r) B A can be added to W, and costs nothing.

Source: Hu et al. 2021, "LoRA: low-rank adaptation of large language models", section 4.1.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from generative.errors import ConfigError


class LoraLinear(nn.Module):
    """A linear layer that is kept, with a thin one beside it that learns."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        if not 1 <= rank <= min(base.in_features, base.out_features):
            raise ConfigError(
                f"Rank {rank} of a layer {base.in_features} → {base.out_features}: from 1 to the smaller of the two."
            )
        self.base, self.scale = base.requires_grad_(requires_grad=False), alpha / rank
        self.down = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, outputs) of (…, inputs)."""
        outputs: Tensor = self.base(inputs)
        return outputs + self.scale * (inputs @ self.down.T @ self.up.T)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One plain layer that does the same."""
        self.base.weight += self.scale * self.up @ self.down
        return self.base


def add_lora(network: nn.Module, *, rank: int, alpha: float, layers: tuple[str, ...]) -> list[nn.Parameter]:
    """Puts LoRA beside every linear layer whose own name is in `layers`, freezes all else; what is now to be trained.

    Raises:
        ConfigError: no layer has such a name, or the rank does not fit one.
    """
    found = [
        (parent, name, child)
        for parent in list(network.modules())
        for name, child in parent.named_children()
        if name in layers and isinstance(child, nn.Linear)
    ]
    if not found:
        raise ConfigError(f"No linear layer is named {', '.join(layers)}. Name some of {', '.join(_names(network))}.")
    network.requires_grad_(requires_grad=False)
    for parent, name, child in found:
        setattr(parent, name, LoraLinear(child, rank, alpha))
    return [one for one in network.parameters() if one.requires_grad]


def merge_lora(network: nn.Module) -> None:
    """Makes every layer with LoRA a plain one again that does the same; all of it can then be trained."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                setattr(parent, name, child.merged())
    network.requires_grad_(requires_grad=True)


def _names(network: nn.Module) -> Iterator[str]:
    names = {name.rpartition(".")[2] for name, one in network.named_modules() if isinstance(one, nn.Linear)}
    return iter(sorted(names))
