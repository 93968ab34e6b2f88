"""Where sentences begin and end."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.sentences import sentence_spans
from ingest.types import Span


def sentences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentence_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "El Sr. Ruiz y la Dra. Paz firmaron. | Nadie más vino.",
        "Lleve ropa de abrigo, p. ej. un jersey. | Hará frío.",
        "Las obras de EE. UU. llegaron ayer. | Las FF. AA. las custodian.",
        "J. K. Rowling vive en Edimburgo. | ¿Lo sabías? | ¡Claro que sí!",
        "Cuesta 3.14 euros y mide 2,5 m. | El resto es gratis.",
        "Dudó un momento… y siguió. | Luego… | Nada.",
        "Roma venció en 146 a. C. y destruyó Cartago. | Fue el final.",
        "«No iré.» | Lo dijo dos veces.",
        "—¡Vamos! —dijo Juan. | Nadie se movió.",
        "¿Vienes? | No. | Mañana trabajo.",
        "Véase el art. 5 de la ley. | También la fig. II del anexo.",
        "Ganó en 1999. | Después se retiró.",
        "O Sr. Silva mora na Av. Brasil. | A Profa. Lima também.",
        "Veja a pág. 12 do vol. 3. | Está tudo lá.",
        "Custa R$ 1.250,00 por mês. | É caro!",
        "Mr. Hall met Dr. Yu at 5 p.m. sharp. | They left.",
        "He said no. | Then he left.",
        "It is a work of art. | Everyone agrees.",
        "See no. 7 and i.e. nothing else. | Done.",
        'She asked "Why?" | Nobody knew.',
        "It was shown before.[12] | Later work agrees.[3][4] | We do too.",
        "Really?! | Yes.",
        "Visit www.example.org. | It is free.",
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str) -> None:
    expected = text.split(" | ")
    assert sentences(" ".join(expected)) == expected


def test_list_items_table_rows_and_headings_are_units() -> None:
    text = "# Compras\nHay que traer:\n- pan\n- leche\n1. Pagar la cuenta\n| a | b |\n| 1 | 2 |\n\nFin del texto"
    assert sentences(text) == [
        "# Compras",
        "Hay que traer:",
        "- pan",
        "- leche",
        "1. Pagar la cuenta",
        "| a | b |",
        "| 1 | 2 |",
        "Fin del texto",
    ]


def test_a_table_row_is_whole_whatever_stands_in_it() -> None:
    rows = ["| Porta | Presente em 1997? |", "|---|---|", "  | Entrada. E mais | Sim! Claro |", "Fim. Depois."]
    assert sentences("\n".join(rows)) == [*rows[:2], rows[2].strip(), "Fim.", "Depois."]


def test_a_line_break_within_a_sentence_does_not_end_it() -> None:
    assert sentences("Una frase que sigue\nen otra línea. Otra.") == ["Una frase que sigue\nen otra línea.", "Otra."]


def test_a_part_of_a_text_keeps_the_offsets_of_the_whole() -> None:
    text = "Nada aquí. Uno. Dos. Nada allí."
    assert sentence_spans(text, 11, 20) == [Span(11, 15), Span(16, 20)]


_WRITING = st.text(alphabet=st.sampled_from("aAbEU1. \n\t!?…—-#|\"')(]»[0¿"), max_size=200)


@given(st.one_of(st.text(max_size=200), _WRITING))
@example("")
@example(" \n \n ")
@example("a.\u00a0B\u2028.\x1f")
def test_spans_ascend_are_trimmed_and_cover_everything_but_blanks(text: str) -> None:
    spans = sentence_spans(text)
    at = 0
    for span in spans:
        assert at <= span.start < span.end
        assert not text[at : span.start].strip()
        assert text[span.start : span.end].strip() == text[span.start : span.end]
        at = span.end
    assert not text[at:].strip()


@pytest.mark.parametrize(
    "text",
    [
        "." * 300_000 + "x",
        ".)" * 150_000 + "x",
        "5. " * 100_000,
        "\n" * 300_000,
        " " * 300_000 + ".",
        "a" * 300_000,
        ". " * 150_000,
        "." + " " * 300_000 + "#",
        ".[1" * 100_000,
        "\n# " * 100_000,
        "| a. B |\n" * 50_000,
    ],
    ids=[
        "dots",
        "closed dots",
        "numbers",
        "empty lines",
        "blanks",
        "word",
        "stops",
        "late",
        "marks",
        "headings",
        "rows",
    ],
)
def test_odd_texts_take_no_more_than_linear_time(text: str) -> None:
    # A square in the length would cost hours of the processor; what else runs on the machine counts for nothing.
    start = time.thread_time()
    sentence_spans(text)
    assert time.thread_time() - start < 10.0
