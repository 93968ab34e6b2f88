"""Pairs of texts to learn from: numbers in words, verses, texts with slips put in, manual pages and their one line."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generative.errors import DataError
from generative.family import Split
from generative.language.bpe import BytePairTokeniser, train_bpe
from generative.language.hints import Hints
from generative.language.manual_pages import read_pages
from generative.language.pointer import Stands
from generative.language.sword import SwordError, parallel_verses
from generative.language.texts import read_text

PAD, BEGIN, END = SPECIAL = ("<pad>", "<begin>", "<end>")
HELD_OUT_BOOK = 41  # Luke, counted from Genesis as 0
_NUMBERS = {"train": 20_000, "test": 1_000}
_LONGEST = (60, 60)  # tokens of a source and a target; longer ones would make every batch slower
_LONGEST_HINTED = (120, 60)
_LETTERS_ONLY = 256 + len(SPECIAL)  # a slip changes the longer tokens of a word, but only one of its letters


class Text(NamedTuple):
    """A text, what it is to become, and what an encoder reads in its place where there are hints."""

    source: str
    target: str
    hinted: str = ""

    @property
    def read(self) -> str:
        """What an encoder reads."""
        return self.hinted or self.source


@dataclass(frozen=True, slots=True)
class Task:
    """How pairs of a kind are learnt."""

    size: int
    """Of the vocabulary."""
    pointer: Stands | None = None
    longest: tuple[int, int] = _LONGEST
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the preset for a CPU."""


