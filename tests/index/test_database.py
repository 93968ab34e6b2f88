"""Reading needs no room on the disk, and shows no half of a change."""

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from index.database import Database
from index.descriptors import read_beside
from index.errors import IndexDamagedError, IndexStorageError
from index.files import block_digests
from index.store_writer import StoreWriter
from index.types import Identity

FIRST, SECOND = (Identity(name, "", 4, "", "", 20, 4) for name in ("first", "second"))


@pytest.fixture
def store(tmp_path: Path) -> StoreWriter:
    """A sealed store, beside the lock of its writers."""
    (tmp_path / "writer.lock").touch()
    store = StoreWriter.create(tmp_path / "fuente.db", FIRST)
    store.seal_file()
    return store


def digests(path: Path) -> list[str]:
    with read_beside(path) as descriptor:
        return list(block_digests(descriptor))


def take_room(store: Database) -> None:
    """Nothing can be made where SQLite's shared memory would be."""
    store.path.with_name("fuente.db-shm").symlink_to("nowhere")  # which SQLite does not follow


def test_a_sealed_store_is_read_without_room(store: StoreWriter) -> None:
    take_room(store)
    assert Database.open(store.path).identity() == FIRST
    assert not store.path.with_name("fuente.db-wal").exists()


def test_a_seal_of_an_earlier_version_counts_until_the_next_writer(store: StoreWriter) -> None:
    text = f"{store.path.stat().st_size}\n" + "".join(f"{digest}\n" for digest in digests(store.path))
    store.seal_path.write_text(f"{text}{hashlib.sha256(text.encode()).hexdigest()}\n", encoding="ascii")
    assert Database.open(store.path).is_sealed()
    content = bytearray(store.path.read_bytes())
    content[-1] ^= 1
    store.path.write_bytes(content)
    with pytest.raises(IndexDamagedError, match="checksum"):
        Database.open(store.path).is_sealed()


def test_a_stopped_writer_leaves_a_store_that_is_read_without_room(store: StoreWriter) -> None:
    store.set_identity(SECOND, complete=True)
    assert not store.seal_path.exists()
    take_room(store)
    assert Database.open(store.path).identity() == SECOND


def test_a_killed_writers_log_is_read_without_room(store: StoreWriter) -> None:
    killed = "import os, sys; from pathlib import Path; from index.store_writer import StoreWriter\n"
    killed += "from index.types import Identity; store = StoreWriter(Path(sys.argv[1]))\n"
    killed += f"with store.open_log(): store.set_identity({SECOND!r}, complete=True); os._exit(0)"
    subprocess.run([sys.executable, "-c", killed, store.path], check=True, cwd=Path(__file__).parents[2])
    assert store.path.with_name("fuente.db-wal").stat().st_size
    store.path.with_name("fuente.db-shm").unlink()
    take_room(store)
    assert Database.open(store.path).identity() == SECOND


def test_a_writer_without_room_changes_nothing(store: StoreWriter) -> None:
    before = store.path.read_bytes(), store.seal_path.read_bytes()
    take_room(store)
    with pytest.raises(IndexStorageError), store.open_log():
        pytest.fail("there is no room")
    assert (store.path.read_bytes(), store.seal_path.read_bytes()) == before


@pytest.mark.parametrize("sealed", [True, False])
def test_what_a_writer_changes_meanwhile_is_read_again(
    store: StoreWriter, sealed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, connect, began = Database(store.path), Database._connect, iter([True])

    @contextmanager
    def overtaken(self: Database, *arguments: Any, **options: Any) -> Iterator[sqlite3.Connection]:
        with connect(self, *arguments, **options) as connection:
            if self is reader and next(began, False):
                connection.execute("SELECT * FROM meta").fetchall()  # what was read of the old state
                store.set_identity(SECOND, complete=True)
                if sealed:
                    store.seal_file()
            yield connection

    monkeypatch.setattr(Database, "_connect", overtaken)
    assert reader.identity() == SECOND


@pytest.mark.skipif(sys.platform == "win32", reason="locks belong to descriptors there")
def test_reading_the_file_takes_no_lock_from_a_connection(store: StoreWriter) -> None:
    with store.open_log():
        store.set_identity(SECOND, complete=True)
        log = store.path.with_name("fuente.db-wal")
        with read_beside(store.path) as descriptor:
            assert block_digests(descriptor)
        other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM meta').fetchone()"
        subprocess.run([sys.executable, "-c", f"{other}; c.close()", store.path], check=True)
        assert log.stat().st_size, "another process took the log for nobody's and deleted it"
    with closing(sqlite3.connect(store.path)) as connection:
        assert "second" in connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0]
