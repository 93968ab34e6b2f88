"""A LangChain retriever or vector store as where passages come from."""

import hashlib
from collections.abc import Callable
from typing import Any

from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore

from index.filters import Filter
from index.types import Hit
from ingest.language import detect_language
from ingest.types import Chunk


class LangChainSearch:
    """Passages of any LangChain retriever or vector store, in its order.

    `source`, `page` and `start_index` are taken from the metadata where they are there. `first_page` is the number
    that the metadata gives the first page: LangChain's PDF loaders count from 0. A retriever decides itself how many
    passages it finds; of more than `k` only the first are taken. `as_filter` says a filter as the vector store wants
    it under the name `filter`, of which each has a form of its own.
    """

    def __init__(
        self,
        origin: BaseRetriever | VectorStore,
        *,
        k: int = 5,
        first_page: int = 0,
        as_filter: Callable[[Filter], Any] | None = None,
    ) -> None:
        self._origin = origin
        self._k = k
        self._first_page = first_page
        self._as_filter = as_filter

    @property
    def corpus_size(self) -> None:
        """Unknown, as is the scale of the scores."""
        return None

    def page_at(self, hit: Hit, offset: int) -> int | None:  # noqa: ARG002
        """The page that the metadata gives for the whole passage."""
        return hit.chunk.page

    def search(self, question: str, *, k: int | None = None, where: Filter | None = None) -> list[Hit]:
        """The `k` best passages, best first. Their scores, on a scale that LangChain leaves open, are not kept.

        Raises: ValueError for a filter without `as_filter`, or of a retriever.
        """
        wanted = k or self._k
        if isinstance(self._origin, VectorStore):
            found = self._origin.similarity_search(question, k=wanted, **self._options(where))
        elif where:
            # It may have a filter of its own, which another would take the place of, or pass over this one.
            raise ValueError("a retriever takes no filter; give LangChainSearch the vector store, or filter in it")
        else:
            found = self._origin.invoke(question)[:wanted]
        return [self._hit(document, rank) for rank, document in enumerate(found, 1)]

    def _options(self, where: Filter | None) -> dict[str, Any]:
        if not where:
            return {}
        if self._as_filter is None:
            kind = type(self._origin).__name__
            raise ValueError(f"how {kind} filters is not known; give LangChainSearch an as_filter")
        return {"filter": self._as_filter(where)}

    def _hit(self, document: LangChainDocument, rank: int) -> Hit:
        text, metadata = document.page_content, document.metadata
        source = str(metadata.get("source", document.id or ""))
        page, start = metadata.get("page"), metadata.get("start_index")
        begin = start if isinstance(start, int) else 0
        chunk = Chunk(
            id=int.from_bytes(_digest(source, str(begin), text)[:8], "big") >> 1,
            document_id=_digest(source).hex()[:16],
            text=text,
            start=begin,
            end=begin + len(text),
            page=page - self._first_page + 1 if isinstance(page, int) else None,
            headings=(),
        )
        return Hit(
            chunk=chunk,
            score=1.0 / rank,
            rank=rank,
            channel="external",
            source=source,
            language=detect_language(text),
            dense=0.0,
            lexical=0.0,
            metadata={key: str(value) for key, value in metadata.items()},
        )


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
