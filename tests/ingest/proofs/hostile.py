"""Files made to harm who reads them, each with the rules by which it may be refused, or READ."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.ingest.proofs.hostile_archives import archive_cases, xml_cases
from tests.ingest.proofs.hostile_pdf import pdf_cases
from tests.ingest.proofs.specimens import MIB, READ, Case, specimen, unzipped, zipped


def cases(secret: Path, port: int) -> Iterator[Case]:
    """File name, content, and the rule that refuses it (or several, parted by blanks).

    What could be fetched is the file `secret` and pages of a local server at `port`.
    """
    yield from archive_cases()
    yield from xml_cases(secret, port)
    yield from pdf_cases()
    yield from _markup_cases()
    yield from _table_cases()
    yield from _text_cases()


def _markup_cases() -> Iterator[Case]:
    yield "deep.html", lambda: b"<div>" * 100_000 + b"x", "nesting unreadable"
    yield "deep-inline.html", lambda: b"<b>" * 100_000 + b"x", "nesting unreadable"
    yield "lists.html", lambda: b"<ul><li>" * 240 + b"<b>y</b>" * 20_000 + b"<pre>x</pre>", READ
    yield "blanks.html", lambda: b"<p>a" + b" " * 10**6 + b"b</p>", READ
    yield "declarations.html", lambda: b"<?xml " * 200_000 + b"x", f"{READ} empty"
    yield "comments.html", lambda: b"<!--" * 200_000 + b"x", f"{READ} empty"
    yield "attributes.html", lambda: b"<p " + b"a " * 200_000 + b">x", f"{READ} empty"
    yield "entities.html", lambda: b"&#1114112;&amp" * 100_000, READ
    yield "tags.html", lambda: b"<b>x" * 600_000, "oversize"
    yield "charset-nul.html", lambda: b'<meta charset="a\0b">\xf1andu <p>hola', READ
    yield "charset-idna.html", lambda: b'<meta charset="idna">xn--' + b"a" * 10**6 + b".\xff", f"{READ} unreadable"
    yield "charset-hex.html", lambda: b'<meta charset="hex">\xf1andu', READ
    yield "charset-undefined.html", lambda: b'<meta charset="undefined">\xf1andu', READ
    yield "charset-escape.html", lambda: b'<meta charset="unicode_escape">\\d \xf1andu', READ
    yield "front.md", lambda: b"---\ntitle: x" + b" " * 10**6 + b"y\n---\nhola", READ
    for name, text in {
        "brackets": "[",
        "emphasis": "*a ",
        "quotes": "> ",
        "lists": "- ",
        "fences": "```\n~~~\n",
    }.items():
        yield f"{name}.md", partial(str.encode, text * 50_000 + "x"), READ
    yield "title.md", lambda: b"# " + b"[" * 200_000, READ
    yield "underline.rst", lambda: b"=" * 10**6 + b"\n" + b"=" * 10**6 + b"x\n", READ
    yield "deep.rtf", lambda: b"{\\rtf1 " + b"{" * 10**6 + b"x", f"{READ} empty"
    yield (
        "codes.rtf",
        lambda: b"{\\rtf1 " + b"\\u99999999999?\\'zz\\bin999999999999 " * 10_000 + b"x}",
        f"{READ} unreadable",
    )
    for name, opening in {"list": b"[", "cells": b'{"cells":', "source": b'{"cells":[{"source":'}.items():
        yield f"deep-{name}.ipynb", partial(bytes.__mul__, opening, 100_000), "nesting"
    yield "number.ipynb", lambda: b'{"cells":' + b"9" * 10**6 + b"}", "unreadable"
    yield (
        "surrogates.ipynb",
        lambda: json.dumps({"cells": [{"cell_type": "\udcff", "source": "\ud800 a"}]}).encode(),
        READ,
    )
    yield "deep.json", lambda: b"[" * 10**6, READ
    yield "brackets.py", lambda: b"(" * 200_000, READ
    yield "indented.py", lambda: b"\n".join(b" " * depth + b"if x:" for depth in range(2000)), READ


def _table_cases() -> Iterator[Case]:
    yield "line.csv", lambda: b"a" * (20 * MIB), "unreadable"
    yield "quote.csv", lambda: b'a,b\n1,"' + b"x\n" * MIB, "unreadable"
    yield "columns.csv", lambda: b"a," * 10**6 + b"\n1,2\n", READ
    yield "labels.csv", lambda: b"x" * 100_000 + b",b\n" + b"1,2\n" * 100_000, "oversize"
    yield "rows.csv", lambda: b"1,2\n" * 300_000, "oversize"
    yield "dimensions.xlsx", lambda: _sheet(b'<dimension ref="A1:XFD1048576"/>', b""), READ
    yield "far.xlsx", lambda: _sheet(b"", _row(1048576, "XFD")), READ
    yield "beyond.xlsx", lambda: _sheet(b"", _row(10**12, "A")), f"{READ} unreadable"
    yield "wide.xlsx", lambda: _sheet(b"", b"".join(_row(number, "XFD") for number in range(10, 60_000))), "oversize"
    yield "sheets.xlsx", _repeated_sheet, "oversize"
    yield "slides.pptx", _repeated_slide, READ


def _row(number: int, column: str) -> bytes:
    return b'<row r="%d"><c r="%s%d" t="str"><v>x</v></c></row>' % (number, column.encode(), number)


def _sheet(before: bytes, rows: bytes) -> bytes:
    members = unzipped(specimen(".xlsx"))
    sheet = members["xl/worksheets/sheet1.xml"]
    start, end = sheet.index(b"<dimension"), sheet.index(b"<sheetViews>")
    sheet = sheet[:start] + before + sheet[end:]
    return zipped({**members, "xl/worksheets/sheet1.xml": sheet.replace(b"</sheetData>", rows + b"</sheetData>")})


def _repeated_sheet() -> bytes:
    """One sheet with a single far row, listed five thousand times."""
    members = unzipped(_sheet(b"", _row(1048576, "A")))
    book = members["xl/workbook.xml"]
    relationships = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    entry = b'<sheet xmlns="%s" xmlns:r="%s" name="h%d" sheetId="%d" r:id="rId1"/>'
    entries = b"".join(entry % (main, relationships, number, number) for number in range(9, 5000))
    return zipped({**members, "xl/workbook.xml": book.replace(b"</sheets>", entries + b"</sheets>")})


def _repeated_slide() -> bytes:
    members = unzipped(specimen(".pptx"))
    deck = members["ppt/presentation.xml"]
    start = deck.index(b"<p:sldId ")
    entry = deck[start : deck.index(b"/>", start) + 2]
    return zipped({**members, "ppt/presentation.xml": deck.replace(entry, entry * 100_000)})


def _text_cases() -> Iterator[Case]:
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "koi8-r", "shift_jis"):
        text = "данные" if encoding == "koi8-r" else "日本語の文章" if encoding == "shift_jis" else "ñandú añil"
        yield (
            f"{encoding}.txt",
            partial((f"{text} y más\n" if text[0] == "ñ" else f"{text}\n").__mul__(500).encode, encoding),
            READ,
        )
    yield "binary.txt", lambda: bytes(range(256)) * 1000, "unreadable"
    yield "overlong.txt", lambda: b"\xc0\xaf\xed\xa0\x80\xf8\x88\x80\x80\x80 hola" * 1000, f"{READ} unreadable"
    yield "controls.txt", lambda: "hola \x1b[2J\u202e\ufffe\u2028 mundo".encode() + b"\0", READ
    yield "nul.txt", lambda: bytes(MIB), "unreadable empty"
    yield "blank.txt", lambda: b" \t\r\n" * 1000, "empty"
    yield "zero.txt", lambda: b"", "empty"
    yield "word.txt", lambda: b"x" * (7 * MIB), READ
    yield "blanks.md", lambda: b"a" + b" " * MIB + b"b\n" * 1000, READ
