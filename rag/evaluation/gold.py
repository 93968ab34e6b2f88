"""Where the answers of questions stand, and whether a passage that was found holds one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from index.types import Hit
from ingest.types import Chunk, Span
from rag.evaluation.questions import Question


@dataclass(frozen=True, slots=True)
class Gold:
    """Ranges of a document that answer a question; without ranges the whole document does.

    A chunk of `document_id` holds the answer when a range lies in it whole (`entire`) or in part.
    """

    document_id: str
    ranges: tuple[Span, ...] = ()
    entire: bool = False

    def is_in(self, chunk: Chunk) -> bool:
        """Whether the chunk holds the answer."""
        if chunk.document_id != self.document_id:
            return False
        return not self.ranges or any(self._holds(chunk, span) for span in self.ranges)

    def _holds(self, chunk: Chunk, span: Span) -> bool:
        if self.entire:
            return chunk.start <= span.start and span.end <= chunk.end
        return chunk.start < span.end and span.start < chunk.end


Golds: TypeAlias = Mapping[str, Mapping[str, Gold]]
"""For each question its golds, each by the id of the paragraph that it belongs to."""


def name_of(hit: Hit, question: Question, golds: Golds) -> str:
    """The id of the paragraph whose gold the hit holds, otherwise a name that is the hit's own."""
    held = (key for key, gold in golds.get(question.id, {}).items() if gold.is_in(hit.chunk))
    return next(held, f"{hit.source}:{hit.chunk.start}")
