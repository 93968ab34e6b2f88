"""SQLite holds the truth: documents, sources, chunks and vectors, each valid for a range of generations.

A row is part of generation g when `added <= g` and (`removed` is null or `removed > g`). Writers only add rows
or close their range, for the generation that they are about to publish; readers ask for one published
generation and so never see half a change. Closed rows are deleted once no generation on disk needs them.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.embedder import Vectors
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.types import Identity, SourceInfo
from ingest.types import Chunk, Document, Heading, Page, Span

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, sha256 TEXT NOT NULL, language TEXT NOT NULL,
    text TEXT NOT NULL, pages TEXT NOT NULL, headings TEXT NOT NULL, blocks TEXT NOT NULL,
    metadata TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER
) STRICT;
CREATE UNIQUE INDEX live_documents ON documents (id) WHERE removed IS NULL;
CREATE TABLE sources (
    path TEXT NOT NULL, document INTEGER NOT NULL REFERENCES documents (number), size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL, added INTEGER NOT NULL, removed INTEGER
) STRICT;
CREATE UNIQUE INDEX live_sources ON sources (path) WHERE removed IS NULL;
CREATE INDEX sources_of_document ON sources (document);
CREATE TABLE chunks (
    id INTEGER NOT NULL, document INTEGER NOT NULL REFERENCES documents (number), text TEXT NOT NULL,
    "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, page INTEGER, headings TEXT NOT NULL,
    vector_key BLOB NOT NULL, added INTEGER NOT NULL, removed INTEGER, PRIMARY KEY (id, added)
) STRICT;
CREATE INDEX chunks_of_document ON chunks (document);
CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
_VALID = "{0}.added <= :generation AND ({0}.removed IS NULL OR {0}.removed > :generation)"
_VERSIONED = ("chunks", "sources", "documents")


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


class Store:
    """The SQLite file of an index. Every method is one transaction on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, identity: Identity) -> "Store":
        """A new, empty store."""
        store = cls(path)
        with store._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        with store._transaction() as connection:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            _write_identity(connection, identity)
        return store

    @classmethod
    def open(cls, path: Path) -> "Store":
        """The store at `path`.

        Raises: IndexNotFoundError, IndexDamagedError, IndexMismatchError for another schema.
        """
        if not path.is_file():
            raise IndexNotFoundError(path.parent, "there is no index here", "Run `fuente ingest PATH` first")
        store = cls(path)
        with store._connect() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            reason = f"its format is {version}, this program reads {SCHEMA_VERSION}"
            raise IndexMismatchError(path, reason, "Use the version of Fuente that wrote it, or ingest anew")
        return store

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=30.0)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            try:
                yield connection
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            if isinstance(error, (sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.ProgrammingError)):
                raise
            mend = "Restore it from a backup, or delete the folder and ingest again"
            raise IndexDamagedError(self.path, f"SQLite cannot read it ({error})", mend) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def identity(self) -> Identity:
        """What the index is built with."""
        with self._connect() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        if row is None:
            raise IndexDamagedError(self.path, "the index does not say how it was built", "Ingest into a new folder")
        return Identity(**json.loads(row["value"]))

    def set_identity(self, identity: Identity, *, complete: bool) -> None:
        """Records what the index is built with; not complete while the stored chunks do not all follow it."""
        with self._transaction() as connection:
            _write_identity(connection, identity)
            _write_meta(connection, "complete", "yes" if complete else "no")

    def is_complete(self) -> bool:
        """Whether every stored chunk follows the recorded identity."""
        with self._connect() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'complete'").fetchone()
        return row is None or row["value"] == "yes"

    def sources(self) -> dict[str, StoredSource]:
        """Newest state of every source by path, published or not."""
        with self._connect() as connection:
            return {row["path"]: StoredSource(*row) for row in connection.execute(_LIVE_SOURCES)}

    def source(self, path: str) -> StoredSource | None:
        """Newest state of one source, published or not."""
        with self._connect() as connection:
            row = connection.execute(f"{_LIVE_SOURCES} AND s.path = ?", (path,)).fetchone()
        return None if row is None else StoredSource(*row)

    def source_infos(self, generation: int) -> list[SourceInfo]:
        """Every source of a generation, by path."""
        query = (
            "SELECT s.path, d.id, d.language, d.pages, d.metadata, length(d.text) AS characters,"
            " (SELECT count(*) FROM chunks c WHERE c.document = d.number) AS chunks"
            " FROM sources s JOIN documents d ON d.number = s.document"
            f" WHERE {_VALID.format('s')} ORDER BY s.path"
        )
        with self._connect() as connection:
            rows = connection.execute(query, {"generation": generation}).fetchall()
        return [
            SourceInfo(
                row["path"], row["id"], row["language"], row["chunks"], row["characters"],
                len(json.loads(row["pages"])), json.loads(row["metadata"]),
            )
            for row in rows
        ]  # fmt: skip

    def counts(self, generation: int) -> tuple[int, int]:
        """Number of documents and chunks of a generation."""
        with self._connect() as connection:
            documents, chunks = (
                connection.execute(
                    f"SELECT count(*) FROM {table} t WHERE {_VALID.format('t')}", {"generation": generation}
                ).fetchone()[0]
                for table in ("documents", "chunks")
            )
        return documents, chunks

    def chunk_ids(self, generation: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Ids (N,) int64 of a generation's chunks in the order of their positions."""
        query = f"SELECT c.id {_ORDERED_CHUNKS}"
        with self._connect() as connection:
            rows = connection.execute(query, {"generation": generation})
            return np.fromiter((row[0] for row in rows), np.int64)

    def passages(self, generation: int) -> Iterator[tuple[str, str]]:
        """(text with its headings, language) of each chunk in the order of their positions."""
        query = f"SELECT c.text, c.headings, d.language {_ORDERED_CHUNKS}"
        with self._connect() as connection:
            for row in connection.execute(query, {"generation": generation}):
                yield embedded_text(row["text"], json.loads(row["headings"])), row["language"]

    def vectors(self, generation: int, dimension: int, batch_size: int = 4096) -> Iterator[Vectors]:
        """Vectors (≤ batch_size, D) float32 of the chunks in the order of their positions."""
        query = f"SELECT v.vector {_ORDERED_CHUNKS}".replace(
            "WHERE", "JOIN vectors v ON v.key = c.vector_key WHERE", 1
        )
        with self._connect() as connection:
            cursor = connection.execute(query, {"generation": generation})
            while rows := cursor.fetchmany(batch_size):
                flat = np.frombuffer(b"".join(row[0] for row in rows), np.float32)
                yield flat.reshape(-1, dimension)  # (B, D)

    def chunks(self, ids: Sequence[int], generation: int) -> dict[int, StoredChunk]:
        """The chunks with these ids in a generation, each with the first of its document's sources."""
        if not ids:
            return {}
        query = (
            'SELECT c.id, d.id AS document_id, c.text, c."start", c."end", c.page, c.headings, d.language, d.metadata,'
            f" (SELECT min(s.path) FROM sources s WHERE s.document = d.number AND {_VALID.format('s')}) AS source"
            " FROM chunks c JOIN documents d ON d.number = c.document"
            f" WHERE c.id IN (SELECT value FROM json_each(:ids)) AND {_VALID.format('c')}"
        )
        with self._connect() as connection:
            rows = connection.execute(query, {"ids": json.dumps(list(ids)), "generation": generation}).fetchall()
        return {row["id"]: _stored_chunk(row) for row in rows}

    def document(self, document_id: str, generation: int) -> Document | None:
        """A document of a generation, with the first of its sources."""
        query = (
            "SELECT d.*, (SELECT min(s.path) FROM sources s WHERE s.document = d.number"
            f" AND {_VALID.format('s')}) AS source FROM documents d WHERE d.id = :id AND {_VALID.format('d')}"
        )
        with self._connect() as connection:
            row = connection.execute(query, {"id": document_id, "generation": generation}).fetchone()
        return None if row is None else _document(row)

    def documents_of(self, sources: Sequence[str], generation: int) -> dict[str, Document]:
        """The documents that these sources show in a generation, by source."""
        query = (
            "SELECT d.*, s.path AS source FROM sources s JOIN documents d ON d.number = s.document"
            f" WHERE s.path IN (SELECT value FROM json_each(:sources)) AND {_VALID.format('s')}"
        )
        with self._connect() as connection:
            rows = connection.execute(query, {"sources": json.dumps(list(sources)), "generation": generation})
            return {row["source"]: _document(row) for row in rows}

    def documents(self, generation: int) -> Iterator[Document]:
        """Every document of a generation, by id."""
        with self._connect() as connection:
            query = f"SELECT d.id FROM documents d WHERE {_VALID.format('d')} ORDER BY d.id"
            ids = [row["id"] for row in connection.execute(query, {"generation": generation})]
        for document_id in ids:
            document = self.document(document_id, generation)
            if document is not None:
                yield document

    def known_vectors(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of `keys` whose vector is stored."""
        with self._connect() as connection:
            found = (connection.execute("SELECT key FROM vectors WHERE key = ?", (key,)).fetchone() for key in keys)
            return {row["key"] for row in found if row is not None}

    def add_vectors(self, vectors: Mapping[bytes, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
        """Stores vectors by key; kept even when the run stops before their chunks are stored."""
        rows = [(key, vector.tobytes()) for key, vector in vectors.items()]
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def put(
        self, document: Document, stat: tuple[int, int], chunks: Sequence[tuple[Chunk, bytes]], generation: int
    ) -> None:
        """Makes `document.source` show this document from `generation` on.

        `stat` is the file's (size in bytes, modification time in ns); `chunks` come with their vector
        keys, whose vectors must be stored already.
        """
        with self._transaction() as connection:
            self._close_source(connection, document.source, generation)
            number = self._document_number(connection, document.id)
            if number is None:
                number = self._insert_document(connection, document, generation)
                self._insert_chunks(connection, number, chunks, generation)
            connection.execute(
                "INSERT INTO sources VALUES (?, ?, ?, ?, ?, NULL)", (document.source, number, *stat, generation)
            )
            self._close_orphans(connection, generation)

    def link(self, source: str, document_id: str, stat: tuple[int, int], generation: int) -> bool:
        """Makes `source` show a document that is stored already; False when it is not."""
        with self._transaction() as connection:
            number = self._document_number(connection, document_id)
            if number is None:
                return False
            self._close_source(connection, source, generation)
            connection.execute("INSERT INTO sources VALUES (?, ?, ?, ?, ?, NULL)", (source, number, *stat, generation))
            self._close_orphans(connection, generation)
        return True

    def touch(self, source: str, stat: tuple[int, int]) -> None:
        """Records a new size and time of a file whose content is unchanged."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE sources SET size_bytes = ?, modified_ns = ? WHERE path = ? AND removed IS NULL",
                (*stat, source),
            )

    def remove(self, sources: Iterable[str], generation: int) -> None:
        """Takes sources out from `generation` on, with the documents that no other source shows."""
        with self._transaction() as connection:
            for source in sources:
                self._close_source(connection, source, generation)
            self._close_orphans(connection, generation)

    def rechunk(self, document: Document, chunks: Sequence[tuple[Chunk, bytes]], generation: int) -> None:
        """Replaces a stored document's chunks from `generation` on."""
        with self._transaction() as connection:
            number = self._document_number(connection, document.id)
            if number is not None:
                self._close_chunks(connection, number, generation)
                self._insert_chunks(connection, number, chunks, generation)

    def prune(self, oldest_generation: int) -> None:
        """Deletes the rows and vectors that no generation from `oldest_generation` on needs."""
        with self._transaction() as connection:
            for table in _VERSIONED:
                connection.execute(f"DELETE FROM {table} WHERE removed <= ?", (oldest_generation,))
            connection.execute("DELETE FROM vectors WHERE key NOT IN (SELECT vector_key FROM chunks)")

    def has_changes_since(self, generation: int) -> bool:
        """Whether rows wait to be published after `generation`."""
        with self._connect() as connection:
            return any(
                connection.execute(
                    f"SELECT 1 FROM {table} WHERE added > :g OR removed > :g LIMIT 1", {"g": generation}
                ).fetchone()
                for table in _VERSIONED
            )

    def check(self) -> list[str]:
        """SQLite's own findings about the file; empty when it is sound."""
        with self._connect() as connection:
            rows = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            rows += [str(tuple(row)) for row in connection.execute("PRAGMA foreign_key_check")]
        return [row for row in rows if row != "ok"]

    @staticmethod
    def _document_number(connection: sqlite3.Connection, document_id: str) -> int | None:
        row = connection.execute(
            "SELECT number FROM documents WHERE id = ? AND removed IS NULL", (document_id,)
        ).fetchone()
        return None if row is None else int(row["number"])

    @staticmethod
    def _close_source(connection: sqlite3.Connection, source: str, generation: int) -> None:
        _close(connection, "sources", "path", source, generation)

    @staticmethod
    def _close_chunks(connection: sqlite3.Connection, number: int, generation: int) -> None:
        _close(connection, "chunks", "document", number, generation)

    @classmethod
    def _close_orphans(cls, connection: sqlite3.Connection, generation: int) -> None:
        orphans = connection.execute(
            "SELECT number FROM documents d WHERE removed IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM sources s WHERE s.document = d.number AND s.removed IS NULL)"
        ).fetchall()
        for row in orphans:
            cls._close_chunks(connection, row["number"], generation)
            connection.execute("UPDATE documents SET removed = ? WHERE number = ?", (generation, row["number"]))

    @staticmethod
    def _insert_document(connection: sqlite3.Connection, document: Document, generation: int) -> int:
        cursor = connection.execute(
            "INSERT INTO documents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                document.id, document.sha256, document.language, document.text,
                json.dumps([asdict(page) for page in document.pages]),
                json.dumps([asdict(heading) for heading in document.headings]),
                json.dumps([asdict(block) for block in document.blocks]),
                json.dumps(dict(document.metadata)), generation,
            ),
        )  # fmt: skip
        return int(cursor.lastrowid or 0)

    @staticmethod
    def _insert_chunks(
        connection: sqlite3.Connection, number: int, chunks: Sequence[tuple[Chunk, bytes]], generation: int
    ) -> None:
        connection.executemany(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                (c.id, number, c.text, c.start, c.end, c.page, json.dumps(c.headings), key, generation)
                for c, key in chunks
            ),
        )


