"""Which language a text is in."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.language import detect_language

QUESTIONS = {
    "es": [
        "¿Qué es?",
        "¿Cuándo?",
        "hola",
        "¿Quién fundó la biblioteca municipal?",
        "donde esta la oficina de turismo",
        "cuantos alumnos hay en el instituto",
        "¿Cuál es el plazo para reclamar?",
        "Resume el contrato de alquiler",
        "¿Hay ascensor?",
        "Fuente",
    ],
    "pt": [
        "Quando?",
        "Quem é o reitor?",
        "obrigado",
        "Onde a fundação se consolidou?",
        "quais sao os prazos da matricula",
        "O que significa R & D?",
        "Qual é o valor da bolsa de estudos?",
        "Faça um resumo do contrato",
        "Há elevador?",
        "Não entendi a resposta",
    ],
    "en": [
        "Who do the gurus control?",
        "When?",
        "Who is he?",
        "What is the deadline?",
        "hello",
        "where is the tourist office",
        "Summarise the rental agreement",
        "Is there a lift?",
        "How many pupils does the school have?",
        "Why?",
    ],
}


@pytest.mark.parametrize(("language", "question"), [(key, text) for key in QUESTIONS for text in QUESTIONS[key]])
def test_short_questions(language: str, question: str) -> None:
    assert detect_language(question) == language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "Où se trouve la gare, et à quelle heure part le dernier train pour la capitale ?"),
        ("de", "Wo liegt der Bahnhof, und wann fährt der letzte Zug in die Hauptstadt?"),
        ("it", "Dove si trova la stazione e a che ora parte l'ultimo treno per la capitale?"),
        ("pt", "Onde fica a estação, e a que horas parte o último comboio para a capital?"),
        ("ru", "Где находится вокзал и когда отправляется последний поезд в столицу?"),
    ],
)
def test_every_language_is_told_without_candidates(language: str, text: str) -> None:
    assert detect_language(text, candidates=None) == language


def test_candidates_bind() -> None:
    assert detect_language("Wo liegt der Bahnhof?") in ("es", "pt", "en")
    assert detect_language("Wo liegt der Bahnhof?", candidates=("de", "nl")) == "de"
    with pytest.raises(ValueError, match="Unknown language"):
        detect_language("hola", candidates=("es", "xx"))


@pytest.mark.parametrize("text", ["", "  \n", "12345", "3,5 % -- ¿?", "🙂"])
@pytest.mark.parametrize("candidates", [None, ("es", "pt", "en")])
def test_without_words_the_default_holds(text: str, candidates: tuple[str, ...] | None) -> None:
    assert detect_language(text, default="pt", candidates=candidates) == "pt"


def test_a_long_text_is_judged_by_its_whole() -> None:
    cover = "This report was prepared by the committee and may be shared under the terms of the licence. " * 40
    body = "La comisión revisó las cuentas del año y aprobó el presupuesto de la entidad. " * 400
    assert detect_language(cover + body, candidates=None) == "es"
    assert detect_language(cover) == "en"


def test_threads_with_other_candidates_do_not_disturb_each_other() -> None:
    text = "Wo liegt der Bahnhof, und wann fährt der letzte Zug?"
    asked = [None, ("es", "pt", "en"), ("de", "nl")] * 20
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda candidates: detect_language(text, candidates=candidates), asked))
    assert found[::3] == ["de"] * 20
    assert set(found[1::3]) <= {"es", "pt", "en"}
    assert found[2::3] == ["de"] * 20
