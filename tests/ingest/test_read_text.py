"""Plain text, Markdown, tables in text, notebooks, RTF and source code."""

import json
from pathlib import Path

import pytest

from ingest.errors import EmptyFileError, OversizeFileError, UnreadableFileError, UnsupportedFileError
from ingest.readers import SUPPORTED_SUFFIXES, read
from ingest.types import Extract

LIMIT = 2**20
SPANISH = "El año pasado, ¿quién pagó la reparación del órgano? Lo sabrá mañana.\n"
PORTUGUESE = "A reunião começou às nove; não há decisões sobre o orçamento.\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def blocks(extract: Extract) -> list[str]:
    return [extract.text[block.start : block.end] for block in extract.blocks]


def lines_at(extract: Extract) -> list[tuple[int, str]]:
    """Each heading's level and the line that it stands on."""
    return [(item.level, extract.text[item.start :].split("\n", 1)[0]) for item in extract.headings]


@pytest.mark.parametrize("text", [SPANISH, PORTUGUESE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_text_reads_the_same_in_every_encoding(tmp_path: Path, encoding: str, text: str) -> None:
    assert read(write(tmp_path, "nota.txt", text.encode(encoding)), max_bytes=LIMIT).text == text


def test_other_scripts_are_guessed(tmp_path: Path) -> None:
    text = "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний. " * 3
    assert read(write(tmp_path, "a.txt", text.encode("cp1251")), max_bytes=LIMIT).text == text


def test_line_ends_and_controls_are_cleaned_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "a.log", "uno\r\ndos\rtres\x00\x1b\tcuatro \u00a0 cinco\x0cseis  \n")
    assert read(path, max_bytes=LIMIT).text == "uno\ndos\ntres\tcuatro \u00a0 cinco\nseis  \n"


def test_binary_data_is_not_text(tmp_path: Path) -> None:
    path = write(tmp_path, "foto.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    with pytest.raises(UnreadableFileError, match="is not text"):
        read(path, max_bytes=LIMIT)


def test_limits_and_emptiness(tmp_path: Path) -> None:
    with pytest.raises(OversizeFileError, match="11 bytes, more than 10"):
        read(write(tmp_path, "a.txt", "x" * 11), max_bytes=10)
    with pytest.raises(EmptyFileError, match="0 bytes"):
        read(write(tmp_path, "b.txt", ""), max_bytes=10)
    with pytest.raises(EmptyFileError, match="no text"):
        read(write(tmp_path, "c.md", " \n\t\n"), max_bytes=10)


def test_missing_files_and_unknown_suffixes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="cannot be opened"):
        read(tmp_path / "no.txt", max_bytes=LIMIT)
    with pytest.raises(UnsupportedFileError, match=r"'\.exe'.*\.pdf"):
        read(write(tmp_path, "a.exe", "x"), max_bytes=LIMIT)
    (tmp_path / "carpeta.txt").mkdir()
    with pytest.raises(UnreadableFileError, match="no regular file"):
        read(tmp_path / "carpeta.txt", max_bytes=LIMIT)


def test_suffixes_are_read_without_regard_to_case(tmp_path: Path) -> None:
    assert read(write(tmp_path, "LEEME.TXT", SPANISH), max_bytes=LIMIT).text == SPANISH
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUPPORTED_SUFFIXES)


MARKDOWN = """\
---
title: "Guía de energía"
author: María Núñez
date: 2024-05-01
---
# Introducción

Texto con **énfasis**.

  ## El *sol* y `la luz` ##

| País | Potencia |
|------|----------|
| España | 12 |

Subtítulo
---------

- uno
  - dos

```python
# no es un título
```

> # Citado, sin nivel

Fin.
"""


def test_markdown_stays_raw_and_shows_its_structure(tmp_path: Path) -> None:
    extract = read(write(tmp_path, "guia.md", MARKDOWN.replace("\n", "\r\n")), max_bytes=LIMIT)
    assert extract.text == MARKDOWN
    assert [(item.level, item.title) for item in extract.headings] == [
        (1, "Introducción"),
        (2, "El sol y la luz"),
        (2, "Subtítulo"),
    ]
    assert [line for _, line in lines_at(extract)] == [
        "# Introducción",
        "## El *sol* y `la luz` ##",
        "Subtítulo",
    ]
    assert blocks(extract) == [
        "| País | Potencia |\n|------|----------|\n| España | 12 |",
        "- uno\n  - dos",
        "```python\n# no es un título\n```",
    ]
    assert extract.metadata == {"title": "Guía de energía", "author": "María Núñez", "date": "2024-05-01"}


def test_markdown_with_exotic_separators_keeps_its_offsets(tmp_path: Path) -> None:
    extract = read(write(tmp_path, "a.md", "a\u2028b\n\n# Título\n"), max_bytes=LIMIT)
    assert lines_at(extract) == [(1, "# Título")]


def test_restructured_titles(tmp_path: Path) -> None:
    text = "Informe\n=======\n\nTexto.\n\nAnexo ñ\n-------\n\ncorto y largo\n---\n"
    extract = read(write(tmp_path, "a.rst", text), max_bytes=LIMIT)
    assert extract.text == text
    assert lines_at(extract) == [(1, "Informe"), (2, "Anexo ñ")]


