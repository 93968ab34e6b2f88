"""The numbers, dates and names of a sentence that its evidence does not hold."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from index.analysis import fold, terms
from ingest.sentences import sentence_spans
from rag.dates import Date, dates
from rag.name_words import COUNTED
from rag.names import is_named, is_ordinary, name_forms, names, opening_words, word_forms
from rag.numbers import Number, Unit, numbers, roman_value

# Bullets, the numbers of lists, emphasis and quotes in front of a sentence say nothing.
_OPENING = re.compile(r"\W*(?:(?:\d{1,3}[.)]|[a-z]\))\s+)?(?=\W*)")
_NUMBERED = re.compile(r"(?P<word>[^\W\d_]+)\.?\s+(?P<numeral>[IVXLCDM]+)\b(?![-'’.]\w)")
_CENTURY: Unit = ("month", Decimal(1200))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What some passages tell: numbers, dates, the forms of their words, and what is numbered, such as kings.

    `sentences` are theirs, word for word, and the passages as a whole.
    """

    numbers: tuple[Number, ...]
    dates: tuple[Date, ...]
    words: frozenset[str]
    stems: frozenset[str]
    numbered: frozenset[tuple[str, int]]
    sentences: frozenset[str]


def evidence_of(passages: Iterable[tuple[str, str]]) -> Evidence:
    """The evidence of texts, each with its language."""
    read = [_read(text, language) for text, language in passages]
    return Evidence(
        tuple(number for one in read for number in one.numbers),
        tuple(date for one in read for date in one.dates),
        frozenset().union(*(one.words for one in read)),
        frozenset().union(*(one.stems for one in read)),
        frozenset().union(*(one.numbered for one in read)),
        frozenset().union(*(one.sentences for one in read)),
    )


def unknown_facts(sentence: str, language: str, evidence: Evidence) -> list[str]:
    """The numbers, dates and names of a sentence, as it writes them, that the evidence does not hold.

    What looks alike is one fact: tres, three and 3; 3 de mayo de 1999, May 3, 1999 and 1999-05-03; 1.500 and 1,500;
    5 km and 5000 m; siglo XX and 20th century; São and Sao.
    """
    if _spaced(sentence) in evidence.sentences:
        return []
    plain = _unaccented(sentence)
    plain = _without_opening(plain)
    told = dates(plain, language)
    places = [(date.start, date.end) for date in told]
    # The readings of one date stand at one place.
    unknown = [place for place in dict.fromkeys(places) if not _any_date_known(place, told, evidence)]
    plain = _blank(plain, places)
    kings, plain = _numbered_unknown(plain, evidence)
    unknown += kings
    found = [number for number in numbers(plain, language) if number.claims]
    unknown += [(number.start, number.end) for number in found if not _is_counted(number, evidence)]
    plain = _blank(plain, [(number.start, number.end) for number in found])
    unknown += [word.span() for word in names(plain, sentence) if not is_named(word[0], evidence.words)]
    unknown += [word.span() for word in opening_words(plain, sentence) if not _is_word(word[0], language, evidence)]
    return [sentence[start:end] for start, end in _outermost(unknown)]


def _read(text: str, language: str) -> Evidence:
    plain = _unaccented(text)
    told = dates(plain, language)
    rest = _blank(plain, [(date.start, date.end) for date in told])
    # Read both ways: what a passage begins with may be a bullet or the sign of its first number.
    counted = [*numbers(rest, language), *numbers(_without_opening(rest), language)]
    years = {date.year for date in told if date.year is not None}
    counted += [Number(0, 0, frozenset({Decimal(year)})) for year in years]
    romans = [(name, value) for name, _, value in _numbered(rest)]
    counted += [Number(0, 0, frozenset({Decimal(value)})) for _, value in romans]
    numbered = {(form, value) for name, value in romans for form in name_forms(name)}
    return Evidence(
        tuple(counted),
        tuple(told),
        word_forms(plain),
        frozenset(terms(text, language)),
        frozenset(numbered | _beside_numbers(plain, counted)),
        frozenset(_spaced(one) for one in (text, *(text[span.start : span.end] for span in sentence_spans(text)))),
    )


