"""The second stage decides the order, and the rest of a hit stays."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.rerank import Candidate, Reranker, Scores
from index.search import Index
from index.settings import SearchSettings
from index.types import Hit
from tests.index.library import TEXTS, Library

QUESTION = "pescado fresco del puerto"


class Scripted:
    """Scores by the text; keeps what it was asked."""

    def __init__(self, score: Callable[[str], float]) -> None:
        self.asked: list[tuple[str, list[Candidate]]] = []
        self._score = score

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        self.asked.append((question, list(candidates)))
        return np.array([self._score(candidate.text) for candidate in candidates], np.float32)


@pytest.fixture
def built(library: Library) -> Library:
    library.write(**TEXTS)
    library.sync()
    return library


def opened(library: Library, reranker: Reranker | None, **settings: Any) -> Index:
    return Index(library.folder, library.embedder, SearchSettings(**settings), load_reranker=lambda: reranker)


def stems(hits: Sequence[Hit]) -> list[str]:
    return [Path(hit.source).stem for hit in hits]


def test_the_second_stage_decides_the_order_alone(built: Library) -> None:
    plain = {hit.chunk.id: hit for hit in opened(built, None).search(QUESTION, 10)}
    assert all(hit.rerank is None for hit in plain.values())
    hits = opened(built, Scripted(lambda text: float("perro" in text)), rerank_margin=99.0).search(QUESTION, 10)
    assert (stems(hits)[0], hits[0].rerank) == ("perro", 1.0)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    for hit in hits:
        before = plain[hit.chunk.id]
        assert (hit.score, hit.dense, hit.lexical, hit.channel) == (
            before.score, before.dense, before.lexical, "fused",
        )  # fmt: skip


def test_equal_scores_keep_the_more_promising_first(built: Library) -> None:
    equal = opened(built, Scripted(lambda text: 0.5), rerank_margin=99.0).search(QUESTION, 10)
    alone = opened(built, Scripted(len), rerank_margin=1e-6).search(QUESTION, 10)
    assert [hit.chunk.id for hit in equal] == [hit.chunk.id for hit in alone]


def numbered(library: Library) -> None:
    library.write(**{f"f{n}": f"texto número {n} " + "agua " * n for n in range(9)})
    library.sync()


def test_what_is_no_candidate_follows(library: Library) -> None:
    numbered(library)
    promising = [hit.chunk.id for hit in opened(library, Scripted(len), rerank_margin=1e-6).search("agua", 9)]
    reranker = Scripted(lambda text: -len(text))
    hits = opened(library, reranker, rerank_candidates=4, rerank_margin=99.0).search("agua", 9)
    ((_, candidates),) = reranker.asked
    assert len(candidates) == 4
    scores = [hit.rerank for hit in hits[:4] if hit.rerank is not None]
    assert scores == sorted((-float(len(candidate.text)) for candidate in candidates), reverse=True)
    assert {hit.chunk.id for hit in hits[:4]} == set(promising[:4])
    assert [hit.chunk.id for hit in hits[4:]] == promising[4:]
    assert all(hit.rerank is None for hit in hits[4:])
    again = opened(library, reranker, rerank_candidates=4, rerank_margin=99.0).search("agua", 2)
    assert again == hits[:2]


def test_a_clear_first_is_not_compared_again(library: Library) -> None:
    numbered(library)
    index = opened(library, None)
    coverage = index.generation.lexical.coverage("texto número 3", np.arange(9))
    vector = library.embedder.encode_queries(["texto número 3"])[0]
    cosines = index.generation.background @ vector
    promise = sorted(4.4 * coverage + (cosines - cosines.mean()) / cosines.std(), reverse=True)
    lead = float(promise[0] - promise[1])
    for margin, asked in ((lead - 0.01, 0), (lead + 0.01, 1)):
        reranker = Scripted(len)
        hits = opened(library, reranker, rerank_margin=margin).search("texto número 3", 5)
        assert len(reranker.asked) == asked
        assert [hit.rerank is None for hit in hits] == [not asked] * 5
        assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]


def test_candidates_are_described(built: Library) -> None:
    reranker = Scripted(len)
    index = opened(built, reranker, rerank_margin=99.0)
    found = {hit.chunk.text: hit for hit in index.search("pescado elefante", 10)}
    asked, candidates = reranker.asked[0]
    assert asked == "pescado elefante"
    assert {candidate.text for candidate in candidates} == set(found)
    places = {chunk_id: place for place, chunk_id in enumerate(index.generation.ids.tolist())}
    for candidate in candidates:
        hit = found[candidate.text]
        assert candidate.cosine == hit.dense
        coverage = index.generation.lexical.coverage(asked, np.array([places[hit.chunk.id]]))
        assert candidate.coverage == coverage[0]
        assert (candidate.coverage > 0) == ("pescado" in candidate.text)


def test_it_is_loaded_by_the_first_question_and_once(built: Library) -> None:
    loaded: list[int] = []

    def load() -> Reranker:
        loaded.append(1)
        return Scripted(len)

    index = Index(built.folder, built.embedder, load_reranker=load)
    assert not loaded
    index.search_many([QUESTION, "gato"], 3)
    assert loaded == [1]


def test_a_wrong_number_of_scores_is_refused(built: Library) -> None:
    class Short:
        def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
            return np.zeros(len(candidates) - 1, np.float32)

    with pytest.raises(ValueError, match="scores of shape"):
        opened(built, Short(), rerank_margin=99.0).search(QUESTION, 3)


def test_a_search_without_hits_asks_nothing(built: Library) -> None:
    reranker = Scripted(len)
    assert opened(built, reranker, channel="lexical").search("elefante", 3) == []
    assert reranker.asked == []


def test_the_number_of_candidates_is_checked() -> None:
    with pytest.raises(ValueError, match="rerank_candidates=0"):
        SearchSettings(rerank_candidates=0)
    for margin in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="rerank_margin="):
            SearchSettings(rerank_margin=margin)
