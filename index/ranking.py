"""What search knows of a question's candidates on their way to hits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.embedder import Vectors
from index.filters import Filter
from index.generation import Generation
from index.types import Hit

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its vector (D,), the generation that answers it, and the positions (N,) that are allowed."""

    question: str
    vector: Vectors
    generation: Generation
    where: Filter | None
    allowed: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Positions (K,) best first, with their scores, cosines and BM25 scores."""

    positions: Places
    scores: Vectors
    dense: Vectors
    lexical: Vectors

    def at(self, places: Places) -> "Ranking":
        """Those at some places (M,), in their order."""
        return Ranking(self.positions[places], self.scores[places], self.dense[places], self.lexical[places])


@dataclass(frozen=True, slots=True)
class Ranked:
    """The candidates of a question: `ranking` by the first stage, `order` (K,) the places in it, best first.

    Where there is a second stage, `coverage` and `promise` (K,) decide the order. `head` are the hits of the first
    places; the first `compared` of them were compared anew and are in the order of that.
    """

    ranking: Ranking
    order: Places
    head: list[Hit]
    compared: int = 0
    coverage: Vectors | None = None
    promise: Vectors | None = None
