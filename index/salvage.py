"""Reads a damaged store as far as it can be read, row by row, and keeps the documents that are whole.

A row counts when its seal says that it is as it was written. A document counts when all of it is there: its own row,
its text, a source, and chunks, with their vectors, that hold every character of the text that is not blank.
"""

import json
import shutil
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from index.carving import carved
from index.database import run_script
from index.embedder import Embedder
from index.relations import ProgressFunction, declared, expected_schema
from index.schema import COLUMNS, SCHEMA, SCHEMA_VERSION, seal
from index.store import embedded_text
from index.store_writer import StoreWriter
from index.types import Identity

_TABLES = ("documents", "texts", "sources", "chunks")
_ENDLESS = 2**63 - 1
# Where the last page of a table cannot be read, how far beyond the last row others are looked for.
_FARTHEST = 2**20
# Stretches without a row that can be read, one after the other, before the rest of a table is given up. Halving
# looks at far places first, so what is left then is small or far from everything.
_FRUITLESS_STRETCHES = 1000
_EMBEDDED_TOGETHER = 256
_PAGE_BYTES = 4096
_SMALLEST_ROW_BYTES = 4
# Of a database file's head: versions of the format, change counter, size in pages, and the counter once more.
_FORMATS, _PAGES = slice(18, 20), slice(28, 32)
# What another program or a lack of memory causes says nothing about the file.
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT)


@dataclass(frozen=True, slots=True)
class Salvage:
    """What of a damaged store is whole: live documents with their chunks, vectors, and sources by path.

    `embedded` vectors were computed anew; `lost` are the sources that must be ingested again, and `nameless` further
    documents, which nothing names any more.
    """

    documents: int
    chunks: int
    vectors: int
    embedded: int
    kept: tuple[str, ...]
    lost: tuple[str, ...]
    nameless: int = 0


class _UnreadableError(Exception):
    """A page that is needed to go on cannot be read."""


