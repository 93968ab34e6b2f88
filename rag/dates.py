"""Dates in a text, in the ways that Spanish, Portuguese and English write them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag.number_words import CARDINALS, MONTH_ABBREVIATIONS, MONTHS

_MONTH_NAMES = MONTH_ABBREVIATIONS | MONTHS
_MONTH = "|".join(sorted(_MONTH_NAMES, key=len, reverse=True))
_DAYS = {word: value for word, value in CARDINALS.items() if value <= 31} | {"primero": 1, "primeiro": 1}
_DAY_WORD = "|".join(sorted(_DAYS, key=len, reverse=True))
_DAY = rf"(?<![\w.,/:-])(?:\d{{1,2}}(?:st|nd|rd|th|\.?[ºª°])?|(?:{_DAY_WORD}))"
_YEAR = r"(?:(?:,|\s+de|\s+del|\s+of)?\s+(?:ano\s+)?(?P<year>\d{4})(?![\d.,]\d))?"
_FLAGS = re.IGNORECASE
_DAY_FIRST = re.compile(
    rf"(?:(?P<other>{_DAY})\s*(?:-|–|y|e|al|a|ao|and|to)\s*)?(?P<day>{_DAY})(?:\s+de|\s+of)?\s+(?P<month>{_MONTH})\b\.?{_YEAR}",
    _FLAGS,
)
_MONTH_FIRST = re.compile(rf"\b(?P<month>{_MONTH})\b\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?![\w]){_YEAR}", _FLAGS)
_MONTH_YEAR = re.compile(rf"\b(?P<month>{_MONTH})\b\.?(?:\s+de|\s+del|\s+of|,)?\s+(?P<year>\d{{4}})(?!\d)", _FLAGS)
_YEAR_FIRST = re.compile(r"(?<![\w.,/-])(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})(?![\w/-])")
_YEAR_LAST = re.compile(r"(?<![\w.,/-])(?P<day>\d{1,2})[-/.](?P<month>\d{1,2})[-/.](?P<year>\d{4})(?![\w/-])")
_ALONE = re.compile(rf"\b(?P<month>{'|'.join(MONTHS)})\b", _FLAGS)
# Words of their own in lower case, and "May" also where it opens a sentence.
_ENGLISH_WORDS = frozenset(("may", "march", "august"))


@dataclass(frozen=True, slots=True)
class Date:
    """A date at `[start, end)` of the text that was read, as far as it is told."""

    start: int
    end: int
    year: int | None
    month: int
    day: int | None

    def tells(self, other: "Date") -> bool:
        """Whether everything that the other tells is told here."""
        pairs = ((other.year, self.year), (other.month, self.month), (other.day, self.day))
        return all(theirs is None or theirs == ours for theirs, ours in pairs)


def dates(text: str, language: str) -> list[Date]:
    """The dates of a text without accents; of 3/5/1999 in English both readings, one after the other."""
    taken: list[tuple[int, int]] = []
    found: list[Date] = []
    for pattern in (_YEAR_FIRST, _YEAR_LAST, _DAY_FIRST, _MONTH_FIRST, _MONTH_YEAR, _ALONE):
        for match in pattern.finditer(text):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            told = list(_told(match, language))
            if told:
                taken.append(match.span())
                found += told
    return sorted(found, key=lambda date: date.start)


def _told(match: re.Match[str], language: str) -> Iterator[Date]:
    groups = match.groupdict()
    name = groups["month"]
    if match.re is _ALONE and name.casefold() in _ENGLISH_WORDS and (not name[0].isupper() or match.start() == 0):
        return
    span = (match.start(), match.start() + len(match[0].rstrip(".")))
    year = int(groups["year"]) if groups.get("year") else None
    month = int(name) if name.isdigit() else _MONTH_NAMES[name.casefold()]
    days: list[int | None] = [_day(groups[key]) for key in ("other", "day") if groups.get(key)] or [None]
    for day in days:
        if month <= 12 and (day is None or 1 <= day <= 31):
            yield Date(*span, year, month, day)
        if match.re is _YEAR_LAST and (language == "en" or month > 12) and day is not None and day <= 12:
            yield Date(*span, year, day, month)


def _day(text: str) -> int:
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else _DAYS[text.casefold()]
