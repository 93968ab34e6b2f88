"""How much faster a transformer writes with its cache than by reading the whole text for every token.

python -m bench.key_value_cache
"""

from functools import partial

import torch
from torch import Tensor

from bench.measuring import in_turns, machine, ratios
from generative.language.sampling import Sampling, generate
from generative.language.transformer import Transformer, TransformerShape

_TOKENS, _ALPHABET, _REPEATS = 200, 82, 3


class Uncached:
    """The same network without a memory: it is given all that was read, every time."""

    room = float("inf")

    def __init__(self, network: Transformer) -> None:
        self._network = network
        self._read = torch.empty(1, 0, dtype=torch.int64)

    def memory(self, batch: int) -> "Uncached":
        self._read = torch.empty(batch, 0, dtype=torch.int64)
        return self

    def __call__(self, ids: Tensor, memory: object = None) -> Tensor:  # noqa: ARG002
        self._read = torch.cat([self._read, ids], 1)
        logits: Tensor = self._network(self._read)
        return logits


def main() -> None:
    """Prints the ratio for rotary and for learned positions."""
    print(machine())
    for position in ("rope", "learned"):
        torch.manual_seed(0)
        network = Transformer(_ALPHABET, _TOKENS + 1, TransformerShape(position=position)).eval()
        assert torch.equal(_write(network), _write(Uncached(network)))
        runs = {"cached": partial(_write, network), "uncached": partial(_write, Uncached(network))}
        spent = in_turns(runs, _REPEATS)
        slow, fast = ([one.processor_s for one in spent[name]] for name in ("uncached", "cached"))
        print(f"{position}: {_TOKENS} tokens, uncached over cached (processor time): {ratios(slow, fast)}")


def _write(model: Transformer | Uncached) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return generate(model, torch.zeros(1, 1, dtype=torch.int64), _TOKENS, Sampling(), generator)


if __name__ == "__main__":
    main()
