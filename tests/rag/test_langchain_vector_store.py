"""FuenteVectorStore passes LangChain's standard suite and keeps what it promises beyond it."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from index import Embedder
from rag.compose import Fuente
from rag.config import load_config
from rag.langchain import FuenteVectorStore

pytestmark = pytest.mark.models

TEXTS = [
    "El agua hierve a 100 grados al nivel del mar.",
    "O fogo precisa de oxigênio, calor e combustível.",
    "Air is mostly nitrogen, with a fifth of oxygen.",
]


@pytest.fixture
def store(tmp_path: Path, embedder: Embedder) -> FuenteVectorStore:
    return FuenteVectorStore.open(tmp_path / "index", embedder=embedder)


class TestFuenteVectorStoreStandard(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, store: FuenteVectorStore) -> VectorStore:  # type: ignore[override]
        return store


def test_what_was_added_is_there_after_reopening(tmp_path: Path, embedder: Embedder) -> None:
    metadata: list[dict[str, Any]] = [{"tags": ["a", "b"], "n": 1}, {"nested": {"x": None}}, {}]
    first = FuenteVectorStore.from_texts(
        TEXTS, embedder, metadata, ids=["agua", "fogo", "air"], index_dir=tmp_path / "index"
    )
    again = FuenteVectorStore.open(tmp_path / "index", embedder=embedder)
    question = "¿A qué temperatura hierve el agua?"
    assert again.similarity_search_with_score(question, 3) == first.similarity_search_with_score(question, 3)
    assert again.get_by_ids(["air", "agua"]) == [
        Document(id="air", page_content=TEXTS[2], metadata={}),
        Document(id="agua", page_content=TEXTS[0], metadata=metadata[0]),
    ]


def test_the_best_passage_answers_across_languages(store: FuenteVectorStore) -> None:
    store.add_texts(TEXTS, ids=["agua", "fogo", "air"])
    questions = {
        "At how many degrees does water boil?": "agua",
        "What does fire need to burn?": "fogo",
        "¿Cuánto nitrógeno hay en el aire?": "air",
    }
    found = {question: store.similarity_search(question, k=1)[0].id for question in questions}
    assert found == questions


def test_scores_descend_and_relevance_is_a_cosine(store: FuenteVectorStore, embedder: Embedder) -> None:
    store.add_texts(TEXTS, ids=["agua", "fogo", "air"])
    scores = [score for _, score in store.similarity_search_with_score("oxygen in the air", 3)]
    assert scores == sorted(scores, reverse=True)
    query = embedder.encode_queries(["oxygen in the air"])[0]
    cosines = dict(zip(["agua", "fogo", "air"], (embedder.encode_passages(TEXTS) @ query).tolist(), strict=True))
    relevant = store.similarity_search_with_relevance_scores("oxygen in the air", 3)
    assert {document.id: score for document, score in relevant} == pytest.approx(cosines, abs=1e-4)


def test_a_vector_finds_its_own_text(store: FuenteVectorStore, embedder: Embedder) -> None:
    assert store.similarity_search_by_vector([0.0] * embedder.dimension) == []
    store.add_texts(TEXTS, ids=["agua", "fogo", "air"])
    for name, vector in zip(["agua", "fogo", "air"], embedder.embed_documents(TEXTS), strict=True):
        assert store.similarity_search_by_vector(vector, k=1)[0].id == name
    with pytest.raises(ValueError, match="shape"):
        store.similarity_search_by_vector([1.0, 0.0])


def test_equal_texts_under_two_ids_are_two(store: FuenteVectorStore) -> None:
    store.add_texts([TEXTS[0], TEXTS[0]], [{"n": 1}, {"n": 2}], ids=["a", "b"])
    assert {document.id: document.metadata["n"] for document in store.similarity_search("agua", k=5)} == {
        "a": 1,
        "b": 2,
    }
    store.delete(["a"])
    assert [document.id for document in store.similarity_search("agua", k=5)] == ["b"]


def test_of_two_texts_with_one_id_the_last_stays(store: FuenteVectorStore) -> None:
    assert store.add_texts(["uno", "dos"], ids=["x", "x"]) == ["x", "x"]
    assert [document.page_content for document in store.similarity_search("uno", k=5)] == ["dos"]
    store.add_texts(["uno"], ids=["x"])
    store.add_texts(["dos"], ids=["x"])
    assert [document.page_content for document in store.get_by_ids(["x"])] == ["dos"]


def test_adding_the_same_again_publishes_nothing(store: FuenteVectorStore, tmp_path: Path) -> None:
    store.add_texts(TEXTS, ids=["agua", "fogo", "air"])
    before = (tmp_path / "index" / "CURRENT").read_text(encoding="ascii")
    store.add_texts(TEXTS, ids=["agua", "fogo", "air"])
    assert (tmp_path / "index" / "CURRENT").read_text(encoding="ascii") == before
    store.add_texts(TEXTS[:1], [{"new": True}], ids=["agua"])
    assert store.get_by_ids(["agua"])[0].metadata == {"new": True}


def test_a_long_text_is_found_in_passages(store: FuenteVectorStore) -> None:
    filler = "La lluvia cae sobre los campos y los ríos crecen poco a poco. " * 40
    text = f"{filler}\n\nEl faro de Punta Roja se construyó en 1894.\n\n{filler}"
    store.add_texts([text], [{"title": "faro"}], ids=["long"])
    (best,) = store.similarity_search("¿Cuándo se construyó el faro de Punta Roja?", k=1)
    assert "1894" in best.page_content
    assert len(best.page_content) < len(text)
    assert (best.id, best.metadata) == ("long", {"title": "faro"})
    assert store.get_by_ids(["long"])[0].page_content == text


def test_files_of_the_same_index_are_found(tmp_path: Path, embedder: Embedder) -> None:
    path = tmp_path / "tierra.md"
    path.write_text("# Tierra\n\nLa Tierra da una vuelta al Sol en un año.", encoding="utf-8")
    Fuente(load_config(index=tmp_path / "index"), embedder=embedder).ingest([path])
    store = FuenteVectorStore.open(tmp_path / "index", embedder=embedder)
    store.add_texts(TEXTS, ids=["agua", "fogo", "air"])
    (best,) = store.similarity_search("¿Cuánto tarda la Tierra en dar una vuelta al Sol?", k=1)
    assert (best.id, best.metadata["source"]) == (str(path), str(path))
    assert store.get_by_ids([str(path)])[0].page_content.endswith("en un año.")
    store.delete()
    assert store.similarity_search("Tierra", k=5) == []
    assert path.exists()


def test_what_cannot_be_kept_is_refused(store: FuenteVectorStore) -> None:
    with pytest.raises(TypeError, match="JSON"):
        store.add_texts(["uno"], [{"path": Path("x")}])
    with pytest.raises(ValueError, match="2 texts, 1 metadatas"):
        store.add_texts(["uno", "dos"], [{}])
    with pytest.raises(TypeError, match="DeterministicFakeEmbedding"):
        FuenteVectorStore.from_texts(["uno"], DeterministicFakeEmbedding(size=8))
    assert store.similarity_search("uno") == []


def test_as_retriever_with_a_threshold(store: FuenteVectorStore) -> None:
    store.add_texts(TEXTS, ids=["agua", "fogo", "air"])
    question = "At how many degrees does water boil?"
    (_, best), (_, second), *_ = store.similarity_search_with_relevance_scores(question, 3)
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"k": 3, "score_threshold": (best + second) / 2}
    )
    assert [document.id for document in retriever.invoke(question)] == ["agua"]


ALIKE = {
    "hierve": "El agua hierve a 100 grados al nivel del mar.",
    "hervir": "Al nivel del mar el agua empieza a hervir a los 100 grados.",
    "montaña": "En una montaña alta el agua hierve a menos grados, pues hay menos presión.",
    "hielo": "El agua se hace hielo a cero grados.",
}
BOILING = "¿A cuántos grados hierve el agua al nivel del mar?"


def _mmr(store: FuenteVectorStore, lambda_mult: float, k: int = 3, fetch_k: int = 4) -> list[str | None]:
    found = store.max_marginal_relevance_search(BOILING, k, fetch_k, lambda_mult)
    return [document.id for document in found]


def test_variety_takes_the_place_of_what_says_the_same(store: FuenteVectorStore) -> None:
    store.add_texts(list(ALIKE.values()), ids=list(ALIKE))
    by_rank = [document.id for document in store.similarity_search(BOILING, 3)]
    assert set(by_rank[:2]) == {"hierve", "hervir"}
    assert _mmr(store, 1.0) == by_rank
    varied = _mmr(store, 0.0)
    assert varied[0] == by_rank[0]
    assert varied[1] not in by_rank[:2]
    assert len(set(varied)) == 3


def test_variety_is_sought_among_the_best_alone(store: FuenteVectorStore) -> None:
    store.add_texts(list(ALIKE.values()), ids=list(ALIKE))
    by_rank = [document.id for document in store.similarity_search(BOILING, 4)]
    assert set(_mmr(store, 0.0, k=2, fetch_k=2)) == set(by_rank[:2])
    assert _mmr(store, 0.5, k=4, fetch_k=1) == _mmr(store, 0.5, k=4, fetch_k=4)
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 3, "fetch_k": 4, "lambda_mult": 0.0})
    assert [document.id for document in retriever.invoke(BOILING)] == _mmr(store, 0.0)


@pytest.mark.parametrize("lambda_mult", [-0.1, 1.1])
def test_a_weight_of_variety_out_of_range_is_refused(store: FuenteVectorStore, lambda_mult: float) -> None:
    store.add_texts(TEXTS)
    with pytest.raises(ValueError, match="diversity="):
        _mmr(store, lambda_mult)
