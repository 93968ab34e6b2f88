"""Source code and data files: their text as it stands."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from ingest.readers.plain import read_text
from ingest.types import Extract, Heading

_SUFFIXES = """
    bash bat c cc cfg clj cpp cs css cxx dart erl ex exs fs go gradle groovy h hpp hs ini java jl js json
    jsonl jsx kt kts less lua m mjs ml php pl pm properties proto ps1 r rb rs sass scala scss sh sql svelte
    swift tex toml ts tsx vb vue xml xsd yaml yml zig zsh
"""
SOURCE_SUFFIXES = tuple(f".{suffix}" for suffix in _SUFFIXES.split())
_NEW_LINE = re.compile("\n")


def read_source(path: Path) -> Extract:
    """The text of the file, as it stands. XML is not parsed, so its entities are mere text."""
    return Extract(read_text(path))


def read_python(path: Path) -> Extract:
    """The text of the file, with its classes and functions as headings."""
    text = read_text(path)
    return Extract(text, headings=tuple(_definitions(text)))


def _definitions(text: str) -> Iterator[Heading]:
    """A heading `class Name` or `def name` for each definition, as deep as it is indented.

    Tokens, not the syntax tree: they need no recursion, and half a broken file still has its headings.
    """
    starts = [0, *(match.end() for match in _NEW_LINE.finditer(text))]
    depth, before = 0, ""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    try:
        for token in tokens:
            depth += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)
            if before in ("class", "def") and token.type == tokenize.NAME:
                title = f"{before} {token.string}"
                row, column = token.start
                start = starts[row - 1] + column - len(before) - 1
                if text.startswith(title, start):
                    yield Heading(min(depth + 1, 6), title, start)
            before = token.string
    except (tokenize.TokenError, SyntaxError):
        return
