"""Files made to harm who reads them, each with the rules by which it may be refused, or READ."""

import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO

from tests.ingest.proofs.specimens import (
    ODT_CONTENT,
    TEXT_ON_PAGE,
    pdf_of,
    pdf_page,
    pdf_stream,
    specimen,
    unzipped,
    zipped,
)

Case = tuple[str, Callable[[], bytes], str]

READ = "read"
MIB = 2**20
ARCHIVES = (".docx", ".epub", ".odt", ".pptx", ".xlsx")
SECRET = "clave-que-nadie-debe-leer"
# What each format parses as XML.
XML_PARTS = {
    ".docx": ("word/document.xml", "word/styles.xml", "[Content_Types].xml", "word/_rels/document.xml.rels"),
    ".epub": ("META-INF/container.xml", "o/p.opf"),
    ".odt": ("content.xml",),
    ".pptx": ("ppt/slides/slide1.xml", "[Content_Types].xml"),
    ".xlsx": ("xl/workbook.xml", "xl/worksheets/sheet1.xml", "docProps/core.xml"),
}


def cases() -> Iterator[tuple[str, Callable[[], bytes], str]]:
    """File name, content, and the rule that refuses it (or several, parted by blanks)."""
    yield from _archive_cases()
    yield from _xml_cases()
    yield from _pdf_cases()
    yield from _markup_cases()
    yield from _table_cases()
    yield from _text_cases()


# Archives


def _archive_cases() -> Iterator[Case]:
    for suffix in ARCHIVES:
        yield f"bomb{suffix}", partial(_with_part, suffix, "relleno.bin", bytes(300 * MIB)), "bomb"
        yield f"nested{suffix}", partial(_nested, suffix), READ
        yield f"lying{suffix}", partial(_lying, suffix), "unreadable"
        yield f"overlapping{suffix}", partial(_overlapping, suffix), "bomb unreadable"
        yield f"many{suffix}", partial(_many_members, suffix), "oversize"
        yield f"lzma{suffix}", partial(_compressed, suffix, zipfile.ZIP_LZMA), "unreadable"
        yield f"bzip2{suffix}", partial(_compressed, suffix, zipfile.ZIP_BZIP2), "unreadable"
        yield f"encrypted{suffix}", partial(_encrypted, suffix), "encrypted"
        yield f"ole{suffix}", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "encrypted"


def _with_part(suffix: str, name: str, content: str | bytes) -> bytes:
    return zipped({**unzipped(specimen(suffix)), name: content})


def _nested(suffix: str) -> bytes:
    """A bomb within the archive, which nothing unpacks."""
    inner = zipped({"a": bytes(20 * MIB)})
    for _ in range(3):
        inner = zipped({"a.zip": inner})
    return _with_part(suffix, "a.zip", inner)


def _lying(suffix: str) -> bytes:
    """Every member declares that it unpacks to 10 bytes; one unpacks to 300 MiB."""
    members = {**unzipped(specimen(suffix)), XML_PARTS[suffix][0]: b"<a>" + bytes(300 * MIB)}
    data = bytearray(zipped(members))
    at = data.index(b"PK\x01\x02")
    while data[at : at + 4] == b"PK\x01\x02":
        name, extra, comment = struct.unpack_from("<3H", data, at + 28)
        data[at + 24 : at + 28] = struct.pack("<I", 10)
        at += 46 + name + extra + comment
    return bytes(data)


def _overlapping(suffix: str) -> bytes:
    """Five thousand names for one member of 60 KiB."""
    data = zipped({**unzipped(specimen(suffix)), "relleno": bytes(60 * 1024)})
    last = data.rindex(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    start = data.index(b"PK\x01\x02")
    directory = data[start:end] + data[last:end] * 5000
    total = directory.count(b"PK\x01\x02")
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, total, total, len(directory), start, 0)
    return data[:start] + directory + tail


def _many_members(suffix: str) -> bytes:
    return zipped({**unzipped(specimen(suffix)), **{f"m{number}": b"" for number in range(10_001)}})


def _compressed(suffix: str, method: int) -> bytes:
    written = BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in unzipped(specimen(suffix)).items():
            archive.writestr(name, content)
    return written.getvalue()


def _encrypted(suffix: str) -> bytes:
    data = bytearray(specimen(suffix))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


# XML

