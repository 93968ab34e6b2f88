"""Words become terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.analysis import fold, terms


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("es", "canción canciones cancion"),
        ("es", "día días dia dias"),
        ("es", "año años"),
        ("es", "luz luces"),
        ("es", "papel papeles"),
        ("es", "información informaciones informacion"),
        ("es", "artículo artículos ARTICULO"),
        ("pt", "informação informações informacao informacoes"),
        ("pt", "canção canções"),
        ("pt", "animal animais"),
        ("pt", "papel papéis"),
        ("pt", "imóvel imóveis"),
        ("pt", "difícil difíceis dificil"),
        ("pt", "homem homens"),
        ("pt", "mão mãos"),
        ("pt", "lei leis"),
        ("pt", "ano anos"),
        ("en", "contract contracts"),
        ("en", "policy policies"),
        ("en", "child child's child’s"),
        ("en", "café cafe cafes"),
    ],
)
def test_forms_of_a_word_meet(language: str, words: str) -> None:
    assert len({tuple(terms(word, language)) for word in words.split()}) == 1


@pytest.mark.parametrize(
    ("language", "first", "second"),
    [("es", "luz", "ley"), ("es", "dulces", "duces"), ("pt", "animais", "animou"), ("en", "policy", "polish")],
)
def test_other_words_stay_apart(language: str, first: str, second: str) -> None:
    assert terms(first, language) != terms(second, language)


def test_stop_words_leave_with_or_without_accents() -> None:
    assert terms("¿Cuándo también está el contrato?", "es") == terms("contrato", "es")
    assert terms("cuando tambien esta el contrato", "es") == terms("contrato", "es")
    assert terms("o contrato não é meu", "pt") == terms("contrato", "pt")


@pytest.mark.parametrize(("language", "question"), [("es", "¿qué es?"), ("pt", "o que é?"), ("en", "What is it?")])
def test_a_question_of_stop_words_alone_keeps_them(language: str, question: str) -> None:
    assert len(terms(question, language)) >= 2


def test_an_unknown_language_is_folded_and_keeps_every_word() -> None:
    assert terms("Η Ελλάδα ähnlich the", "xx") == ["η", "ελλαδα", "ahnlich", "the"]


def test_order_and_repeats_stay() -> None:
    assert terms("gato perro gato", "es") == ["gat", "perr", "gat"]


def test_apostrophes_part_words_but_english_possessives() -> None:
    assert terms("copo d’água", "pt") == [*terms("copo", "pt"), "d", *terms("água", "pt")]


def test_ligatures_and_soft_hyphens_are_undone() -> None:
    assert terms("o\ufb01cina infor\xadmación", "es") == terms("oficina información", "es")


def test_nothing_but_marks_has_no_terms() -> None:
    assert terms("¡¡--!! __ \uff9e", "es") == []
    assert terms("", "es") == []


def test_fold_removes_accents_alone() -> None:
    assert fold("ÁñçÜ ß-1") == "AncU ß-1"


@given(st.text(max_size=80), st.sampled_from(["es", "pt", "en", "de", "xx"]))
def test_terms_are_words_without_accents_whatever_the_case(text: str, language: str) -> None:
    found = terms(text, language)
    assert all(term and term == fold(term) and not any(c.isspace() for c in term) for term in found)
