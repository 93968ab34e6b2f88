"""An index as LangChain vector store."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Self
from uuid import uuid4

import numpy as np
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore

from index.embedder import Embedder
from index.errors import IndexNotFoundError
from index.filters import Filter
from index.search import Index
from index.types import DEFAULT_COLLECTION, Hit, check_collection
from index.writer import IndexWriter
from ingest.language import detect_language
from ingest.types import Document
from rag.compose import Fuente
from rag.config import load_config
from rag.langchain.metadata import filter_of, given, is_given, stored
from rag.retriever import as_langchain

Conditions = Mapping[str, Any] | Filter


class FuenteVectorStore(VectorStore):
    """The texts of an index, found by the dense and the lexical channel together.

        from rag.langchain import FuenteVectorStore
        store = FuenteVectorStore.open("fuente-index")
        store.add_texts(["El KV cache guarda claves y valores."], [{"tema": "memoria"}], ids=["kv"])
        print(store.similarity_search("¿Qué guarda el KV cache?", k=1))

    A text's id is its source in the index, and adding the same id again replaces the text. A text that is longer
    than a chunk is found in passages, each with the id and the metadata of its text. Files of the same index are
    found, too; their ids are their paths. Every addition and removal publishes a generation of the whole index, so
    add many texts at once. Metadata must be JSON values.

    `filter` of a search is a dict of metadata values that must all be equal, or an `index.filters.Filter`. The keys
    "source", "language" and "collection", one or several in a list, mean what they mean in a Filter. Filters apply
    before the best are taken. A store of a `collection` adds to, finds in and deletes from that one alone.
    """

    def __init__(
        self,
        open_index: Callable[[], Index],
        open_writer: Callable[[], IndexWriter],
        embedder: Embedder,
        *,
        collection: str | None = None,
    ) -> None:
        self._open_index = open_index
        self._open_writer = open_writer
        self._embedder = embedder
        self._collection = None if collection is None else check_collection(collection)
        self._writing = Lock()

    @classmethod
    def open(
        cls,
        index_dir: str | Path | None = None,
        *,
        embedder: Embedder | None = None,
        collection: str | None = None,
        **flags: Any,
    ) -> Self:
        """The store over an index folder, by default the configured one; it is made with the first text.

        `embedder` is one that is loaded already; `flags` override the configuration, section by section.

        Raises: ConfigurationError, NotPreparedError, ValueError for a name that no collection can have.
        """
        place = {} if index_dir is None else {"index": Path(index_dir)}
        fuente = Fuente(load_config(**place, **flags), embedder=embedder)
        return cls(lambda: fuente.index, fuente.writer, fuente.embedder, collection=collection)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        index_dir: str | Path | None = None,
        **kwargs: Any,
    ) -> Self:
        """The store over an index folder with these texts added; `kwargs` are what `open` takes.

        Raises: TypeError when `embedding` is not an `index.Embedder`.
        """
        if not isinstance(embedding, Embedder):
            kind = type(embedding).__name__
            raise TypeError(f"embedding is a {kind}; an index keeps the vectors of an index.Embedder alone")
        store = cls.open(index_dir, embedder=embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self) -> Embedder:
        """What embeds texts and questions."""
        return self._embedder

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        collection: str | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Ids of the texts, in order; a text without one gets a new one. They go into the collection "default".

        Raises: ValueError when the lists differ in length, or for a collection that is not this store's; TypeError
        for metadata that are not JSON values; IndexBusyError, IndexMismatchError.
        """
        _refuse(kwargs)
        self._check_own(() if collection is None else (collection,))
        target = (self._collection or DEFAULT_COLLECTION) if collection is None else collection
        contents = list(texts)
        described = [{} for _ in contents] if metadatas is None else metadatas
        named = [None] * len(contents) if ids is None else ids
        if not len(contents) == len(described) == len(named):
            counts = f"{len(contents)} texts, {len(described)} metadatas and {len(named)} ids"
            raise ValueError(f"{counts} were given; there must be one of each for every text")
        chosen = [str(uuid4()) if name is None else name for name in named]
        # By id, so that of two texts with one id the last stays.
        documents = {
            name: _document(name, text, metadata)
            for name, text, metadata in zip(chosen, contents, described, strict=True)
        }
        with self._writing, self._open_writer() as writer:
            writer.add(documents.values(), collection=target)
        return chosen

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Takes texts and files out of the index, all of them when `ids` is None; True even when some were not there.

        Raises: IndexBusyError.
        """
        _refuse(kwargs)
        with self._writing, self._open_writer() as writer:
            index = self._index()
            if ids is None:
                infos = [] if index is None else index.sources()
                ids = [info.source for info in infos if self._collection in (None, info.collection)]
            writer.remove(ids, collection=self._collection, missing_ok=True)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[LangChainDocument]:
        """The whole texts, in the order of `ids`; those that are not there are left out."""
        index = self._index()
        if index is None:
            return []
        found = index.documents_of(ids, collection=self._collection)
        return [
            LangChainDocument(id=name, page_content=found[name].text, metadata=given(found[name].metadata, name))
            for name in ids
            if name in found
        ]

    def similarity_search(
        self, query: str, k: int = 4, filter: Conditions | None = None, **kwargs: Any
    ) -> list[LangChainDocument]:
        """The `k` best passages, best first."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Conditions | None = None, **kwargs: Any
    ) -> list[tuple[LangChainDocument, float]]:
        """The `k` best passages with the fused score of both channels; higher is better, on an open scale."""
        _refuse(kwargs)
        return [(_found(hit), hit.score) for hit in self._search(query, k, filter)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Conditions | None = None,
        **kwargs: Any,
    ) -> list[LangChainDocument]:
        """`k` of the `fetch_k` best passages, each unlike those before it: `lambda_mult` 1 goes by rank alone.

        `as_retriever(search_type="mmr")` searches like this.
        """
        _refuse(kwargs)
        hits = self._search(query, k, filter, diversity=1.0 - lambda_mult, pool=fetch_k)
        return [_found(hit) for hit in hits]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Conditions | None = None, **kwargs: Any
    ) -> list[LangChainDocument]:
        """The `k` passages nearest to a vector of this store's embedder, best first."""
        _refuse(kwargs)
        where, index = self._where(filter), self._index()
        hits = [] if index is None else index.search_vector(np.asarray(embedding, np.float32), k, where=where)
        return [_found(hit) for hit in hits]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, filter: Conditions | None = None, **kwargs: Any
    ) -> list[tuple[LangChainDocument, float]]:
        """The `k` best passages with their cosine to the question, in [0, 1]."""
        _refuse(kwargs)
        return [(_found(hit), min(max(hit.dense, 0.0), 1.0)) for hit in self._search(query, k, filter)]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[LangChainDocument, float]]:
        return await run_in_executor(None, self._similarity_search_with_relevance_scores, query, k, **kwargs)

    def _search(self, query: str, k: int, conditions: Conditions | None, **chosen: Any) -> list[Hit]:
        """Hits, where `chosen` changes the settings of search. Equal texts under two ids are two."""
        where, index = self._where(conditions), self._index()
        if index is None:
            return []
        return index.search(query, k, settings=replace(index.settings, collapse=False, **chosen), where=where)

    def _where(self, conditions: Conditions | None) -> Filter:
        """The filter that the conditions stand for, within this store's collection."""
        where = filter_of(conditions)
        self._check_own(where.collections)
        return where if self._collection is None else replace(where, collections=(self._collection,))

    def _check_own(self, collections: Iterable[str]) -> None:
        for name in collections:
            if self._collection not in (None, name):
                raise ValueError(f"collection {name!r}: this store is of {self._collection!r} alone; open another")

    def _index(self) -> Index | None:
        """The index; None while nothing was ever added."""
        try:
            return self._open_index()
        except IndexNotFoundError:
            return None


def _refuse(options: Mapping[str, Any]) -> None:
    # A filter that is passed over in silence would return what the caller meant to leave out.
    if options:
        raise TypeError(f"{min(options)}: not an option of FuenteVectorStore; leave it out")


def _document(name: str, text: str, metadata: Mapping[str, Any]) -> Document:
    """A text as a document of its own, even where another id has the same text."""
    try:
        kept = stored(metadata)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the metadata of {name!r} cannot be stored ({error}); use JSON values alone") from error
    digest = hashlib.sha256(json.dumps([name, text, kept]).encode()).hexdigest()
    return Document(
        id=digest[:32],
        source=name,
        text=text,
        pages=(),
        language=detect_language(text),
        metadata=kept,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _found(hit: Hit) -> LangChainDocument:
    metadata = given(hit.metadata, hit.source) if is_given(hit.metadata) else as_langchain(hit).metadata
    return LangChainDocument(id=hit.source, page_content=hit.chunk.text, metadata=metadata)
