"""Text as the numbers of its characters."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.errors import DataError


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters that a model knows, each by its place in `alphabet`."""

    alphabet: str

    @classmethod
    def of(cls, text: str) -> "Characters":
        """The characters of a text."""
        return cls("".join(sorted(set(text))))

    @property
    def size(self) -> int:
        return len(self.alphabet)

    def encode(self, text: str) -> Tensor:
        """Numbers (N,) int64. Raises: DataError: a character is not of the alphabet."""
        numbers = {letter: number for number, letter in enumerate(self.alphabet)}
        if unknown := sorted(set(text) - numbers.keys()):
            raise DataError(f"{''.join(unknown)!r} is not among the characters of this model: {self.alphabet!r}.")
        return torch.tensor([numbers[letter] for letter in text], dtype=torch.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these numbers."""
        return "".join(self.alphabet[number] for number in ids)