_LAUGHS = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 12))
_DECLARATIONS = {
    "laughs": (f'<!DOCTYPE l [<!ENTITY e0 "ja">{_LAUGHS}]>', "&e11;"),
    "quadratic": (f'<!DOCTYPE l [<!ENTITY a "{"a" * 100_000}">]>', "&a;" * 10_000),
    "file": ('<!DOCTYPE l [<!ENTITY a SYSTEM "file://{secret}">]>', "&a;"),
    "http": ('<!DOCTYPE l [<!ENTITY a SYSTEM "http://127.0.0.1:{port}/a">]>', "&a;"),
    "parameter": ('<!DOCTYPE l [<!ENTITY % a SYSTEM "http://127.0.0.1:{port}/a"> %a;]>', "x"),
    "dtd": ('<!DOCTYPE l SYSTEM "http://127.0.0.1:{port}/a.dtd">', "x"),
}


def _xml_cases() -> Iterator[Case]:
    for suffix, parts in XML_PARTS.items():
        for part in parts:
            for kind in _DECLARATIONS:
                name = f"{kind}-{part.replace('/', '-')}{suffix}"
                # EPUB packages may name a document type, whose file is not fetched
                rules = f"entities {READ} unreadable empty" if (kind, suffix) == ("dtd", ".epub") else "entities"
                yield name, partial(_declaring, suffix, part, kind), rules
        yield f"deep{suffix}", partial(_deep_xml, suffix), "nesting"
    for suffix in (".xhtml", ".html", ".xml", ".epub"):
        for kind in _DECLARATIONS:
            yield f"{kind}-page{suffix}", partial(_page, suffix, kind), f"{READ} empty"
    yield "laughs-renamed.xlsx", _renamed_sheet, "unreadable entities"
    yield "repeated.odt", partial(_odt_with, f'<text:h text:outline-level="{"9" * 5000}">a</text:h>'), READ
    yield "spaces.odt", partial(_odt_with, f'<text:p>a<text:s text:c="{"9" * 5000}"/>b</text:p>'), READ
    yield "huge.docx", _huge_docx, "memory bomb oversize"


def _declared(kind: str, root: bytes, text_tag: bytes | None = None) -> bytes:
    doctype, use = _DECLARATIONS[kind]
    prolog, _, rest = root.partition(b"?>") if root.startswith(b"<?xml") else (b"<?xml version='1.0'", b"", root)
    end = rest.rindex(b"</")
    return prolog + b"?>" + doctype.encode() + rest[:end] + use.encode() + rest[end:]


def _declaring(suffix: str, part: str, kind: str) -> bytes:
    members = unzipped(specimen(suffix))
    root = members[part]
    if root.rstrip().endswith(b"/>"):
        raise AssertionError(f"{part} of {suffix} has an empty root")
    return zipped({**members, part: _declared(kind, root)})


def _deep_xml(suffix: str) -> bytes:
    members = unzipped(specimen(suffix))
    part = XML_PARTS[suffix][0]
    end = members[part].rindex(b"</")
    nested = b"<a>" * 100_000 + b"</a>" * 100_000
    return zipped({**members, part: members[part][:end] + nested + members[part][end:]})


def _page(suffix: str, kind: str) -> bytes:
    doctype, use = _DECLARATIONS[kind]
    page = (
        f'<?xml version="1.0"?>{doctype}<html xmlns:xi="http://www.w3.org/2001/XInclude"><body><p>Hola {use}</p>'
        f'<svg xmlns="http://www.w3.org/2000/svg"><text>{use}</text></svg><xi:include href="file://{{secret}}"/>'
        '<iframe src="file://{secret}"></iframe><img src="http://127.0.0.1:{port}/b"></body></html>'
    )
    if suffix != ".epub":
        return page.encode()
    return zipped({**unzipped(specimen(".epub")), "o/a.xhtml": page})


def _renamed_sheet() -> bytes:
    """A worksheet that calls itself a picture, so as not to be looked at before it is parsed."""
    members = unzipped(specimen(".xlsx"))
    members["xl/media/a.svg"] = _declared("laughs", members.pop("xl/worksheets/sheet1.xml"))
    for name in ("[Content_Types].xml", "xl/_rels/workbook.xml.rels"):
        members[name] = members[name].replace(b"worksheets/sheet1.xml", b"media/a.svg")
    return zipped(members)


def _odt_with(content: str) -> bytes:
    return zipped({"content.xml": ODT_CONTENT.replace("<text:list>", f"{content}<text:list>")})


def _huge_docx() -> bytes:
    members = unzipped(specimen(".docx"))
    body = b"".join(b"<w:p><w:r><w:t>%d</w:t></w:r></w:p>" % (number % 9973) for number in range(4_000_000))
    members["word/document.xml"] = members["word/document.xml"].replace(b"<w:body>", b"<w:body>" + body)
    return zipped(members)


