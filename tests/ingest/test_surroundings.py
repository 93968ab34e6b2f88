"""What is read around a passage is exact, whole sentences of its section, within the limit and never twice."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunking import Chunker
from ingest.surroundings import surroundings
from ingest.types import Document, Heading, Span
from tests.ingest.test_chunking import COUNTERS, document, documents, prose

WORDS = COUNTERS["words"]


def passages_of(given_document: Document, max_tokens: int) -> list[Span]:
    chunks = Chunker(WORDS, max_tokens=max_tokens, min_tokens=0)(given_document)
    return [Span(chunk.start, chunk.end) for chunk in chunks]


def around(given_document: Document, passages: list[Span], max_tokens: int) -> list[str]:
    spans = surroundings(given_document, passages, WORDS, max_tokens)
    return [given_document.text[span.start : span.end] for span in spans]


@settings(deadline=None)
@given(documents(), st.integers(3, 12), st.integers(1, 60), st.randoms())
def test_surroundings_hold_their_passage_within_the_limit_and_do_not_overlap(
    given_document: Document, cut_at: int, max_tokens: int, random: st.DataObject
) -> None:
    passages = passages_of(given_document, cut_at)
    random.shuffle(passages)  # type: ignore[attr-defined]
    read = surroundings(given_document, passages, WORDS, max_tokens)
    assert surroundings(given_document, passages, WORDS, max_tokens) == read
    for passage, span in zip(passages, read, strict=True):
        assert span.start <= passage.start < passage.end <= span.end
        text = given_document.text[span.start : span.end]
        assert text == text.strip()
        assert span == passage or WORDS.counts([text])[0] <= max_tokens
    ordered = sorted(read, key=lambda span: span.start)
    assert all(one.end <= other.start for one, other in pairwise(ordered))


def test_both_sides_are_read_in_turns_up_to_the_limit() -> None:
    given_document = document(prose(100))  # ten sentences of ten tokens
    passages = passages_of(given_document, 10)
    (text,) = around(given_document, [passages[5]], 39)
    assert text == given_document.text[passages[4].start : passages[6].end]
    (text,) = around(given_document, [passages[5]], 40)
    assert text == given_document.text[passages[3].start : passages[6].end]
    (text,) = around(given_document, [passages[0]], 30)
    assert text == given_document.text[: passages[2].end]


def test_the_next_section_is_not_read() -> None:
    first, second = "# Uno\n\n" + prose(30) + "\n\n", "# Dos\n\n" + prose(30)
    given_document = document(first + second, headings=[Heading(1, "Uno", 0), Heading(1, "Dos", len(first))])
    start = given_document.text.index("W", len(first))
    assert around(given_document, [Span(start, start + 20)], 500) == [second]


def test_a_table_is_read_whole_or_not_at_all() -> None:
    table = "a | b\nc | d\ne | f"
    text = f"Una frase. {table}\n\nOtra frase."
    at = text.index(table)
    given_document = document(text, blocks=[Span(at, at + len(table))])
    passage = Span(text.index("Otra"), len(text))
    assert around(given_document, [passage], 11) == ["Otra frase."]
    assert around(given_document, [passage], 12) == [text[at:]]


def test_what_two_passages_could_have_goes_to_the_more_important() -> None:
    given_document = document(prose(50))
    passages = passages_of(given_document, 10)
    first, second = around(given_document, [passages[3], passages[1]], 30)
    assert first == given_document.text[passages[2].start : passages[4].end]
    assert second == given_document.text[passages[0].start : passages[1].end]


def test_in_a_text_without_end_only_what_is_near_is_counted() -> None:
    given_document = document(prose(40_000))
    middle = given_document.text.index("w2000.")
    (text,) = around(given_document, [Span(middle, middle + 6)], 30)
    assert WORDS.counts([text])[0] <= 30
    assert "w2000." in text
    assert text.count("w") >= 3
