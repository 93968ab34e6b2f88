"""Tables as lines of text."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

from ingest.readers.text_builder import one_line

Row = Sequence[str]

_LETTER = re.compile(r"[^\W\d_]")
_YEAR = re.compile(r"(?:19|20)\d\d")


def table_text(rows: Iterable[Row]) -> str:
    """One line a row, its cells parted by ` | `; blank rows are left out."""
    lines = ([one_line(cell) for cell in row] for row in rows)
    return "\n".join(" | ".join(cells).strip() for cells in lines if any(cells))


def labelled_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Lines of `header: value | header: value`, an empty line for each gap of blank rows.

    A data table is cut into passages far below its header, and a passage of bare values matches no
    question and cannot be judged as evidence; repeating the header in each row keeps rows self-contained.
    Without a recognisable header a line is its cells, since a wrong label is worse than none.
    """
    labels: Mapping[int, str] = {}
    opening, gap, seen = True, False, False
    for row, following in _with_next(rows):
        if not any(row):
            opening, gap = True, seen
            continue
        if gap:
            yield ""
        gap = False
        if opening and _filled(row) >= 2:
            opening = False
            if _is_header(row, following, need_numbers=seen and bool(labels)):
                labels = {column: cell for column, cell in enumerate(row) if cell}
                continue
            if _all_text(row):
                labels = {}
        seen = True
        yield " | ".join(_cells(row, labels))


def _with_next(rows: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    lines = ([cell and one_line(cell) for cell in row] for row in rows)
    yield from pairwise(chain(lines, ([],)))


def _is_header(row: Row, following: Row, need_numbers: bool) -> bool:
    """A later table of the same sheet needs numbers below its header to be told from rows of text."""
    below = [*following, *[""] * len(row)]
    if not all(_is_label(cell, under) for cell, under in zip(row, below, strict=False) if cell):
        return False
    if _filled(following) < 2 or len(set(filter(None, row))) < _filled(row):
        return False
    return any(map(_LETTER.search, row)) and not (need_numbers and _all_text(following))


def _is_label(cell: str, under: str) -> bool:
    """Words, or a year above something that is no year."""
    return bool(_LETTER.search(cell) or (_YEAR.fullmatch(cell) and not _YEAR.fullmatch(under)))


def _all_text(row: Row) -> bool:
    return all(_LETTER.search(cell) for cell in row if cell)


def _filled(row: Row) -> int:
    return sum(map(bool, row))


def _cells(row: Row, labels: Mapping[int, str]) -> Iterator[str]:
    for column, cell in enumerate(row):
        if cell:
            label = labels.get(column)
            yield f"{label}: {cell}" if label else cell
