"""The second stage of search: the passages that the first one put forward are compared with the question anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that the first stage put forward: its text with the titles above it, and what is known of it.

    `cosine` is its similarity to the question, `coverage` in [0, 1] the share of the question's words that it holds.
    """

    text: str
    cosine: float
    coverage: float


class Reranker(Protocol):
    """Says how well passages answer a question."""

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        """A score for each candidate (K,) float32, higher is better; one for each, in their order."""
        ...
