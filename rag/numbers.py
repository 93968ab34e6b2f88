"""Numbers in a text, whatever way they are written: digits, words, Roman numerals, with their units."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from rag.number_words import CARDINALS, MEASURES, ONLY_IN, ORDINALS, SCALES, UNSURE, UNSURE_ORDINALS

Value = Decimal | str
"""A number, or the text of what has digits and no one value, such as a time of day."""

Unit = tuple[str, Decimal]
"""What is measured, and the size of the unit in the base unit of that."""

_SPACES = "\u00a0\u2009\u202f"
_DIGITS = re.compile(
    rf"(?<![\w.,/:])(?<![^\W\d_][-–])(?P<sign>(?<![\d\w)])[-−])?"
    rf"(?P<digits>\d{{1,3}}(?:[ {_SPACES}]\d{{3}})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,:/'’]\d+)*)"
    r"(?P<ordinal>(?:st|nd|rd|th|s)\b|\.?[ºª°]+(?![CFcf]))?"
)
_WORD = re.compile(r"[^\W\d_]+")
_GAP = re.compile(rf"[ \n{_SPACES}]+(?:y |e |and )?|-")
_SCALE_GAP = re.compile(rf"[ {_SPACES}]+")
_UNIT = re.compile(
    rf"[ {_SPACES}]?(?:(?P<cent>por ?cien(?:to)?|por cento|per ?cent)"
    r"|(?:de |of )?(?P<word>us\$|r\$|[^\W\d_]+[²2]?|%|°[cf]?|€|\$|£))",
    re.IGNORECASE,
)
_CURRENCY = re.compile(r"(us\$|r\$|€|\$|£)\s?\Z", re.IGNORECASE)
_ROMAN = re.compile(r"\b(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\b")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
# The first year of a range: 1990–95.
_RANGE = re.compile(r"(?<!\d)(\d{2})\d{2}\s?[-–]\s?\Z")
_WEEKDAY = "-feira"


@dataclass(frozen=True, slots=True)
class Number:
    """What stands at `[start, end)` of the text that was read.

    `values` are its readings: 1.500 may be fifteen hundred or one and a half. `claims` is false of words that may
    well be no number, such as "one" and "segundo". `parts` are the numbers that it falls into when it is two.
    """

    start: int
    end: int
    values: frozenset[Value]
    unit: Unit | None = None
    claims: bool = True
    parts: tuple[Value, ...] = ()


def numbers(text: str, language: str) -> list[Number]:
    """The numbers of a text without accents, ascending by start."""
    found = [*_in_digits(text, language), *_in_words(text, language)]
    return sorted(found, key=lambda number: (number.start, -number.end))


def roman_value(text: str) -> int | None:
    """The value of a Roman numeral in capitals, None for what is none."""
    if not text or not _ROMAN.fullmatch(text):
        return None
    digits = [_ROMAN_DIGITS[letter] for letter in text]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))


def readings(digits: str) -> frozenset[Value]:
    """What digits with separators may mean: {1500, 1.5} for "1.500"; the text itself for a version or a time."""
    groups = re.split(rf"[.,:/'’ {_SPACES}]", digits)
    separators = [character for character in digits if not character.isdigit()]
    if not separators:
        return frozenset({Decimal(digits)})
    values: set[Value] = set()
    *inner, last = separators
    thousands = all(len(group) == 3 for group in groups[1:]) and len(groups[0]) <= 3 and groups[0].strip("0") != ""
    if thousands and len(set(separators)) == 1 and last not in ":/":
        values.add(Decimal("".join(groups)))
    inner_thousands = all(len(group) == 3 for group in groups[1:-1]) and len(set(inner)) <= 1 and last not in inner
    if last in ".," and inner_thousands and not set(inner) & set(":/"):
        values.add(Decimal("".join(groups[:-1]) + "." + groups[-1]))
    return frozenset(values or {digits})


def _in_digits(text: str, language: str) -> Iterator[Number]:
    for found in _DIGITS.finditer(text):
        end = found.end()
        if end < len(text) and text[end].isalpha() and not _unit_at(text, end, language)[1]:
            continue  # a code such as 3D, compared as a name
        values = readings(_century_before(text, found) + found["digits"])
        if found["sign"]:
            values = frozenset(-value if isinstance(value, Decimal) else value for value in values)
        scaled, end = _scaled(text, end, language)
        values = frozenset(value * scaled if isinstance(value, Decimal) else value for value in values)
        unit = _unit(text, found.start(), end, language)
        spaced = re.split(rf"[ {_SPACES}]", found["digits"])
        parts = tuple(Decimal(part) for part in spaced) if len(spaced) > 1 and "".join(spaced).isdigit() else ()
        yield Number(found.start("digits"), end, values, unit, parts=parts)


def _century_before(text: str, found: re.Match[str]) -> str:
    """The digits that 1990–95 leaves out of its second year."""
    before = _RANGE.search(text, max(0, found.start() - 7), found.start()) if len(found["digits"]) == 2 else None
    return before[1] if before else ""


def _scaled(text: str, at: int, language: str) -> tuple[Decimal, int]:
    """The scale words after a number multiplied, and where they end: "mil millones" is 10⁹."""
    scale = Decimal(1)
    while gap := _SCALE_GAP.match(text, at):
        word = _WORD.match(text, gap.end())
        if not word or not _is_of(word[0].casefold(), language) or word[0].casefold() not in SCALES:
            break
        scale *= SCALES[word[0].casefold()]
        at = word.end()
    return scale, at


def _in_words(text: str, language: str) -> Iterator[Number]:
    words = list(_WORD.finditer(text))
    place = 0
    while place < len(words):
        word = words[place][0].casefold()
        ordinal = ORDINALS.get(word)
        if ordinal is not None and not text.startswith(_WEEKDAY, words[place].end()):
            claims = word not in UNSURE_ORDINALS
            yield Number(*words[place].span(), frozenset({Decimal(ordinal)}), claims=claims)
            place += 1
            continue
        taken, value = _cardinal(text, words[place:], language)
        if taken:
            start, end = words[place].start(), words[place + taken - 1].end()
            claims = taken > 1 or word not in UNSURE
            yield Number(start, end, frozenset({Decimal(value)}), _unit(text, start, end, language), claims)
        place += max(1, taken)


def _cardinal(text: str, words: list[re.Match[str]], language: str) -> tuple[int, int]:
    """How many words make one number, and its value; (0, 0) where none begins."""
    total = current = last = 0
    taken = 0
    for place, found in enumerate(words):
        word = found[0].casefold()
        if place and not _GAP.fullmatch(text, words[place - 1].end(), found.start()):
            # What joins two numerals is a word of its own here.
            if not (place + 1 < len(words) and word in ("y", "e", "and")):
                break
            continue
        if not _is_of(word, language):
            break
        scale = SCALES.get(word)
        if scale is not None and (taken or word in ("mil", "thousand", "hundred")):
            if scale == 100:
                current = max(current, 1) * 100
                last = 100
            elif total and total < scale:
                total, current, last = (total + current) * scale, 0, scale
            else:
                total, current, last = total + max(current, 1) * scale, 0, scale
        elif word in CARDINALS and (not taken or last % 10 ** len(str(CARDINALS[word])) == 0):
            current += CARDINALS[word]
            last = CARDINALS[word]
        elif taken and word in ("y", "e", "and"):
            continue
        else:
            break
        taken = place + 1
    return taken, total + current


def _is_of(word: str, language: str) -> bool:
    return word not in ONLY_IN or language in ONLY_IN[word]


def _unit(text: str, start: int, end: int, language: str) -> Unit | None:
    before = _CURRENCY.search(text, max(0, start - 4), start)
    return MEASURES[before[1].casefold()] if before else _unit_at(text, end, language)[0]


def _unit_at(text: str, end: int, language: str) -> tuple[Unit | None, bool]:
    """The unit that follows, and whether one does."""
    found = _UNIT.match(text, end)
    if not found:
        return None, False
    if found["cent"]:
        return MEASURES["%"], True
    word = found["word"].casefold()
    unit = MEASURES.get(word) if _is_of(word, language) else None
    return unit, unit is not None