# PDF


def _pdf_cases() -> Iterator[Case]:
    blanks = b" " * (100 * MIB)
    yield "bomb.pdf", lambda: pdf_page(pdf_stream(blanks, deflated=1)), "bomb"
    for times in (2, 3, 50):
        yield f"nested-{times}.pdf", partial(_pdf_nested, times), "bomb"
    yield "escaped.pdf", lambda: _pdf_nested(2).replace(b"/FlateDecode", b"/Fl#61teDecode"), "bomb"
    yield "lzw.pdf", lambda: _pdf_nested(2).replace(b"[/FlateDecode", b"[/LZWDecode"), "bomb"
    yield "xref-bomb.pdf", lambda: pdf_of(pdf_stream(blanks, b"/Type/XRef", deflated=1)), "bomb"
    yield "encrypted.pdf", _pdf_encrypted, "encrypted"
    for count in (2**31 - 1, -1, 10**30):
        yield f"count-{count}.pdf", partial(_pdf_pages, b"3 0 R", count), f"{READ} unreadable empty"
    yield "pages.pdf", lambda: _pdf_pages(b"3 0 R " * 1_000_000, 1_000_000), "oversize"
    yield "loop.pdf", lambda: _pdf_pages(b"2 0 R 3 0 R", 2), f"{READ} unreadable"
    yield "loop-up.pdf", _pdf_loop, "unreadable"
    yield "deep-array.pdf", lambda: _pdf_deep(b"[", b"]"), f"{READ} unreadable"
    yield "deep-dictionary.pdf", lambda: _pdf_deep(b"<</A", b">>"), f"{READ} unreadable"
    yield "deep-content.pdf", lambda: pdf_page(pdf_stream(b"[" * 10**6 + TEXT_ON_PAGE)), f"{READ} empty"
    yield "states.pdf", lambda: pdf_page(pdf_stream(b"q " * 10**6 + TEXT_ON_PAGE)), f"{READ} crash"
    yield "forms.pdf", pdf_killer, "crash"
    yield "huge-xref.pdf", lambda: _pdf_replaced(b"xref\n0 6", b"xref\n0 4000000000"), f"{READ} unreadable"
    yield "huge-size.pdf", lambda: _pdf_replaced(b"/Size 6", b"/Size 2147483647"), f"{READ} unreadable"
    yield "xref-stream.pdf", _pdf_xref_stream, "unreadable"
    yield "previous.pdf", _pdf_previous, f"{READ} unreadable"
    yield "length.pdf", lambda: _pdf_replaced(b"/Length 4", b"/Length 99999999999994"), f"{READ} unreadable empty"
    yield "dots.pdf", _pdf_dots, READ


def _pdf_nested(times: int) -> bytes:
    return pdf_page(pdf_stream(b" " * (10 * MIB) + TEXT_ON_PAGE, deflated=times))


def _pdf_encrypted() -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    written = BytesIO()
    canvas = Canvas(written, encrypt="clave")
    canvas.drawString(72, 700, "Hola")
    canvas.save()
    return written.getvalue()


def _pdf_pages(kids: bytes, count: int) -> bytes:
    return pdf_page(pdf_stream(TEXT_ON_PAGE), pages=b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count))


def _pdf_loop() -> bytes:
    pages = b"<</Type/Pages/Kids[%d 0 R]/Parent %d 0 R/Count 1>>"
    return pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", pages % (3, 3), pages % (2, 2))


def _pdf_deep(opening: bytes, closing: bytes) -> bytes:
    deep = opening * 200_000 + closing * 200_000
    pages = b"<</Type/Pages/Kids[3 0 R]/Count 1/X %s>>" % deep
    return pdf_page(pdf_stream(TEXT_ON_PAGE), pages=pages)


def pdf_killer() -> bytes:
    """Billion laughs as a PDF tells them: twelve forms, each of which draws the next one ten times.

    PDFium ends its process when the memory is spent.
    """
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>/Font<</F 5 0 R>>>>"
    forms = [pdf_stream(b"/X Do " * 10, form % number) for number in range(7, 18)]
    last = pdf_stream(TEXT_ON_PAGE, form % 17)
    return pdf_page(pdf_stream(b"/X Do " * 10), *forms, last, resources=b"/XObject<</X 6 0 R>>")


def _pdf_replaced(old: bytes, new: bytes) -> bytes:
    whole = pdf_page(pdf_stream(TEXT_ON_PAGE))
    if old not in whole:
        raise AssertionError(f"{old!r} is not in the PDF")
    return whole.replace(old, new)


