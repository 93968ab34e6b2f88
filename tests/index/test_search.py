"""Questions become hits."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.errors import IndexMismatchError, IndexNotFoundError
from index.fusion import mixed, standardised
from index.manifest import current_number
from index.search import Index
from index.settings import SearchSettings
from tests.index.library import TEXTS, HashedModel, Library, found


@pytest.fixture
def index(library: Library) -> Index:
    library.write(**TEXTS)
    library.sync()
    return library.index()


def search(index: Index, question: str, k: int = 10, **settings: Any) -> list[tuple[str, float]]:
    hits = index.search(question, k, settings=SearchSettings(**settings))
    return [(Path(hit.source).stem, hit.score) for hit in hits]


def test_a_hit_says_where_it_comes_from(index: Index, library: Library) -> None:
    hit = index.search("¿Dónde duerme el gato?", 1, settings=SearchSettings(dense_weight=0.0))[0]
    document = index.document(hit.chunk.document_id)
    assert document is not None
    assert hit.source == document.source == library.source("gato")
    assert document.text[hit.chunk.start : hit.chunk.end] == hit.chunk.text
    assert (hit.rank, hit.channel, hit.language, hit.metadata) == (1, "fused", "es", {"file_name": "gato.txt"})


def test_hits_are_ranked_and_best_first(index: Index) -> None:
    for channel in ("dense", "lexical", "fused"):
        hits = index.search("pescado fresco del puerto", 10, settings=SearchSettings(channel=channel))  # type: ignore[arg-type]
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert {hit.channel for hit in hits} == {channel}


def test_the_dense_channel_scores_cosines(index: Index, library: Library) -> None:
    query = library.embedder.encode_queries(["gato"])[0]
    hits = index.search("gato", 10, settings=SearchSettings(channel="dense"))
    assert len(hits) == len(index.generation.ids)
    for hit in hits:
        cosine = float(library.embedder.encode_passages([hit.chunk.text])[0] @ query)
        assert hit.score == hit.dense == pytest.approx(cosine, abs=1e-6)


def test_the_lexical_channel_finds_shared_words_alone(index: Index) -> None:
    assert {name for name, _ in search(index, "pescado", channel="lexical")} == {"gato", "barco"}
    assert search(index, "elefante", channel="lexical") == []
    assert all(score > 0 for _, score in search(index, "pescado del puerto", channel="lexical"))


def test_the_mix_is_that_of_the_standardised_channels(index: Index, library: Library) -> None:
    question, generation = "pescado fresco", index.generation
    assert generation.lexical is not None
    query = library.embedder.encode_queries([question])[0]
    dense = generation.dense.similarities(query, np.arange(len(generation.ids)))
    lexical = generation.lexical.scores(question)
    expected = mixed(standardised(dense, dense), standardised(lexical, lexical), 0.6)
    hits = index.search(question, 50, settings=SearchSettings(dense_weight=0.6))
    by_id = dict(zip(generation.ids.tolist(), expected.tolist(), strict=True))
    assert {hit.chunk.id: hit.score for hit in hits} == pytest.approx(by_id, abs=1e-5)


def test_reciprocal_ranks_count_shared_words_alone(index: Index) -> None:
    dense = [hit.chunk.id for hit in index.search("puerto", 50, settings=SearchSettings(channel="dense"))]
    hits = index.search("puerto", 50, settings=SearchSettings(fusion="rrf"))
    for hit in hits:
        by_vector = 1 / (61 + dense.index(hit.chunk.id))
        assert hit.score == pytest.approx(by_vector + (1 / 61 if "puerto" in hit.chunk.text else 0), rel=1e-5)
    assert sum(hit.lexical > 0 for hit in hits) == 1


def test_the_weight_decides(index: Index) -> None:
    assert search(index, "puerto", dense_weight=0.0)[0][0] == "barco"
    only_dense = [name for name, _ in search(index, "puerto", dense_weight=1.0)]
    assert only_dense == [name for name, _ in search(index, "puerto", channel="dense")]


def test_more_than_there_are_is_all_there_are(index: Index) -> None:
    assert len(index.search("gato", 10_000)) == len(index.generation.ids)
    assert len(index.search("gato", 1)) == 1


def test_few_candidates_still_give_k(index: Index) -> None:
    assert len(search(index, "gato", 3, candidates=1)) == 3


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(index: Index, k: int) -> None:
    with pytest.raises(ValueError, match=f"k={k}"):
        index.search("gato", k)
    with pytest.raises(ValueError, match=f"k={k}"):
        index.search_vector(np.zeros(16, np.float32), k)


@pytest.mark.parametrize(
    "settings",
    [{"channel": "sparse"}, {"fusion": "sum"}, {"dense_weight": 1.5}, {"dense_weight": -0.1}, {"candidates": 0}],
)
def test_unknown_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        SearchSettings(**settings)


@pytest.mark.parametrize("question", ["", "¿¡!?", "el la de", "\uff9e"])
def test_a_question_of_no_words_still_answers(index: Index, question: str) -> None:
    assert len(index.search(question, 3)) == 3


def test_many_questions_are_answered_like_each(index: Index) -> None:
    questions = ["gato", "puerto", ""]
    assert index.search_many(questions, 4) == [index.search(question, 4) for question in questions]
    assert index.search_many([], 4) == []


def test_a_vector_finds_its_neighbours(index: Index, library: Library) -> None:
    vector = library.embedder.encode_queries(["gato"])[0]
    hits = index.search_vector(vector, 3)
    assert [hit.chunk.id for hit in hits] == [
        hit.chunk.id for hit in index.search("gato", 3, settings=SearchSettings(channel="dense"))
    ]
    with pytest.raises(ValueError, match="shape"):
        index.search_vector(vector[:3], 3)


def test_equal_scores_are_ordered_by_id(library: Library) -> None:
    library.write(**{f"f{n}": "Igual" + "!" * n for n in range(6)})
    library.sync()
    hits = library.index().search("igual", 10, settings=SearchSettings(channel="lexical"))
    assert len({hit.score for hit in hits}) == 1
    assert [hit.chunk.id for hit in hits] == sorted(hit.chunk.id for hit in hits)


def test_passages_without_words_are_found_by_their_vectors(library: Library) -> None:
    library.write(signos="¡!! ¿?? ---")
    library.sync()
    assert found(library.index(), "gato") == {"signos"}
    assert found(library.index(), "gato", "lexical") == set()


def test_no_index_is_not_found(library: Library) -> None:
    with pytest.raises(IndexNotFoundError, match="fuente ingest"):
        library.index()
    with library.writer():
        pass
    with pytest.raises(IndexNotFoundError, match="nothing is published"):
        library.index()


@pytest.mark.parametrize("change", [{"embedder_name": "other"}, {"model": HashedModel(8)}])
def test_another_embedder_is_refused_with_the_mend(index: Index, library: Library, change: dict[str, Any]) -> None:
    other = Library(library.files, library.folder, **change)
    with pytest.raises(IndexMismatchError, match="fuente reindex"):
        other.index()


def test_an_open_index_follows_and_lets_the_old_generation_go(index: Index, library: Library) -> None:
    library.write(nuevo="Algo nuevo.")
    library.sync()
    assert sorted(path.name for path in library.folder.glob("gen-*")) == ["gen-000001", "gen-000002"]
    assert "nuevo" in found(index, "nuevo")
    library.sync()
    assert [path.name for path in library.folder.glob("gen-*")] == ["gen-000002"]
    index.close()


def test_a_generation_in_use_answers_while_others_are_published(index: Index, library: Library) -> None:
    old = index.generation
    for number in range(3):
        library.write(gato=f"Otro texto {number}.")
        library.sync()
    assert index.generation.number == 4
    stored = index._store.chunks(old.ids.tolist(), old.number)
    assert sorted(stored) == sorted(old.ids.tolist())
    assert {chunk.source for chunk in stored.values()} == {library.source(name) for name in TEXTS}
    del old
    library.sync()
    assert len(list(library.folder.glob("gen-*"))) == 1


def test_a_closed_index_is_collected(index: Index, library: Library) -> None:
    index.close()
    library.write(nuevo="Algo nuevo.")
    library.sync()
    assert [path.name for path in library.folder.glob("gen-*")] == ["gen-000002"]


def test_an_index_whose_current_vanished_says_so(index: Index, library: Library) -> None:
    (library.folder / "CURRENT").unlink()
    with pytest.raises(IndexNotFoundError):
        index.search("gato", 3)
    library.sync()
    assert found(index, "gato", "lexical") == {"gato"}


def test_searches_race_with_a_writer_and_never_fail(index: Index, library: Library) -> None:
    failures: list[BaseException] = []
    finished = threading.Event()

    def ask() -> None:
        try:
            while not finished.is_set():
                assert {"perro", "barco"} <= found(index, "perro barco", "dense")
                assert found(library.index(), "carteros", "lexical") == {"perro"}
        except BaseException as error:  # noqa: BLE001 - handed over to the test
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(8):
            library.write(gato=f"Texto número {number}.")
            library.sync()
    finally:
        finished.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert current_number(library.folder) == 9
