"""Captions of classes in Spanish, English and Portuguese, as numbers of known words."""

import re
import unicodedata
from collections.abc import Sequence

from generative.errors import ConfigError

_NAMES: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    tuple("0123456789"): (
        ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        ("zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove"),
    ),
    (
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ): (
        ("camiseta", "pantalón", "jersey", "vestido", "abrigo", "sandalia", "camisa", "zapatilla", "bolso", "bota"),
        ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ("camiseta", "calça", "pulôver", "vestido", "casaco", "sandália", "camisa", "tênis", "bolsa", "bota"),
    ),
    ("C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"): (
        ("do", "re", "mi", "fa", "sol", "la", "si", "do agudo"),
        ("C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"),
        ("dó", "ré", "mi", "fá", "sol", "lá", "si", "dó agudo"),
    ),
}
_TEMPLATES = (
    ("{}", "un {}", "el número {}", "dibuja un {}", "una imagen de {}", "{} escrito a mano"),
    ("{}", "a {}", "the number {}", "draw a {}", "a picture of {}", "a handwritten {}"),
    ("{}", "um {}", "o número {}", "desenhe um {}", "uma imagem de {}", "{} escrito à mão"),
)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(r"[^\W_]+", "".join(one for one in plain if not unicodedata.combining(one)))


def captions(class_names: Sequence[str]) -> list[list[str]]:
    """What one may call each class, in three languages where its names are known, otherwise by its own name."""
    known = _NAMES.get(tuple(class_names), (tuple(class_names),) * len(_TEMPLATES))
    return [
        [
            name,
            *(
                template.format(names[number])
                for names, group in zip(known, _TEMPLATES, strict=True)
                for template in group
            ),
        ]
        for number, name in enumerate(class_names)
    ]


class Vocabulary:
    """The words of the captions of some classes; number 0 stands for none."""

    def __init__(self, class_names: Sequence[str]) -> None:
        by_class = captions(class_names)
        found = sorted({word for group in by_class for text in group for word in words_of(text)})
        self.numbers = {word: number for number, word in enumerate(found, start=1)}
        self.captions = [[self._numbers(text) for text in group] for group in by_class]
        self.longest = max(len(one) for group in self.captions for one in group)
        # Words of a template are in the captions of every class, and say nothing about which is meant.
        self._telling = {
            one for one in self.numbers.values() if not all(_within(one, group) for group in self.captions)
        }

    def __len__(self) -> int:
        return len(self.numbers) + 1

    def encode(self, text: str) -> list[int]:
        """The numbers of the known words of a caption, `longest` at most.

        Raises: ConfigError where none tells of a class.
        """
        found = self._numbers(text)[: self.longest]
        whole = any(found == caption for group in self.captions for caption in group)  # "um" is a number and an article
        if not whole and self._telling.isdisjoint(found):
            raise ConfigError(
                f"The caption {text!r} names no class that was learned. Name one, such as {self._example()!r}."
            )
        return found

    def _numbers(self, text: str) -> list[int]:
        return [self.numbers[word] for word in words_of(text) if word in self.numbers]

    def _example(self) -> str:
        names = {number: word for word, number in self.numbers.items()}
        return names[max(self._telling)]


def _within(number: int, group: Sequence[Sequence[int]]) -> bool:
    return any(number in caption for caption in group)
