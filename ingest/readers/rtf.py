"""RTF."""

from itertools import groupby
from pathlib import Path

from striprtf.striprtf import rtf_to_text

from ingest.errors import UnreadableFileError
from ingest.readers.tables import table_text
from ingest.readers.text_builder import TextBuilder, clean_text
from ingest.types import Extract


def read_rtf(path: Path) -> Extract:
    """The text of the file, a paragraph a line of it, and its table rows as blocks.

    Raises:
        UnreadableFileError: the file is not RTF, or uses it wrongly.
    """
    data = path.read_bytes()
    mend = "Save it again as RTF"
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableFileError(path, "is not RTF", mend)
    try:
        text: str = rtf_to_text(data.decode("cp1252", "replace"), errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise UnreadableFileError(path, f"is damaged RTF ({error})", mend) from error
    builder = TextBuilder()
    # RTF writes what lies beyond 16 bits as two surrogates, which belong together again
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    for is_row, lines in groupby(clean_text(whole).split("\n"), lambda line: line.endswith("|")):
        if is_row:
            builder.block(table_text(line[:-1].split("|") for line in lines))
            continue
        for line in lines:
            builder.paragraph(line)
    return builder.extract()
