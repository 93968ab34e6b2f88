"""What the one writer does to the store; each method is one transaction, all or nothing."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.database import run_script, write_identity, write_meta
from index.migrations import migrate
from index.schema import (
    SCHEMA,
    SCHEMA_VERSION,
    VERSIONED,
    Entry,
    StoredSource,
    chunk_values,
    document_values,
    insertion,
    resealed,
    sound,
    text_values,
)
from index.store import Store
from index.types import Identity
from ingest.types import Chunk, Document

_LIVE_SOURCES = (
    f"SELECT s.path, d.id, s.size_bytes, s.modified_ns, {sound('sources', 's')} AS sound FROM sources s"
    " JOIN documents d ON d.number = s.document WHERE s.removed IS NULL AND s.collection = ?"
)


class StoreWriter(Store):
    """The store with its changes; only the holder of the write lock may have one."""

    @classmethod
    def create(cls, path: Path, identity: Identity) -> Self:
        """A new, empty store; also where an earlier creation was interrupted."""
        path.touch()
        store = cls(path)
        with store._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        with store._transaction() as connection:
            run_script(connection, SCHEMA)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            write_identity(connection, identity)
        return store

    @classmethod
    def open(cls, path: Path) -> Self:
        """The store at `path`, brought up to date when an older version wrote it.

        Raises: IndexNotFoundError, IndexDamagedError, IndexMismatchError for a newer schema.
        """
        store = cls(path)
        if 0 < store.version() < SCHEMA_VERSION:
            with store._transaction() as connection:
                migrate(connection)
        return super().open(path)

    def set_identity(self, identity: Identity, *, complete: bool) -> None:
        """Records what the index is built with; not complete while the stored chunks do not all follow it."""
        with self._transaction() as connection:
            write_identity(connection, identity)
            write_meta(connection, "complete", "yes" if complete else "no")

    def sources(self, collection: str) -> dict[str, StoredSource]:
        """Newest state of every source of a collection by path, published or not."""
        with self._connect() as connection:
            rows = connection.execute(_LIVE_SOURCES, (collection,))
            return {row["path"]: StoredSource(*tuple(self._checked(row))[:4]) for row in rows}

    def source(self, path: str, collection: str) -> StoredSource | None:
        """Newest state of one source, published or not."""
        with self._connect() as connection:
            row = connection.execute(f"{_LIVE_SOURCES} AND s.path = ?", (collection, path)).fetchone()
        return None if row is None else StoredSource(*tuple(self._checked(row))[:4])

    def collections_of(self, sources: Iterable[str]) -> dict[str, list[str]]:
        """The collections that each source is in now, published or not."""
        query = "SELECT collection FROM sources WHERE path = ? AND removed IS NULL ORDER BY collection"
        with self._connect() as connection:
            return {source: [row[0] for row in connection.execute(query, (source,))] for source in sources}

    def live_documents(self) -> list[str]:
        """Ids of the documents that some source shows now, published or not, in order."""
        query = "SELECT id FROM documents WHERE removed IS NULL ORDER BY id"
        with self._connect() as connection:
            return [row[0] for row in connection.execute(query)]

    def known_vectors(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of `keys` whose vector is stored and whole."""
        query = f"SELECT v.key FROM vectors v WHERE v.key = ? AND {sound('vectors', 'v')}"
        with self._connect() as connection:
            found = (connection.execute(query, (key,)).fetchone() for key in keys)
            return {row["key"] for row in found if row is not None}

    def add_vectors(self, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Stores vectors by key; kept even when the run stops before their chunks are stored."""
        rows = [(key, vector.tobytes()) for key, vector in vectors.items()]
        with self._transaction() as connection:
            connection.executemany(insertion("vectors", verb="INSERT OR REPLACE"), rows)

    def put(self, entries: Iterable[Entry], collection: str, generation: int) -> None:
        """Makes each document's source show it from `generation` on, or replaces its chunks.

        The vectors of the chunks must be stored already.
        """
        with self._transaction() as connection:
            for entry in entries:
                number = _document_number(connection, entry.document.id)
                if entry.stat is None:
                    if number is not None:
                        _close(connection, "chunks", "document", number, generation)
                        _insert_chunks(connection, number, entry.chunks, generation)
                    continue
                if number is None:
                    number = _insert_document(connection, entry.document, generation)
                    _insert_chunks(connection, number, entry.chunks, generation)
                _show(connection, (entry.document.source, collection), number, entry.stat, generation)

    def link(self, source: str, collection: str, document_id: str, stat: tuple[int, int], generation: int) -> bool:
        """Makes `source` show a document that is stored already; False when it is not."""
        with self._transaction() as connection:
            number = _document_number(connection, document_id)
            if number is not None:
                _show(connection, (source, collection), number, stat, generation)
        return number is not None

    def touch(self, source: str, collection: str, stat: tuple[int, int]) -> None:
        """Records a new size and time of a file whose content is unchanged."""
        changes = resealed("sources", size_bytes="?1", modified_ns="?2")
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE sources SET {changes} WHERE path = ?3 AND collection = ?4 AND removed IS NULL",
                (*stat, source, collection),
            )

    def remove(self, sources: Iterable[tuple[str, str]], generation: int) -> None:
        """Takes sources, each with its collection, out from `generation` on.

        The documents that no other source shows leave with them.
        """
        with self._transaction() as connection:
            for source in sources:
                _hide(connection, source, generation)

    def prune(self, oldest_generation: int) -> None:
        """Deletes the rows and vectors that no generation from `oldest_generation` on needs."""
        with self._connect() as connection:
            stale = (f"SELECT 1 FROM {table} WHERE removed <= ?1" for table in VERSIONED)
            if connection.execute(f"{' UNION ALL '.join(stale)} LIMIT 1", (oldest_generation,)).fetchone() is None:
                return
        with self._transaction() as connection:
            gone = "SELECT number FROM documents WHERE removed <= ?"
            connection.execute(f"DELETE FROM texts WHERE document IN ({gone})", (oldest_generation,))
            for table in VERSIONED:
                connection.execute(f"DELETE FROM {table} WHERE removed <= ?", (oldest_generation,))
            unused = "NOT EXISTS (SELECT 1 FROM chunks c WHERE c.vector_key = vectors.key)"
            connection.execute(f"DELETE FROM vectors WHERE {unused}")

    def newest_change(self) -> int:
        """The highest generation that a row was added or removed for, published or not; 0 for none."""
        columns = [f"(SELECT max({column}) FROM {table})" for table in VERSIONED for column in ("added", "removed")]
        with self._connect() as connection:
            return max(found or 0 for found in connection.execute(f"SELECT {', '.join(columns)}").fetchone())


def _document_number(connection: sqlite3.Connection, document_id: str) -> int | None:
    row = connection.execute("SELECT number FROM documents WHERE id = ? AND removed IS NULL", (document_id,)).fetchone()
    return None if row is None else int(row["number"])


def _insert_document(connection: sqlite3.Connection, document: Document, generation: int) -> int:
    number = int(connection.execute("SELECT coalesce(max(number), 0) + 1 FROM documents").fetchone()[0])
    connection.execute(insertion("documents"), document_values(number, document, generation))
    connection.execute(insertion("texts"), text_values(number, document))
    return number


def _insert_chunks(
    connection: sqlite3.Connection, number: int, chunks: Sequence[tuple[Chunk, bytes]], generation: int
) -> None:
    connection.executemany(insertion("chunks"), (chunk_values(chunk, number, key, generation) for chunk, key in chunks))


def _show(
    connection: sqlite3.Connection, source: tuple[str, str], number: int, stat: tuple[int, int], generation: int
) -> None:
    """Makes a source show a document; what it showed before leaves unless another source shows it."""
    previous = _shown(connection, source)
    _close_source(connection, source, generation)
    connection.execute(insertion("sources"), (*source, number, *stat, generation, None))
    _close_orphan(connection, previous, generation)


def _hide(connection: sqlite3.Connection, source: tuple[str, str], generation: int) -> None:
    previous = _shown(connection, source)
    _close_source(connection, source, generation)
    _close_orphan(connection, previous, generation)


def _shown(connection: sqlite3.Connection, source: tuple[str, str]) -> int | None:
    query = "SELECT document FROM sources WHERE path = ? AND collection = ? AND removed IS NULL"
    row = connection.execute(query, source).fetchone()
    return None if row is None else int(row["document"])


def _close_source(connection: sqlite3.Connection, source: tuple[str, str], generation: int) -> None:
    """Ends the range of a source at `generation`; a row that was never published is deleted."""
    named = "path = ? AND collection = ?"
    connection.execute(f"DELETE FROM sources WHERE {named} AND added >= ?", (*source, generation))
    ended = f"UPDATE sources SET {resealed('sources', removed='?3')} WHERE path = ?1 AND collection = ?2"
    connection.execute(f"{ended} AND removed IS NULL", (*source, generation))


def _close_orphan(connection: sqlite3.Connection, number: int | None, generation: int) -> None:
    """Ends the range of a document that no source shows any more."""
    shown = "SELECT 1 FROM sources WHERE document = ? AND removed IS NULL LIMIT 1"
    if number is None or connection.execute(shown, (number,)).fetchone() is not None:
        return
    _close(connection, "chunks", "document", number, generation)
    ended = f"UPDATE documents SET {resealed('documents', removed='?2')} WHERE number = ?1"
    connection.execute(ended, (number, generation))


def _close(connection: sqlite3.Connection, table: str, column: str, value: str | int, generation: int) -> None:
    """Ends the range of live rows at `generation`; rows that were never published are deleted."""
    connection.execute(f"DELETE FROM {table} WHERE {column} = ? AND added >= ?", (value, generation))
    ended = f"UPDATE {table} SET {resealed(table, removed='?2')} WHERE {column} = ?1 AND removed IS NULL"
    connection.execute(ended, (value, generation))