_VERSES = {
    "training.steps": 3000,
    "training.batch_size": 32,
    "training.lr": 2e-3,
    "training.weight_decay": 0.05,
    "shape.width": 192,
    "shape.heads": 6,
    "shape.kv_heads": 6,
}
TASKS = {
    "numbers": Task(600),
    "verses": Task(5000, "translations", _LONGEST_HINTED, _VERSES),
    "typos": Task(_LETTERS_ONLY, "itself", changes={"training.steps": 3000}),
    "summaries": Task(2000, "itself", changes={"training.steps": 300, "shape.dropout": 0.3}),
}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of texts, and their tokens: for indices (B,), sources as read (B, S) and targets (B, T), padded."""

    sources: list[str]
    targets: list[str]
    read: list[str]
    source_ids: Tensor
    target_ids: Tensor

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.source_ids[indices], self.target_ids[indices]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, ...]], tokeniser: BytePairTokeniser, lengths: tuple[int, int]) -> "Pairs":
        """The pairs, the fields of `Text`, in tokens."""
        texts = [Text(*pair) for pair in pairs]
        targets, read = [text.target for text in texts], [text.read for text in texts]
        return cls(
            [text.source for text in texts],
            targets,
            read,
            cls.encode_all(read, tokeniser, lengths[0], begin=False),
            cls.encode_all(targets, tokeniser, lengths[1], begin=True),
        )

    @staticmethod
    def encode_all(texts: Sequence[str], tokeniser: BytePairTokeniser, length: int, *, begin: bool) -> Tensor:
        """Tokens (N, length) with an end, and a beginning where asked. Raises: DataError: a text is too long."""
        rows = torch.full((len(texts), length), tokeniser.token(PAD))
        for row, text in zip(rows, texts, strict=True):
            ids = [tokeniser.token(BEGIN)] * begin + tokeniser.encode(text) + [tokeniser.token(END)]
            if len(ids) > length:
                raise DataError(f"{text[:60]!r} is {len(ids)} tokens long; this model takes {length}. Shorten it.")
            row[: len(ids)] = torch.tensor(ids)
        return rows


def open_pairs(name: str, *, seed: int = 0) -> Split:
    """The pairs of that name. Raises: DataError."""
    kind, _, languages = name.partition("-")
    source, _, target = languages.partition("-")
    if kind == "numbers" and {source, target} <= {"es", "en", "pt"} and source != target:
        train, test = _numbers(source, target, seed)
    elif kind == "verses" and {source, target} == {"es", "en"}:
        train, test = _verses(source)
    elif name == "typos-es":
        train, test = _typos(seed)
    elif name == "summaries-es":
        train, test = _summaries(seed)
    else:
        raise DataError(
            f"No pairs {name!r}. Use numbers-en-es (es, en, pt), verses-en-es, verses-es-en, typos-es or summaries-es."
        )
    return _split(name, train, test, TASKS[kind])


def _split(name: str, train: list[Text], test: list[Text], task: Task) -> Split:
    tokeniser = train_bpe((part for text in train for part in (text.read, text.target)), task.size, special=SPECIAL)
    parts = [[(text, _lengths(text, tokeniser)) for text in part] for part in (train, test)]
    fitting = [[one for one in part if one[1][0] <= task.longest[0] and one[1][1] <= task.longest[1]] for part in parts]
    lengths = [one for part in fitting for _, one in part]
    longest = (max(one for one, _ in lengths) + 1, max(other for _, other in lengths) + 2)
    learnt, held_out = ([text for text, _ in part] for part in fitting)
    about = {
        "merges": tokeniser.merges,
        "source_length": longest[0],
        "target_length": longest[1],
        "example": held_out[0].read,
        "pointer": task.pointer,
        "changes": task.changes,
    }
    train_pairs, test_pairs, watched = (
        Pairs.of(part, tokeniser, longest) for part in (learnt, held_out, held_out[:200])
    )
    return Split(name, train_pairs, test_pairs, about, watched)


def _lengths(text: Text, tokeniser: BytePairTokeniser) -> tuple[int, int]:
    return len(tokeniser.encode(text.read)), len(tokeniser.encode(text.target))


def _numbers(source: str, target: str, seed: int) -> tuple[list[Text], list[Text]]:
    """Numbers below a million; half of them below ten thousand, which a uniform draw would hardly hold."""
    spell = _speller()
    draw = random.Random(seed)  # noqa: S311
    wanted = sum(_NUMBERS.values())
    chosen: dict[int, None] = {}
    while len(chosen) < wanted:
        chosen[draw.randrange(10_000 if draw.random() < 0.5 and len(chosen) < 8_000 else 1_000_000)] = None
    shuffled = list(chosen)
    draw.shuffle(shuffled)
    pairs = [Text(spell(number, source), spell(number, target)) for number in shuffled]
    return pairs[_NUMBERS["test"] :], pairs[: _NUMBERS["test"]]


def _speller() -> Callable[[int, str], str]:
    try:
        from num2words import num2words
    except ImportError as error:
        raise DataError("Numbers in words need num2words (LGPL): pip install 'fuente[language]'") from error
    return lambda number, language: str(num2words(number, lang=language))


def _verses(source: str) -> tuple[list[Text], list[Text]]:
    """Verses of all books but one to learn from, and of that one to test on, with hints of the former."""
    try:
        verses = parallel_verses()
    except SwordError as error:
        raise DataError(str(error)) from error
    books: dict[int, list[Text]] = {}
    for spanish, english in verses:
        pair = (spanish.text, english.text) if source == "es" else (english.text, spanish.text)
        books.setdefault(spanish.book, []).append(Text(*pair))
    known = [(text, book) for book, texts in books.items() for text in texts if book != HELD_OUT_BOOK]
    hints = Hints.fit(
        [text.source for text, _ in known], [text.target for text, _ in known], [book for _, book in known]
    )
    for book, texts in books.items():
        hinted = hints.beside([text.source for text in texts], book)
        books[book] = [text._replace(hinted=hint) for text, hint in zip(texts, hinted, strict=True)]
    test = books.pop(HELD_OUT_BOOK)
    return [text for texts in books.values() for text in texts], test


def _typos(seed: int) -> tuple[list[Text], list[Text]]:
    """Short stretches of the Reina-Valera with slips, twice each with others, and as they should be."""
    draw = random.Random(seed)  # noqa: S311
    stretches = [part.strip() for line in read_text("reina-valera").split("\n") for part in line.split(",")]
    fitting = [part for part in dict.fromkeys(stretches) if 12 <= len(part) <= 48]
    draw.shuffle(fitting)
    pairs = [Text(with_slips(text, draw), text) for text in fitting]
    again = [Text(with_slips(text, draw), text) for text in fitting[1_000:]]
    return pairs[1_000:] + again, pairs[:1_000]


def _summaries(seed: int) -> tuple[list[Text], list[Text]]:
    """Descriptions of manual pages and the line that says what each is; a tenth is held out."""
    pairs = [Text(page.description, page.summary) for page in read_pages("es")]
    random.Random(seed).shuffle(pairs)  # noqa: S311
    return pairs[len(pairs) // 10 :], pairs[: len(pairs) // 10]


def with_slips(text: str, draw: random.Random, share: float = 0.06) -> str:
    """The text with slips at about that share of its letters: dropped, doubled, swapped, misspelt; or no accent."""
    letters = list(text)
    for place, letter in enumerate(text):
        if letter in _UNACCENTED and draw.random() < 0.5:
            letters[place] = _UNACCENTED[letter]
        elif draw.random() < share:
            slip = draw.choice(("drop", "double", "swap", "misspell"))
            if slip == "swap" and place + 1 < len(letters):
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
            elif slip == "misspell":
                letters[place] = _ALIKE.get(letter, letter)
            else:
                letters[place] *= 2 if slip == "double" else 0
    return "".join(letters)


_UNACCENTED = dict(zip("áéíóúüñÁÉÍÓÚÑ", "aeiouunAEIOUN", strict=True))
_ALIKE = {"b": "v", "v": "b", "c": "s", "s": "c", "z": "s", "g": "j", "j": "g", "y": "ll", "h": "", "q": "k"}
