"""Every passage's way through a search is told, and it is the way of that very search."""

from pathlib import Path
from typing import Any

import pytest

from index.explanation import Explained, Explanation
from index.filters import Filter
from index.search import Index
from index.settings import SearchSettings
from tests.index.library import TEXTS, Library

QUESTION = "pescado fresco del puerto"


@pytest.fixture
def index(library: Library) -> Index:
    library.write(**TEXTS, copia=TEXTS["barco"].upper())
    library.write(lista="\n\n".join(f"El barco {name} llevaba carbón, hierro y sal a otro puerto." for name in "abcde"))
    library.sync()
    return library.index()


def explain(
    index: Index, k: int = 3, where: Filter | None = None, expect: str | None = None, **settings: Any
) -> Explanation:
    return index.explain(QUESTION, k, settings=SearchSettings(**settings), where=where, expect=expect)


def stems(explained: tuple[Explained, ...]) -> list[str]:
    return [Path(each.hit.source).stem for each in explained]


@pytest.mark.parametrize(
    "settings", [{}, {"diversity": 0.7}, {"per_source": 1}, {"channel": "dense"}, {"fusion": "rrf"}]
)
def test_what_is_taken_is_what_search_finds(index: Index, settings: dict[str, Any]) -> None:
    told = explain(index, **settings)
    assert [each.hit for each in told.taken] == index.search(QUESTION, 3, settings=SearchSettings(**settings))
    assert all((each.rank is not None) == (each.fate == "taken") for each in told.candidates)


def test_places_and_scores_are_those_of_the_channels(index: Index) -> None:
    told = explain(index, 10, collapse=False)
    for name in ("dense", "lexical"):
        hits = index.search(QUESTION, 50, settings=SearchSettings(channel=name, collapse=False))  # type: ignore[arg-type]
        by_id = {hit.chunk.id: hit.score for hit in hits}
        for each in told.candidates:
            standing = getattr(each, name)
            if standing is not None:
                assert standing.score == pytest.approx(by_id[each.hit.chunk.id], abs=1e-5)
                assert standing.rank <= 1 + sum(score >= standing.score - 1e-5 for score in by_id.values())
    assert [each.fused.rank for each in told.candidates if each.fused] == list(range(1, len(told.candidates) + 1))
    assert (told.chunks, told.searched, told.dense_search.kind) == (len(index.generation.ids),) * 2 + ("exact",)


def test_a_passage_that_is_expected_is_told_where_it_was_lost(index: Index, library: Library) -> None:
    def fate(expect: str, **options: Any) -> str:
        return explain(index, expect=expect, **options).expected[0].fate

    assert fate("PESCADO fresco", k=5) == "taken"
    assert fate("ladra a los  carteros", k=1) == "first stage"
    assert fate("ladra a los carteros", k=1, channel="lexical") == "channels"
    assert fate("perro.txt", where=Filter(sources=(library.source("gato"),))) == "filter"
    told = explain(index, 5, expect="zarpó")
    assert sorted(each.fate for each in told.expected) == ["duplicate", "taken"]
    first, copy = sorted(told.expected, key=lambda each: each.fate == "duplicate")
    assert (first.repeats, copy.repeats) == (None, first.hit.chunk.id)
    capped = explain(index, 5, per_source=1, expect="lista.txt")
    assert "per source" in {each.fate for each in capped.expected}
    with pytest.raises(ValueError, match="no passage holds 'elefante'"):
        explain(index, expect="elefante")
