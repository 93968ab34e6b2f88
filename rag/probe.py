"""Reads from the inner states of a known model whether the passages hold the answer.

A model often knows that a question has no answer without saying so: a line through the states of a middle layer tells
it better than its own yes or no. The weights belong to one model and one wording of the check; docs/answers.md has the
figures, on articles that they were not fitted on.

Source: Slobodkin et al. 2023, "The Curious Case of Hallucinatory (Un)answerability"; linear probes after Alain & Bengio
2016.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rag.generator import States

# States of a few dimensions are a thousand times as large as the others.
_LARGEST_STATE = 50.0
_LARGEST = 8.0
_FORMAT = "fuente-probe-1"


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Weights (D,) of what a layer made of the last token of the check, and on average of those of the question."""

    layer: int
    last: NDArray[np.float32]
    question: NDArray[np.float32]
    bias: float

    def log_odds(self, states: States) -> float:
        """ln P(answer) − ln P(none)."""
        return float(self.last @ _scaled(states.last) + self.question @ _scaled(states.part)) + self.bias

    @classmethod
    def of(cls, generator: str) -> Self | None:
        """The probe that comes with this program for a model of that name; None for most."""
        file = files("rag") / "probes" / f"{generator}.json"
        if "/" in generator or not file.is_file():
            return None
        return cls.read(file.read_text(encoding="utf-8"))

    @classmethod
    def read(cls, text: str) -> Self:
        """A probe from JSON.

        Raises: ValueError for anything else.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"a probe begins with the format {_FORMAT!r}")
        last, question = (np.array(content[name], np.float32) for name in ("last", "question"))
        if last.ndim != 1 or last.shape != question.shape or not np.isfinite([*last, *question]).all():
            raise ValueError(f"the weights of a probe are two rows of as many finite numbers, not {last.shape}")
        return cls(int(content["layer"]), last, question, float(content["bias"]))


def _scaled(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """States (D,) of mean square 1, as a layer's own normalisation makes them, without what sticks out."""
    usual = np.clip(np.nan_to_num(states), -_LARGEST_STATE, _LARGEST_STATE)
    scale = np.sqrt(np.mean(usual**2) + 1e-6)
    return np.asarray(np.clip(np.nan_to_num(states) / scale, -_LARGEST, _LARGEST), np.float32)
