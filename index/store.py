"""SQLite holds the truth: documents, sources, chunks and vectors, each valid for a range of generations.

A row is part of generation g when `added <= g` and (`removed` is null or `removed > g`). Writers only add rows
or close their range, for the generation that they are about to publish; readers ask for one published
generation and so never see half a change. Closed rows are deleted once no generation on disk needs them.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.embedder import Vectors
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.schema import (
    LIVE_SOURCES,
    ORDERED_CHUNKS,
    SCHEMA,
    SCHEMA_VERSION,
    VERSIONED,
    Entry,
    StoredChunk,
    StoredSource,
    chunk_of,
    chunk_values,
    document_of,
    document_values,
    valid,
)
from index.types import Identity, SourceInfo
from ingest.types import Chunk, Document

# Longer titles, such as a paragraph taken for one, would leave the model no room for the text.
_MAX_TITLE_CHARACTERS = 120


class Store:
    """The SQLite file of an index. Every method is one transaction on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, identity: Identity) -> "Store":
        """A new, empty store; also where an earlier creation was interrupted."""
        path.touch()
        store = cls(path)
        with store._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        with store._transaction() as connection:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            _write_identity(connection, identity)
        return store

    @classmethod
    def open(cls, path: Path) -> "Store":
        """The store at `path`.

        Raises: IndexNotFoundError, IndexDamagedError, IndexMismatchError for another schema.
        """
        store = cls(path)
        with store._connect() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            empty = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        if version == 0 and empty:
            raise _not_found(path)
        if version != SCHEMA_VERSION:
            reason = f"its format is {version}, this program reads {SCHEMA_VERSION}"
            raise IndexMismatchError(path, reason, "Use the version of Fuente that wrote it, or ingest anew")
        return store

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise _not_found(self.path)
        try:
            # mode=rw: a store that was deleted meanwhile must not come back as an empty one.
            address = f"{self.path.absolute().as_uri()}?mode=rw"
            connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30.0)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA foreign_keys=ON")
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
            return {row["path"]: StoredSource(*row) for row in connection.execute(LIVE_SOURCES)}

    def source(self, path: str) -> StoredSource | None:
        """Newest state of one source, published or not."""
        with self._connect() as connection:
            row = connection.execute(f"{LIVE_SOURCES} AND s.path = ?", (path,)).fetchone()
        return None if row is None else StoredSource(*row)

    def source_infos(self, generation: int) -> list[SourceInfo]:
        """Every source of a generation, by path."""
        query = (
            "SELECT s.path, d.id, d.language, d.pages, d.metadata, length(d.text) AS characters,"
            f" (SELECT count(*) FROM chunks c WHERE c.document = d.number AND {valid('c')}) AS chunks"
            " FROM sources s JOIN documents d ON d.number = s.document"
            f" WHERE {valid('s')} ORDER BY s.path"
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
                    f"SELECT count(*) FROM {table} t WHERE {valid('t')}", {"generation": generation}
                ).fetchone()[0]
                for table in ("documents", "chunks")
            )
        return documents, chunks

    def chunk_ids(self, generation: int) -> NDArray[np.int64]:
        """Ids (N,) int64 of a generation's chunks in the order of their positions."""
        query = f"SELECT c.id {ORDERED_CHUNKS}"
        with self._connect() as connection:
            rows = connection.execute(query, {"generation": generation})
            return np.fromiter((row[0] for row in rows), np.int64)

    def passages(self, generation: int) -> Iterator[tuple[str, str]]:
        """(text with its headings, language) of each chunk in the order of their positions."""
        query = f"SELECT c.text, c.headings, d.language {ORDERED_CHUNKS}"
        with self._connect() as connection:
            for row in connection.execute(query, {"generation": generation}):
                yield embedded_text(row["text"], json.loads(row["headings"])), row["language"]

    def vectors(self, generation: int, dimension: int, batch_size: int = 4096) -> Iterator[Vectors]:
        """Vectors (≤ batch_size, D) float32 of the chunks in the order of their positions."""
        query = f"SELECT v.vector {ORDERED_CHUNKS}".replace(
            "WHERE", "CROSS JOIN vectors v ON v.key = c.vector_key WHERE", 1
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
            f" (SELECT min(s.path) FROM sources s WHERE s.document = d.number AND {valid('s')}) AS source"
            " FROM chunks c JOIN documents d ON d.number = c.document"
            f" WHERE c.id IN (SELECT value FROM json_each(:ids)) AND {valid('c')}"
        )
        with self._connect() as connection:
            rows = connection.execute(query, {"ids": json.dumps(list(ids)), "generation": generation}).fetchall()
        return {row["id"]: chunk_of(row) for row in rows}

    def document(self, document_id: str, generation: int) -> Document | None:
        """A document of a generation, with the first of its sources."""
        query = (
            "SELECT d.*, (SELECT min(s.path) FROM sources s WHERE s.document = d.number"
            f" AND {valid('s')}) AS source FROM documents d WHERE d.id = :id AND {valid('d')}"
        )
        with self._connect() as connection:
            row = connection.execute(query, {"id": document_id, "generation": generation}).fetchone()
        return None if row is None else document_of(row)

    def documents_of(self, sources: Sequence[str], generation: int) -> dict[str, Document]:
        """The documents that these sources show in a generation, by source."""
        query = (
            "SELECT d.*, s.path AS source FROM sources s JOIN documents d ON d.number = s.document"
            f" WHERE s.path IN (SELECT value FROM json_each(:sources)) AND {valid('s')}"
        )
        with self._connect() as connection:
            rows = connection.execute(query, {"sources": json.dumps(list(sources)), "generation": generation})
            return {row["source"]: document_of(row) for row in rows}

    def documents(self, generation: int) -> Iterator[Document]:
        """Every document of a generation, by id."""
        with self._connect() as connection:
            query = f"SELECT d.id FROM documents d WHERE {valid('d')} ORDER BY d.id"
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

    def add_vectors(self, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Stores vectors by key; kept even when the run stops before their chunks are stored."""
        rows = [(key, vector.tobytes()) for key, vector in vectors.items()]
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def put(self, entries: Iterable[Entry], generation: int) -> None:
        """Makes each document's source show it from `generation` on, or replaces its chunks; all or nothing.

        The vectors of the chunks must be stored already.
        """
        with self._transaction() as connection:
            for entry in entries:
                number = self._document_number(connection, entry.document.id)
                if entry.stat is None:
                    if number is not None:
                        _close(connection, "chunks", "document", number, generation)
                        _insert_chunks(connection, number, entry.chunks, generation)
                    continue
                if number is None:
                    number = _insert_document(connection, entry.document, generation)
                    _insert_chunks(connection, number, entry.chunks, generation)
                _show(connection, entry.document.source, number, entry.stat, generation)

    def link(self, source: str, document_id: str, stat: tuple[int, int], generation: int) -> bool:
        """Makes `source` show a document that is stored already; False when it is not."""
        with self._transaction() as connection:
            number = self._document_number(connection, document_id)
            if number is not None:
                _show(connection, source, number, stat, generation)
        return number is not None

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
                _hide(connection, source, generation)

    def prune(self, oldest_generation: int) -> None:
        """Deletes the rows and vectors that no generation from `oldest_generation` on needs."""
        with self._transaction() as connection:
            deleted = sum(
                connection.execute(f"DELETE FROM {table} WHERE removed <= ?", (oldest_generation,)).rowcount
                for table in VERSIONED
            )
            if deleted:
                unused = "NOT EXISTS (SELECT 1 FROM chunks c WHERE c.vector_key = vectors.key)"
                connection.execute(f"DELETE FROM vectors WHERE {unused}")

    def newest_change(self) -> int:
        """The highest generation that a row was added or removed for, published or not; 0 for none."""
        columns = [f"(SELECT max({column}) FROM {table})" for table in VERSIONED for column in ("added", "removed")]
        with self._connect() as connection:
            return max(found or 0 for found in connection.execute(f"SELECT {', '.join(columns)}").fetchone())

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


def embedded_text(text: str, headings: Sequence[str]) -> str:
    """What is embedded and indexed for a chunk: the titles above it, then its text."""
    titles = " > ".join(title[:_MAX_TITLE_CHARACTERS] for title in headings)
    return f"{titles}\n{text}" if titles else text


def _not_found(path: Path) -> IndexNotFoundError:
    return IndexNotFoundError(path.parent, "there is no index here", "Run `fuente ingest PATH` first")


def _write_identity(connection: sqlite3.Connection, identity: Identity) -> None:
    _write_meta(connection, "identity", json.dumps(identity.as_dict(), sort_keys=True))


def _write_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _insert_document(connection: sqlite3.Connection, document: Document, generation: int) -> int:
    cursor = connection.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", document_values(document, generation)
    )
    return int(cursor.lastrowid or 0)


def _insert_chunks(
    connection: sqlite3.Connection, number: int, chunks: Sequence[tuple[Chunk, bytes]], generation: int
) -> None:
    connection.executemany(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (chunk_values(chunk, number, key, generation) for chunk, key in chunks),
    )


def _show(connection: sqlite3.Connection, source: str, number: int, stat: tuple[int, int], generation: int) -> None:
    """Makes a source show a document; what it showed before leaves unless another source shows it."""
    previous = _shown(connection, source)
    _close(connection, "sources", "path", source, generation)
    connection.execute("INSERT INTO sources VALUES (?, ?, ?, ?, ?, NULL)", (source, number, *stat, generation))
    _close_orphan(connection, previous, generation)


def _hide(connection: sqlite3.Connection, source: str, generation: int) -> None:
    previous = _shown(connection, source)
    _close(connection, "sources", "path", source, generation)
    _close_orphan(connection, previous, generation)


def _shown(connection: sqlite3.Connection, source: str) -> int | None:
    row = connection.execute("SELECT document FROM sources WHERE path = ? AND removed IS NULL", (source,)).fetchone()
    return None if row is None else int(row["document"])


def _close_orphan(connection: sqlite3.Connection, number: int | None, generation: int) -> None:
    """Ends the range of a document that no source shows any more."""
    shown = "SELECT 1 FROM sources WHERE document = ? AND removed IS NULL LIMIT 1"
    if number is None or connection.execute(shown, (number,)).fetchone() is not None:
        return
    _close(connection, "chunks", "document", number, generation)
    connection.execute("UPDATE documents SET removed = ? WHERE number = ?", (generation, number))


def _close(connection: sqlite3.Connection, table: str, column: str, value: str | int, generation: int) -> None:
    """Ends the range of live rows at `generation`; rows that were never published are deleted."""
    connection.execute(f"DELETE FROM {table} WHERE {column} = ? AND added >= ?", (value, generation))
    connection.execute(f"UPDATE {table} SET removed = ? WHERE {column} = ? AND removed IS NULL", (generation, value))
