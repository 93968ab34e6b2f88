"""Sentences of Spanish, Portuguese and English text, as exact ranges."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from ingest.types import Span

# Abbreviations that are followed by more of the same sentence. "etc." is left out: it ends one as often as not.
_CONTINUED = """
a a.m aprox arq arts av avda caps cf cía col coord d depto dept dir dr dra dras dres e.g ed eds ej eng est exc excmo
exma exmo figs gov hon i.e ilmo ing inc jr lic lda ltd ltda máx mín mr mrs ms n.º nro núm nums nº op p p.ej p.ex p.m
pág págs pp prof profa profs rev s sr sra sras sres srta srtas sta sto ss st tel trad ud uds vd vds v.g vol vols vs
"""
_ABBREVIATIONS = frozenset(_CONTINUED.split())
# Words of their own ("He said no.", "a work of art.") that are abbreviations in front of a number only.
_NUMBERED = frozenset(("art", "cap", "fig", "n", "no", "sec"))
_NUMBER_FOLLOWS = re.compile(r"\s+(?:\d|[VX]\b|[IVXLC]{2,}\b)")
# The plural of Spanish initials: EE. UU., FF. AA., RR. HH.; UU. is left out, as nothing else follows it.
_DOUBLED_CAPITAL = re.compile(r"(?!UU)([A-Z])\1")
_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
# A line that starts a list item, a table row or a heading is a unit of its own, and so is what follows a heading.
_LINE_START = re.compile(r"\n(?=[^\S\n]*(?:[-*•+–]\s|\d{1,3}[.)]\s|[a-z]\)\s|#{1,6}\s|\||```))")
_TABLE_ROW = re.compile(r"^[^\S\n]*+\|[^\n]*", re.MULTILINE)
_HEADING_LINE = re.compile(r"^[^\S\n]*#{1,6}\s[^\n]*\n", re.MULTILINE)
# A run of stops is tried at its start only and nothing is given back: a line of a million dots stays linear.
_STOP = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_]*+(?:\[\d+\])*+(?=\s)")
_NEXT_WORD = re.compile(r"\s++[—–\"'“‘«(\[]*(\w)")
_LAST_WORD = re.compile(r"[^\s(\[«“\"'¿¡]+\Z")
_LONGEST_WORD = 40


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Sentences of `text[start:end]`, ascending, trimmed, covering every non-blank character."""
    end = len(text) if end is None else end
    cuts = {start, end}
    for pattern in (_PARAGRAPH_BREAK, _LINE_START, _HEADING_LINE):
        cuts.update(match.end() for match in pattern.finditer(text, start, end))
    rows = [match.span() for match in _TABLE_ROW.finditer(text, start, end)]
    cuts.update(row_end for _, row_end in rows)
    stops = (m for m in _STOP.finditer(text, start, end) if _ends_sentence(text, m, start, end))
    cuts.update(stop.end() for stop in stops if not _inside(rows, stop.end()))
    spans = (trimmed(text, a, b) for a, b in pairwise(sorted(cuts)))
    return [span for span in spans if span is not None]


def _inside(ranges: Sequence[tuple[int, int]], at: int) -> bool:
    """Whether one of the ascending ranges holds a place and does not end there."""
    before = bisect_left(ranges, (at, at)) - 1
    return before >= 0 and at < ranges[before][1]


def _ends_sentence(text: str, stop: re.Match[str], start: int, end: int) -> bool:
    following = _NEXT_WORD.match(text, stop.end(), end)
    if following and following[1].islower():
        return False
    if not stop[0].startswith(".") or stop[0].startswith(".."):
        return True
    word = _LAST_WORD.search(text, max(start, stop.start() - _LONGEST_WORD), stop.start())
    if word is None:
        return True
    token = word[0].casefold()
    if token in _NUMBERED:
        return not _NUMBER_FOLLOWS.match(text, stop.end(), end)
    initial = (len(token) == 1 and word[0].isupper()) or _DOUBLED_CAPITAL.fullmatch(word[0])
    list_number = token.isdigit() and _begins_line(text, word.start(), start)
    return not (token in _ABBREVIATIONS or initial or list_number)


def _begins_line(text: str, at: int, start: int) -> bool:
    while at > start and text[at - 1] in " \t":
        at -= 1
    return at == start or text[at - 1] == "\n"


def trimmed(text: str, start: int, end: int) -> Span | None:
    """The range without white space at its ends, or None when nothing else is in it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end) if start < end else None
