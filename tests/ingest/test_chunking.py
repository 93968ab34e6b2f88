"""Documents cut into chunks."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer
from tokenizers.models import Unigram, WordLevel
from tokenizers.normalizers import Replace
from tokenizers.pre_tokenizers import Metaspace, Whitespace

from ingest.chunking import Chunker, whole_document
from ingest.tokens import TokenCounter
from ingest.types import Chunk, Document, Heading, Page, Span


def word_counter() -> TokenCounter:
    """One token a word or mark."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return TokenCounter(tokenizer)


def letter_counter() -> TokenCounter:
    """About one token a character and a run of blanks, as sentencepiece does; unknown characters in a row are one."""
    tokenizer = Tokenizer(Unigram([("<unk>", -10.0), ("▁", -2.0), *((c, -3.0) for c in "abcAB.")], unk_id=0))
    tokenizer.normalizer = Replace(Regex(r"\s+"), " ")
    tokenizer.pre_tokenizer = Metaspace()
    return TokenCounter(tokenizer)


COUNTERS = {"words": word_counter(), "letters": letter_counter()}


def document(
    text: str,
    *,
    headings: Sequence[Heading] = (),
    blocks: Sequence[Span] = (),
    pages: Sequence[Page] = (),
    name: str = "d",
) -> Document:
    return Document(
        id=name, source=f"{name}.txt", text=text, pages=tuple(pages), language="es", metadata={}, sha256="0" * 64,
        headings=tuple(headings), blocks=tuple(blocks),
    )  # fmt: skip


def markdown(text: str) -> Document:
    """A document whose lines that begin with # are headings."""
    headings, at = [], 0
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            headings.append(Heading(len(line) - len(line.lstrip("#")), line.strip("# \n"), at))
        at += len(line)
    return document(text, headings=headings)


