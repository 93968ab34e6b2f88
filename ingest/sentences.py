"""Sentences of Spanish, Portuguese and English text, as exact ranges."""

import re

from ingest.types import Span

# Abbreviations that are followed by more of the same sentence. "etc." is left out: it ends one as often as not.
_ABBREVIATIONS = frozenset(
    "a.m aprox arq art arts av avda cap caps cf cía col coord d depto dept dir dr dra dras dres e.g ed eds ej eng"
    " est exc excmo exma exmo fig figs gov hon i.e ilmo ing inc jr lic lda ltd ltda máx mín mr mrs ms n nº no núm"
    " nums nro op p p.ej p.ex p.m pág pág págs pp prof profa profs rev s sec sr sra sras sres srta srtas sta sto"
    " ss st tel trad ud uds vd vds v.g vol vols vs".split()
)
_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
# A line that starts a list item, a table row or a heading is a unit of its own.
_LINE_START = re.compile(r"\n(?=[^\S\n]*(?:[-*•+–]\s|\d{1,3}[.)]\s|[a-z]\)\s|#{1,6}\s|\||```))")
_STOP = re.compile(r"[.!?…]+[\"'”’»)\]*_]*(?:\[\d+\])*(?=\s)")
_NEXT_IS_LOWER = re.compile(r"\s+[\"'“‘«(\[]*[a-zà-öø-ÿ]")
_LAST_WORD = re.compile(r"[^\s(\[«“\"'¿¡]+$")


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Sentences of `text[start:end]`, ascending, trimmed, covering every non-blank character."""
    end = len(text) if end is None else end
    cuts = {start, end}
    cuts.update(m.end() for m in _PARAGRAPH_BREAK.finditer(text, start, end))
    cuts.update(m.end() for m in _LINE_START.finditer(text, start, end))
    cuts.update(m.end() for m in _STOP.finditer(text, start, end) if _ends_sentence(text, m, start, end))
    ordered = sorted(cuts)
    spans = (trimmed(text, a, b) for a, b in zip(ordered, ordered[1:], strict=False))
    return [span for span in spans if span is not None]


def _ends_sentence(text: str, stop: re.Match[str], start: int, end: int) -> bool:
    if _NEXT_IS_LOWER.match(text, stop.end(), end):
        return False
    if not stop.group().startswith(".") or stop.group().startswith(".."):
        return True
    word = _LAST_WORD.search(text, max(start, stop.start() - 40), stop.start())
    if word is None:
        return True
    token = word.group().casefold()
    single_initial = len(token) == 1 and word.group().isupper()
    list_number = token.isdigit() and text[start : word.start()].rpartition("\n")[2].strip() == ""
    return not (token in _ABBREVIATIONS or single_initial or list_number)


def trimmed(text: str, start: int, end: int) -> Span | None:
    """The range without white space at its ends, or None when nothing else is in it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end) if start < end else None
