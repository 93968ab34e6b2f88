"""The tables of the store, and how their rows become data."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ingest.types import Chunk, Document, Heading, Page, Span

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, sha256 TEXT NOT NULL, language TEXT NOT NULL,
    text TEXT NOT NULL, pages TEXT NOT NULL, headings TEXT NOT NULL, blocks TEXT NOT NULL,
    metadata TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER
) STRICT;
CREATE UNIQUE INDEX live_documents ON documents (id) WHERE removed IS NULL;
CREATE INDEX documents_by_id ON documents (id);
CREATE INDEX documents_added ON documents (added);
CREATE INDEX documents_removed ON documents (removed) WHERE removed IS NOT NULL;
CREATE TABLE sources (
    path TEXT NOT NULL, document INTEGER NOT NULL REFERENCES documents (number), size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL, added INTEGER NOT NULL, removed INTEGER
) STRICT;
CREATE UNIQUE INDEX live_sources ON sources (path) WHERE removed IS NULL;
CREATE INDEX sources_of_document ON sources (document);
CREATE INDEX sources_by_path ON sources (path);
CREATE INDEX sources_added ON sources (added);
CREATE INDEX sources_removed ON sources (removed) WHERE removed IS NOT NULL;
CREATE TABLE chunks (
    id INTEGER NOT NULL, document INTEGER NOT NULL REFERENCES documents (number), text TEXT NOT NULL,
    "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, page INTEGER, headings TEXT NOT NULL,
    vector_key BLOB NOT NULL, added INTEGER NOT NULL, removed INTEGER, PRIMARY KEY (id, added)
) STRICT;
CREATE INDEX chunks_of_document ON chunks (document, "start");
CREATE INDEX chunks_of_vector ON chunks (vector_key);
CREATE INDEX chunks_added ON chunks (added);
CREATE INDEX chunks_removed ON chunks (removed) WHERE removed IS NOT NULL;
CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
# Children before the parents that they refer to.
VERSIONED = ("chunks", "sources", "documents")

LIVE_SOURCES = (
    "SELECT s.path, d.id, s.size_bytes, s.modified_ns FROM sources s"
    " JOIN documents d ON d.number = s.document WHERE s.removed IS NULL"
)


def valid(table: str) -> str:
    """The condition that a row of `table`, an alias, is part of the generation `:generation`."""
    return f"{table}.added <= :generation AND ({table}.removed IS NULL OR {table}.removed > :generation)"


# Positions follow the documents' ids, not their row numbers: the same files give the same generation however they
# came in. The cross join makes SQLite walk the two indexes in this order, so that nothing is sorted.
ORDERED_CHUNKS = (
    "FROM documents d CROSS JOIN chunks c ON c.document = d.number"
    f' WHERE {valid("c")} ORDER BY d.id, d.number, c."start"'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A document to store with its chunks and the keys of their vectors.

    `stat` is the file's (size in bytes, modification time in ns), None when a stored document gets other chunks.
    """

    document: Document
    stat: tuple[int, int] | None
    chunks: Sequence[tuple[Chunk, bytes]]


@dataclass(frozen=True, slots=True)
class StoredSource:
    """What is known of a file's last ingested state."""

    path: str
    document_id: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with what search results show beside it."""

    chunk: Chunk
    source: str
    language: str
    metadata: Mapping[str, str]


def chunk_of(row: sqlite3.Row) -> StoredChunk:
    """The chunk in a row that has its document's and its source's columns, too."""
    chunk = Chunk(
        row["id"], row["document_id"], row["text"], row["start"], row["end"], row["page"],
        tuple(json.loads(row["headings"])),
    )  # fmt: skip
    return StoredChunk(chunk, row["source"], row["language"], json.loads(row["metadata"]))


def chunk_values(chunk: Chunk, document_number: int, vector_key: bytes, generation: int) -> Sequence[Any]:
    """The row of a chunk that is added."""
    return (
        chunk.id, document_number, chunk.text, chunk.start, chunk.end, chunk.page, json.dumps(chunk.headings),
        vector_key, generation, None,
    )  # fmt: skip


def document_of(row: sqlite3.Row) -> Document:
    """The document in a row that has a `source`, too."""
    return Document(
        id=row["id"],
        source=row["source"],
        text=row["text"],
        pages=tuple(Page(**page) for page in json.loads(row["pages"])),
        language=row["language"],
        metadata=json.loads(row["metadata"]),
        sha256=row["sha256"],
        headings=tuple(Heading(**heading) for heading in json.loads(row["headings"])),
        blocks=tuple(Span(**block) for block in json.loads(row["blocks"])),
    )


def document_values(document: Document, generation: int) -> Sequence[Any]:
    """The row of a document that is added; SQLite numbers it."""
    return (
        None, document.id, document.sha256, document.language, document.text,
        json.dumps([asdict(page) for page in document.pages]),
        json.dumps([asdict(heading) for heading in document.headings]),
        json.dumps([asdict(block) for block in document.blocks]),
        json.dumps(dict(document.metadata)), generation, None,
    )  # fmt: skip
