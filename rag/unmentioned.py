"""Names, numbers and dates of a question that the documents say nothing about."""

import re
from collections.abc import Callable, Sequence

from index.types import Hit
from rag.facts import evidence_of, unknown_facts

_WORD = re.compile(r"\w[\w'’&–-]*")
# A question names few things, and each that is looked for costs a search.
_MOST = 3


def unmentioned(
    question: str, language: str, read: Sequence[Hit], search: Callable[[str], Sequence[Hit]]
) -> tuple[str, ...]:
    """What a question names that is neither in the passages read nor in those that a search for it alone finds.

    A name of which a part is known (Lovelace in Ada Lovelace) is known. Passages in another language may write a name
    differently, so only numbers are told of where there are any.
    """
    unknown = _unknown(question, language, read)
    names = dict.fromkeys(name for fact in unknown if (name := _whole(fact, question, unknown)))
    return tuple(name for name in list(names)[:_MOST] if _all_unknown(name, language, search(name)))


def _unknown(question: str, language: str, hits: Sequence[Hit]) -> list[str]:
    evidence = evidence_of((told, hit.language) for hit in hits for told in (*hit.chunk.headings, hit.chunk.text))
    found = unknown_facts(question, language, evidence)
    # A number in words counts what is asked for: which two rivers, the three parts.
    told = [fact for fact in found if any(map(str.isdigit, fact)) or any(map(str.isupper, fact))]
    foreign = any(hit.language != language for hit in hits)
    return [fact for fact in told if not foreign or any(map(str.isdigit, fact))]


def _all_unknown(name: str, language: str, hits: Sequence[Hit]) -> bool:
    """Whether no word of a name is in the passages; behind an ordinary word, so that none begins a sentence."""
    unknown = _unknown(f"x {name}", language, hits)
    return all(any(word in fact for fact in unknown) for word in _WORD.findall(name) if not word.islower())


def _whole(fact: str, question: str, unknown: Sequence[str]) -> str:
    """The whole name that a fact is a part of; "" when some of it is known, or it only opens the question."""
    words = list(_WORD.finditer(question))
    start = question.index(fact)
    inside = [number for number, word in enumerate(words) if start <= word.start() < start + len(fact)]
    if not inside or inside[-1] == 0:
        return ""
    first, last = max(1, inside[0]), inside[-1]
    while first > 1 and _continues(question, words[first - 1], words[first]):
        first -= 1
    while last + 1 < len(words) and _continues(question, words[last], words[last + 1]):
        last += 1
    named = [word[0] for word in words[first : last + 1] if not word[0].islower()]
    known = [word for word in named if not any(word in other for other in unknown)]
    return "" if known else question[words[first].start() : words[last].end()]


def _continues(question: str, word: re.Match[str], following: re.Match[str]) -> bool:
    """Whether two words with a capital or a digit stand side by side."""
    return (
        not word[0].islower() and not following[0].islower() and question[word.end() : following.start()] in (" ", "-")
    )
