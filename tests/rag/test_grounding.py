"""Sentences find the span that carries them, and facts from nowhere are seen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from index.embedder import Embedder, Vectors
from rag.grounding import Grounder, Support
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


def grounder() -> Grounder:
    return Grounder(HITS, bag_of_words)


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
    ("sentence", "language", "source"),
    [
        ("Ian Goodfellow presentó las GAN en 2014.", "es", "redes.txt"),
        ("A porta de esquecimento é de 1999, de Gers.", "pt", "lstm.txt"),
        ("The big model has 213,000,000 parameters.", "en", "attention.txt"),
    ],
)
def test_a_sentence_whose_facts_are_in_the_passage_that_carries_it_is_verified(
    sentence: str, language: str, source: str
) -> None:
    (found,) = grounder().verified(sentence, language)
    assert found.hit.source == source


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("Ian Goodfellow presentó las GAN en 2015.", "es"),
        ("Ian Goodfellow presentó las GAN en 1999.", "es"),  # the year of another passage
        ("Gers presentó las GAN en Montreal en 2014.", "es"),
        ("El generador de Hinton crea muestras falsas.", "es"),
        ("A porta de esquecimento foi acrescentada em 2014 por Gers.", "pt"),
        ("The big model has 214 million parameters.", "en"),
    ],
)
def test_a_fact_of_another_passage_or_from_nowhere_is_not_verified(sentence: str, language: str) -> None:
    assert grounder().support(sentence, language) is not None
    assert grounder().verified(sentence, language) == ()


class TestTwoPassages:
    """What happens is in one passage, and whom it happens to, whom the question named, in another."""

    TELLING = document(
        "El colapso de modos ocurre cuando el generador produce siempre la misma muestra.", "colapso.txt"
    )
    NAMING = document("El colapso de modos de una GAN ocurre cuando el generador falla.", "gan.txt")
    SENTENCE = "El colapso de modos de una GAN ocurre cuando el generador produce la misma muestra."

    def sources(self, sentence: str, question: str) -> list[str]:
        hits = hits_of(self.NAMING, self.TELLING)
        return [support.hit.source for support in Grounder(hits, bag_of_words, question).verified(sentence, "es")]

    def test_both_are_cited_the_telling_one_first(self) -> None:
        assert self.sources(self.SENTENCE, "¿Qué es el colapso de modos de una GAN?") == ["colapso.txt", "gan.txt"]

    def test_a_name_that_the_question_did_not_give_is_not_lent_by_another_passage(self) -> None:
        assert self.sources(self.SENTENCE, "¿Qué es el colapso de modos?") == ["gan.txt"]

    def test_a_number_is_never_lent(self) -> None:
        sentence = self.SENTENCE.replace("una GAN", "7 GAN")
        assert self.sources(sentence, "¿Qué es el colapso de modos de 7 GAN?") == []

    def test_one_passage_is_enough_where_it_supports_as_well(self) -> None:
        assert self.sources(
            "El colapso de modos de una GAN ocurre si falla el generador.", "¿Ocurre el colapso de modos en una GAN?"
        ) == ["gan.txt"]


def test_a_sentence_that_only_resembles_the_passages_is_not_verified() -> None:
    sentence = "El discriminador distingue colores."
    found = grounder().support(sentence, "es")
    assert found is not None
    assert 0.25 < found.score < 0.4
    assert grounder().verified(sentence, "es") == ()


def test_facts_of_the_titles_above_a_passage_are_allowed() -> None:
    (hit,) = hits_of(document("Sus pesos se abrieron en 2022."))
    titled = replace(hit, chunk=replace(hit.chunk, headings=("Modelos", "Stable Diffusion")))
    sentence = "Los pesos de Stable Diffusion se abrieron en 2022."
    assert Grounder([hit], bag_of_words).unknown_facts(sentence, "es", hit) == ["Stable", "Diffusion"]
    assert Grounder([titled], bag_of_words).unknown_facts(sentence, "es", titled) == []


GATES = "tiene dos puertas, una que actualiza y otra que reinicia el estado"


@pytest.mark.parametrize(
    ("sentence", "span", "unsure"),
    [
        (f"La LSTM {GATES}.", f"La **GRU** {GATES}.", ("LSTM",)),
        (f"La red LSTM {GATES}.", f"La **GRU** {GATES}.", ("LSTM",)),
        (f"La LSTM como la GRU {GATES}.", f"La **GRU** {GATES}.", ()),
        (f"La LSTM {GATES}.", f"También {GATES}.", ()),
        (f"La LSTM {GATES}.", f"También {GATES} de Hochreiter.", ()),
        (f"También {GATES}.", f"La **GRU** {GATES}.", ()),
    ],
)
def test_a_name_in_the_place_of_another_is_told_as_unsure(sentence: str, span: str, unsure: tuple[str, ...]) -> None:
    (hit,) = hits_of(document(f"La LSTM es de Hochreiter. {span} Aquí acaba."))
    titled = replace(hit, chunk=replace(hit.chunk, headings=("Redes LSTM",)))
    (support,) = Grounder([titled], bag_of_words).verified(sentence, "es")
    assert titled.chunk.text[support.span.start : support.span.end] == span
    assert support.unsure == unsure


def test_a_row_of_a_table_is_cited_by_the_names_of_its_columns_and_its_heading_never() -> None:
    row = "| Olvido | 1999 |"
    hits = hits_of(
        document(f"Las puertas:\n| Puerta | ¿Presente desde? |\n|---|:---:|\n| Entrada | 1997 |\n{row}\nFin.")
    )
    found = Grounder(hits, bag_of_words).support("La puerta de olvido está presente desde 1999.", "es")
    assert found is not None
    assert hits[0].chunk.text[found.span.start : found.span.end] == row
    (told,) = Grounder(hits, bag_of_words).verified("Puerta presente desde 1997: la de entrada.", "es")
    assert hits[0].chunk.text[told.span.start : told.span.end] == "| Entrada | 1997 |"
    heading = Grounder(hits, bag_of_words).support("¿Presente desde? Puerta", "es")
    assert heading is not None
    assert "|---" not in hits[0].chunk.text[heading.span.start : heading.span.end]
    assert "¿" not in hits[0].chunk.text[heading.span.start : heading.span.end]


def test_without_hits_nothing_supports_anything() -> None:
    def never(texts: object) -> object:
        raise AssertionError("there is nothing to encode")

    empty = Grounder([], never)  # type: ignore[arg-type]
    assert empty.support("Es 42.", "es") is None
    assert empty.verified("Es 42.", "es") == ()


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
    found = Grounder(HITS, embedder.encode_queries).support(sentence, language)
    assert found is not None
    assert found.hit.chunk.text[found.span.start : found.span.end] == expected


@pytest.mark.models
def test_the_real_embedder_supports_what_is_said_more_than_what_is_not(embedder: Embedder) -> None:
    found = Grounder(HITS, embedder.encode_queries)
    said, unsaid = (
        found.support(text, "es") for text in ("El generador produce ejemplos falsos.", "Mañana jugamos al tenis.")
    )
    assert said is not None
    assert unsaid is not None
    assert said.score > 0.5
    assert unsaid.score < 0.25


SPANISH_COURT = document(
    "En 1789 la Ley Judicial creó el Tribunal Supremo de los Estados Unidos con seis jueces.", "tribunal.txt", "es"
)


def same_meaning(texts: Sequence[str]) -> Vectors:
    """Every text is the paraphrase of every other, as for an embedder that knows both languages."""
    return np.ones((len(texts), 1), np.float32)


class TestAcrossLanguages:
    def verified(self, sentence: str, language: str = "en") -> tuple[Support, ...]:
        return Grounder(hits_of(SPANISH_COURT), same_meaning).verified(sentence, language)

    def test_a_translated_name_is_told_as_unsure(self) -> None:
        (found,) = self.verified("In 1789 six judges formed the Supreme Court of the United States.")
        assert found.unsure == ("Supreme", "Court")

    @pytest.mark.parametrize(
        "sentence",
        [
            "In 1790 six judges formed the Supreme Court.",
            "In 1789 seven judges formed the Supreme Court.",
            "It was created on May 3, 1789.",
        ],
    )
    def test_another_number_or_date_never_passes(self, sentence: str) -> None:
        assert self.verified(sentence) == ()

    def test_in_the_language_of_the_passage_an_unknown_name_never_passes(self) -> None:
        assert self.verified("En 1789 se creó la Corte de Madrid.", "es") == ()

    def test_what_is_written_alike_is_sure(self) -> None:
        (found,) = self.verified("The law of 1789 named six judges.")
        assert found.unsure == ()
