"""XLSX: one page a sheet, one line a row."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import ParseError

import openpyxl
from lxml import etree
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.workbook import Workbook

from ingest.errors import OversizeFileError
from ingest.readers.archive import ZIP_ERRORS, damaged, open_archive, refuse_entities
from ingest.readers.tables import Row, labelled_lines
from ingest.readers.text_builder import TextBuilder
from ingest.types import Extract

MAX_ROWS = 200_000
MAX_CELLS = 20_000_000  # of a workbook, with the empty ones before a filled one: what takes some 5 s
_ROW_CELLS = 4  # what a row costs besides its cells
_SHEET_ROWS = 2**20  # what the format allows; a stray row number beyond it would be padded for ever
XLSX_ERRORS = (
    InvalidFileException,
    ParseError,
    etree.XMLSyntaxError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    *ZIP_ERRORS,
)


def read_xlsx(path: Path) -> Extract:
    """Sheets as pages under their names, each row a block of `header: value` cells; of formulas the results.

    Raises:
        UnreadableFileError: damaged, encrypted, or no XLSX file.
        OversizeFileError: more than `MAX_ROWS` rows in a sheet, `MAX_CELLS` cells in all, or a zip bomb.
    """
    with open_archive(path, "XLSX") as archive:
        refuse_entities(path, archive)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions that text does not need
            return _extract(path)
    except XLSX_ERRORS as error:
        raise damaged(path, "XLSX", error) from error


def _extract(path: Path) -> Extract:
    workbook = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        builder = TextBuilder()
        budget = _Budget(path)
        for number, sheet in enumerate(workbook.worksheets, start=1):
            builder.page(number)
            builder.heading(1, sheet.title)
            sheet.reset_dimensions()  # the declared size is often wrong, and free for the file to choose
            values = islice(sheet.iter_rows(values_only=True), _SHEET_ROWS)
            builder.rows(labelled_lines(capped(path, map(_row, budget.spent(values)))))
        return builder.extract(_properties(workbook))
    finally:
        workbook.close()


class _Budget:
    """The cells that are left to a workbook.

    A sheet of few bytes may have one cell at the end of each of a million rows, and be listed many times.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MAX_CELLS

    def spent(self, rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
        """The rows, as long as cells are left."""
        for row in rows:
            self._left -= len(row) + _ROW_CELLS
            if self._left < 0:
                raise OversizeFileError(self._path, f"has more than {MAX_CELLS} cells", "Split it into files")
            yield row


def capped(path: Path, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, as long as those with content are at most `MAX_ROWS`."""
    filled = 0
    for row in rows:
        filled += any(row)
        if filled > MAX_ROWS:
            raise OversizeFileError(path, f"has more than {MAX_ROWS} rows in a table", "Split it into files")
        yield row


def _row(values: Sequence[object]) -> list[str]:
    return list(map(_cell, values))


def _cell(value: object) -> str:
    """A value as people write it: no decimals on whole numbers, no midnight on dates."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _properties(workbook: Workbook) -> dict[str, str]:
    core = workbook.properties
    changed = core.modified.date().isoformat() if core.modified else ""
    return {"title": core.title or "", "author": core.creator or "", "date": changed}
