"""What is whole in a damaged index is saved, the rest is named, and nothing is lost on the way."""

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.carving import carved
from index.errors import IndexBusyError, IndexDamagedError, IndexMismatchError, IndexNotFoundError
from index.integrity import REPAIRING, verify
from index.manifest import current_number, folder_name
from index.repair import RepairReport, repair, salvageable
from index.salvage import Wreck
from index.schema import seal
from index.types import SyncProgress
from index.writer import IndexWriter
from ingest.types import Document
from tests.index.library import TEXTS, Library, found

LONG = " ".join(f"La noche número {night} soñó con {night * 7} peces y un puerto lejano." for night in range(90))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """An index of 88 documents, of which some were removed and some changed; no table fits on one page."""
    place = tmp_path_factory.mktemp("template")
    (place / "files").mkdir()
    library = Library(place / "files", place / "index")
    library.write(**{f"n{number:02}": f"Nota {number} sobre el tema {number**2}. Es breve." for number in range(90)})
    library.write(**TEXTS, largo=LONG, viejo=LONG.replace("noche", "tarde"))
    library.sync()
    for name in ("viejo", "n07", "n08", "n09", "n10", "n11"):
        Path(library.source(name)).unlink()
    library.write(gato=TEXTS["gato"] + " Y sueña.")
    library.sync()
    library.sync()
    assert verify(library.folder) == []
    return library


@pytest.fixture
def library(template: Library, tmp_path: Path) -> Library:
    """A copy of it, to damage; its files are those of the template."""
    shutil.copytree(template.folder, tmp_path / "index")
    return replace(template, folder=tmp_path / "index")


def documents(library: Library) -> dict[str, Document | None]:
    index = library.index()
    try:
        return {info.source: index.document(info.document_id) for info in index.sources()}
    finally:
        index.close()


def break_store(library: Library, change: Callable[[bytearray], None]) -> bytes:
    """Changes the bytes of the store and returns those that it has then."""
    path = library.folder / "fuente.db"
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return bytes(content)


def zeroed(start: int, end: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[start:end] = bytes(end - start)

    return change


def flipped(place: int, bit: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[place] ^= 1 << bit

    return change


def break_page_with(library: Library, text: bytes) -> None:
    """Empties the first page that holds a text."""
    place = (library.folder / "fuente.db").read_bytes().index(text) // 4096 * 4096
    break_store(library, zeroed(place, place + 4096))


def roots(library: Library) -> dict[str, int]:
    """The first page of each table and index, from 1."""
    with closing(sqlite3.connect(library.folder / "fuente.db")) as connection:
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))


def check(library: Library, report: RepairReport, whole: dict[str, Document | None], broken: bytes) -> None:
    """The report is true, the index is sound, and the damaged file is kept."""
    assert report.action == "rebuilt"
    assert report.saved is not None
    assert report.damaged is not None
    assert report.damaged.read_bytes() == broken
    assert verify(library.folder) == []
    assert documents(library) == {source: whole[source] for source in report.saved.kept}
    assert report.saved.documents == library.index().generation.manifest.documents
    assert report.saved.chunks == library.index().generation.manifest.chunks
    assert sorted((*report.saved.kept, *report.saved.lost)) == sorted(whole)
    assert not (library.folder / REPAIRING).exists()