def _pdf_xref_stream() -> bytes:
    whole = pdf_of(pdf_stream(bytes(50), b"/Type/XRef/Size 2147483647/W[1 2 1]/Index[0 2147483647]/Root 1 0 R"))
    return whole[: whole.index(b"xref\n0")] + b"startxref\n9\n%%EOF"


def _pdf_previous() -> bytes:
    whole = pdf_page(pdf_stream(TEXT_ON_PAGE))
    return whole.replace(b"/Size 6", b"/Size 6/Prev %d" % whole.index(b"xref\n0"))


def _pdf_dots() -> bytes:
    """A running line of 30,000 dots and a number on four pages."""
    lines = b") Tj T* T* T* T* T* (cuerpo) Tj T* (otra) Tj T* (otra) Tj ET"
    content = b"BT /F 1 Tf 5 TL 50 700 Td (" + b". " * 15_000 + b"1" + lines
    return pdf_page(pdf_stream(content), pages=b"<</Type/Pages/Kids[3 0 R 3 0 R 3 0 R 3 0 R]/Count 4>>")


# Markup


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
    for name, text in {"brackets": "[", "emphasis": "*a ", "quotes": "> ", "lists": "- ", "fences": "```\n~~~\n"}.items():
        yield f"{name}.md", partial(str.encode, text * 50_000 + "x"), READ
    yield "title.md", lambda: b"# " + b"[" * 200_000, READ
    yield "underline.rst", lambda: b"=" * 10**6 + b"\n" + b"=" * 10**6 + b"x\n", READ
    yield "deep.rtf", lambda: b"{\\rtf1 " + b"{" * 10**6 + b"x", f"{READ} empty"
    yield "codes.rtf", lambda: b"{\\rtf1 " + b"\\u99999999999?\\'zz\\bin999999999999 " * 10_000 + b"x}", f"{READ} unreadable"
    for name, opening in {"list": b"[", "cells": b'{"cells":', "source": b'{"cells":[{"source":'}.items():
        yield f"deep-{name}.ipynb", partial(bytes.__mul__, opening, 100_000), "nesting"
    yield "number.ipynb", lambda: b'{"cells":' + b"9" * 10**6 + b"}", "unreadable"
    yield "surrogates.ipynb", lambda: json.dumps({"cells": [{"cell_type": "\udcff", "source": "\ud800 a"}]}).encode(), READ
    yield "deep.json", lambda: b"[" * 10**6, READ
    yield "brackets.py", lambda: b"(" * 200_000, READ
    yield "indented.py", lambda: b"\n".join(b" " * depth + b"if x:" for depth in range(2000)), READ


# Tables


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
    entry = b'<sheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" name="h%d" sheetId="%d" r:id="rId1"/>'
    xmlns = b' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    entries = b"".join((entry % (number, number)).replace(b"<sheet", b"<sheet" + xmlns) for number in range(9, 5000))
    return zipped({**members, "xl/workbook.xml": book.replace(b"</sheets>", entries + b"</sheets>")})


def _repeated_slide() -> bytes:
    members = unzipped(specimen(".pptx"))
    deck = members["ppt/presentation.xml"]
    start = deck.index(b"<p:sldId ")
    entry = deck[start : deck.index(b"/>", start) + 2]
    return zipped({**members, "ppt/presentation.xml": deck.replace(entry, entry * 100_000)})


# Text


def _text_cases() -> Iterator[Case]:
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "koi8-r", "shift_jis"):
        text = "данные" if encoding == "koi8-r" else "日本語の文章" if encoding == "shift_jis" else "ñandú añil"
        yield f"{encoding}.txt", partial((f"{text} y más\n" if text[0] == "ñ" else f"{text}\n").__mul__(500).encode, encoding), READ
    yield "binary.txt", lambda: bytes(range(256)) * 1000, "unreadable"
    yield "overlong.txt", lambda: b"\xc0\xaf\xed\xa0\x80\xf8\x88\x80\x80\x80 hola" * 1000, f"{READ} unreadable"
    yield "controls.txt", lambda: "hola \x1b[2J\u202e\ufffe\u2028 mundo".encode() + b"\0", READ
    yield "nul.txt", lambda: bytes(MIB), "unreadable empty"
    yield "blank.txt", lambda: b" \t\r\n" * 1000, "empty"
    yield "zero.txt", lambda: b"", "empty"
    yield "large.txt", lambda: b"x" * (9 * MIB), "oversize"
    yield "words.txt", lambda: b"x" * (7 * MIB), READ
    yield "blanks.md", lambda: b"a" + b" " * MIB + b"b\n" * 1000, READ