_LIVE_SOURCES = (
    "SELECT s.path, d.id, s.size_bytes, s.modified_ns FROM sources s"
    " JOIN documents d ON d.number = s.document WHERE s.removed IS NULL"
)
_ORDERED_CHUNKS = (
    "FROM chunks c JOIN documents d ON d.number = c.document"
    f' WHERE {_VALID.format("c")} ORDER BY d.id, c."start"'
)


def embedded_text(text: str, headings: Sequence[str]) -> str:
    """What is embedded and indexed for a chunk: the titles above it, then its text."""
    return f"{' > '.join(headings)}\n{text}" if headings else text


def _write_identity(connection: sqlite3.Connection, identity: Identity) -> None:
    _write_meta(connection, "identity", json.dumps(identity.as_dict(), sort_keys=True))


def _write_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _close(connection: sqlite3.Connection, table: str, column: str, value: str | int, generation: int) -> None:
    """Ends the range of live rows at `generation`; rows that were never published are deleted."""
    connection.execute(f"DELETE FROM {table} WHERE {column} = ? AND added >= ?", (value, generation))
    connection.execute(
        f"UPDATE {table} SET removed = ? WHERE {column} = ? AND removed IS NULL", (generation, value)
    )


def _stored_chunk(row: sqlite3.Row) -> StoredChunk:
    chunk = Chunk(
        row["id"], row["document_id"], row["text"], row["start"], row["end"], row["page"],
        tuple(json.loads(row["headings"])),
    )  # fmt: skip
    return StoredChunk(chunk, row["source"], row["language"], json.loads(row["metadata"]))


def _document(row: sqlite3.Row) -> Document:
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
