"""Where passages come from, behind one small protocol."""

from typing import Protocol

from index.filters import Filter
from index.types import Hit


class Search(Protocol):
    """Finds passages for a question."""

    @property
    def corpus_size(self) -> int | None:
        """Number of chunks searched; None when hits are not scored in standard deviations above the corpus."""
        ...

    def page_at(self, hit: Hit, offset: int) -> int | None:
        """The page of the hit's document that holds the character at `offset`; None for one without pages."""
        ...

    def search(self, question: str, *, k: int | None = None, where: Filter | None = None) -> list[Hit]:
        """The `k` best passages of the documents that meet the filter, best first; its own `k` and filter for None."""
        ...