def test_csv_rows_carry_their_headers(tmp_path: Path) -> None:
    text = 'País;Año;Nota\nEspaña;2020;"con ; y\nsalto"\nPerú;2021;\n'
    extract = read(write(tmp_path, "a.csv", text.encode("latin-1")), max_bytes=LIMIT)
    assert extract.text == "País: España | Año: 2020 | Nota: con ; y salto\nPaís: Perú | Año: 2021"
    assert blocks(extract) == extract.text.split("\n")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.tsv", "Nome\tValor\nAção\t3\n", "Nome: Ação | Valor: 3"),
        ("sin-cabecera.csv", "1,2\n3,4\n", "1 | 2\n3 | 4"),
        ("una-columna.csv", "Nombre\nIñaki\n", "Nombre\nIñaki"),
        ("anos.csv", "País,2019,2020\nPerú,1.5,2.5\n", "País: Perú | 2019: 1.5 | 2020: 2.5"),
        ("titulo.csv", "Ventas,\nMes,Total\nenero,5\n", "Ventas\nMes: enero | Total: 5"),
        (
            "dos.csv",
            "Mes,Total\nenero,5\n,\nRío,Caudal\nEbro,400\n",
            "Mes: enero | Total: 5\n\nRío: Ebro | Caudal: 400",
        ),
        (
            "texto.csv",
            "Mes,Total\nenero,5\n,\nnada,todo\nalgo,más\n",
            "Mes: enero | Total: 5\n\nnada | todo\nalgo | más",
        ),
    ],
)
def test_tables_are_labelled_only_by_their_own_header(tmp_path: Path, name: str, text: str, expected: str) -> None:
    assert read(write(tmp_path, name, text), max_bytes=LIMIT).text == expected


def test_csv_with_an_endless_quote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no CSV"):
        read(write(tmp_path, "a.csv", 'a,b\n1,"' + "x" * 200_000), max_bytes=LIMIT)


def test_csv_with_too_many_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OversizeFileError, match="200000 rows"):
        read(write(tmp_path, "a.csv", "a\n" * 200_001), max_bytes=LIMIT)


def notebook(*cells: dict[str, object]) -> str:
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": cells})


def test_notebook_cells(tmp_path: Path) -> None:
    text = notebook(
        {"cell_type": "markdown", "source": ["\n", "# Análisis\n", "\n", "- uno\n", "- dos"]},
        {
            "cell_type": "code",
            "source": "print('ñ')\r\n",
            "outputs": [
                {"output_type": "stream", "text": ["ñ\n"]},
                {"output_type": "stream", "text": "x" * 5000},
                {"output_type": "display_data", "data": {"image/png": "iVBOR", "text/plain": "<Figura>"}},
            ],
        },
    )
    extract = read(write(tmp_path, "a.ipynb", text), max_bytes=LIMIT)
    assert extract.text == "# Análisis\n\n- uno\n- dos\n\nprint('ñ')\n\nñ\n\n<Figura>"
    assert lines_at(extract) == [(1, "# Análisis")]
    assert blocks(extract) == ["- uno\n- dos", "print('ñ')", "ñ", "<Figura>"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"cells": 3}', '{"cells": [{"cell_type": "code", "source": 3}]}', '{"cells": [[1]]}']
)
def test_no_notebook(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableFileError, match="is no notebook"):
        read(write(tmp_path, "a.ipynb", text), max_bytes=LIMIT)


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="nested too deeply"):
        read(write(tmp_path, "a.ipynb", "[" * 100_000), max_bytes=LIMIT)


def test_rtf(tmp_path: Path) -> None:
    text = (
        r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fswiss\fcharset0 Arial;}}\f0 "
        r"La ni\'f1a comi\'f3 \u8364? 3.\par "
        r"Emoji \u-10179?\u-8704?.\par "
        r"\trowd A\'f1o\cell Pa\'eds\cell\row 2020\cell Per\'fa\cell\row Fin.\par}"
    )
    extract = read(write(tmp_path, "a.rtf", text), max_bytes=LIMIT)
    assert extract.text == "La niña comió € 3.\n\nEmoji 😀.\n\nAño | País\n2020 | Perú\n\nFin."
    assert blocks(extract) == ["Año | País\n2020 | Perú"]


def test_what_only_claims_to_be_rtf(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="is not RTF"):
        read(write(tmp_path, "a.rtf", SPANISH), max_bytes=LIMIT)


def test_python_definitions_are_headings(tmp_path: Path) -> None:
    text = '"""def no"""\nclass Órgano:\n    async def tocar(self):\n        pass\n\ndef fin():\n  "'
    extract = read(write(tmp_path, "a.py", text), max_bytes=LIMIT)
    assert extract.text == text
    assert [(item.level, item.title) for item in extract.headings][:2] == [
        (1, "class Órgano"),
        (2, "def tocar"),
    ]
    assert all(extract.text.startswith(item.title, item.start) for item in extract.headings)


@pytest.mark.parametrize("suffix", ["json", "xml", "rs", "yaml", "css", "sql"])
def test_source_is_verbatim(tmp_path: Path, suffix: str) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ñ">]>\n<a>&b;</a>  \n'
    assert read(write(tmp_path, f"a.{suffix}", text), max_bytes=LIMIT) == Extract(text)
