"""Questions in, passages out; also as a LangChain retriever."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field

from index.explanation import Explanation
from index.filters import Filter
from index.search import Index
from index.settings import SearchSettings
from index.types import Hit
from rag.expansion import QueryExpander
from rag.surroundings import with_surroundings


class Retriever(BaseRetriever):
    """The passages of an index for a question.

    from rag import Filter, Retriever
    retriever = Retriever.open("fuente-index")
    for hit in retriever.search("¿Qué es un autoencoder?", k=3, where=Filter(collections=("tesis",))):
        print(hit.rank, hit.source, hit.chunk.page, hit.chunk.text)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    index: Index = Field(exclude=True)
    k: int = 5
    where: Filter | None = None
    """Which documents are searched when a call does not say; `Filter()` in a call stands for all of them."""
    diversity: float | None = Field(default=None, ge=0, le=1)
    """How much variety counts against the rank, 0 for not at all; None for what the index is configured with."""
    per_source: int | None = Field(default=None, ge=0)
    """Most passages of one document, 0 for no limit; None for what the index is configured with."""
    expander: QueryExpander | None = Field(default=None, exclude=True)
    """Writes what else is searched: a passage that might answer, and the parts of a compound question."""
    surroundings_tokens: int = Field(default=0, ge=0)
    """Passages come with whole sentences around them, up to so many tokens together; 0 for as they were cut."""

    @classmethod
    def open(cls, index_dir: str | Path, **flags: Any) -> "Retriever":
        """The retriever of an index on disk; `flags` override the configuration, section by section.

        Raises: IndexNotFoundError, IndexMismatchError, NotPreparedError.
        """
        from rag.compose import Fuente

        return Fuente.configured(index=Path(index_dir), **flags).retriever

    @property
    def settings(self) -> SearchSettings:
        """Those of the index, but for what this retriever has of its own."""
        configured = self.index.settings
        return replace(
            configured,
            diversity=configured.diversity if self.diversity is None else self.diversity,
            per_source=configured.per_source if self.per_source is None else self.per_source,
        )

    @property
    def corpus_size(self) -> int | None:
        """Number of chunks searched; None unless the mixed score is in use, which alone has a fixed scale."""
        settings = self.index.settings
        mixed = settings.channel == "fused" and settings.fusion == "mix"
        return self.index.generation.manifest.chunks if mixed else None

    def page_at(self, hit: Hit, offset: int) -> int | None:
        """The page that holds the character at `offset` of the hit's document; None for one without pages."""
        if hit.chunk.page is None:
            return None
        document = self.index.document(hit.chunk.document_id)
        pages = document.pages if document else ()
        # A chunk names its first page only, and may go on over the next.
        return next((page.number for page in reversed(pages) if page.start <= offset), hit.chunk.page)

    def search(self, question: str, *, k: int | None = None, where: Filter | None = None) -> list[Hit]:
        """The `k` best passages of the documents that meet the filter, best first."""
        wanted, chosen = self.k if k is None else k, self.where if where is None else where
        if self.expander is None:
            return self.read(self.index.search(question, wanted, settings=self.settings, where=chosen))
        found = [
            self.index.search(asked, wanted, settings=self.settings, where=chosen, passage=self.expander.passage(asked))
            for asked in (*self.expander.parts(question), question)
        ]
        return self.read(_in_turns(found, wanted))

    def search_many(self, questions: Sequence[str], k: int) -> list[list[Hit]]:
        """The `k` best passages for each question."""
        if self.expander is not None:
            return [self.search(question, k=k) for question in questions]
        found = self.index.search_many(questions, k, settings=self.settings, where=self.where)
        return list(map(self.read, found))

    def read(self, hits: list[Hit]) -> list[Hit]:
        """The hits as they are given out: with their surroundings where these are wanted."""
        if not self.surroundings_tokens:
            return hits
        counter = self.index.embedder.token_counter()
        return with_surroundings(hits, self.index.document, counter, self.surroundings_tokens)

    def explain(
        self, question: str, *, k: int | None = None, where: Filter | None = None, expect: str | None = None
    ) -> Explanation:
        """How `search` finds its passages; `expect`, words of a passage or a source, also says why those were missed.

        Of a compound question, the parts are not explained.

        Raises: ValueError for an expectation that no passage meets, or an index without passages.
        """
        chosen = self.where if where is None else where
        wanted = self.k if k is None else k
        passage = self.expander.passage(question) if self.expander else None
        return self.index.explain(
            question, wanted, settings=self.settings, where=chosen, expect=expect, passage=passage
        )

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
        where: Filter | None = None,
    ) -> list[LangChainDocument]:
        return [as_langchain(hit) for hit in self.search(query, k=k, where=where)]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        where: Filter | None = None,
    ) -> list[LangChainDocument]:
        call = partial(self._get_relevant_documents, query, run_manager=run_manager.get_sync(), k=k, where=where)
        return await run_in_executor(None, call)


def _in_turns(found: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """The `k` best of several searches, one of each in turn, and none twice."""
    kept: dict[int, Hit] = {}
    for row in zip_longest(*found):
        for hit in row:
            if hit is not None:
                kept.setdefault(hit.chunk.id, hit)
    return [replace(hit, rank=rank) for rank, hit in enumerate(list(kept.values())[:k], 1)]


def as_langchain(hit: Hit) -> LangChainDocument:
    """A hit as a LangChain document: the text, and where it comes from as metadata."""
    chunk = hit.chunk
    return LangChainDocument(
        id=str(chunk.id),
        page_content=chunk.text,
        metadata={
            "source": hit.source,
            "page": chunk.page,
            "start": chunk.start,
            "end": chunk.end,
            "score": hit.score,
            "language": hit.language,
            "collection": hit.collection,
            "document_id": chunk.document_id,
            "headings": list(chunk.headings),
            "duplicates": [copy.source for copy in hit.duplicates],
        },
    )
