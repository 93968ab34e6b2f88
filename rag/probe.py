"""Reads from the inner states of a known model whether the passages hold the answer.

A model often knows that a question has no answer without saying so: a line through the states of a middle layer tells
it better than its own yes or no, and better still where a low-rank adapter made the model look for it. The adapter is
on for the question alone, behind passages that were read without it. Weights belong to one model and one wording of the
check; docs/answers.md has the figures, on articles that they were not fitted on.

Source: Slobodkin et al. 2023, "The Curious Case of Hallucinatory (Un)answerability"; linear probes after Alain & Bengio
2016; the adapter after Hu et al. 2021.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rag.generator import States

if TYPE_CHECKING:  # torch takes seconds to load
    import torch

    from rag.low_rank import LowRank

# States of a few dimensions are a thousand times as large as the others.
LARGEST_STATE = 50.0
LARGEST = 8.0
FORMAT = "fuente-probe-2"
_REVISION_DIGITS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Weights (D,) of what a layer made of the last token of the check, and on average of those of the question.

    `adapter` is on while the question is read. `revision` tells its weights from others.
    """

    layer: int
    last: NDArray[np.float32]
    question: NDArray[np.float32]
    bias: float
    adapter: "LowRank" = field(default_factory=dict)
    revision: str = ""

    def log_odds(self, states: States) -> float:
        """ln P(answer) − ln P(none)."""
        return float(self.last @ _scaled(states.last) + self.question @ _scaled(states.part)) + self.bias

    @classmethod
    def of(cls, generator: str) -> Self | None:
        """The probe that comes with this program for a model of that name; None for most."""
        file = files("rag") / "probes" / f"{generator}.safetensors"
        if "/" in generator or not file.is_file():
            return None
        with as_file(file) as path:
            return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """A probe from a safetensors file, its weights in float32.

        Raises: ValueError for anything else.
        """
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is no probe ({error}). Install Fuente again") from error
        if about.get("format") != FORMAT:
            raise ValueError(f"{path}: a probe has the format {FORMAT!r}, not {about.get('format')!r}")
        try:
            layer = int(about["layer"])
            return cls._of_tensors(layer, tensors, _revision(layer, tensors))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} is no probe ({error}). Install Fuente again") from error

    @classmethod
    def _of_tensors(cls, layer: int, tensors: dict[str, "torch.Tensor"], revision: str) -> Self:
        last, question, bias = (tensors.pop(name) for name in ("last", "question", "bias"))
        if layer < 1 or last.ndim != 1 or last.shape != question.shape:
            raise ValueError(f"layer {layer}, weights {tuple(last.shape)} and {tuple(question.shape)}")
        names = sorted(name.removesuffix(".down") for name in tensors if name.endswith(".down"))
        adapter = {name: (tensors.pop(f"{name}.down"), tensors.pop(f"{name}.up")) for name in names}
        for name, (down, up) in adapter.items():
            if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
                raise ValueError(f"{name} has {tuple(down.shape)} and {tuple(up.shape)}")
        if not all(one.isfinite().all() for one in (last, question, bias, *chain(*adapter.values()))):
            raise ValueError("weights that are not finite")
        return cls(layer, last.numpy(), question.numpy(), float(bias), adapter, revision)


def _revision(layer: int, tensors: Mapping[str, "torch.Tensor"]) -> str:
    """Digits of what is in a probe's file. Not of its bytes: safetensors writes the header's entries in any order."""
    digest = hashlib.sha256(str(layer).encode())
    for name, one in sorted(tensors.items()):
        digest.update(f"{name}{tuple(one.shape)}".encode())
        digest.update(one.numpy().tobytes())
    return digest.hexdigest()[:_REVISION_DIGITS]


def _scaled(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """States (D,) of mean square 1, as a layer's own normalisation makes them, without what sticks out."""
    usual = np.clip(np.nan_to_num(states), -LARGEST_STATE, LARGEST_STATE)
    scale = np.sqrt(np.mean(usual**2) + 1e-6)
    return np.asarray(np.clip(np.nan_to_num(states) / scale, -LARGEST, LARGEST), np.float32)
