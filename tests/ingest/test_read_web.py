"""HTML pages and EPUB books."""

import zipfile
from pathlib import Path

import pytest

from ingest.errors import UnreadableFileError
from ingest.readers import read
from ingest.types import Extract

LIMIT = 2**24

PAGE = """<!DOCTYPE html><html><head><title>Guía del museo</title>
<meta name="author" content="Inês Conceição">
<style>p {color: red}</style><script>alert("no")</script></head><body>
<nav><a href="/">Inicio</a></nav><header><h1>El museo
  de la ciudad</h1></header>
<p>Abre a las <b>nueve</b>.<br>Cierra a las diez.</p>
<p hidden>oculto</p><div style="display: none">oculto</div>
<div>Suelto <p>dentro</p> después<!-- comentario --></div>
<ul><li>pan</li><li>água<ol><li>fría</li></ol></li></ul>
<table><caption>Precios</caption><tr><th>Día</th><th>Precio</th></tr>
<tr><td>lunes</td><td><p>3 €</p></td></tr></table>
<h2>Código</h2><pre>def f():
    return "ñ"
</pre><table role="presentation"><tr><td><p>Maquetado</p></td></tr></table>
<template>oculto</template><noscript>oculto</noscript><footer>Pie</footer></body></html>"""

EXPECTED = (
    "El museo de la ciudad\n\nAbre a las nueve.\nCierra a las diez.\n\nSuelto\n\ndentro\n\ndespués\n\n"
    "- pan\n- água\n  - fría\n\nPrecios\n\nDía | Precio\nlunes | 3 €\n\nCódigo\n\n"
    'def f():\n    return "ñ"\n\nMaquetado'
)


def blocks(extract: Extract) -> list[str]:
    return [extract.text[block.start : block.end] for block in extract.blocks]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_html(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(PAGE.encode(encoding))
    extract = read(path, max_bytes=LIMIT)
    assert extract.text == EXPECTED
    assert [(item.level, item.title) for item in extract.headings] == [
        (1, "El museo de la ciudad"),
        (2, "Código"),
    ]
    assert all(extract.text.startswith(item.title, item.start) for item in extract.headings)
    assert blocks(extract) == [
        "- pan\n- água\n  - fría",
        "Día | Precio\nlunes | 3 €",
        'def f():\n    return "ñ"',
    ]
    assert extract.metadata == {"title": "Guía del museo", "author": "Inês Conceição"}


def test_declared_encoding_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.htm"
    path.write_bytes('<meta charset="koi8-r"><p>Мир и труд</p>'.encode("koi8-r"))
    assert read(path, max_bytes=LIMIT).text == "Мир и труд"


@pytest.mark.parametrize("declared", ["hex", "undefined", "no-such", "idna"])
def test_senseless_encodings_are_ignored(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "a.htm"
    path.write_bytes(f'<meta charset="{declared}"><p>mañana</p>'.encode("latin-1"))
    assert read(path, max_bytes=LIMIT).text == "mañana"


def test_xhtml_entities_stay_unresolved(tmp_path: Path) -> None:
    path = tmp_path / "a.xhtml"
    secret = tmp_path / "secreto.txt"
    secret.write_text("contraseña")
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x SYSTEM "file://{secret}">]><html><p>a&x;b &ntilde;</p></html>'
    )
    text = read(path, max_bytes=LIMIT).text
    assert "contraseña" not in text
    assert text.endswith("ñ")


def test_text_without_tags_is_a_page_too(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("http://ejemplo.es/página")
    assert read(path, max_bytes=LIMIT).text == "http://ejemplo.es/página"


@pytest.mark.parametrize("tag", ["div", "ul><li", "table><tr><td", "b", "blockquote"])
def test_deep_nesting_is_refused(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>principio</p>" + f"<{tag}>" * 100 + "fondo")
    assert read(path, max_bytes=LIMIT).text.endswith("fondo")
    path.write_text("<p>principio</p>" + f"<{tag}>" * 5000 + "fondo")
    with pytest.raises(UnreadableFileError, match="nested more than 500 deep"):
        read(path, max_bytes=LIMIT)


CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="OEBPS/libro.opf"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>La colmena ñoña</dc:title>
<dc:creator>José Antão</dc:creator></metadata><manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="b" href="cap%C3%ADtulos/2.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="cap%C3%ADtulos/1.xhtml" media-type="application/xhtml+xml"/>
<item id="c" href="../fuera.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="nav"/><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/></spine></package>"""
CHAPTER = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head>
<title>no</title></head><body><h1>{0}</h1><p>Érase una vez {0}.</p></body></html>"""


def make_epub(path: Path, **extra: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr("OEBPS/libro.opf", PACKAGE)
        book.writestr("OEBPS/nav.xhtml", "<p>Índice</p>")
        for number, name in (("1", "Mañana"), ("2", "Tarde")):
            book.writestr(f"OEBPS/capítulos/{number}.xhtml", CHAPTER.format(name))
        book.writestr("fuera.xhtml", CHAPTER.format("Coda"))
        for name, content in extra.items():
            book.writestr(f"META-INF/{name}.xml", content)
    return path


def test_epub(tmp_path: Path) -> None:
    extract = read(make_epub(tmp_path / "a.epub"), max_bytes=LIMIT)
    assert [extract.text[page.start : page.end] for page in extract.pages] == [
        "Mañana\n\nÉrase una vez Mañana.",
        "Tarde\n\nÉrase una vez Tarde.",
        "Coda\n\nÉrase una vez Coda.",
    ]
    assert [item.title for item in extract.headings] == ["Mañana", "Tarde", "Coda"]
    assert extract.metadata == {"title": "La colmena ñoña", "author": "José Antão"}


@pytest.mark.parametrize(
    ("algorithm", "refused"),
    [("http://www.w3.org/2001/04/xmlenc#aes128-cbc", True), ("http://www.idpf.org/2008/embedding", False)],
)
def test_epub_protection(tmp_path: Path, algorithm: str, refused: bool) -> None:
    encryption = f'<encryption xmlns:e="urn:e"><e:EncryptionMethod Algorithm="{algorithm}"/></encryption>'
    path = make_epub(tmp_path / "a.epub", encryption=encryption)
    if not refused:
        assert "Mañana" in read(path, max_bytes=LIMIT).text
        return
    with pytest.raises(UnreadableFileError, match="encrypted"):
        read(path, max_bytes=LIMIT)


def test_epub_without_a_chapter(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr("OEBPS/libro.opf", PACKAGE)
    with pytest.raises(UnreadableFileError, match=r"lacks its part 'OEBPS/capítulos/1\.xhtml'"):
        read(path, max_bytes=LIMIT)
