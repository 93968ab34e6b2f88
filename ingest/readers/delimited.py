"""CSV and TSV."""

import csv
import io
from pathlib import Path

from ingest.errors import UnreadableFileError
from ingest.readers.plain import read_text
from ingest.readers.spreadsheet import capped
from ingest.readers.tables import labelled_lines
from ingest.readers.text_builder import TextBuilder
from ingest.types import Extract

_DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 8192


def read_delimited(path: Path) -> Extract:
    """Each row a block of `header: value` cells.

    Raises:
        UnreadableFileError: the file is not text, or a quoted field never ends.
        OversizeFileError: more rows than a table may have.
    """
    text = read_text(path)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text))
    builder = TextBuilder()
    try:
        builder.rows(labelled_lines(capped(path, rows)))
    except csv.Error as error:
        raise UnreadableFileError(path, f"is no CSV file ({error})", "Check its quotation marks") from error
    return builder.extract()


def _delimiter(path: Path, text: str) -> str:
    """What the sniffer finds in whole lines, else a tab for .tsv and the commonest candidate for others."""
    sample = text[:_SAMPLE_CHARACTERS]
    if len(text) > len(sample):
        sample = sample[: sample.rfind("\n") + 1] or sample
    try:
        return csv.Sniffer().sniff(sample, _DELIMITERS).delimiter
    except csv.Error:
        return "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=sample.count)
