"""Filters and collections as LangChain users give them, over our index and over a store of theirs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore

from index import Embedder
from index.filters import Filter
from rag.compose import Fuente
from rag.config import load_config
from rag.langchain import FuenteVectorStore, LangChainSearch
from tests.index.library import HashedModel

TEXTS = [f"El faro número {number} se ve desde el mar." for number in range(6)]
METADATA: list[dict[str, Any]] = [
    {"kind": "a", "n": 1, "source": "faros.pdf"},
    {"kind": "a", "n": 2, "ok": True, "tags": ["x"]},
    {"kind": "b", "n": 1, "score": 1.5},
    {"kind": "b", "n": "1", "nothing": None},
    {"kind": "c", "n": 1.0, "langchain": "o'neil", "language": "mapudungun"},
    {},
]


@pytest.fixture
def embedder() -> Embedder:
    return Embedder(HashedModel(64), name="hashed")  # type: ignore[arg-type]


@pytest.fixture
def store(plain_settings: Path, embedder: Embedder) -> FuenteVectorStore:
    made = FuenteVectorStore.open("index", embedder=embedder)
    made.add_texts(TEXTS, METADATA, ids=[str(number) for number in range(6)])
    return made


def found(store: FuenteVectorStore, conditions: Any, k: int = 10) -> set[str | None]:
    """Ids of what every kind of search finds, which is the same."""
    vector = store.embeddings.embed_query("faro")
    by_kind = [
        store.similarity_search("faro", k, filter=conditions),
        [document for document, _ in store.similarity_search_with_score("faro", k, filter=conditions)],
        [document for document, _ in store.similarity_search_with_relevance_scores("faro", k, filter=conditions)],
        store.similarity_search_by_vector(vector, k, filter=conditions),
        store.as_retriever(search_kwargs={"k": k, "filter": conditions}).invoke("faro"),
    ]
    first, *others = ({document.id for document in documents} for documents in by_kind)
    assert all(each == first for each in others)
    return first


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (None, "012345"),
        ({}, "012345"),
        ({"kind": "a"}, "01"),
        ({"kind": "a", "n": 2}, "1"),
        ({"n": 1}, "024"),
        ({"n": 1.0}, "024"),
        ({"n": "1"}, "3"),
        ({"ok": True}, "1"),
        ({"ok": "true"}, ""),
        ({"score": 1.5}, "2"),
        ({"nothing": None}, "3"),
        ({"langchain": "o'neil"}, "4"),
        ({"kind": "z"}, ""),
        ({"no such key": "a"}, ""),
        ({"source": "faros.pdf"}, "0"),
        ({"source": ["faros.pdf", "5"]}, "05"),
        ({"source": "4"}, "4"),
        ({"collection": "default"}, "012345"),
        ({"collection": ["default", "x"], "kind": "c"}, "4"),
        ({"collection": "x"}, ""),
        ({"language": "es"}, "012345"),
        ({"language": "mapudungun"}, ""),
        (Filter(metadata=(("language", "mapudungun"),)), "4"),
        (Filter(metadata=(("kind", "b"),), languages=("es",)), "23"),
        (Filter(), "012345"),
    ],
)
def test_conditions(store: FuenteVectorStore, conditions: Any, ids: str) -> None:
    assert found(store, conditions) == set(ids)


def test_as_many_as_asked_for_are_found_behind_better_ones(store: FuenteVectorStore) -> None:
    store.add_texts([f"faro {number}" for number in range(150)], [{"kind": "near"}] * 150)
    assert found(store, {"kind": "b"}, k=2) == {"2", "3"}
    assert len(store.similarity_search("faro", 150, filter={"kind": "near"})) == 150


async def test_filters_work_asynchronously(store: FuenteVectorStore) -> None:
    documents = await store.asimilarity_search("faro", 10, filter={"kind": "a"})
    assert {document.id for document in documents} == {"0", "1"}
    pairs = await store.asimilarity_search_with_relevance_scores("faro", 10, filter={"kind": "a"})
    assert {document.id for document, _ in pairs} == {"0", "1"}


def test_metadata_come_back_as_they_were_given(store: FuenteVectorStore) -> None:
    assert [document.metadata for document in store.get_by_ids([str(number) for number in range(6)])] == METADATA
    assert {document.id: document.metadata for document in store.similarity_search("faro", 6)} == {
        str(number): metadata for number, metadata in enumerate(METADATA)
    }


def test_metadata_of_files_are_found_by(store: FuenteVectorStore, embedder: Embedder) -> None:
    page = Path("faros.html").absolute()
    page.write_text("<html><head><title>Faros</title></head><body><p>Un faro más.</p></body></html>", encoding="utf-8")
    Fuente(load_config(index=Path("index")), embedder=embedder).ingest([page], collection="webs")
    assert found(store, {"title": "Faros"}) == found(store, {"collection": "webs"}) == {str(page)}
    assert found(store, {"source": str(page)}) == found(store, {"source": "*.html"}) == {str(page)}
    (document,) = store.similarity_search("faro", 1, filter={"title": "Faros"})
    assert (document.metadata["source"], document.metadata["collection"]) == (str(page), "webs")


@pytest.mark.parametrize(
    ("conditions", "kind", "told"),
    [
        ({"n": {"$gt": 1}}, ValueError, r"n=\{'\$gt': 1\} must be a text, a number"),
        ({"$or": [{"n": 1}, {"n": 2}]}, ValueError, r"\$or"),
        ({"tags": ["x"]}, ValueError, "tags"),
        ({"collection": []}, ValueError, r"collection=\[\] must be a text, or several in a list"),
        ({"language": None}, ValueError, "language=None"),
        ({"source": ""}, ValueError, "empty name"),
        (lambda document: True, TypeError, "filter is a function"),
        ("kind", TypeError, "filter is a str"),
    ],
)
def test_what_is_no_equality_is_refused(store: FuenteVectorStore, conditions: Any, kind: Any, told: str) -> None:
    with pytest.raises(kind, match=told):
        store.similarity_search("faro", filter=conditions)
    empty = FuenteVectorStore.open("another", embedder=store.embeddings)
    with pytest.raises(kind, match=told):
        empty.similarity_search("faro", filter=conditions)


def test_unknown_options_are_still_refused(store: FuenteVectorStore) -> None:
    with pytest.raises(TypeError, match="where: not an option"):
        store.similarity_search("faro", where=Filter())


class TestCollections:
    @pytest.fixture
    def ours(self, store: FuenteVectorStore, embedder: Embedder) -> FuenteVectorStore:
        return FuenteVectorStore.from_texts(
            ["El faro de la tesis."], embedder, [{"kind": "a"}], ids=["0"], index_dir="index", collection="tesis"
        )

    def test_a_store_of_a_collection_sees_that_alone(self, store: FuenteVectorStore, ours: FuenteVectorStore) -> None:
        for conditions in (None, {"kind": "a"}, {"collection": "tesis"}, Filter(), Filter(collections=("tesis",))):
            assert [each.page_content for each in ours.similarity_search("faro", 9, filter=conditions)] == [
                "El faro de la tesis."
            ]
        assert ours.get_by_ids(["0", "1"])[0].page_content == "El faro de la tesis."
        assert len(ours.get_by_ids(["0", "1"])) == 1
        assert store.get_by_ids(["0"])[0].page_content == TEXTS[0]
        assert len(store.similarity_search("faro", 9)) == 7
        assert found(store, {"collection": "tesis"}) == {"0"}

    def test_another_collection_is_refused(self, ours: FuenteVectorStore) -> None:
        with pytest.raises(ValueError, match="of 'tesis' alone"):
            ours.similarity_search("faro", filter={"collection": "default"})
        with pytest.raises(ValueError, match="of 'tesis' alone"):
            ours.add_texts(["Otro faro."], collection="default")

    def test_deleting_leaves_the_others(self, store: FuenteVectorStore, ours: FuenteVectorStore) -> None:
        ours.delete(["0", "1"])
        assert ours.similarity_search("faro", 9) == []
        assert found(store, None) == set("012345")
        ours.add_texts(["Otro faro."], ids=["9"])
        ours.delete()
        assert found(store, None) == set("012345")
        store.delete(["0"])
        assert found(store, None) == set("12345")

    def test_texts_go_where_they_are_told(self, store: FuenteVectorStore) -> None:
        store.add_texts(["Un faro aparte."], ids=["x"], collection="aparte")
        assert found(store, {"collection": "aparte"}) == {"x"}
        assert "x" in found(store, None)

    @pytest.mark.parametrize("name", ["", "a\nb"])
    def test_a_name_that_no_collection_can_have(self, embedder: Embedder, plain_settings: Path, name: str) -> None:
        with pytest.raises(ValueError, match="1 to 64 printable characters"):
            FuenteVectorStore.open("index", embedder=embedder, collection=name)
        with pytest.raises(ValueError, match="1 to 64 printable characters"):
            FuenteVectorStore.open("index", embedder=embedder).add_texts(["x"], collection=name)


class Listed(BaseRetriever):
    """Always finds the same document."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document(page_content="Un faro.")]