class TestSound:
    def test_nothing_is_changed(self, library: Library) -> None:
        before = {path: path.read_bytes() for path in library.folder.rglob("*") if path.is_file()}
        report = repair(library.folder)
        assert report == RepairReport("nothing", current_number(library.folder))
        after = {path: path.read_bytes() for path in library.folder.rglob("*") if path.is_file()}
        pid = library.folder / "writer.pid"
        assert {**after, pid: b""} == {**before, pid: b""}

    def test_what_a_stopped_run_left_is_no_damage(self, library: Library) -> None:
        (library.folder / "store.seal").unlink()
        assert repair(library.folder).action == "nothing"

    def test_a_missing_index_is_told_and_nothing_is_made(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(IndexNotFoundError):
            repair(tmp_path / "empty")
        assert list((tmp_path / "empty").iterdir()) == []

    def test_a_writer_keeps_it_out(self, library: Library) -> None:
        with library.writer(), pytest.raises(IndexBusyError):
            repair(library.folder)


class TestDerivedFiles:
    @pytest.mark.parametrize("name", ["CURRENT", "store.seal", "manifest.json", "shard-0000/dense.faiss", "extra"])
    def test_they_are_built_again(self, library: Library, template: Library, name: str) -> None:
        generation = library.folder / folder_name(current_number(library.folder))
        path = (library.folder if name in ("CURRENT", "store.seal") else generation) / name
        path.write_bytes(b"?")
        report = repair(library.folder)
        assert (report.action, report.saved, report.damaged) == ("published", None, None)
        assert report.generation == current_number(library.folder)
        assert verify(library.folder) == []
        assert documents(library) == documents(template)
        unnumbered = {name: content for name, content in library.generation_files().items() if name != "manifest.json"}
        assert unnumbered == {n: c for n, c in template.generation_files().items() if n != "manifest.json"}

    def test_not_while_a_reindex_is_unfinished(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        stop_reindex(library, monkeypatch)
        (library.folder / "CURRENT").write_bytes(b"?")
        with pytest.raises(IndexMismatchError, match="fuente reindex"):
            repair(library.folder)


class TestStore:
    def test_any_damage_costs_no_more_than_what_it_hit(self, library: Library, template: Library) -> None:
        whole = documents(template)
        random = np.random.default_rng(11)
        size = (template.folder / "fuente.db").stat().st_size
        lost = 0
        for trial in range(24):
            shutil.rmtree(library.folder)
            shutil.copytree(template.folder, library.folder)
            place, bit = int(random.integers(size)), int(random.integers(8))
            if trial % 3:
                broken = break_store(library, flipped(place, bit))
            else:
                start = place // 512 * 512
                broken = break_store(library, zeroed(start, start + 512))
            if broken == (template.folder / "fuente.db").read_bytes():
                continue  # there were zeros already
            report = repair(library.folder, embedder=library.embedder)
            check(library, report, whole, broken)
            assert report.saved is not None
            assert len(report.saved.lost) <= 12, f"byte {place}"
            lost += len(report.saved.lost)
        assert lost < 24 * len(whole) / 10

    def test_no_row_is_read_twice_where_damage_leads_back_to_it(self, library: Library, template: Library) -> None:
        path = library.folder / "fuente.db"
        size = path.stat().st_size
        for start in range(4096, size, 512):
            path.write_bytes((template.folder / "fuente.db").read_bytes())
            break_store(library, zeroed(start, start + 512))
            with closing(Wreck(path)) as wreck:
                for table in ("documents", "sources", "chunks"):
                    numbers = [number for number, *_ in itertools.islice(wreck.rows(table), 1000)]
                    assert len(numbers) == len(set(numbers)), f"{table}, byte {start}"

    @pytest.mark.parametrize(
        "name", ["meta", "documents", "texts", "sources", "chunks", "chunks_in_order", "live_sources"]
    )
    def test_without_the_root_of_a_table(self, library: Library, template: Library, name: str) -> None:
        """No way leads to its rows any more; they are found in their pages."""
        root = roots(library)[name]
        broken = break_store(library, zeroed((root - 1) * 4096, root * 4096))
        report = repair(library.folder)
        check(library, report, documents(template), broken)
        assert report.saved is not None
        assert not report.saved.lost

    def test_without_the_root_of_the_vectors_which_holds_some(self, library: Library, template: Library) -> None:
        root = roots(library)["vectors"]
        broken = break_store(library, zeroed((root - 1) * 4096, root * 4096))
        report = repair(library.folder)
        check(library, report, documents(template), broken)
        assert report.saved is not None
        assert 1 <= len(report.saved.lost) <= 5

    @pytest.mark.parametrize(
        "change",
        [
            zeroed(0, 4096),
            zeroed(0, 16),
            zeroed(60, 64),
            lambda content: content.__setitem__(63, 3),
            lambda content: content.__setitem__(slice(3000, 3010), b"CREATE TAB"),
        ],
        ids=["page", "magic", "format", "newer format", "declarations"],
    )
    def test_without_a_first_page(
        self, library: Library, template: Library, change: Callable[[bytearray], None]
    ) -> None:
        broken = break_store(library, change)
        report = repair(library.folder)
        check(library, report, documents(template), broken)
        assert report.saved is not None
        assert not report.saved.lost

    def test_a_compacted_store_without_a_first_page(self, library: Library, template: Library) -> None:
        """A store that was restored has its tables at other places."""
        compacted = library.folder / "compacted"
        with closing(sqlite3.connect(library.folder / "fuente.db", isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(compacted),))
        compacted.replace(library.folder / "fuente.db")
        broken = break_store(library, zeroed(0, 4096))
        report = repair(library.folder)
        check(library, report, documents(template), broken)
        assert report.saved is not None
        assert not report.saved.lost

    def test_a_store_that_was_cut_short(self, library: Library, template: Library) -> None:
        size = (library.folder / "fuente.db").stat().st_size
        with (library.folder / "fuente.db").open("r+b") as file:
            file.truncate(size * 4 // 5)
        report = repair(library.folder, embedder=library.embedder)
        assert report.saved is not None
        assert report.saved.documents >= 5
        assert report.saved.documents + len(report.saved.lost) + report.saved.nameless == len(documents(template))
        assert verify(library.folder) == []
        whole = documents(template)
        assert all(document == whole[source] for source, document in documents(library).items())

    @pytest.mark.parametrize("content", [b"", b"garbage" * 999, None])
    def test_where_nothing_is_whole_nothing_is_changed(self, library: Library, content: bytes | None) -> None:
        path = library.folder / "fuente.db"
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        current = (library.folder / "CURRENT").read_bytes()
        assert salvageable(library.folder) is None
        with pytest.raises(IndexDamagedError, match="fuente restore"):
            repair(library.folder)
        assert (path.read_bytes() if path.exists() else None) == content
        assert (library.folder / "CURRENT").read_bytes() == current

    def test_what_was_removed_does_not_come_back(self, library: Library, template: Library) -> None:
        """Its rows are still in free pages of the file, each with a seal that is right."""
        path = library.folder / "fuente.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=OFF")
            gone = "SELECT document FROM sources WHERE path LIKE '%largo%'"
            for table, column in (("chunks", "document"), ("texts", "document"), ("documents", "number")):
                connection.execute(f"DELETE FROM {table} WHERE {column} IN ({gone})")
            connection.execute("DELETE FROM sources WHERE path LIKE '%largo%'")
        assert b"puerto lejano" in path.read_bytes()
        root = roots(library)["texts"]
        broken = break_store(library, zeroed((root - 1) * 4096, root * 4096))
        whole = {source: document for source, document in documents(template).items() if "largo" not in source}
        check(library, repair(library.folder), whole, broken)

    def test_what_is_saved_is_told_before(self, library: Library) -> None:
        break_page_with(library, b"Nota 22 sobre")
        before = {path: path.read_bytes() for path in library.folder.rglob("*") if path.is_file()}
        told = salvageable(library.folder)
        assert {path: path.read_bytes() for path in library.folder.rglob("*") if path.is_file()} == before
        assert repair(library.folder).saved == told

    def test_a_change_in_bytes_that_nothing_uses_costs_nothing(self, library: Library, template: Library) -> None:
        broken = break_store(library, lambda content: content.extend(b"x" * 10))
        report = repair(library.folder)
        check(library, report, documents(template), broken)
        assert report.saved is not None
        assert not report.saved.lost

    def test_an_older_format_is_left_alone(self, library: Library) -> None:
        broken = break_store(library, lambda content: content.__setitem__(63, 1))
        with pytest.raises(IndexDamagedError, match="format 1"):
            repair(library.folder)
        assert (library.folder / "fuente.db").read_bytes() == broken

    def test_later_repairs_keep_every_damaged_file(self, library: Library) -> None:
        kept = []
        for number in (1, 2):
            broken = break_store(library, zeroed(16, 4096))
            report = repair(library.folder)
            assert report.damaged == library.folder / f"fuente.db.damaged-{number}"
            kept.append((report.damaged, broken))
        assert all(path.read_bytes() == broken for path, broken in kept)

    def test_ingesting_again_brings_back_what_was_lost(self, library: Library, template: Library) -> None:
        shutil.copytree(template.files, library.folder.parent / "files", copy_function=shutil.copy2)
        break_page_with(library, b"Nota 22 sobre")
        report = repair(library.folder)
        assert report.saved is not None
        assert library.source("n22") in report.saved.lost
        assert sorted(library.sync().added) == sorted(report.saved.lost)
        assert documents(library) == documents(template)
        assert library.index().generation.manifest.digest == template.index().generation.manifest.digest


def lose_vectors(library: Library, condition: str) -> int:
    """Breaks the vectors of some chunks; returns of how many documents."""
    with closing(sqlite3.connect(library.folder / "fuente.db", isolation_level=None)) as connection:
        chosen = f"SELECT c.vector_key FROM chunks c WHERE {condition}"
        changed = connection.execute(f"UPDATE vectors SET vector = zeroblob(64) WHERE key IN ({chosen})").rowcount
        query = f"SELECT count(DISTINCT c.document) FROM chunks c WHERE {condition}"
        lost = int(connection.execute(query).fetchone()[0])
    assert changed >= lost > 0
    return lost


class TestVectors:
    def test_without_an_embedder_their_documents_are_named(self, library: Library, template: Library) -> None:
        lost = lose_vectors(library, "c.text LIKE 'Nota 2%'")
        report = repair(library.folder)
        assert report.saved is not None
        assert len(report.saved.lost) == lost
        assert report.saved.embedded == 0
        check(library, report, documents(template), report.damaged.read_bytes() if report.damaged else b"")

    def test_with_the_embedder_they_are_computed_anew(self, library: Library, template: Library) -> None:
        lose_vectors(library, "c.text LIKE '%noche%'")
        library.model.encoded.clear()
        report = repair(library.folder, embedder=library.embedder)
        assert report.saved is not None
        assert not report.saved.lost
        assert report.saved.embedded == len(library.model.encoded) > 5
        assert library.index().generation.manifest.digest == template.index().generation.manifest.digest
        assert "largo" in found(library.index(), "noche puerto", "dense")

    def test_another_embedder_computes_none(self, library: Library) -> None:
        lost = lose_vectors(library, "c.text LIKE 'Nota 2%'")
        other = library.with_changes(embedder_name="other")
        report = repair(library.folder, embedder=other.embedder)
        assert report.saved is not None
        assert (len(report.saved.lost), report.saved.embedded, other.model.encoded) == (lost, 0, [])


def stop_reindex(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops a reindex before its chunks are stored."""
    with monkeypatch.context() as patch:
        patch.setattr(IndexWriter, "_flush", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt), library.with_changes(chunk_tokens=8).writer() as writer:
            writer.reindex()


class TestUnfinishedRuns:
    def test_changes_that_were_not_published_are_published(self, library: Library, template: Library) -> None:
        shutil.copytree(template.files, library.folder.parent / "files", copy_function=shutil.copy2)
        library = replace(library, files=library.folder.parent / "files")

        def stop(step: SyncProgress) -> None:
            if step.stage == "publish":
                raise KeyboardInterrupt

        library.write(nuevo="Un texto nuevo y recién escrito.")
        with pytest.raises(KeyboardInterrupt), library.writer() as writer:
            writer.sync([Path(library.source("nuevo"))], [], library.read, progress=stop)
        root = roots(library)["texts"]
        break_store(library, zeroed((root - 1) * 4096, root * 4096))
        report = repair(library.folder)
        assert report.saved is not None
        assert not report.saved.lost
        assert verify(library.folder) == []
        assert found(library.index(), "recién escrito", "lexical") == {"nuevo"}

    def test_after_an_unfinished_reindex_it_must_be_finished(
        self, library: Library, template: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stop_reindex(library, monkeypatch)
        root = roots(library)["texts"]
        break_store(library, zeroed((root - 1) * 4096, root * 4096))
        report = repair(library.folder)
        assert (report.action, report.reindex_needed) == ("rebuilt", True)
        assert documents(library) == documents(template)  # what was published is answered from as before
        smaller = library.with_changes(chunk_tokens=8)
        with smaller.writer() as writer:
            writer.reindex()
        assert verify(library.folder) == []

    def test_what_is_in_the_log_is_saved_and_kept(self, library: Library, template: Library) -> None:
        """A writer was killed before SQLite's log was folded into the file, which then was damaged."""
        unfolded(library, template)
        root = roots(template)["documents"]
        break_store(library, zeroed((root - 1) * 4096, root * 4096))
        log = (library.folder / "fuente.db-wal").read_bytes()
        report = repair(library.folder)
        assert report.damaged is not None
        assert report.damaged.with_name(f"{report.damaged.name}-wal").read_bytes() == log
        assert verify(library.folder) == []
        assert found(library.index(), "recién escrito", "lexical") == {"nuevo"}


def unfolded(library: Library, template: Library) -> None:
    """Makes the index one whose newest document is in SQLite's log alone, where it was not before."""
    place = library.folder.parent
    shutil.copytree(template.files, place / "files", copy_function=shutil.copy2)
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(sqlite3.connect(library.folder / "fuente.db", isolation_level=None)) as reader,
    ):
        patch.setattr("index.database._BUSY_S", 0.1)  # the writer waits for the reader before it gives up folding
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM meta").fetchone()
        changed = replace(library, files=place / "files")
        changed.write(nuevo="Un texto nuevo y recién escrito.")
        with changed.writer() as writer:
            writer.sync([Path(changed.source("nuevo"))], [], library.read)
        shutil.copytree(library.folder, place / "killed")
    shutil.rmtree(library.folder)
    (place / "killed").rename(library.folder)


class Stopped(BaseException):
    """Stands for a kill: nothing may catch it."""


CALLS = ("fsync", "rename", "replace", "unlink", "link")


def stopped(step: int, run: Callable[[], object]) -> bool:
    """Whether the run was stopped before its `step`-th change to the disk; it makes none after that."""
    done = itertools.count()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(done) >= step:
                raise Stopped
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            run()
        except Stopped:
            return True
    return False


@pytest.fixture
def small(tmp_path: Path) -> Library:
    """An index of three documents."""
    (tmp_path / "small").mkdir()
    library = Library(tmp_path / "small", tmp_path / "small-index")
    library.write(**TEXTS)
    library.sync()
    return library


@pytest.mark.parametrize("kind", ["file", "log"])
def test_a_repair_stopped_at_any_step_loses_nothing_and_the_next_one_completes_it(small: Library, kind: str) -> None:
    root, stems = roots(small)["sqlite_autoindex_meta_1"], set(TEXTS)
    if kind == "log":
        unfolded(small, small)
        stems.add("nuevo")
    broken = break_store(small, zeroed((root - 1) * 4096, root * 4096))
    kept = small.folder.with_name("kept")
    shutil.copytree(small.folder, kept)
    for step in itertools.count():
        shutil.rmtree(small.folder)
        shutil.copytree(kept, small.folder)
        if not stopped(step, lambda: repair(small.folder)):
            break
        assert broken in [path.read_bytes() for path in small.folder.glob("fuente.db*")]
        report = repair(small.folder)
        assert report.saved is None or not report.saved.lost
        assert {finding.kind for finding in verify(small.folder)} <= {"information"}
        assert {Path(source).stem for source in documents(small)} == stems
        damaged = list(small.folder.glob("fuente.db.damaged-?"))
        assert [path.read_bytes() for path in damaged] == [broken]
    assert step >= 15


def test_a_row_is_carved_as_it_was_written(library: Library) -> None:
    """Every row that SQL shows is found in the pages, long texts with all the pages that they go on in."""
    path = library.folder / "fuente.db"
    rows: dict[str, set[tuple[Any, ...]]] = {}
    for table, _, row in carved(path):
        if seal(*row[:-1]) == row[-1]:  # type: ignore[arg-type]
            rows.setdefault(table, set()).add(tuple(row))
    with closing(sqlite3.connect(path)) as connection:
        for table in ("meta", "documents", "texts", "sources", "chunks", "vectors"):
            assert rows[table] == set(connection.execute(f"SELECT * FROM {table}"))
    assert any(len(row[1]) > 4096 for row in rows["texts"])
