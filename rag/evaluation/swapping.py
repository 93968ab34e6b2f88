"""Questions that the documents do not answer: a name or a number is exchanged for one from elsewhere."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from index.analysis import fold

_CAPITAL = "A-ZÁÉÍÓÚÂÊÔÃÕÀÇÑÜ"
_NAME = re.compile(rf"(?<!\w)[{_CAPITAL}][\w’'-]+(?:\s[{_CAPITAL}][\w’'-]+)*")
_NUMBER = re.compile(r"(?<![\w.,])\d{2,}(?![\w.,]\w)")
# The word that opens a sentence has a capital, whatever it is.
_OPENS = re.compile(r"(?:^|[.!?¿¡:]\s*|\n\s*)[\"“«(]*$")
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Swap:
    """A question that names `replacement` where it named `original`."""

    question: str
    original: str
    replacement: str


def swaps(question: str, passage: str, elsewhere: Sequence[str], seed: int) -> Iterator[Swap]:
    """At most three variants of a question, by lot; the replacements come from `elsewhere`, other passages.

    What is exchanged stands in the question's passage, too, so that the question is about it.
    """
    for pattern in (_NAME, _NUMBER):
        places = [place for place in _inner(pattern, question) if place.group() in passage]
        pool = {found.group() for text in elsewhere for found in _inner(pattern, text)}
        known = fold(f"{question}\n{passage}".casefold())
        fresh = [text for text in pool if fold(text.casefold()) not in known]
        if places and fresh:
            place = places[-1]
            for replacement in _likest(fresh, place.group(), f"{seed}:{question}"):
                text = question[: place.start()] + replacement + question[place.end() :]
            yield Swap(text, place.group(), replacement)
            return


def _likest(texts: Sequence[str], original: str, lot: str) -> list[str]:
    """Three texts by lot, those first that are as many words, so that a full name takes the place of a full name."""

    def key(text: str) -> tuple[int, bytes]:
        return abs(len(text.split()) - len(original.split())), hashlib.sha256(f"{lot}:{text}".encode()).digest()

    return sorted(texts, key=key)[:_TRIES]


def _inner(pattern: re.Pattern[str], text: str) -> Iterable[re.Match[str]]:
    """Matches that do not merely open a sentence."""
    return (
        found for found in pattern.finditer(text) if found[0][0].isdigit() or not _OPENS.search(text[: found.start()])
    )
