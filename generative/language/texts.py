"""Texts to learn language from: the Bibles that Debian packages, or a file of yours; nothing is in this repository."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from generative.errors import DataError
from generative.family import Split
from generative.language.characters import Characters
from generative.language.sword import SwordError, read_module

CONTEXT = 128
"""Characters of one example."""
_TRAINED_ON = 0.9
_WATCHED = 200
"""Examples of the held-out text that the curve is drawn from."""
_BIBLES = {"reina-valera": "es", "king-james": "en"}


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of a text, one behind the other: for indices (B,), tokens (B, context + 1) each.

    Every token but the first is one to predict, so neighbours share the token at their border.
    """

    ids: Tensor
    context: int = CONTEXT

    def __len__(self) -> int:
        return (len(self.ids) - 1) // self.context

    def __getitem__(self, indices: Tensor) -> tuple[Tensor]:
        return (self.ids[indices[:, None] * self.context + torch.arange(self.context + 1)],)


def read_text(name: str) -> str:
    """The text of that name or in that file. Raises: DataError."""
    if name in _BIBLES:
        try:
            return "\n".join(verse.text for verse in read_module(_BIBLES[name]))
        except SwordError as error:
            raise DataError(str(error)) from error
    path = Path(name)
    if path.suffix != ".txt" or not path.is_file():
        raise DataError(f"No text {name!r}. Use {', '.join(_BIBLES)}, or a .txt file in UTF-8.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from error


def open_text(name: str) -> Split:
    """The text of that name or in that file, by characters. Raises: DataError."""
    return split_text(read_text(name), name)


def split_text(text: str, name: str) -> Split:
    """A text by characters: the first nine tenths to train on, the rest held out, as nanoGPT cuts them.

    Raises: DataError: it is too short.
    """
    characters = Characters.of(text)
    ids = characters.encode(text)
    cut = int(len(ids) * _TRAINED_ON)
    if cut <= CONTEXT or len(ids) - cut <= CONTEXT:
        raise DataError(f"{name} has {len(text)} characters; at least {20 * CONTEXT} are needed.")
    watched = Windows(ids[cut : cut + _WATCHED * CONTEXT + 1])
    return Split(name, Windows(ids[:cut]), Windows(ids[cut:]), {"alphabet": characters.alphabet}, watched)
