"""Archives that are bombs, and XML that unfolds or fetches."""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.ingest.proofs.specimens import MIB, ODT_CONTENT, READ, Case, specimen, unzipped, zipped

Declarations = Mapping[str, tuple[str, str]]

# What each format parses as XML.
XML_PARTS = {
    ".docx": ("word/document.xml", "word/styles.xml", "[Content_Types].xml", "word/_rels/document.xml.rels"),
    ".epub": ("META-INF/container.xml", "o/p.opf"),
    ".odt": ("content.xml",),
    ".pptx": ("ppt/slides/slide1.xml", "[Content_Types].xml"),
    ".xlsx": ("xl/workbook.xml", "xl/worksheets/sheet1.xml", "docProps/core.xml"),
}


def archive_cases() -> Iterator[Case]:
    for suffix in XML_PARTS:
        yield f"bomb{suffix}", partial(_with_part, suffix, "relleno.bin", bytes(64 * MIB)), "bomb"
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
    """Every member declares that it unpacks to 10 bytes; one unpacks to 64 MiB."""
    members = {**unzipped(specimen(suffix)), XML_PARTS[suffix][0]: b"<a>" + bytes(64 * MIB)}
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
    return zipped(unzipped(specimen(suffix)), compression=method)


def _encrypted(suffix: str) -> bytes:
    data = bytearray(specimen(suffix))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


_LAUGHS = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 12))


def _declarations(secret: Path, port: int) -> Declarations:
    """By kind: a document type, a use of what it declares."""
    server = f"http://127.0.0.1:{port}"
    return {
        "laughs": (f'<!DOCTYPE l [<!ENTITY e0 "ja">{_LAUGHS}]>', "&e11;"),
        "quadratic": (f'<!DOCTYPE l [<!ENTITY a "{"a" * 100_000}">]>', "&a;" * 10_000),
        "file": (f'<!DOCTYPE l [<!ENTITY a SYSTEM "{secret.as_uri()}">]>', "&a;"),
        "http": (f'<!DOCTYPE l [<!ENTITY a SYSTEM "{server}/a">]>', "&a;"),
        "parameter": (f'<!DOCTYPE l [<!ENTITY % a SYSTEM "{server}/a"> %a;]>', "x"),
        "dtd": (f'<!DOCTYPE l SYSTEM "{server}/a.dtd">', f'<img src="{secret.as_uri()}"/>'),
    }


def xml_cases(secret: Path, port: int) -> Iterator[Case]:
    declarations = _declarations(secret, port)
    for suffix, parts in XML_PARTS.items():
        for part in parts:
            for kind, declaration in declarations.items():
                name = f"{kind}-{part.replace('/', '-')}{suffix}"
                # EPUB packages may name a document type, whose file is not fetched
                rules = READ if kind == "dtd" and part.endswith(".opf") else "entities"
                yield name, partial(_declaring, suffix, part, declaration), rules
        yield f"deep{suffix}", partial(_deep_xml, suffix), "nesting"
    for suffix in (".xhtml", ".html", ".xml", ".epub"):
        for kind, declaration in declarations.items():
            yield f"{kind}-page{suffix}", partial(_page, suffix, declaration), READ
    yield "laughs-renamed.xlsx", partial(_renamed_sheet, declarations["laughs"]), "unreadable entities"
    yield "repeated.odt", partial(_odt_with, f'<text:h text:outline-level="{"9" * 5000}">a</text:h>'), READ
    yield "spaces.odt", partial(_odt_with, f'<text:p>a<text:s text:c="{"9" * 5000}"/>b</text:p>'), READ
    yield "huge.docx", _huge_docx, "memory"


def _declared(declaration: tuple[str, str], root: bytes) -> bytes:
    doctype, use = declaration
    prolog, _, rest = root.partition(b"?>") if root.startswith(b"<?xml") else (b"<?xml version='1.0'", b"", root)
    end = rest.rindex(b"</")
    return prolog + b"?>" + doctype.encode() + rest[:end] + use.encode() + rest[end:]


def _declaring(suffix: str, part: str, declaration: tuple[str, str]) -> bytes:
    members = unzipped(specimen(suffix))
    return zipped({**members, part: _declared(declaration, members[part])})


def _deep_xml(suffix: str) -> bytes:
    members = unzipped(specimen(suffix))
    part = XML_PARTS[suffix][0]
    end = members[part].rindex(b"</")
    nested = b"<a>" * 100_000 + b"</a>" * 100_000
    return zipped({**members, part: members[part][:end] + nested + members[part][end:]})


def _page(suffix: str, declaration: tuple[str, str]) -> bytes:
    doctype, use = declaration
    page = (
        f'<?xml version="1.0"?>{doctype}<html xmlns:xi="http://www.w3.org/2001/XInclude"><body><p>Hola {use}</p>'
        f'<svg xmlns="http://www.w3.org/2000/svg"><text>{use}</text></svg><xi:include href="secreto.txt"/>'
        '<iframe src="secreto.txt"></iframe><object data="secreto.txt"></object></body></html>'
    )
    if suffix != ".epub":
        return page.encode()
    return zipped({**unzipped(specimen(".epub")), "o/a.xhtml": page})


def _renamed_sheet(declaration: tuple[str, str]) -> bytes:
    """A worksheet that calls itself a picture, so as not to be looked at before it is parsed."""
    members = unzipped(specimen(".xlsx"))
    members["xl/media/a.svg"] = _declared(declaration, members.pop("xl/worksheets/sheet1.xml"))
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
