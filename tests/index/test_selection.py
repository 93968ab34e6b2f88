"""Copies are collapsed, variety is sought, documents are capped, and k is still k."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.search import Index
from index.selection import Selection, Taken
from index.settings import SearchSettings
from index.types import Hit
from ingest.types import Chunk
from tests.index.library import Library

TEXT = "El contrato se firma en Bilbao el 3 de mayo y vale para las dos partes hasta que una de ellas lo deje."


def hit(number: int, text: str, document: str = "", headings: tuple[str, ...] = ()) -> Hit:
    document = document or f"d{number}"
    chunk = Chunk(number, document, text, 0, len(text), None, headings)
    return Hit(chunk, -number, number, "fused", f"{document}.txt", "es", 0.5, 1.0)


def alike(hits: Sequence[Hit]) -> Any:
    """1 for passages that begin with the same word."""
    words = [hit.chunk.text.split()[0] for hit in hits]
    return np.array([[float(a == b) for a in words] for b in words], np.float32)


def taken(hits: Sequence[Hit], k: int, **rules: Any) -> Taken:
    found = Taken()
    Selection(**rules).take(iter(hits), k, alike, found)
    return found


def ids(hits: Sequence[Hit]) -> list[int]:
    return [hit.chunk.id for hit in hits]


def test_a_copy_is_left_out_and_the_better_one_names_it() -> None:
    hits = [hit(1, TEXT), hit(2, "Otra cosa."), hit(3, TEXT.upper() + " Fin"), hit(4, "Más.")]
    found = taken(hits, 2)
    assert ids(found.hits) == [1, 2]
    assert [copy.source for copy in found.hits[0].duplicates] == ["d3.txt"]
    assert found.hits[1].duplicates == ()
    assert ids(taken(hits, 2, collapse=False).hits) == [1, 2]
    assert ids(taken(hits, 4, collapse=False).hits) == [1, 2, 3, 4]
    assert ids(taken(hits, 4).hits) == [1, 2, 4]


@pytest.mark.parametrize(
    "other",
    [
        hit(2, TEXT.replace("3", "4")),
        hit(2, TEXT, headings=("Anexo",)),
        hit(2, TEXT + " Se añade que ninguna de las partes queda obligada a nada por lo que aquí se diga."),
        hit(2, "¿? ¡!"),
    ],
    ids=["a figure", "a title", "a sentence", "no words"],
)
def test_what_differs_in_a_figure_a_title_or_a_sentence_is_no_copy(other: Hit) -> None:
    assert ids(taken([hit(1, TEXT), other], 2).hits) == [1, 2]


def test_passages_without_words_are_copies_when_they_are_equal() -> None:
    assert ids(taken([hit(1, "¿?"), hit(2, "¿?"), hit(3, "¡!")], 3).hits) == [1, 3]


def test_no_document_gives_more_than_the_limit() -> None:
    hits = [hit(1, "A uno", "a"), hit(2, "A dos", "a"), hit(3, "A tres", "a"), hit(4, "B uno", "b")]
    found = taken(hits, 3, per_source=2)
    assert (ids(found.hits), ids(found.capped)) == ([1, 2, 4], [3])


def test_variety_comes_before_rank_as_far_as_it_is_asked_for() -> None:
    hits = [hit(1, "Sol uno"), hit(2, "Sol dos"), hit(3, "Sol tres"), hit(4, "Mar uno"), hit(5, "Río uno")]
    assert ids(taken(hits, 3, diversity=0.0).hits) == [1, 2, 3]
    assert ids(taken(hits, 3, diversity=0.9).hits) == [1, 4, 5]
    assert ids(taken(hits, 5, diversity=0.9).hits) == [1, 4, 5, 2, 3]
    assert ids(taken(hits, 2, diversity=0.05).hits) == [1, 2]


def test_variety_is_sought_in_the_pool_alone() -> None:
    hits = [*(hit(number, f"Sol {number}") for number in range(1, 6)), hit(6, "Mar uno")]
    assert ids(taken(hits, 2, diversity=1.0, pool=5).hits) == [1, 2]
    assert ids(taken(hits, 2, diversity=1.0, pool=6).hits) == [1, 6]


words = st.sampled_from(["sol", "mar", "río", "monte"])


@given(
    st.lists(st.tuples(words, words, st.sampled_from("abc")), max_size=40),
    st.integers(1, 12),
    st.booleans(),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 3),
)
def test_as_many_are_taken_as_the_rules_allow(
    texts: list[tuple[str, str, str]], k: int, collapse: bool, diversity: float, per_source: int
) -> None:
    hits = [hit(n, f"{a} {b}", document) for n, (a, b, document) in enumerate(texts, 1)]
    found = taken(hits, k, collapse=collapse, diversity=diversity, per_source=per_source)
    assert [each.rank for each in found.hits] == list(range(1, len(found.hits) + 1))
    assert len(set(ids(found.hits))) == len(found.hits)
    documents = Counter(each.chunk.document_id for each in found.hits)
    assert not per_source or all(count <= per_source for count in documents.values())
    if collapse:
        assert len({each.chunk.text for each in found.hits}) == len(found.hits)
    if not diversity:
        assert ids(found.hits) == sorted(ids(found.hits))
    if len(found.hits) < k:  # then everything was drawn, and is either taken or left out for a reason
        left = [*found.capped, *(copy for copies in found.copies.values() for copy in copies)]
        assert sorted(ids([*found.hits, *left])) == ids(hits)


@pytest.mark.parametrize("rules", [{"diversity": -0.1}, {"diversity": 1.1}, {"per_source": -1}, {"pool": 0}])
def test_rules_out_of_range_are_refused(rules: dict[str, Any]) -> None:
    name = next(iter(rules))
    for made in (Selection, SearchSettings):
        with pytest.raises(ValueError, match=name):
            made(**rules)


@pytest.fixture
def index(library: Library) -> Index:
    """A long document about one thing, two short ones about it, and a copy of one of them."""
    library.write(
        largo="\n\n".join(f"El gato {number} duerme. " + "Come pescado fresco. " * 5 for number in range(150)),
        corto="Un gato duerme en la cocina.",
        copia="Un gato duerme, en la cocina.",
        otro="Otro gato ronca en la sala.",
    )
    library.sync()
    return library.index()


def sources(index: Index, k: int, **settings: Any) -> Counter[str]:
    hits = index.search("gato duerme", k, settings=SearchSettings(**settings))
    return Counter(hit.source.rsplit("/", 1)[-1].removesuffix(".txt") for hit in hits)


@pytest.mark.parametrize("channel", ["fused", "dense", "lexical"])
def test_what_a_limit_leaves_out_is_made_up_for_from_far_behind(index: Index, channel: str) -> None:
    found = sources(index, 4, per_source=1, channel=channel, candidates=1)
    assert found == {"largo": 1, "otro": 1} | ({"corto": 1} if "corto" in found else {"copia": 1})
    assert sources(index, 4, per_source=2, channel=channel, candidates=1)["largo"] == 2


def test_a_filter_holds_when_more_is_put_forward(index: Index, library: Library) -> None:
    from index.filters import Filter

    where = Filter(sources=(library.source("largo"), library.source("otro")))
    hits = index.search("gato", 5, settings=SearchSettings(per_source=1, candidates=1), where=where)
    assert sorted(hit.source for hit in hits) == [library.source("largo"), library.source("otro")]


def test_an_index_names_the_files_of_copies(index: Index, library: Library) -> None:
    hits = index.search("Un gato duerme en la cocina.", 3)
    assert hits[0].source in {library.source("corto"), library.source("copia")}
    assert {hits[0].source, *(copy.source for copy in hits[0].duplicates)} == {
        library.source("corto"), library.source("copia")
    }  # fmt: skip


def test_variety_of_an_index_is_that_of_its_vectors(index: Index) -> None:
    question = "gato duerme come pescado fresco"
    plain, varied = (
        index.search(question, 3, settings=SearchSettings(channel="dense", diversity=diversity, pool=200))
        for diversity in (0.0, 1.0)
    )
    vectors = [index.generation.dense.vectors(index.generation.positions(ids(hits))) for hits in (plain, varied)]
    likest = [float(np.triu(each @ each.T, 1).max()) for each in vectors]
    assert varied[0] == plain[0]
    assert likest[1] < likest[0] - 0.2