def _beside_numbers(plain: str, counted: Sequence[Number]) -> set[tuple[str, int]]:
    """Words next to a number, with it: the third war, 20th century, siglo 20."""
    pairs = set()
    for number in counted:
        values = [int(value) for value in number.values if isinstance(value, Decimal) and value == int(value)]
        before = re.search(r"(\w+)\s\Z", plain[max(0, number.start - 30) : number.start]) if number.end else None
        after = re.match(r"\s(\w+)", plain[number.end : number.end + 30]) if number.end else None
        words = [found[1] for found in (before, after) if found]
        words += ["century"] if number.unit == _CENTURY else []
        pairs |= {(form, value) for value in values for word in words for form in name_forms(word)}
    return pairs


def _numbered(plain: str) -> list[tuple[str, tuple[int, int], int]]:
    """Names and counted things with a Roman numeral: the word, the place of both, the value."""
    found = []
    for match in _NUMBERED.finditer(plain):
        value = roman_value(match["numeral"])
        word = match["word"]
        is_name = word[0].isupper() and not (len(match["numeral"]) == 1 and len(word) < 3)
        if value is not None and (is_name or word.casefold() in COUNTED):
            found.append((word, match.span(), value))
    return found


def _numbered_unknown(plain: str, evidence: Evidence) -> tuple[list[tuple[int, int]], str]:
    """Where a numbered name is not that of the evidence; and the text without its numerals."""
    found = [(word, span, value) for word, span, value in _numbered(plain) if word.islower() or not is_ordinary(word)]
    unknown = [
        span for word, span, value in found if not any((form, value) in evidence.numbered for form in name_forms(word))
    ]
    return unknown, _blank(plain, [(start + len(word), end) for word, (start, end), _ in found])


def _any_date_known(place: tuple[int, int], told: Sequence[Date], evidence: Evidence) -> bool:
    readings = [date for date in told if (date.start, date.end) == place]
    days = {(date.day, date.month) for date in readings}
    if len(days) > 1 and {(month, day) for day, month in days} != days:
        return all(_is_dated(date, evidence) for date in readings)  # "3 y 5 de mayo" are two dates
    return any(_is_dated(date, evidence) for date in readings)


def _is_dated(date: Date, evidence: Evidence) -> bool:
    if any(known.tells(date) for known in evidence.dates):
        return True
    # "In 1999 … on the third of May" tells the whole date, too.
    apart = Date(0, 0, None, date.month, date.day)
    year = None if date.year is None else Decimal(date.year)
    has_year = any(year in number.values for number in evidence.numbers)
    return has_year and any(known.year is None and known.tells(apart) for known in evidence.dates)


def _is_counted(number: Number, evidence: Evidence) -> bool:
    if any(_agree(number, known) for known in evidence.numbers):
        return True
    parts = [Number(0, 0, frozenset({part})) for part in number.parts]
    return bool(parts) and all(any(_agree(part, known) for known in evidence.numbers) for part in parts)


def _agree(number: Number, known: Number) -> bool:
    if number.unit is None or known.unit is None or number.unit == known.unit:
        return bool(number.values & known.values)
    (kind, size), (other_kind, other_size) = number.unit, known.unit
    if kind != other_kind:
        return False
    amounts = {value * size for value in number.values if isinstance(value, Decimal)}
    return any(value * other_size in amounts for value in known.values if isinstance(value, Decimal))


def _is_word(word: str, language: str, evidence: Evidence) -> bool:
    return is_named(word, evidence.words) or any(term in evidence.stems for term in terms(word, language))


def _unaccented(text: str) -> str:
    """The text without accents, each character in its place."""
    return "".join(plain if len(plain := fold(character)) == 1 else character for character in text)


def _spaced(text: str) -> str:
    """The text with single spaces, as lines are broken anywhere."""
    return " ".join(text.split())


def _without_opening(text: str) -> str:
    opening = _OPENING.match(text)
    return _blank(text, [(0, opening.end() if opening else 0)])


def _blank(text: str, places: Iterable[tuple[int, int]]) -> str:
    for start, end in places:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def _outermost(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places by their start, without those that lie in another."""
    kept: list[tuple[int, int]] = []
    for start, end in sorted(set(places), key=lambda place: (place[0], -place[1])):
        if not kept or end > kept[-1][1]:
            kept.append((start, end))
    return kept
