"""What holds for every extract, whatever the text."""

import csv
import io
import json
from pathlib import Path

import docx
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.errors import EmptyFileError
from ingest.readers import read
from ingest.readers.invariants import broken_rule
from ingest.readers.markdown import parse_markdown
from ingest.readers.text_builder import TextBuilder, clean_text
from ingest.types import Extract, Heading, Page, Span

LIMIT = 2**24
PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Letters of the region, what formats give a meaning to, and the characters that break offsets.
CHARACTERS = st.sampled_from("aeñçãÉ 12.-#|*`>=&<\"'\t\n\u00a0\u2028\u0301😀")
ANYTHING = st.text(st.one_of(CHARACTERS, st.characters(exclude_categories=["Cs"])), max_size=60)
PRINTABLE = st.text(st.one_of(CHARACTERS, st.characters(exclude_categories=["Cs", "Cc"])), max_size=60)
XML_TEXT = st.text(CHARACTERS, max_size=40)
PIECES = st.lists(st.tuples(st.sampled_from(["heading", "paragraph", "block", "page", "rows"]), ANYTHING))


def check(extract: Extract) -> None:
    assert broken_rule(extract) is None
    for page in extract.pages:
        assert 0 <= page.start <= page.end <= len(extract.text)
    for block in extract.blocks:
        assert extract.text[block.start : block.end].strip()
    for heading in extract.headings:
        assert heading.title
        assert 1 <= heading.level <= 6


def check_titles(extract: Extract) -> None:
    for heading in extract.headings:
        assert extract.text[heading.start :].startswith(heading.title)


@PROPERTY
@given(PIECES)
def test_the_builder_keeps_every_offset(pieces: list[tuple[str, str]]) -> None:
    builder = TextBuilder()
    builder.page(1)
    number = 1
    for kind, text in pieces:
        if kind == "page":
            number += 1
            builder.page(number)
        elif kind == "heading":
            builder.heading(2, text)
        elif kind == "rows":
            builder.rows(text.split("\n"))
        else:
            getattr(builder, kind)(text)
    extract = builder.extract({"title": " "})
    check(extract)
    check_titles(extract)
    assert len(extract.pages) == number
    assert extract.metadata == {}


@PROPERTY
@given(ANYTHING)
def test_cleaning_is_idempotent(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@PROPERTY
@given(st.lists(ANYTHING, max_size=8).map("\n".join))
def test_markdown_titles_stand_in_their_line(text: str) -> None:
    extract = parse_markdown(clean_text(text))
    check(extract)
    assert extract.text == clean_text(text)


WORDS = st.lists(st.text("aeñçãÉ1", min_size=1, max_size=6), min_size=1, max_size=4).map(" ".join)


@PROPERTY
@given(st.lists(st.tuples(st.integers(1, 6), WORDS), min_size=1), st.sampled_from(["{}", "**{}**", "`{}`"]))
def test_every_markdown_title_is_found_where_it_is_said_to_be(titles: list[tuple[int, str]], mark: str) -> None:
    text = "\n\n".join(f"{'#' * level} {mark.format(title)}\n\nTexto." for level, title in titles)
    headings = parse_markdown(text).headings
    assert [(item.level, item.title) for item in headings] == titles
    for heading in headings:
        line = text[heading.start :].split("\n", 1)[0]
        assert line.startswith("#")
        assert heading.title in line


@PROPERTY
@given(st.lists(st.lists(PRINTABLE, min_size=1, max_size=4), max_size=6))
def test_delimited_and_notebooks_and_html(tmp_path: Path, rows: list[list[str]]) -> None:
    table = io.StringIO(newline="")
    csv.writer(table).writerows(rows)
    cells = [{"cell_type": "markdown", "source": row} for row in rows]
    markup = "".join(f"<h2>{row[0]}</h2><ul><li>{'<li>'.join(row)}</ul><p>{row[-1]}" for row in rows)
    for name, content in (
        ("a.csv", table.getvalue()),
        ("a.ipynb", json.dumps({"cells": cells})),
        ("a.html", markup),
    ):
        path = tmp_path / name
        path.write_bytes(content.encode())
        try:
            extract = read(path, max_bytes=LIMIT)
        except EmptyFileError:
            continue
        check(extract)
        if name == "a.html":
            check_titles(extract)


@settings(PROPERTY, max_examples=10)
@given(st.lists(st.tuples(st.sampled_from(["heading", "paragraph", "item", "table"]), XML_TEXT), min_size=1))
def test_docx(tmp_path: Path, pieces: list[tuple[str, str]]) -> None:
    document = docx.Document()
    for kind, text in pieces:
        if kind == "heading":
            document.add_heading(text, 2)
        elif kind == "table":
            document.add_table(rows=1, cols=1).cell(0, 0).text = text
        else:
            document.add_paragraph(text, style="List Bullet" if kind == "item" else None)
    document.save(str(tmp_path / "a.docx"))
    try:
        extract = read(tmp_path / "a.docx", max_bytes=LIMIT)
    except EmptyFileError:
        assert not any(text.strip() for _, text in pieces)
        return
    check(extract)
    check_titles(extract)
    shown = " ".join(extract.text.split())
    assert all(" ".join(text.split()) in shown for kind, text in pieces if kind != "table")


@settings(PROPERTY, max_examples=10)
@given(st.lists(st.lists(st.one_of(XML_TEXT, st.integers(-(10**12), 10**12), st.none()), max_size=4), max_size=6))
def test_xlsx(tmp_path: Path, rows: list[list[object]]) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(["'" + value if str(value).startswith("=") else value for value in row])
    book.save(tmp_path / "a.xlsx")
    extract = read(tmp_path / "a.xlsx", max_bytes=LIMIT)
    check(extract)
    check_titles(extract)
    assert all(str(value) in extract.text for row in rows for value in row if isinstance(value, int))


@pytest.mark.parametrize(
    "extract",
    [
        Extract("a\0"),
        Extract("abc", blocks=(Span(0, 4),)),
        Extract("abc", blocks=(Span(0, 2), Span(1, 3))),
        Extract("abc", headings=(Heading(1, "a", 3),)),
        Extract("abc", headings=(Heading(1, "b", 1), Heading(1, "a", 0))),
        Extract("abc", pages=(Page(1, 0, 2),)),
        Extract("abc", pages=(Page(1, 0, 2), Page(2, 1, 3))),
        Extract("abc", pages=(Page(1, -1, 3),)),
    ],
)
def test_broken_extracts_are_noticed(extract: Extract) -> None:
    assert broken_rule(extract)
