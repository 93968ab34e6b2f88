"""Sentences find the span that carries them, and facts from nowhere are seen."""

from dataclasses import replace

import pytest

from index.embedder import Embedder
from rag.grounding import Grounder
from tests.rag.conftest import bag_of_words, document, hits_of

SPANISH = document(
    "Ian Goodfellow presentó las GAN en Montreal en 2014. El generador crea muestras falsas."
    " El discriminador las distingue de las reales.\n\n"
    "El agua hierve a 100 grados. La temperatura baja con la altitud.",
    "redes.txt",
)
ADDED = "A porta de esquecimento foi acrescentada em 1999 por Gers."
PORTUGUESE = document(
    f"A LSTM tem três portas. {ADDED} O vocabulário do XLM-R tem 250.002 entradas.",
    "lstm.txt",
    "pt",
)
ENGLISH = document(
    "Attention weighs every token. The big model has 213 million parameters."
    " Christie’s sold the Portrait of Edmond de Belamy for 432,500 dollars.",
    "attention.txt",
    "en",
)
HITS = hits_of(SPANISH, PORTUGUESE, ENGLISH)


def grounder(question: str = "¿Qué?") -> Grounder:
    return Grounder(HITS, question, bag_of_words)


def supporting(sentence: str, language: str) -> tuple[str, float]:
    found = grounder().support(sentence, language)
    assert found is not None
    return found.hit.chunk.text[found.span.start : found.span.end], found.score


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Las GAN las presentó Goodfellow en 2014.", "es", "Ian Goodfellow presentó las GAN en Montreal en 2014."),
        ("El discriminador distingue las muestras reales.", "es", "El discriminador las distingue de las reales."),
        ("A porta de esquecimento é de 1999.", "pt", ADDED),
        ("The model has 213 million parameters.", "en", "The big model has 213 million parameters."),
    ],
)
def test_the_right_sentence_is_chosen(sentence: str, language: str, expected: str) -> None:
    assert supporting(sentence, language)[0] == expected


def test_a_verbatim_sentence_is_fully_supported_and_an_unrelated_one_hardly() -> None:
    assert supporting("El agua hierve a 100 grados.", "es")[1] == pytest.approx(1.0)
    assert supporting("Mañana jugamos al tenis.", "es")[1] < 0.25


@pytest.mark.parametrize(
    "sentence",
    [
        "Las presentó Ian Goodfellow en Montreal.",
        "Las GANs son de 2014.",
        "O vocabulário tem 250,002 entradas.",
        "El vocabulario tiene 250\u00a0002 entradas.",
        "Lo vendió la casa Christie's por 432.500 dólares.",
        "La subasta de Christie fue un éxito.",
        "Se llama XLM–R y hierve a 100 grados.",
        "En MONTRÉAL, en 2014.",
        "Entrenar redes cuesta.",
        "¿Redes? Sí: Compiten.",
        "- Entrenar redes cuesta.",
        "3. Entrenar redes cuesta.",
        "**Entrenar** redes cuesta.",
        "«Entrenar redes cuesta», dice Goodfellow.",
    ],
)
def test_facts_of_the_passages_and_words_that_begin_a_sentence_are_no_news(sentence: str) -> None:
    assert grounder().foreign_facts(sentence) == []


@pytest.mark.parametrize(
    ("sentence", "foreign"),
    [
        ("Las presentó Ian Goodfellow en 2015.", ["2015"]),
        ("Las presentó Yann LeCun en Montreal.", ["Yann", "LeCun"]),
        ("El vocabulario tiene 250.003 entradas.", ["250.003"]),
        ("Hierve a 10 grados.", ["10"]),
        ("Hierve a 1000 grados.", ["1000"]),
        ("La fórmula es de Öttinger.", ["Öttinger"]),
        ("Es una red nueva (Hinton, 2014).", ["Hinton"]),
        ("Usa GPT-4 y XLM-R.", ["4", "GPT-4"]),
        ("1. Es de 2014 y la vendió la casa Sotheby's.", ["Sotheby's"]),
    ],
)
def test_numbers_and_names_from_nowhere_are_reported(sentence: str, foreign: list[str]) -> None:
    assert grounder().foreign_facts(sentence) == foreign


def test_decimals_meet_with_comma_and_point() -> None:
    decimal = Grounder(hits_of(document("La divergencia vale 0,5 y pi 3,1416.")), "", bag_of_words)
    assert decimal.foreign_facts("It is 0.5, and 3.1416.") == []
    assert decimal.foreign_facts("It is 0.6.") == ["0.6"]


def test_facts_of_the_question_are_allowed() -> None:
    sentence = "No participó Yann LeCun en 1998."
    assert grounder().foreign_facts(sentence) == ["1998", "Yann", "LeCun"]
    assert grounder("¿Participó Yann LeCun en 1998?").foreign_facts(sentence) == []


def test_facts_of_the_titles_above_a_passage_are_allowed() -> None:
    (hit,) = hits_of(document("Sus pesos se abrieron en 2022."))
    titled = replace(hit, chunk=replace(hit.chunk, headings=("Modelos", "Stable Diffusion")))
    sentence = "Los pesos de Stable Diffusion se abrieron en 2022."
    assert Grounder([hit], "", bag_of_words).foreign_facts(sentence) == ["Stable", "Diffusion"]
    assert Grounder([titled], "", bag_of_words).foreign_facts(sentence) == []


def test_a_compound_is_known_by_its_parts_but_not_with_another_number() -> None:
    hits = hits_of(document("La divergencia de Kullback–Leibler. El modelo GPT-3 tiene 4 versiones."))
    found = Grounder(hits, "", bag_of_words)
    assert found.foreign_facts("Es la divergencia Kullback-Leibler.") == []
    assert found.foreign_facts("Es el modelo GPT.") == []
    assert found.foreign_facts("Es el modelo GPT-4.") == ["GPT-4"]


def test_without_hits_nothing_supports_anything() -> None:
    def never(texts: object) -> object:
        raise AssertionError("there is nothing to encode")

    empty = Grounder([], "¿Qué es 42?", never)  # type: ignore[arg-type]
    assert empty.support("Es 42.", "es") is None
    assert empty.foreign_facts("Es 42 y no 43.") == ["43"]


@pytest.mark.models
@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Goodfellow las presentó en Canadá.", "es", "Ian Goodfellow presentó las GAN en Montreal en 2014."),
        ("Forged samples come from the generator.", "en", "El generador crea muestras falsas."),
        ("La puerta del olvido se añadió después.", "es", ADDED),
        ("O modelo grande tem 213 milhões de parâmetros.", "pt", "The big model has 213 million parameters."),
        ("A mayor altura hace menos calor.", "es", "La temperatura baja con la altitud."),
    ],
)
def test_the_real_embedder_finds_paraphrases_and_translations(
    sentence: str, language: str, expected: str, embedder: Embedder
) -> None:
    found = Grounder(HITS, "¿Qué?", embedder.encode_queries).support(sentence, language)
    assert found is not None
    assert found.hit.chunk.text[found.span.start : found.span.end] == expected


@pytest.mark.models
def test_the_real_embedder_supports_what_is_said_more_than_what_is_not(embedder: Embedder) -> None:
    found = Grounder(HITS, "¿Qué?", embedder.encode_queries)
    said, unsaid = (
        found.support(text, "es") for text in ("El generador produce ejemplos falsos.", "Mañana jugamos al tenis.")
    )
    assert said is not None
    assert unsaid is not None
    assert said.score > 0.5
    assert unsaid.score < 0.25
