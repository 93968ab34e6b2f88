"""The tables of the store, and how their rows become data.

Every row ends with a seal, a checksum of its other columns: SQLite itself answers from a row with a flipped bit
without a word.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ingest.types import Chunk, Document, Heading, Page, Span

SCHEMA_VERSION = 2

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, sha256 TEXT NOT NULL, language TEXT NOT NULL,
    metadata TEXT NOT NULL, characters INTEGER NOT NULL, page_count INTEGER NOT NULL,
    added INTEGER NOT NULL, removed INTEGER, seal BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX live_documents ON documents (id) WHERE removed IS NULL;
CREATE INDEX documents_by_id ON documents (id);
CREATE INDEX documents_added ON documents (added);
CREATE INDEX documents_removed ON documents (removed) WHERE removed IS NOT NULL;
CREATE TABLE texts (
    document INTEGER PRIMARY KEY REFERENCES documents (number), text TEXT NOT NULL, pages TEXT NOT NULL,
    headings TEXT NOT NULL, blocks TEXT NOT NULL, seal BLOB NOT NULL
) STRICT;
CREATE TABLE sources (
    path TEXT NOT NULL, collection TEXT NOT NULL, document INTEGER NOT NULL REFERENCES documents (number),
    size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL, added INTEGER NOT NULL, removed INTEGER,
    seal BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX live_sources ON sources (collection, path) WHERE removed IS NULL;
CREATE INDEX sources_of_document ON sources (document);
CREATE INDEX sources_by_path ON sources (path);
CREATE INDEX sources_added ON sources (added);
CREATE INDEX sources_removed ON sources (removed) WHERE removed IS NOT NULL;
CREATE TABLE chunks (
    id INTEGER NOT NULL, document INTEGER NOT NULL REFERENCES documents (number), text TEXT NOT NULL,
    "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, page INTEGER, headings TEXT NOT NULL,
    vector_key BLOB NOT NULL, added INTEGER NOT NULL, removed INTEGER, seal BLOB NOT NULL, PRIMARY KEY (id, added)
) STRICT;
CREATE INDEX chunks_in_order ON chunks (document, "start", id, vector_key, added, removed);
CREATE INDEX chunks_of_vector ON chunks (vector_key);
CREATE INDEX chunks_added ON chunks (added);
CREATE INDEX chunks_removed ON chunks (removed) WHERE removed IS NOT NULL;
CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, seal BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
# The columns that a seal covers, in their order in the table.
COLUMNS: Mapping[str, Sequence[str]] = {
    "meta": ("key", "value"),
    "documents": (
        "number", "id", "sha256", "language", "metadata", "characters", "page_count", "added", "removed",
    ),
    "texts": ("document", "text", "pages", "headings", "blocks"),
    "sources": ("path", "collection", "document", "size_bytes", "modified_ns", "added", "removed"),
    "chunks": (
        "id", "document", "text", '"start"', '"end"', "page", "headings", "vector_key", "added", "removed",
    ),
    "vectors": ("key", "vector"),
}  # fmt: skip
# Children before the parents that they refer to.
VERSIONED = ("chunks", "sources", "documents")

_SEAL_BYTES = 8


def seal(*values: str | bytes | int | None) -> bytes:
    """Checksum of a row's values, 8 bytes; also the SQL function of that name."""
    digest = hashlib.blake2b(digest_size=_SEAL_BYTES)
    for value in values:
        # By type and length first, so that no two rows give the same bytes.
        if isinstance(value, bytes):
            content, kind = value, b"b"
        elif isinstance(value, str):
            content, kind = value.encode("utf-8", "surrogatepass"), b"s"
        else:
            content, kind = b"" if value is None else b"%d" % value, b"n" if value is None else b"i"
        digest.update(b"%b%d:" % (kind, len(content)))
        digest.update(content)
    return digest.digest()


def insertion(table: str, *, verb: str = "INSERT") -> str:
    """The statement that adds a sealed row of `COLUMNS[table]`."""
    marks = ", ".join(f"?{number}" for number in range(1, len(COLUMNS[table]) + 1))
    return f"{verb} INTO {table} VALUES ({marks}, seal({marks}))"


def resealed(table: str, **changes: str) -> str:
    """The assignments of an UPDATE that gives columns new values, as SQL expressions, and the row its seal."""
    sealed = ", ".join(changes.get(column, column) for column in COLUMNS[table])
    return ", ".join(f"{column} = {value}" for column, value in changes.items()) + f", seal = seal({sealed})"


def sound(table: str, alias: str) -> str:
    """The condition that a row of `table`, named by an alias, is as it was written."""
    return f"seal({', '.join(f'{alias}.{column}' for column in COLUMNS[table])}) = {alias}.seal"


def valid(table: str) -> str:
    """The condition that a row of `table`, an alias, is part of the generation `:generation`."""
    return f"{table}.added <= :generation AND ({table}.removed IS NULL OR {table}.removed > :generation)"


# Positions follow the documents' ids, not their row numbers: the same files give the same generation however they
# came in. The cross join makes SQLite walk the two indexes in this order, so that nothing is sorted.
ORDERED_CHUNKS = (
    "FROM documents d CROSS JOIN chunks c ON c.document = d.number"
    f' WHERE d.id >= :low AND d.id < :high AND {valid("c")} ORDER BY d.id, d.number, c."start"'
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
    collection: str
    language: str
    metadata: Mapping[str, str]


def chunk_of(row: Mapping[str, Any]) -> StoredChunk:
    """The chunk in a row that has its document's and its source's columns, too."""
    chunk = Chunk(
        row["id"], row["document_id"], row["text"], row["start"], row["end"], row["page"],
        tuple(json.loads(row["headings"])),
    )  # fmt: skip
    return StoredChunk(chunk, row["source"], row["collection"], row["language"], json.loads(row["metadata"]))


def chunk_values(chunk: Chunk, document_number: int, vector_key: bytes, generation: int) -> Sequence[Any]:
    """The row of a chunk that is added."""
    return (
        chunk.id, document_number, chunk.text, chunk.start, chunk.end, chunk.page, json.dumps(chunk.headings),
        vector_key, generation, None,
    )  # fmt: skip


def document_of(row: Mapping[str, Any]) -> Document:
    """The document in a row that has its text's columns and a `source`, too."""
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


def document_values(number: int, document: Document, generation: int) -> Sequence[Any]:
    """The row of a document that is added."""
    return (
        number, document.id, document.sha256, document.language, json.dumps(dict(document.metadata)),
        len(document.text), len(document.pages), generation, None,
    )  # fmt: skip


def text_values(number: int, document: Document) -> Sequence[Any]:
    """The row of a document's text."""
    return (
        number, document.text,
        json.dumps([asdict(page) for page in document.pages]),
        json.dumps([asdict(heading) for heading in document.headings]),
        json.dumps([asdict(block) for block in document.blocks]),
    )  # fmt: skip