class TestLangChainSearch:
    def test_a_filter_is_said_as_the_store_wants_it(self, embedder: Embedder) -> None:
        theirs = InMemoryVectorStore(embedder)
        theirs.add_texts(TEXTS, METADATA)

        def as_filter(where: Filter) -> Any:
            return lambda document: all(document.metadata.get(key) == value for key, value in where.metadata)

        search = LangChainSearch(theirs, k=6, as_filter=as_filter)
        assert len(search.search("faro")) == len(search.search("faro", where=Filter())) == 6
        hits = search.search("faro", where=Filter(metadata=(("kind", "a"),)))
        assert {hit.metadata["kind"] for hit in hits} == {"a"}
        assert len(hits) == 2

    def test_our_own_store_takes_it_as_it_is(self, store: FuenteVectorStore) -> None:
        search = LangChainSearch(store, as_filter=lambda where: where)
        assert {hit.metadata["kind"] for hit in search.search("faro", where=Filter(metadata=(("kind", "b"),)))} == {"b"}

    def test_a_filter_is_never_passed_over(self, embedder: Embedder, store: FuenteVectorStore) -> None:
        where = Filter(modified_from=datetime(2026, 1, 1, tzinfo=UTC))
        with pytest.raises(ValueError, match="how InMemoryVectorStore filters is not known"):
            LangChainSearch(InMemoryVectorStore(embedder)).search("faro", where=where)
        for retriever in (Listed(), store.as_retriever()):
            with pytest.raises(ValueError, match="a retriever takes no filter"):
                LangChainSearch(retriever, as_filter=lambda where: where).search("faro", where=where)
        assert len(LangChainSearch(Listed()).search("faro", where=Filter())) == 1
