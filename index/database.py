"""The SQLite file under an index: connections, transactions, and what says that it is as it was left."""

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from index.descriptors import connection_open, read_beside
from index.errors import (
    IndexDamagedError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexOutdatedError,
    IndexStorageError,
    StoreError,
)
from index.files import block_digests, lock, replace, sync_folder
from index.schema import COLUMNS, SCHEMA_VERSION, insertion, seal, sound
from index.types import Identity

FREE_SPACE = "Free space on the disk or mend its rights, then run the command again: nothing stored is lost"
RESTORE = "Restore it from a backup, or save what is whole with `fuente repair`"

_RESEAL = "Run `fuente ingest` once more: it is written anew"
_BUSY_S = 30.0
# For readers to end before the log is folded into the file; what they hold up is made up for by the next writer.
_SEALING_MS = 2000
# For another reader on a full disk to end; a writer takes longer, and has open what such a reader lacks.
_PATIENCE_S = 0.5
_UNCHANGING = "mode=ro&immutable=1"
# A SHA-256 in hexadecimal digits and the end of its line.
_OWN_DIGEST = 65
_STORAGE_CODES = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
)


class Database:
    """The SQLite file of an index. Every method is one transaction on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed = False
        self._mode = "rw"

    @classmethod
    def open(cls, path: Path) -> Self:
        """The store at `path`.

        Raises: IndexNotFoundError, IndexDamagedError, IndexOutdatedError, IndexMismatchError for a newer schema.
        """
        store = cls(path)
        version = store.version()
        if version == 0:
            raise _not_found(path)
        if version < SCHEMA_VERSION:
            reason = f"its format {version} is older than this program's {SCHEMA_VERSION}"
            raise IndexOutdatedError(path, reason, "Run `fuente ingest` once: it is brought up to date")
        if version > SCHEMA_VERSION:
            reason = f"its format {version} is newer than this program's {SCHEMA_VERSION}"
            raise IndexMismatchError(path, reason, "Use the version of Fuente that wrote it")
        return store

    def version(self) -> int:
        """The format of the file; 0 for an empty one."""
        query = "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
        version, tables = self._rows(query)[0]
        if not version and tables:
            raise IndexDamagedError(self.path, "it does not say which format it has", RESTORE)
        return int(version)

    def identity(self) -> Identity:
        """What the index is built with."""
        value = self._meta("identity")
        if value is None:
            raise IndexDamagedError(self.path, "it does not say how the index was built", RESTORE)
        return Identity(**json.loads(value))

    def is_complete(self) -> bool:
        """Whether every stored chunk follows the recorded identity."""
        return self._meta("complete") in (None, "yes")

    def check(self) -> list[str]:
        """What is wrong in the file: SQLite's own findings, then rows that differ from their seals."""
        with self._connect() as connection:
            rows = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            rows += [f"foreign key {tuple(row)}" for row in connection.execute("PRAGMA foreign_key_check")]
            for table in COLUMNS:
                unsound = f"SELECT count(*) FROM {table} t WHERE NOT {sound(table, 't')}"
                count = connection.execute(unsound).fetchone()[0]
                rows += [f"{count} rows of {table} differ from their seals"] if count else []
        return [row for row in rows if row != "ok"]

    @property
    def seal_path(self) -> Path:
        """The file that has the size and checksums of the store while no change is under way."""
        return self.path.with_name("store.seal")

    @contextmanager
    def open_log(self) -> Iterator[None]:
        """Keeps SQLite's log and the memory that its connections share, so that readers need not make them.

        Raises: IndexStorageError when there is no room for them.
        """
        with self._connect() as connection:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            yield

    def is_sealed(self) -> bool:
        """Whether the file is known to be as the last writer left it, down to bytes that SQLite does not use.

        False while a writer is at work, and when one was stopped before it could say so.
        Raises: IndexDamagedError when the file differs.
        """
        try:
            recorded = self.seal_path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise IndexDamagedError(self.seal_path, f"it cannot be read ({error})", _RESEAL) from error
        damage = self._difference(recorded)
        # A writer that began meanwhile has taken the seal away first.
        if damage is not None and self.seal_path.exists() and self.seal_path.read_bytes() == recorded:
            raise damage
        return damage is None

    def require_whole(self) -> None:
        """Checks the file's seal, or every row where a stopped writer has left no seal.

        Raises: IndexDamagedError: nothing may be built on, or deleted from, a store that is damaged.
        """
        try:
            sealed = self.is_sealed()
        except IndexDamagedError as error:
            if error.path != self.seal_path:
                raise
            sealed = False
        if not sealed:
            if findings := self.check():
                raise self._damaged("; ".join(findings[:3]))
            # Whatever it is, it is not of this file.
            self.seal_path.unlink(missing_ok=True)

    def seal_file(self) -> None:
        """Folds SQLite's log into the file and records its checksum, when anything changed since the last time."""
        if not self._changed and self.seal_path.exists():
            return
        with self._connect() as connection:
            connection.execute(f"PRAGMA busy_timeout = {_SEALING_MS}")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        # A reader that takes its time leaves the file without a seal; the next writer makes up for it.
        if not busy:
            # No seal is like an earlier one, so that a reader can tell whether it is still the same.
            replace(self.seal_path, self._seal(secrets.token_hex(8)))
            self._changed = False

    def _seal(self, number: str) -> bytes:
        with read_beside(self.path) as descriptor:
            blocks = "".join(f"{digest}\n" for digest in block_digests(descriptor))
        head = " ".join(filter(None, (str(self.path.stat().st_size), number)))
        text = f"{head}\n{blocks}"
        return f"{text}{hashlib.sha256(text.encode()).hexdigest()}\n".encode()

    def _difference(self, recorded: bytes) -> IndexDamagedError | None:
        """What tells the file from the one that was sealed; None when nothing does."""
        text, own = recorded[:-_OWN_DIGEST], recorded[-_OWN_DIGEST:]
        if own != f"{hashlib.sha256(text).hexdigest()}\n".encode():
            return IndexDamagedError(self.seal_path, "its content differs from its own checksum", _RESEAL)
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            if log.exists() and log.stat().st_size:
                return IndexDamagedError(log, "it holds changes that no writer acknowledged", RESTORE)
            # Seals of earlier versions have no number; the next writer's has one.
            number = recorded.partition(b"\n")[0].partition(b" ")[2].decode()
            return None if recorded == self._seal(number) else self._damaged("its content differs from its checksum")
        except FileNotFoundError:
            return self._damaged("it is missing")

    def _rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """All rows that a query finds; as long as no writer is at work, no room on the disk is needed.

        A sealed file is read as it is, without the log and the shared memory that SQLite makes for readers, too: a
        writer takes the seal away before it changes a byte, so what was read while one seal stayed is whole.
        """
        while (seal := self._present_seal()) is not None:
            try:
                with self._connect(_UNCHANGING) as connection:
                    rows = connection.execute(query, parameters).fetchall()
            except (StoreError, sqlite3.Error):
                if self._present_seal() == seal:
                    raise
            else:
                if self._present_seal() == seal:
                    return rows
        try:
            with self._connect() as connection:
                return connection.execute(query, parameters).fetchall()
        except IndexStorageError as refusal:
            return self._rows_alone(query, parameters, refusal)

    def _rows_alone(self, query: str, parameters: Any, refusal: IndexStorageError) -> list[sqlite3.Row]:
        """The same on a full disk where a writer was stopped, while no other writer and no such reader can begin."""
        with self._without_writers(refusal):
            log = self.path.with_name(f"{self.path.name}-wal")
            has_log = log.exists() and log.stat().st_size > 0
            with self._connect("mode=rw" if has_log else _UNCHANGING, alone=has_log) as connection:
                return connection.execute(query, parameters).fetchall()

    @contextmanager
    def _without_writers(self, refusal: IndexStorageError) -> Iterator[None]:
        until = time.monotonic() + _PATIENCE_S
        held = None
        while held is None:
            try:
                held = lock(self.path.with_name("writer.lock"), shared=False)
            except OSError:
                raise refusal from None
            if held is None and time.monotonic() > until:
                raise refusal
            time.sleep(0.0 if held else 0.01)
        with held:
            yield

    def _present_seal(self) -> bytes | None:
        try:
            return self.seal_path.read_bytes()
        except OSError:
            return None

    @contextmanager
    def _connect(self, how: str = "", *, alone: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection; `alone`, it shares neither the file nor, in memory, the state of its log."""
        if not self.path.is_file():
            raise _not_found(self.path)
        try:
            # Not mode=rwc: a store that was deleted meanwhile must not come back as an empty one.
            address = f"{self.path.absolute().as_uri()}?{how or f'mode={self._mode}'}"
            with connection_open():
                connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY_S)
                try:
                    if alone:  # before anything is read: then nothing is shared
                        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
                    connection.row_factory = sqlite3.Row
                    connection.create_function("seal", -1, seal, deterministic=True)
                    connection.execute("PRAGMA synchronous=FULL")
                    connection.execute("PRAGMA foreign_keys=ON")
                    yield connection
                finally:
                    connection.close()
        except sqlite3.Error as error:
            explained = self._explained(error)
            if explained is None:
                raise
            raise explained from error
        except UnicodeDecodeError as error:
            raise self._damaged(f"it holds text that is none ({error.reason})") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if not self._changed:
            self.seal_path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
            self._changed = True
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.rollback()
                raise
            connection.commit()

    def _meta(self, key: str) -> str | None:
        rows = self._rows(f"SELECT value, {sound('meta', 'm')} AS sound FROM meta m WHERE key = ?", (key,))
        return str(self._checked(rows[0])["value"]) if rows else None

    def _checked(self, row: sqlite3.Row) -> sqlite3.Row:
        """The row, when its column `sound` says that it is as it was written.

        Raises: IndexDamagedError.
        """
        if not row["sound"]:
            raise self._damaged("a stored row differs from its checksum")
        return row

    def _damaged(self, reason: str) -> IndexDamagedError:
        return IndexDamagedError(self.path, reason, RESTORE)

    def _explained(self, error: sqlite3.Error) -> StoreError | None:
        """SQLite's error as one of ours; None where a person can do nothing about it."""
        # The low byte is the kind, the rest tells more of it. Errors of the driver itself have no code.
        kind = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_MISUSE) & 0xFF
        if kind in _STORAGE_CODES:
            return IndexStorageError(self.path, f"the disk refuses ({error})", FREE_SPACE)
        if kind == sqlite3.SQLITE_BUSY:
            mend = "Stop the other program that works on the file, then run the command again"
            return IndexStorageError(self.path, f"another program keeps it locked ({error})", mend)
        broken = kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
        # The seal is the only function of ours; it cannot take text that is not UTF-8.
        lost = ("no such table", "no such column", "user-defined function raised exception")
        if broken or str(error).startswith(lost):
            return self._damaged(f"SQLite cannot read it ({error})")
        return None


def write_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Records what the index as a whole is."""
    connection.execute(insertion("meta", verb="INSERT OR REPLACE"), (key, value))


def write_identity(connection: sqlite3.Connection, identity: Identity) -> None:
    """Records what the index is built with."""
    write_meta(connection, "identity", json.dumps(identity.as_dict(), sort_keys=True))


def run_script(connection: sqlite3.Connection, statements: Sequence[str] | str, *values: Any) -> None:
    """Runs statements inside the transaction that is open, which `executescript` would end."""
    for statement in statements.split(";\n") if isinstance(statements, str) else statements:
        connection.execute(statement, *values)


def _not_found(path: Path) -> StoreError:
    if (path.parent / "CURRENT").exists():
        return IndexDamagedError(path, "it is lost, though documents were published", RESTORE)
    return IndexNotFoundError(path.parent, "there is no index here", "Run `fuente ingest PATH` first")