def prose(words: int, first: int = 0) -> str:
    """Sentences of ten tokens, the full stop included."""
    sentences = ["W " * 8 + f"w{first + number}." for number in range(words // 10)]
    return " ".join(sentences)


def chunks_of(given_document: Document, max_tokens: int = 50, min_tokens: int = 10) -> list[Chunk]:
    return Chunker(COUNTERS["words"], max_tokens=max_tokens, min_tokens=min_tokens)(given_document)


def assert_exact_and_covering(chunks: Sequence[Chunk], given_document: Document) -> None:
    at = 0
    for chunk in chunks:
        assert at <= chunk.start < chunk.end
        assert given_document.text[chunk.start : chunk.end] == chunk.text == chunk.text.strip()
        assert not given_document.text[at : chunk.start].strip()
        at = chunk.end
    assert not given_document.text[at:].strip()


@st.composite
def documents(draw: st.DrawFn) -> Document:
    pieces = draw(
        st.lists(
            st.one_of(
                st.text(alphabet=st.sampled_from("abcAB.  \n\n?ñ€|-"), max_size=60),
                st.sampled_from(["Hola. ", "abc " * 30, "a" * 90, "€" * 200, "\n\n", "# Aa\n", "| a | b |\n"]),
            ),
            max_size=12,
        )
    )
    text = "".join(pieces)
    starts = sorted(draw(st.sets(st.integers(0, max(len(text) - 1, 0)), max_size=5))) if text else []
    headings = [Heading(draw(st.integers(1, 4)), f"T{start}", start) for start in starts]
    bounds = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    blocks = [Span(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    return document(text, headings=headings, blocks=blocks)


@pytest.mark.parametrize("counter", COUNTERS.values(), ids=COUNTERS)
@settings(deadline=None)
@given(given_document=documents(), max_tokens=st.integers(3, 30), data=st.data())
def test_chunks_are_exact_cover_everything_once_and_keep_to_the_limit(
    counter: TokenCounter, given_document: Document, max_tokens: int, data: st.DataObject
) -> None:
    min_tokens = data.draw(st.integers(0, max_tokens - 1))
    chunker = Chunker(counter, max_tokens=max_tokens, min_tokens=min_tokens)
    chunks = chunker(given_document)
    assert_exact_and_covering(chunks, given_document)
    assert chunks == chunker(given_document)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert all(0 <= chunk.id < 2**63 for chunk in chunks)
    # Sentences are counted apart, which is no less than together: sentencepiece begins each with a blank.
    assert all(size <= max_tokens for size in counter.counts([chunk.text for chunk in chunks]))


def test_ids_depend_on_document_and_range_alone() -> None:
    text = prose(300)
    first, again = chunks_of(document(text)), chunks_of(document(text, headings=[Heading(1, "T", 0)]))
    assert [chunk.id for chunk in first] == [chunk.id for chunk in again]
    assert not {chunk.id for chunk in first} & {chunk.id for chunk in chunks_of(document(text, name="other"))}


def test_chunks_of_one_section_are_about_equal() -> None:
    sizes = COUNTERS["words"].counts([chunk.text for chunk in chunks_of(document(prose(120)))])
    assert sizes == [40, 40, 40]


def test_a_chunk_ends_at_a_paragraph_that_is_near() -> None:
    text = f"{prose(40)}\n\n{prose(60, 100)}"
    assert chunks_of(document(text))[0].text == prose(40)


def test_a_paragraph_of_a_passages_worth_shares_its_chunk_with_no_other() -> None:
    paragraphs = [prose(20, 0), prose(30, 20), prose(20, 50), prose(60, 70), prose(20, 130)]
    texts = [chunk.text for chunk in chunks_of(document("\n\n".join(paragraphs)))]
    halves = [prose(30, 70), prose(30, 73)]
    assert texts == [*paragraphs[:3], *halves, paragraphs[4]]


def test_short_paragraphs_are_gathered_between_long_ones() -> None:
    short = [prose(10, number) for number in (1, 2, 3)]
    text = "\n\n".join([prose(20, 10), *short, prose(30, 50)])
    assert [chunk.text for chunk in chunks_of(document(text))] == [prose(20, 10), "\n\n".join(short), prose(30, 50)]


def test_a_few_words_join_the_paragraph_behind_them_or_at_the_end_the_one_before() -> None:
    text = f"Título\n\n{prose(40, 10)}\n\nPara acabar:\n\n{prose(30, 50)}\n\nFin de todo."
    assert [chunk.text for chunk in chunks_of(document(text))] == [
        f"Título\n\n{prose(40, 10)}",
        f"Para acabar:\n\n{prose(30, 50)}\n\nFin de todo.",
    ]


def test_a_few_words_at_the_end_do_not_divide_a_paragraph() -> None:
    text = f"{prose(50)}\n\nFin de todo."
    assert [chunk.text for chunk in chunks_of(document(text))] == [prose(50), "Fin de todo."]


def test_a_list_stays_with_what_it_belongs_to() -> None:
    listed = "\n".join(f"- punto {number} de la lista" for number in range(4))
    text = f"{prose(40)}\n\nHay cuatro puntos, que son estos, uno por uno:\n\n{listed}\n\n{prose(20, 50)}"
    start = text.index(listed)
    chunks = chunks_of(document(text, blocks=[Span(start, start + len(listed))]))
    assert [chunk.text[:10] for chunk in chunks] == ["W W W W W ", "Hay cuatro", "W W W W W "]
    assert chunks[1].text.endswith(listed)


def test_sections_are_not_mixed_and_short_ones_join_the_next() -> None:
    text = f"# Uno\n\n{prose(30)}\n\n# Parte\n\n## Dos\n\n{prose(120, 50)}\n\n# Tres\n\n{prose(20, 90)}"
    texts = [chunk.text for chunk in chunks_of(markdown(text))]
    assert texts[0] == f"# Uno\n\n{prose(30)}"
    assert texts[1].startswith("# Parte\n\n## Dos\n\nW ")
    assert texts[-1] == f"# Tres\n\n{prose(20, 90)}"
    assert not any("w29" in text and "Parte" in text for text in texts)


def test_a_title_is_not_left_alone_before_a_long_section() -> None:
    text = f"# Título\n\n## Apartado\n\n{prose(200)}"
    first = chunks_of(markdown(text))[0]
    assert first.text.startswith("# Título\n\n## Apartado\n\nW ")


def test_a_title_finds_room_beside_a_long_text_without_sentences() -> None:
    first = chunks_of(markdown(f"# Título\n\n{'sin puntos ' * 100}"))[0]
    assert first.text.startswith("# Título\n\nsin puntos")


def test_blanks_before_the_first_heading_are_no_section() -> None:
    given_document = document("\n \n# Uno\n\nTexto.", headings=[Heading(1, "Uno", 3)])
    assert [chunk.text for chunk in chunks_of(given_document)] == ["# Uno\n\nTexto."]


def test_only_headings_are_one_chunk() -> None:
    chunks = chunks_of(markdown("# A\n## B\n# C\n"))
    assert [(chunk.text, chunk.headings) for chunk in chunks] == [("# A\n## B\n# C", ())]


def test_the_path_holds_what_is_above_and_neither_siblings_nor_the_chunks_own_heading() -> None:
    text = (
        f"# Libro\n\n{prose(20)}\n\n## Uno\n\n{prose(20, 10)}\n\n## Dos\n\n{prose(100, 20)}\n\n"
        f"### Dos a\n\n{prose(20, 40)}\n\n# Otro\n\n{prose(20, 60)}"
    )
    paths = [(chunk.text.splitlines()[0][:8], chunk.headings) for chunk in chunks_of(markdown(text))]
    assert paths == [
        ("# Libro", ()),
        ("## Uno", ("Libro",)),
        ("## Dos", ("Libro",)),
        ("W W W W ", ("Libro", "Dos")),
        ("W W W W ", ("Libro", "Dos")),
        ("### Dos ", ("Libro", "Dos")),
        ("# Otro", ()),
    ]


def test_blocks_stay_whole_when_they_fit() -> None:
    table = "\n".join(f"| fila {number} | valor. Otro |" for number in range(4))
    text = f"{prose(40)}\n\n{table}\n\n{prose(40, 50)}"
    start = text.index(table)
    chunks = chunks_of(document(text, blocks=[Span(start, start + len(table))]))
    assert sum(table in chunk.text for chunk in chunks) == 1


def test_a_block_over_the_limit_is_cut_between_lines() -> None:
    lines = [f"| fila {number} | valor. Otro |" for number in range(40)]
    text = "\n".join(lines)
    chunks = chunks_of(document(text, blocks=[Span(0, len(text))]))
    assert len(chunks) > 5
    assert [line for chunk in chunks for line in chunk.text.split("\n")] == lines


def test_pages_are_those_of_the_first_character() -> None:
    first, second = prose(40), prose(40, 50)
    text = f"{first}\n\n{second}"
    pages = [Page(3, 0, len(first)), Page(4, len(first) + 2, len(text))]
    assert [chunk.page for chunk in chunks_of(document(text, pages=pages))] == [3, 4]
    assert {chunk.page for chunk in chunks_of(document(text))} == {None}


@pytest.mark.parametrize("text", ["", " \n\t\n "])
def test_an_empty_document_has_no_chunks(text: str) -> None:
    assert chunks_of(document(text)) == []
    assert whole_document(document(text)) == []


def test_the_whole_document_is_one_trimmed_chunk() -> None:
    given_document = markdown(f"\n# Uno\n\n{prose(500)}\n\n")
    (chunk,) = whole_document(given_document)
    assert chunk.text == given_document.text.strip()
    assert chunk.headings == ()


@pytest.mark.parametrize(("max_tokens", "min_tokens"), [(10, 10), (10, -1), (0, 0)])
def test_limits_that_contradict_each_other_are_refused(max_tokens: int, min_tokens: int) -> None:
    with pytest.raises(ValueError, match=f"min_tokens={min_tokens}"):
        Chunker(COUNTERS["words"], max_tokens=max_tokens, min_tokens=min_tokens)


def test_a_run_that_the_tokenizer_does_not_know_is_measured_by_its_length() -> None:
    given_document = document("€" * 10_000)
    assert COUNTERS["words"].counts([given_document.text]) == [1]
    chunks = chunks_of(given_document)
    assert_exact_and_covering(chunks, given_document)
    assert max(len(chunk.text) for chunk in chunks) == 50 * 16


_MEGABYTE = 1_000_000
_LARGE = {
    "one line": document("palabra y otra. " * (_MEGABYTE // 16)),
    "one sentence": document("palabra " * (_MEGABYTE // 8)),
    "one word": document("a" * _MEGABYTE),
    "a dot each": document("a. " * (_MEGABYTE // 6)),
    "sections": markdown("# T\n\nAlgo de texto para la prueba.\n\n" * 20_000),
    "blocks": document("fila de tabla\n" * 50_000, blocks=[Span(at, at + 13) for at in range(0, 700_000, 14)]),
    "pages": document("una página\f" * 50_000, pages=[Page(n + 1, n * 11, n * 11 + 10) for n in range(50_000)]),
    "one block": document("fila de tabla\n" * 50_000, blocks=[Span(0, 700_000)]),
}


@pytest.mark.parametrize("given_document", _LARGE.values(), ids=_LARGE)
def test_a_megabyte_is_cut_in_seconds(given_document: Document) -> None:
    start = time.perf_counter()
    chunks = chunks_of(given_document, max_tokens=256, min_tokens=48)
    assert time.perf_counter() - start < 10.0
    assert_exact_and_covering(chunks, given_document)


@pytest.mark.models
def test_with_the_embedders_tokenizer_chunks_fit_the_model(fuente_cache: Path) -> None:
    path = fuente_cache / "multilingual-e5-small" / "tokenizer.json"
    if not path.exists():
        pytest.skip(f"{path} is not prepared")
    counter = TokenCounter.from_file(path)
    sentence = "La señora Núñez pagó 3.200,50 € a la Dra. Lima; não houve recibo. It was late… Then it rained!\n\n"
    given_document = document(sentence * 200 + "x" * 3000 + "日本語" * 500)
    chunks = Chunker(counter)(given_document)
    assert_exact_and_covering(chunks, given_document)
    assert max(counter.counts([chunk.text for chunk in chunks])) <= 256


def table(rows: int, header: str = "Año | Ventas") -> str:
    return "\n".join([header, *(f"{1900 + row} | {row} euros" for row in range(rows))])


@pytest.mark.parametrize("header", ["Año | Ventas", "| Año | Ventas |\n|---|---|"])
def test_a_table_that_is_cut_carries_its_first_row(header: str) -> None:
    before, after = "# T\n\nDos palabras.\n\n", "\n\n" + prose(30)
    text = before + table(40, header) + after
    given_document = document(text, headings=[Heading(1, "T", 0)], blocks=[Span(len(before), len(text) - len(after))])
    chunks = chunks_of(given_document)
    assert_exact_and_covering(chunks, given_document)
    cut = [chunk for chunk in chunks if "euros" in chunk.text and "Ventas" not in chunk.text]
    assert len(cut) > 2
    assert {chunk.headings for chunk in cut} == {("T", "Año | Ventas")}
    assert all(chunk.headings == ("T",) for chunk in chunks[1:] if chunk not in cut)


@pytest.mark.parametrize(
    "block",
    [
        "\n".join(f"- punto {number} de la lista" for number in range(40)),
        "\n".join(["def f(a: int | str) -> None:", *["    print(a)"] * 40]),
        table(40, header="una celda larga | " + "x" * 200),
    ],
    ids=["list", "code", "long"],
)
def test_other_blocks_that_are_cut_carry_nothing(block: str) -> None:
    chunks = chunks_of(document(block, blocks=[Span(0, len(block))]))
    assert len(chunks) > 2
    assert all(chunk.headings == () for chunk in chunks)
