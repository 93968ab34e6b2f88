"""A low-rank adapter that is on for one reading and off for everything else.

The KV cache of the passages, made without it, is good for both.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models"; Greenewald et al. 2025, "Activated LoRA".
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch

LowRank: TypeAlias = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""By the name of a linear layer in the decoder, such as `layers.9.self_attn.q_proj`: down (R, in) and up (out, R)."""


@contextmanager
def applied(adapter: LowRank, decoder: torch.nn.Module) -> Iterator[None]:
    """Within the block each named layer gives y + up·down·x for its input x instead of y.

    Raises: AttributeError for a layer that the decoder does not have.
    """
    with ExitStack() as stack:
        for name, (down, up) in adapter.items():
            stack.callback(decoder.get_submodule(name).register_forward_hook(_adding(down, up)).remove)
        yield


def _adding(down: torch.Tensor, up: torch.Tensor) -> Any:
    def add(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        return output + x @ down.to(x).T @ up.to(x).T

    return add
