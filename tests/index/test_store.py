"""The SQLite file: rows valid for a range of generations."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.schema import ORDERED_CHUNKS, Entry
from index.store import Range, Store, embedded_text
from index.store_writer import StoreWriter
from index.types import DEFAULT_COLLECTION, Identity
from ingest.types import Chunk, Document, Heading, Page, Span

EVERYTHING = {"generation": 1, "low": "", "high": "g"}
IDENTITY = Identity("e", "r", 4, "q: ", "p: ", 256, 48)
STAT = (10, 20)


@pytest.fixture
def store(tmp_path: Path) -> StoreWriter:
    return StoreWriter.create(tmp_path / "fuente.db", IDENTITY)


def document(name: str, source: str | None = None) -> Document:
    return Document(
        id=name, source=source or f"{name}.txt", text=f"Texto de {name}\0.", pages=(Page(1, 0, 5),), language="es",
        metadata={"title": name}, sha256=name * 4, headings=(Heading(1, "T", 0),), blocks=(Span(1, 3),),
    )  # fmt: skip


def vector(chunk_id: int) -> NDArray[np.float32]:
    return np.full(4, chunk_id, np.float32)


def put(store: StoreWriter, given: Document, chunk_ids: Sequence[int], generation: int) -> None:
    chunks = [
        (Chunk(number, given.id, f"c{number}", number, number + 1, 1, ("T", "U")), bytes([number]) * 32)
        for number in chunk_ids
    ]
    store.add_vectors({key: vector(chunk.id) for chunk, key in chunks})
    store.put([Entry(given, STAT, chunks)], DEFAULT_COLLECTION, generation)


def remove(store: StoreWriter, sources: Sequence[str], generation: int) -> None:
    store.remove([(source, DEFAULT_COLLECTION) for source in sources], generation)


def ids(store: StoreWriter, generation: int) -> list[int]:
    return store.outline(generation).ids.tolist()


def test_what_was_put_comes_back(store: StoreWriter) -> None:
    put(store, document("a"), [1, 2], 1)
    assert store.document("a", 1) == document("a")
    assert store.documents_of(["a.txt", "none"], 1) == {"a.txt": document("a")}
    found = store.chunks([2, 99], 1)
    assert list(found) == [2]
    assert found[2].chunk == Chunk(2, "a", "c2", 2, 3, 1, ("T", "U"))
    assert (found[2].source, found[2].language, found[2].metadata) == ("a.txt", "es", {"title": "a"})
    assert store.source("a.txt", DEFAULT_COLLECTION) == store.sources(DEFAULT_COLLECTION)["a.txt"]
    (info,) = store.source_infos(1)
    assert (info.source, info.document_id, info.chunks, info.pages) == ("a.txt", "a", 2, 1)
    assert Store.open(store.path).identity() == IDENTITY
    assert store.check() == []


def test_positions_follow_document_ids_however_they_came_in(store: StoreWriter) -> None:
    put(store, document("b"), [5, 3], 1)
    put(store, document("a"), [9, 4], 1)
    assert ids(store, 1) == [4, 9, 3, 5]
    assert [text for text, _ in store.passages(1)] == ["T > U\nc4", "T > U\nc9", "T > U\nc3", "T > U\nc5"]
    batches = list(store.vectors(1, 4, batch_size=3))
    assert [len(batch) for batch in batches] == [3, 1]
    np.testing.assert_array_equal(np.concatenate(batches), [vector(number) for number in (4, 9, 3, 5)])


def test_positions_are_read_without_sorting(store: StoreWriter) -> None:
    with sqlite3.connect(store.path) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT c.id {ORDERED_CHUNKS}", EVERYTHING).fetchall()
    connection.close()
    assert not any("TEMP B-TREE" in row[-1] for row in plan), plan


def test_a_range_of_ids_has_its_documents_alone(store: StoreWriter) -> None:
    for number, name in enumerate(("1f", "20", "3a")):
        put(store, document(name), [number + 1], 1)
    outline = store.outline(1, Range("20", "3a"))
    assert (outline.ids.tolist(), outline.document_ids, outline.languages) == ([2], ["20"], ["es"])
    assert [text for text, _ in store.passages(1, Range("2"))] == ["T > U\nc2", "T > U\nc3"]
    assert [len(batch) for batch in store.vectors(1, 4, Range("", "20"))] == [1]


def test_each_generation_sees_its_own_rows(store: StoreWriter) -> None:
    put(store, document("a"), [1], 1)
    put(store, document("b"), [2], 2)
    remove(store, ["a.txt"], 3)
    assert [ids(store, generation) for generation in range(5)] == [[], [1], [1, 2], [2], [2]]
    assert [store.counts(generation) for generation in (1, 2, 3)] == [(1, 1), (2, 2), (1, 1)]
    assert store.document("a", 2) is not None
    assert store.document("a", 3) is None
    assert [d.id for d in store.documents(2)] == ["a", "b"]
    assert [info.source for info in store.source_infos(3)] == ["b.txt"]
    assert set(store.sources(DEFAULT_COLLECTION)) == {"b.txt"}
    assert store.newest_change() == 3


def test_a_changed_source_shows_the_new_document_alone(store: StoreWriter) -> None:
    put(store, document("a", "x.txt"), [1], 1)
    put(store, document("b", "x.txt"), [2], 2)
    assert (ids(store, 1), ids(store, 2)) == ([1], [2])
    assert store.chunks([1], 1)[1].source == "x.txt"


def test_a_document_stays_while_one_of_its_sources_does(store: StoreWriter) -> None:
    put(store, document("a", "2.txt"), [1], 1)
    assert store.link("1.txt", DEFAULT_COLLECTION, "a", STAT, 1)
    assert not store.link("3.txt", DEFAULT_COLLECTION, "unknown", STAT, 1)
    assert store.chunks([1], 1)[1].source == "1.txt"
    remove(store, ["1.txt"], 2)
    assert store.chunks([1], 2)[1].source == "2.txt"
    remove(store, ["2.txt"], 3)
    assert ids(store, 3) == []
    assert store.chunks([1], 2)[1].source == "2.txt"


def test_what_was_never_published_leaves_no_trace(store: StoreWriter) -> None:
    put(store, document("a"), [1], 1)
    put(store, document("b"), [2], 2)
    remove(store, ["b.txt"], 2)
    put(store, document("b"), [2], 2)
    remove(store, ["a.txt", "b.txt"], 2)
    put(store, document("a"), [1], 2)
    assert (ids(store, 1), ids(store, 2)) == ([1], [1])
    assert store.check() == []


def test_rechunking_replaces_from_its_generation_on(store: StoreWriter) -> None:
    put(store, document("a"), [1, 2], 1)
    chunk = Chunk(1, "a", "neu", 0, 3, None, ())
    store.add_vectors({b"k" * 32: vector(7)})
    for _ in range(2):
        store.put([Entry(document("a"), None, [(chunk, b"k" * 32)])], DEFAULT_COLLECTION, 2)
    assert (ids(store, 1), ids(store, 2)) == ([1, 2], [1])
    assert store.chunks([1], 2)[1].chunk == chunk
    assert store.chunks([1], 1)[1].chunk.text == "c1"
    assert [store.source_infos(generation)[0].chunks for generation in (1, 2)] == [2, 1]


def test_pruning_deletes_what_no_generation_needs(store: StoreWriter) -> None:
    put(store, document("a"), [1], 1)
    put(store, document("b"), [2], 1)
    remove(store, ["a.txt"], 3)
    keys = [bytes([1]) * 32, bytes([2]) * 32]
    store.prune(2)
    assert (ids(store, 2), store.known_vectors(keys)) == ([1, 2], set(keys))
    store.prune(3)
    assert (ids(store, 2), store.known_vectors(keys)) == ([2], {keys[1]})
    assert store.check() == []


def test_vectors_of_a_stopped_run_stay(store: StoreWriter) -> None:
    store.add_vectors({b"x" * 32: vector(1)})
    store.prune(5)
    assert store.known_vectors([b"x" * 32]) == {b"x" * 32}


def test_touching_changes_size_and_time_alone(store: StoreWriter) -> None:
    put(store, document("a"), [1], 1)
    store.touch("a.txt", DEFAULT_COLLECTION, (7, 8))
    source = store.source("a.txt", DEFAULT_COLLECTION)
    assert source is not None
    assert (source.size_bytes, source.modified_ns, source.document_id) == (7, 8, "a")
    assert store.newest_change() == 1


def test_a_failing_transaction_changes_nothing(store: StoreWriter) -> None:
    put(store, document("a"), [1], 1)
    twice = [(Chunk(5, "b", "t", 0, 1, None, ()), b"k" * 32)] * 2
    with pytest.raises(sqlite3.IntegrityError):
        store.put([Entry(document("c"), STAT, []), Entry(document("b", "a.txt"), STAT, twice)], DEFAULT_COLLECTION, 2)
    assert ids(store, 2) == [1]
    assert store.document("c", 2) is None
    assert store.newest_change() == 1


def test_an_incomplete_identity_is_remembered(store: StoreWriter) -> None:
    assert store.is_complete()
    other = Identity("f", "r", 4, "", "", 128, 8)
    store.set_identity(other, complete=False)
    assert (store.identity(), store.is_complete()) == (other, False)
    store.set_identity(other, complete=True)
    assert store.is_complete()


@pytest.mark.parametrize("name", ["fuente.db", "con espacio ñ #1?%20.db"])
def test_any_folder_and_name_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "índice 100% #?"
    folder.mkdir()
    StoreWriter.create(folder / name, IDENTITY)
    assert Store.open(folder / name).identity() == IDENTITY
    assert name in {path.name for path in folder.iterdir()}


def test_no_store_is_not_found_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError):
        Store.open(tmp_path / "fuente.db")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_was_deleted_does_not_come_back_empty(store: StoreWriter) -> None:
    for path in store.path.parent.iterdir():
        path.unlink()
    with pytest.raises(IndexNotFoundError):
        store.sources(DEFAULT_COLLECTION)
    assert not store.path.exists()


def test_a_creation_that_was_interrupted_is_no_store_yet(tmp_path: Path) -> None:
    path = tmp_path / "fuente.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    with pytest.raises(IndexNotFoundError):
        Store.open(path)
    assert StoreWriter.create(path, IDENTITY).identity() == IDENTITY


@pytest.mark.parametrize("content", [b"garbage", b"garbage" * 5000], ids=["short", "long"])
def test_garbage_is_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuente.db"
    path.write_bytes(content)
    with pytest.raises(IndexDamagedError, match=r"fuente\.db.*backup"):
        Store.open(path)


def test_another_format_is_refused(store: StoreWriter) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(IndexMismatchError, match="99"):
        Store.open(store.path)


def test_titles_go_before_the_text_and_long_ones_are_cut() -> None:
    assert embedded_text("texto", ()) == "texto"
    assert embedded_text("texto", ("A", "B")) == "A > B\ntexto"
    assert len(embedded_text("texto", ("x" * 5000,))) < 200
