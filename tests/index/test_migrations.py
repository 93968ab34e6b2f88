"""An index of an older version is brought up to date, with all that it holds."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from index.database import Database
from index.errors import IndexMismatchError, IndexOutdatedError
from index.schema import SCHEMA_VERSION
from index.store import Store
from tests.index.library import TEXTS, Library, found

# The tables of format 1, as that version wrote them.
FORMAT_1 = """
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
# Each old table out of the new ones.
OLD_ROWS = {
    "meta": "SELECT key, value FROM new.meta",
    "documents": (
        "SELECT number, id, sha256, language, text, pages, headings, blocks, metadata, added, removed"
        " FROM new.documents JOIN new.texts ON document = number"
    ),
    "sources": "SELECT path, document, size_bytes, modified_ns, added, removed FROM new.sources",
    "chunks": ('SELECT id, document, text, "start", "end", page, headings, vector_key, added, removed FROM new.chunks'),
    "vectors": "SELECT key, vector FROM new.vectors",
}


@pytest.fixture
def old(library: Library) -> Library:
    """A library whose index is of format 1, with a document that left and one that was never published."""
    library.write(**TEXTS)
    library.sync()
    Path(library.source("perro")).unlink()
    library.write(gato=TEXTS["gato"] + " Y sueña.")
    held = library.index()
    library.sync()
    held.close()
    path = library.folder / "fuente.db"
    new = path.with_name("new.db")
    path.rename(new)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(FORMAT_1)
    connection.execute("ATTACH ? AS new", (str(new),))
    for table, rows in OLD_ROWS.items():
        connection.execute(f"INSERT INTO {table} {rows}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    new.unlink()
    (library.folder / "store.seal").unlink()
    for folder in library.folder.glob("gen-*"):
        shutil.rmtree(folder)
    (library.folder / "CURRENT").write_text("gen-000002")
    return library


def test_readers_say_what_to_do(old: Library) -> None:
    with pytest.raises(IndexOutdatedError, match="fuente ingest"):
        old.index()


def test_a_sync_migrates_and_embeds_nothing(old: Library) -> None:
    old.model.encoded.clear()
    report = old.sync()
    assert (report.embedded, sorted(Path(source).stem for source in report.unchanged)) == (0, ["barco", "gato"])
    assert old.model.encoded == []
    index = old.index()
    assert found(index, "sueña", "lexical") == {"gato"}
    assert found(index, "ladra carteros", "lexical") == set()
    assert index.collections() == ["default"]
    stored = Store.open(old.folder / "fuente.db")
    assert stored.check() == []
    assert stored.version() == SCHEMA_VERSION
    assert stored.is_sealed()


def test_what_was_migrated_is_what_a_new_index_holds(old: Library) -> None:
    old.sync()
    fresh = Library(old.files, old.folder.with_name("fresh"))
    fresh.sync()
    ours, theirs = old.index(), fresh.index()
    assert ours.sources() == theirs.sources()
    assert [ours.document(info.document_id) for info in ours.sources()] == [
        theirs.document(info.document_id) for info in theirs.sources()
    ]
    assert ours.generation.manifest.digest == theirs.generation.manifest.digest


def test_a_migration_that_is_stopped_leaves_the_old_store(old: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("index.migrations.SCHEMA", "CREATE TABLE meta (key TEXT) STRICT;\nSELECT seal_of_nothing()")
        with pytest.raises(sqlite3.OperationalError):
            old.sync()
    assert Database(old.folder / "fuente.db").version() == 1
    assert old.sync().embedded == 0
    assert found(old.index(), "gato", "lexical") == {"gato"}


def test_a_newer_store_is_refused_and_untouched(library: Library) -> None:
    library.write(**TEXTS)
    library.sync()
    path = library.folder / "fuente.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(IndexMismatchError, match="newer"):
        library.sync()
    assert path.read_bytes() == content
    assert (library.folder / "store.seal").exists()
