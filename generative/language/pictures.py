"""Pictures of a trained transformer: whom every letter looks at, and what a temperature makes of the next one.

python -m generative.language.pictures checkpoint.safetensors --text "En el principio crió Dios" --out pictures
"""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.errors import UnsupportedError
from generative.language.sampling import Sampling, distribution
from generative.language.transformer import Transformer, TransformerFamily

_TEMPERATURES = (0.2, 0.5, 1.0, 1.5, 3.0)
_PAPER, _INK = "#fcfbf8", "#23292b"
_LIKELIEST = 12


def save_attention(maps: Tensor, letters: Sequence[str], path: Path) -> Path:
    """Draws maps (H, T, T) side by side: rows look at columns, darker is more; the path.

    Raises: UnsupportedError where matplotlib is missing.
    """
    figure = _figure(4.2 * len(maps), 4.6)
    for head, axes in enumerate(figure.subplots(1, len(maps), squeeze=False)[0]):
        axes.imshow(maps[head].numpy(), cmap="Greens", vmin=0, vmax=float(maps.max()))
        axes.set_title(f"head {head}", loc="left", fontsize=11, color=_INK)
        axes.set_xticks(range(len(letters)), letters, fontsize=7)
        axes.set_yticks(range(len(letters)), letters, fontsize=7)
        axes.tick_params(length=0)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    return path


def save_temperatures(logits: Tensor, alphabet: str, path: Path) -> Path:
    """Draws what softmax makes of logits (V,) at five temperatures, for the likeliest characters; the path.

    Raises: UnsupportedError where matplotlib is missing.
    """
    order = logits.argsort(descending=True)[:_LIKELIEST]
    figure = _figure(11.0, 2.8)
    for temperature, axes in zip(_TEMPERATURES, figure.subplots(1, len(_TEMPERATURES), sharey=True), strict=True):
        probabilities = distribution(logits[None], Sampling(temperature=temperature))[0]
        axes.bar(range(len(order)), probabilities[order].numpy(), color="#12706b")
        axes.set_xticks(range(len(order)), [_shown(alphabet[number]) for number in order.tolist()], fontsize=8)
        axes.set_title(f"temperature {temperature}", loc="left", fontsize=10, color=_INK)
        axes.tick_params(length=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    return path


def _figure(width: float, height: float) -> Any:
    try:
        module = import_module("matplotlib.figure")
    except ImportError as error:
        raise UnsupportedError("Drawing needs matplotlib: pip install 'fuente[plots]'.") from error
    return module.Figure(figsize=(width, height), layout="constrained", facecolor=_PAPER)


def _shown(letter: str) -> str:
    return {" ": "␣", "\n": "↵"}.get(letter, letter)


def main() -> None:
    """Draws attention.png, of one layer, and temperature.png, of the character after the text."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--text", default="Y dijo Dios: Sea la luz: y fué la lu")
    parser.add_argument("--layer", type=int, default=1)
    parser.add_argument("--heads", type=int, default=3, help="how many heads are drawn")
    parser.add_argument("--out", type=Path, default=Path())
    arguments = parser.parse_args()
    family = TransformerFamily.load(arguments.checkpoint, device="cpu")
    ids = family.characters.encode(arguments.text)[None]
    arguments.out.mkdir(parents=True, exist_ok=True)
    with family.evaluating():
        network = family.network
        assert isinstance(network, Transformer)  # noqa: S101
        maps, logits = network.attention_maps(ids)[arguments.layer, 0, : arguments.heads], network(ids)[0, -1]
    letters = [_shown(letter) for letter in arguments.text]
    print(save_attention(maps, letters, arguments.out / "attention.png"))
    print(save_temperatures(logits, family.config.alphabet, arguments.out / "temperature.png"))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
