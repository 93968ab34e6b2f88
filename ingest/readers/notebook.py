"""Jupyter notebooks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ingest.errors import UnreadableFileError
from ingest.readers.markdown import parse_markdown
from ingest.readers.plain import read_text
from ingest.readers.text_builder import TextBuilder, clean_text
from ingest.types import Extract

_MAX_OUTPUT_CHARACTERS = 2000  # longer outputs are logs and dumps, which would drown the prose


def read_notebook(path: Path) -> Extract:
    """Markdown cells with their headings, code cells and their short text outputs as blocks.

    Raises:
        UnreadableFileError: the file is no notebook.
    """
    try:
        notebook = json.loads(read_text(path))
        cells = list(map(_cell, notebook["cells"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFileError(path, "is no notebook", "Save it again from Jupyter (format 4)") from error
    builder = TextBuilder()
    for kind, source, outputs in cells:
        if kind == "markdown":
            builder.splice(parse_markdown(clean_text(source)))
        elif kind == "code":
            builder.block(source)
        else:
            builder.paragraph(source)
        for output in outputs:
            builder.block(output)
    return builder.extract()


def _cell(cell: Mapping[str, object]) -> tuple[str, str, list[str]]:
    """The kind, the source and the short text outputs of a cell."""
    return str(cell["cell_type"]), _joined(cell["source"]), list(_outputs(cell))


def _outputs(cell: Mapping[str, object]) -> Iterator[str]:
    outputs = cell.get("outputs", [])
    for output in outputs if isinstance(outputs, list) else []:
        data = output.get("data", {})
        text = _joined(output.get("text", data.get("text/plain", "")))
        if len(text) <= _MAX_OUTPUT_CHARACTERS:
            yield text


def _joined(source: object) -> str:
    """Notebooks keep texts as one string or as a list of lines."""
    if isinstance(source, str):
        return source
    if not isinstance(source, list):
        raise TypeError(f"text expected, not {type(source).__name__}")
    return "".join(map(str, source))
