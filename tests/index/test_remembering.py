"""A remembering index finds what the index finds, and asks the models and the store once."""

import random
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from index.filters import Filter
from index.remembering import RememberingIndex
from index.rerank import Candidate, Scores
from index.search import Index
from index.settings import SearchSettings
from tests.index.library import Library

WORDS = ("mar", "sal", "vela", "faro", "roca", "ola", "red", "proa", "ancla", "brisa", "niebla", "duna", "bote")
QUESTIONS = ["faro y niebla", "la vela del bote", "sal de mar", "isla", "nada de esto"]


class Longest:
    """Prefers texts of a length; counts what it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        self.calls += 1
        return np.array([-abs(len(one.text) - 12 * len(question)) for one in candidates], np.float32)


@pytest.fixture
def built(library: Library) -> Library:
    draw = random.Random(4)  # noqa: S311
    library.write(**{f"n{n}": " ".join(draw.choices(WORDS, k=6 + n)) + "." for n in range(24)})
    library.sync()
    return library


def ways() -> list[SearchSettings]:
    given = product(("fused", "dense", "lexical"), ("mix", "rrf"), (0.2, 0.8), (1, 5, 40), (0.3, 9.0))
    return [
        SearchSettings(channel, fusion, weight, size, rerank_candidates=6, rerank_margin=margin)  # type: ignore[arg-type]
        for channel, fusion, weight, size, margin in given
    ]


@pytest.mark.parametrize("reranked", [False, True])
def test_whatever_the_settings_it_finds_what_the_index_finds(built: Library, reranked: bool) -> None:
    options: Any = {"load_reranker": Longest} if reranked else {}
    plain = Index(built.folder, built.embedder, **options)
    remembering = RememberingIndex(built.folder, built.embedder, **options)
    found = []
    for settings in ways():
        found.append(plain.search_many(QUESTIONS, 8, settings=settings))
        assert remembering.search_many(QUESTIONS, 8, settings=settings) == found[-1]
    assert any(one != found[0] for one in found)  # the settings tell


def test_a_filter_is_heeded(built: Library) -> None:
    remembering = RememberingIndex(built.folder, built.embedder)
    everything = remembering.search(QUESTIONS[0], 5)
    where = Filter(sources=("n1*",))
    assert remembering.search(QUESTIONS[0], 5, where=where) == built.index().search(QUESTIONS[0], 5, where=where)
    assert remembering.search(QUESTIONS[0], 5) == everything


def test_models_and_store_are_asked_once(built: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = Longest()
    index = RememberingIndex(built.folder, built.embedder, load_reranker=lambda: reranker)
    settings = SearchSettings(rerank_margin=99.0)
    first = index.search_many(QUESTIONS, 3, settings=settings)
    asked = reranker.calls
    assert asked == len(QUESTIONS)
    built.model.encoded.clear()
    monkeypatch.setattr("index.store.Store.chunks", None)
    assert index.search_many(QUESTIONS, 3, settings=settings) == first
    assert index.search_many(QUESTIONS, 3, settings=SearchSettings(fusion="rrf", rerank_margin=99.0))
    assert (built.model.encoded, reranker.calls) == ([], asked)


def test_what_is_published_meanwhile_is_not_seen(built: Library) -> None:
    index = RememberingIndex(built.folder, built.embedder)
    before = index.search(QUESTIONS[0], 30)
    built.write(new="faro faro niebla faro niebla")
    built.sync()
    assert index.search(QUESTIONS[0], 30) == before
    assert built.index().search(QUESTIONS[0], 30) != before