class Wreck:
    """A damaged store, open for reading; nothing is written to it."""

    def __init__(self, path: Path) -> None:
        log = path.with_name(f"{path.name}-wal")
        self.path = path
        self._has_log = log.exists() and log.stat().st_size > 0
        how = "mode=ro" if self._has_log else "immutable=1"
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
        # Damaged text must not stop the walk; its seal tells it apart.
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        self._connection.execute("PRAGMA cell_size_check=ON")
        # A damaged pointer can lead back to pages that were read before, and SQLite then goes round without end.
        self._most_rows = max(1, path.stat().st_size // _SMALLEST_ROW_BYTES)

    def close(self) -> None:
        """Lets the file go."""
        self._connection.close()

    def is_declared(self) -> bool:
        """Whether the declarations of the tables, which say where they are, are as Fuente writes them."""
        try:
            return declared(self._connection) == expected_schema()
        except sqlite3.Error as error:
            _raise_passing(error)
            return False

    def meta(self) -> dict[str, str]:
        """What the index as a whole is, as far as it is whole."""
        return {key: value for _, key, value, _ in self.rows("meta")}

    def rows(self, table: str) -> Iterator[Sequence[Any]]:
        """The sound rows of a table, each after its number and with its seal.

        A stretch of rows is walked from both ends until a page cannot be read, and what is between is halved.
        """
        stretches = deque([(1, _ENDLESS)])
        fruitless = 0
        while stretches and fruitless < _FRUITLESS_STRETCHES:
            low, high = stretches.popleft()
            fruitless += 1
            for direction in ("ASC", "DESC"):
                try:
                    for rowid, *row in self._stretch(table, low, high, direction):
                        if not low <= rowid < high:
                            raise _UnreadableError  # a damaged pointer leads back, without end
                        low, high = (rowid + 1, high) if direction == "ASC" else (low, rowid)
                        fruitless = 0
                        if is_sound(row):
                            yield rowid, *row
                    break
                except _UnreadableError:
                    continue
            else:
                high = min(high, low + _FARTHEST)
                if high - low > 1:
                    stretches += [(low, (low + high) // 2), ((low + high) // 2, high)]

    def vectors(self) -> Iterator[Sequence[Any]]:
        """The sound rows of vectors at both ends of their table, all of them when every page can be read."""
        for direction in ("ASC", "DESC"):
            try:
                query = f"SELECT key, vector, seal FROM vectors ORDER BY key {direction}"
                yield from filter(is_sound, self._read(query))
                return
            except _UnreadableError:
                continue

    def vector(self, key: bytes) -> Sequence[Any] | None:
        """The row of one vector; None when it is lost."""
        with suppress(_UnreadableError):
            for row in self._read("SELECT key, vector, seal FROM vectors WHERE key = ?", (key,)):
                return row if is_sound(row) else None
        return None

    def carved(self) -> Iterator[tuple[str, int, Sequence[Any]]]:
        """Table, number and columns of the sound rows in pages to which no way may lead.

        None where SQLite's log holds newer pages: those in the file may be of rows that were changed since.
        """
        if not self._has_log:
            yield from (found for found in carved(self.path) if found[0] != "meta" and is_sound(found[2]))

    def named_sources(self) -> set[str]:
        """Paths of live sources that two indexes name; their own rows may be lost."""
        by_path = {path for (path,) in self._walk("path FROM sources INDEXED BY sources_by_path", "path")}
        live = self._walk("path FROM sources INDEXED BY live_sources WHERE removed IS NULL", "collection")
        return by_path & {path for (path,) in live}

    def _walk(self, selection: str, order: str) -> Iterator[Sequence[Any]]:
        for direction in ("ASC", "DESC"):
            with suppress(_UnreadableError):
                yield from self._read(f"SELECT {selection} ORDER BY {order} {direction}")

    def _stretch(self, table: str, low: int, high: int, direction: str) -> Iterator[Sequence[Any]]:
        columns = ", ".join(COLUMNS[table])
        selection = f"SELECT rowid, {columns}, seal FROM {table} NOT INDEXED WHERE rowid >= ? AND rowid < ?"
        return self._read(f"{selection} ORDER BY rowid {direction}", (low, high))

    def _read(self, query: str, values: Sequence[Any] = ()) -> Iterator[Sequence[Any]]:
        try:
            yield from islice(self._connection.execute(query, values), self._most_rows)
        except sqlite3.Error as error:
            _raise_passing(error)
            raise _UnreadableError from error


@contextmanager
def opened(path: Path, work: Path) -> Iterator[Wreck]:
    """A damaged store. Where its first page is of no use, a copy of it in `work` with the page that a new store has."""
    path = _with_log(path, work)
    with closing(Wreck(path)) as wreck:
        if wreck.is_declared():
            yield wreck
            return
    copy = work / "copy.db"
    shutil.copyfile(path, copy)
    if _log(path).exists():
        shutil.copyfile(_log(path), _log(copy))
    pages = _first_pages(work)
    _put_first(copy, max(pages, key=lambda page: _sources_with(copy, page)))
    with closing(Wreck(copy)) as wreck:
        yield wreck


def salvage(
    wreck: Wreck,
    target: Path,
    identity: Identity,
    *,
    embedder: Embedder | None = None,
    progress: ProgressFunction,
) -> Salvage:
    """Makes a new store at `target` of all documents that are whole in the damaged one.

    Vectors that are lost are computed anew when `embedder` is the one that they were computed with.
    """
    rescued = _Rescued.create(target, identity)
    rescued.fill(wreck, progress)
    embedded = rescued.embed(embedder, progress) if embedder else 0
    stored = rescued.live_sources()
    nameless = rescued.drop_incomplete(progress)
    kept = rescued.live_sources()
    paths = {path for path, _ in kept}
    named = wreck.named_sources() - paths
    lost = {path for path, _ in stored - kept} | named
    # A document without a source is one that the indexes name, where they name any.
    lost |= set() if named else set(nameless)
    documents, chunks, vectors = rescued.live_counts()
    return Salvage(documents, chunks, vectors, embedded, tuple(sorted(paths)), tuple(sorted(lost)))


class _Rescued(StoreWriter):
    """The new store."""

    def fill(self, wreck: Wreck, progress: ProgressFunction) -> None:
        """Copies every sound row, with its seal."""
        with self._connect() as connection:
            # Everything is new: a journal has next to nothing to keep, where SQLite's log would have it all.
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA foreign_keys=OFF")
            connection.execute("BEGIN")
            for table in _TABLES:
                connection.executemany(_verbatim(table), _counted(wreck.rows(table), table, progress))
            connection.executemany(_verbatim("vectors"), _counted(wreck.vectors(), "vectors", progress))
            for done, (table, number, row) in enumerate(wreck.carved()):
                progress("looking for more", done, 0)
                connection.execute(_verbatim(table), row if table == "vectors" else (number, *row))
            missing = connection.execute(
                f"SELECT DISTINCT c.vector_key FROM chunks c WHERE {_WITHOUT_VECTOR}"
            ).fetchall()
            found = (wreck.vector(key) for (key,) in missing)
            connection.executemany(_verbatim("vectors"), (row for row in found if row))
            connection.execute("COMMIT")

    def embed(self, embedder: Embedder, progress: ProgressFunction) -> int:
        """Computes the vectors that are lost and returns how many; none when another embedder made them."""
        query = (
            f"SELECT c.vector_key, c.text, c.headings FROM chunks c WHERE c.vector_key > ? AND {_WITHOUT_VECTOR}"
            f" ORDER BY c.vector_key LIMIT {_EMBEDDED_TOGETHER}"
        )
        last, embedded = b"", 0
        while True:
            with self._connect() as connection:
                rows = connection.execute(query, (last,)).fetchall()
            if not rows:
                return embedded
            last = rows[-1]["vector_key"]
            texts = {row["vector_key"]: embedded_text(row["text"], json.loads(row["headings"])) for row in rows}
            keys = [key for key, text in texts.items() if embedder.vector_key(text) == key]
            progress("embedding chunks", embedded, 0)
            vectors = embedder.encode_passages([texts[key] for key in keys])  # (B, D)
            if keys:
                self.add_vectors(dict(zip(keys, vectors, strict=True)))
            embedded += len(keys)

    def drop_incomplete(self, progress: ProgressFunction) -> list[str]:
        """Deletes all of the documents that are not whole; returns what tells those apart that have no source."""
        with self._connect() as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
            connection.execute("BEGIN")
            connection.execute(f"DELETE FROM chunks AS c WHERE removed NOTNULL AND {_WITHOUT_VECTOR}")
            incomplete = list(_incomplete(connection, progress))
            for number, _ in incomplete:
                connection.execute("DELETE FROM documents WHERE number = ?", (number,))
            for table in ("texts", "sources", "chunks"):
                connection.execute(f"DELETE FROM {table} WHERE document NOT IN (SELECT number FROM documents)")
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode=WAL")
        return [name for _, name in incomplete if name]

    def live_sources(self) -> set[tuple[str, str]]:
        """Path and collection of each live source."""
        with self._connect() as connection:
            rows = connection.execute("SELECT path, collection FROM sources WHERE removed IS NULL")
            return {(path, collection) for path, collection in rows}

    def live_counts(self) -> tuple[int, int, int]:
        """Number of live documents, their chunks, and vectors."""
        with self._connect() as connection:
            documents, chunks = (
                connection.execute(f"SELECT count(*) FROM {table} WHERE removed IS NULL").fetchone()[0]
                for table in ("documents", "chunks")
            )
            return documents, chunks, connection.execute("SELECT count(*) FROM vectors").fetchone()[0]


_WITHOUT_VECTOR = "NOT EXISTS (SELECT 1 FROM vectors v WHERE v.key = c.vector_key)"


def _incomplete(connection: sqlite3.Connection, progress: ProgressFunction) -> Iterator[tuple[int, str]]:
    """Number of each document that is not whole, with a name where no source tells it."""
    total = connection.execute("SELECT count(*) FROM documents").fetchone()[0]
    live = "s.document = d.number AND (d.removed NOTNULL OR s.removed IS NULL)"
    query = (
        "SELECT d.number, d.id, d.metadata, d.characters, d.removed, t.text,"
        f" EXISTS (SELECT 1 FROM sources s WHERE {live}) AS shown"
        " FROM documents d LEFT JOIN texts t ON t.document = d.number"
    )
    for done, row in enumerate(connection.execute(query)):
        progress("checking documents", done, total)
        is_whole = row["shown"] and row["text"] is not None and len(row["text"]) == row["characters"]
        is_live = row["removed"] is None
        if not is_whole or (is_live and not _is_covered(connection, row["number"], row["text"])):
            name = f"{json.loads(row['metadata']).get('file_name', '')} (document {row['id']})"
            yield row["number"], name.strip() if is_live and not row["shown"] else ""


def _is_covered(connection: sqlite3.Connection, number: int, text: str) -> bool:
    """Whether the live chunks of a document have vectors and hold all of its text that is not blank."""
    query = (
        f'SELECT c.text, c."start", c."end", {_WITHOUT_VECTOR} AS lacking FROM chunks c'
        ' WHERE c.document = ? AND c.removed IS NULL ORDER BY c."start"'
    )
    reached = 0
    for part, start, end, lacking in connection.execute(query, (number,)):
        if lacking or text[start:end] != part or text[reached:start].strip():
            return False
        reached = max(reached, end)
    return not text[reached:].strip()


def is_sound(row: Sequence[Any]) -> bool:
    """Whether the last of a row's values is the seal of the others."""
    *values, stored = row
    return all(value is None or isinstance(value, (str, bytes, int)) for value in values) and seal(*values) == stored


def _verbatim(table: str) -> str:
    """The statement that adds a row after its number, which tells it from the others; vectors have none."""
    columns = (*COLUMNS[table], "seal") if table == "vectors" else ("rowid", *COLUMNS[table], "seal")
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _counted(rows: Iterator[Sequence[Any]], table: str, progress: ProgressFunction) -> Iterator[Sequence[Any]]:
    for done, row in enumerate(rows):
        progress(f"reading {table}", done, 0)
        yield row


def _raise_passing(error: sqlite3.Error) -> None:
    """Raises the error again unless it tells of damage."""
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _PASSING:
        raise error


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_log(path: Path) -> bool:
    return _log(path).exists() and _log(path).stat().st_size > 0


def _with_log(path: Path, work: Path) -> Path:
    """The store with what is in its log: a copy in `work`, or itself where there is none or SQLite cannot copy it."""
    copy = work / "folded.db"
    if not _has_log(path):
        return path
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # page by page, whatever is on them
    except sqlite3.Error as error:
        _raise_passing(error)
        return path
    return copy


def _first_pages(work: Path) -> list[bytes]:
    """First pages that a store may have had: as it is created, and as it is after a restoration."""
    created, compacted = work / "created.db", work / "compacted.db"
    with closing(sqlite3.connect(created, isolation_level=None)) as connection:
        run_script(connection, SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("VACUUM INTO ?", (str(compacted),))
    return [path.read_bytes()[:_PAGE_BYTES] for path in (created, compacted)]


def _put_first(path: Path, page: bytes) -> None:
    """Makes `page` the first one of a database file."""
    head = bytearray(page)
    head[_FORMATS] = b"\2\2"
    head[_PAGES] = (path.stat().st_size // _PAGE_BYTES).to_bytes(4, "big")
    with path.open("r+b") as file:
        file.write(head)


def _sources_with(path: Path, page: bytes) -> int:
    """Number of sources that can be read when `page` is the first one."""
    _put_first(path, page)
    with closing(Wreck(path)) as wreck:
        return sum(1 for _ in wreck.rows("sources"))
