"""The same documents in another index, cut into chunks of another size."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from index.search import Index
from index.types import SyncProgress
from ingest.types import Document
from rag.evaluation.documents import moved_to
from rag.evaluation.harness import Harness


def recut(harness: Harness, folder: Path, chunk_tokens: int, *, progress: Callable[[SyncProgress], None]) -> Harness:
    """The harness over a copy of its index in `folder`, whose chunks have at most so many tokens.

    What counts as found is the same, since it is told by ranges of documents.
    """
    moved = moved_to(harness.fuente, folder, chunk_tokens=chunk_tokens)
    with moved.writer() as writer:
        writer.add(_documents(harness.index), progress=progress)
    return replace(harness, fuente=moved, index=moved.index)


def _documents(index: Index) -> Iterator[Document]:
    for document_id in dict.fromkeys(info.document_id for info in index.sources()):
        document = index.document(document_id)
        if document is not None:
            yield document
