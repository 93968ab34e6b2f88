"""Questions that the documents do not answer: a name or a number is exchanged for one from elsewhere."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from index.analysis import fold
from rag.evaluation.entities import NAME, NUMBER, mentions

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
    for pattern in (NAME, NUMBER):
        places = [place for place in mentions(pattern, question) if place.group() in passage]
        pool = {found.group() for text in elsewhere for found in mentions(pattern, text)}
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
