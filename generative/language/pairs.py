"""Pairs of texts to learn from: numbers in words, verses, texts with slips put in, manual pages and their one line."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.errors import DataError
from generative.family import Split
from generative.language.bpe import BytePairTokeniser, train_bpe
from generative.language.manual_pages import read_pages
from generative.language.sword import SwordError, parallel_verses
from generative.language.texts import read_text

PAD, BEGIN, END = SPECIAL = ("<pad>", "<begin>", "<end>")
HELD_OUT_BOOK = 41  # Luke, counted from Genesis as 0
_NUMBERS = {"train": 20_000, "test": 1_000}
_LONGEST = 60  # tokens; longer ones would make every batch slower
_LETTERS_ONLY = 256 + len(SPECIAL)  # a slip changes the longer tokens of a word, but only one of its letters
Text = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of texts, and their tokens: for indices (B,), sources (B, S) and targets (B, T), padded."""

    sources: list[str]
    targets: list[str]
    source_ids: Tensor
    target_ids: Tensor

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.source_ids[indices], self.target_ids[indices]

    @classmethod
    def of(cls, pairs: Sequence[Text], tokeniser: BytePairTokeniser, lengths: tuple[int, int]) -> "Pairs":
        """The pairs in tokens."""
        sources, targets = [one for one, _ in pairs], [other for _, other in pairs]
        return cls(
            sources,
            targets,
            cls.encode_all(sources, tokeniser, lengths[0], begin=False),
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
        train, test, size, pointer = *_numbers(source, target, seed), 600, None
    elif kind == "verses" and {source, target} == {"es", "en"}:
        train, test, size, pointer = *_verses(source), 3000, "translations"
    elif name == "typos-es":
        train, test, size, pointer = *_typos(seed), _LETTERS_ONLY, "itself"
    elif name == "summaries-es":
        train, test, size, pointer = *_summaries(seed), 2000, "itself"
    else:
        raise DataError(
            f"No pairs {name!r}. Use numbers-en-es (es, en, pt), verses-en-es, verses-es-en, typos-es or summaries-es."
        )
    return _split(name, train, test, size, pointer)


def _split(name: str, train: list[Text], test: list[Text], size: int, pointer: str | None = None) -> Split:
    tokeniser = train_bpe((text for pair in train for text in pair), size, special=SPECIAL)
    encoded = {id(part): [(pair, _lengths(pair, tokeniser)) for pair in part] for part in (train, test)}
    fitting = {key: [one for one in part if max(one[1]) <= _LONGEST] for key, part in encoded.items()}
    every = [lengths for part in fitting.values() for _, lengths in part]
    longest = (max(one for one, _ in every) + 1, max(other for _, other in every) + 2)
    parts = [Pairs.of([pair for pair, _ in fitting[id(part)]], tokeniser, longest) for part in (train, test)]
    example = fitting[id(test)][0][0][0]
    about = {
        "merges": tokeniser.merges,
        "source_length": longest[0],
        "target_length": longest[1],
        "example": example,
        "pointer": pointer,
    }
    watched = Pairs.of([pair for pair, _ in fitting[id(test)][:200]], tokeniser, longest)
    return Split(name, parts[0], parts[1], about, watched)


def _lengths(pair: Text, tokeniser: BytePairTokeniser) -> tuple[int, int]:
    return len(tokeniser.encode(pair[0])), len(tokeniser.encode(pair[1]))


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
    pairs = [(spell(number, source), spell(number, target)) for number in shuffled]
    return pairs[_NUMBERS["test"] :], pairs[: _NUMBERS["test"]]


def _speller() -> Callable[[int, str], str]:
    try:
        from num2words import num2words
    except ImportError as error:
        raise DataError("Numbers in words need num2words (LGPL): pip install 'fuente[language]'") from error
    return lambda number, language: str(num2words(number, lang=language))


def _verses(source: str) -> tuple[list[Text], list[Text]]:
    """Verses of all books but one to learn from, and of that one to test on."""
    try:
        verses = parallel_verses()
    except SwordError as error:
        raise DataError(str(error)) from error
    parts: tuple[list[Text], list[Text]] = ([], [])
    for spanish, english in verses:
        pair = (spanish.text, english.text) if source == "es" else (english.text, spanish.text)
        parts[spanish.book == HELD_OUT_BOOK].append(pair)
    return parts


def _typos(seed: int) -> tuple[list[Text], list[Text]]:
    """Short stretches of the Reina-Valera with slips, twice each with others, and as they should be."""
    draw = random.Random(seed)  # noqa: S311
    stretches = [part.strip() for line in read_text("reina-valera").split("\n") for part in line.split(",")]
    fitting = [part for part in dict.fromkeys(stretches) if 12 <= len(part) <= 48]
    draw.shuffle(fitting)
    pairs = [(with_slips(text, draw), text) for text in fitting]
    again = [(with_slips(text, draw), text) for text in fitting[1_000:]]
    return pairs[1_000:] + again, pairs[:1_000]


def _summaries(seed: int) -> tuple[list[Text], list[Text]]:
    """Descriptions of manual pages and the line that says what each is; a tenth is held out."""
    pairs = [(page.description, page.summary) for page in read_pages("es")]
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
