"""What an encoder–decoder is held against: edits counted, a dictionary learnt by counting, pages of manuals."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generative.errors import DataError
from generative.language.error_rate import character_error_rate, edit_distance
from generative.language.manual_pages import Page, read_pages
from generative.language.word_lexicon import WordLexicon

WORDS = st.text("abc", max_size=8)


@given(WORDS, WORDS, WORDS)
def test_edits_are_a_distance(one: str, other: str, third: str) -> None:
    assert edit_distance(one, other) == edit_distance(other, one)
    assert (edit_distance(one, other) == 0) == (one == other)
    assert abs(len(one) - len(other)) <= edit_distance(one, other) <= max(len(one), len(other))
    assert edit_distance(one, third) <= edit_distance(one, other) + edit_distance(other, third)


def test_edits_by_hand() -> None:
    assert edit_distance("haver", "a ver") == 2
    assert edit_distance("sitting", "kitten") == 3
    assert character_error_rate(["abc", "x"], ["abd", "xy"]) == pytest.approx(2 / 5)


def test_a_word_is_what_it_comes_with() -> None:
    english = ["the house is white", "the house is big", "a white horse", "the horse runs", "big and white", "my house"]
    spanish = [
        "la casa es blanca",
        "la casa es grande",
        "un caballo blanca",
        "la caballo corre",
        "grande y blanca",
        "mi casa",
    ]
    lexicon = WordLexicon.fit(english, spanish)
    assert lexicon.translate("House: white, big horse; unknown.") == "Casa: blanca, grande caballo; unknown."


PAGE = r""".\" a remark
.TH LS 1
.SH "NOMBRE"
ls \- lista el \fIcontenido\fP de un directorio
.SH DESCRIPCIÓN
.PP
Por defecto muestra informaci\('on
de los archivos.
.B ls
no\-ordena nada.
.SH OPCIONES
otra cosa
"""


def test_a_page_gives_its_line_and_the_beginning_of_its_description(tmp_path: Path) -> None:
    folder = tmp_path / "es" / "man1"
    folder.mkdir(parents=True)
    for name in ("ls.1.gz", "dir.1.gz"):
        (folder / name).write_bytes(gzip.compress(PAGE.replace(r"\('o", "ó").encode()))
    (folder / "empty.1.gz").write_bytes(gzip.compress(b".SH NOMBRE\nnothing\n"))
    described = "Por defecto muestra información de los archivos. ls no-ordena"
    assert read_pages("es", tmp_path) == [Page(described, "lista el contenido de un directorio")]
    with pytest.raises(DataError, match="manpages-pt-br"):
        read_pages("pt_BR", tmp_path)
