"""Names and numbers in a text, by their looks."""

import hashlib
import re
from collections.abc import Iterator

from index.stopwords import STOP_WORDS
from ingest.types import Span

_CAPITAL = "A-ZÁÉÍÓÚÂÊÔÃÕÀÇÑÜ"
NAME = re.compile(rf"(?<!\w)[{_CAPITAL}][\w’'-]+(?:\s[{_CAPITAL}][\w’'-]+)*(?![\w’'-]|\.\d)")
NUMBER = re.compile(r"(?<![\w.,-])\d+(?:[.,]\d+)*(?![\w-])")
# The word that opens a sentence has a capital, whatever it is.
_OPENS = re.compile(r"(?:^|[.!?¿¡:]\s*|\n\s*)[\"“«(#*-]*\s*$")
_UNIT = re.compile(r"\s?(?:%|[^\W\d_]+)")
_OPENING_WINDOW = 12


def mentions(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches that do not merely open a sentence."""
    for found in pattern.finditer(text):
        before = text[max(0, found.start() - _OPENING_WINDOW) : found.start()]
        if found[0][0].isdigit() or not _OPENS.search(before):
            yield found


def answer_spans(text: str, language: str, lot: str) -> list[Span]:
    """What a question may be asked for: names, and numbers with what they count; different ones, in an order by lot."""
    names = (found for found in mentions(NAME, text) if not (found[0].isupper() and " " in found[0]))
    spans = [Span(*found.span()) for found in names]
    spans += [_with_unit(text, found, language) for found in mentions(NUMBER, text)]
    different = {text[span.start : span.end]: span for span in spans}
    ordered = sorted(different, key=lambda said: hashlib.sha256(f"{lot}:{said}".encode()).digest())
    return [different[said] for said in ordered]


def _with_unit(text: str, number: re.Match[str], language: str) -> Span:
    unit = _UNIT.match(text, number.end())
    is_unit = unit is not None and unit[0].strip().casefold() not in STOP_WORDS.get(language, ())
    return Span(number.start(), unit.end() if unit is not None and is_unit else number.end())
