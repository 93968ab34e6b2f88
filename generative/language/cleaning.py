"""Cleaning a text before it becomes tokens: what is changed is chosen, and all of it can be put back.

Writing one letter in one way and dropping accents or capitals makes a vocabulary smaller and a little model's
task easier, and throws away what Spanish and Portuguese tell apart (año, ano). So nothing is done unasked.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

_WORD = re.compile(r"\s+|\S+")
_FORMS = ("NFC", "NFKC", "none")


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is done to a text. `form` writes the same letter the same way, NFKC also ligatures and wide letters."""

    form: Literal["NFC", "NFKC", "none"] = "none"
    strip_accents: bool = False
    lower: bool = False
    collapse_spaces: bool = False

    def __post_init__(self) -> None:
        if self.form not in _FORMS:
            raise ValueError(f"Form {self.form!r}: use one of {', '.join(_FORMS)}.")


@dataclass(frozen=True, slots=True)
class Change:
    """The cleaned text from `start` to `end` was `original`."""

    start: int
    end: int
    original: str


@dataclass(frozen=True, slots=True)
class CleanText:
    """A cleaned text with what was changed in it, from its start to its end."""

    text: str
    changes: tuple[Change, ...]

    def restore(self) -> str:
        """The text as it was before cleaning, letter for letter."""
        parts, position = [], 0
        for change in self.changes:
            parts += [self.text[position : change.start], change.original]
            position = change.end
        return "".join([*parts, self.text[position:]])


def clean(text: str, cleaning: Cleaning) -> CleanText:
    """The cleaned text and its changes, word by word: accents never reach over a space."""
    parts, changes, length = [], [], 0
    for match in _WORD.finditer(text):
        word = match.group()
        cleaned = _clean_word(word, cleaning)
        if cleaned != word:
            changes.append(Change(length, length + len(cleaned), word))
        parts.append(cleaned)
        length += len(cleaned)
    return CleanText("".join(parts), tuple(changes))


def _clean_word(word: str, cleaning: Cleaning) -> str:
    if word.isspace():
        return ("\n" if "\n" in word else " ") if cleaning.collapse_spaces else word
    if cleaning.form != "none":
        word = unicodedata.normalize(cleaning.form, word)
    if cleaning.strip_accents:
        apart = unicodedata.normalize("NFD", word)
        word = unicodedata.normalize("NFC", "".join(letter for letter in apart if not unicodedata.combining(letter)))
    return word.lower() if cleaning.lower else word
