"""Files in, generations out, whatever happens in between."""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index.errors import IndexBusyError, IndexDamagedError, IndexMismatchError, UnknownSourceError
from index.generation import open_current
from index.manifest import current_number, folder_name
from index.store import Store
from index.types import SyncProgress
from ingest.types import Document
from tests.index.library import TEXTS, Library, found, read

CHANNELS = ("dense", "lexical", "fused")


def passages(library: Library) -> list[str]:
    """Texts that were embedded as passages, without the prefix."""
    return [text.removeprefix("p: ") for text in library.model.encoded if text.startswith("p: ")]


def stems(sources: Any) -> list[str]:
    return sorted(Path(source).stem for source in sources)


class TestSync:
    def test_files_are_added(self, library: Library) -> None:
        library.write(**TEXTS)
        report = library.sync()
        assert stems(report.added) == ["barco", "gato", "perro"]
        assert report.generation == 1
        assert report.chunks == report.embedded == len(passages(library)) >= 3
        index = library.index()
        assert found(index, "gato", "lexical") == {"gato"}
        assert [info.source for info in index.sources()] == [library.source(name) for name in sorted(TEXTS)]

    def test_without_changes_nothing_happens(self, library: Library) -> None:
        library.write(**TEXTS)
        first = library.sync()
        library.model.encoded.clear()

        def unread(path: Path, source: str) -> Document:
            raise AssertionError(f"{path} was read again")

        report = library.sync(unread)
        assert stems(report.unchanged) == ["barco", "gato", "perro"]
        assert (report.generation, report.chunks, report.embedded) == (first.generation, 0, 0)
        assert library.model.encoded == []

    def test_a_changed_file_shows_its_new_text_alone(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        index = library.index()
        library.model.encoded.clear()
        library.write(gato="La gaviota vuela sobre el mar.")
        report = library.sync()
        assert stems(report.changed) == ["gato"]
        assert passages(library) == ["La gaviota vuela sobre el mar."]
        assert found(index, "gaviota", "lexical") == {"gato"}
        assert found(index, "cocina", "lexical") == set()

    def test_a_new_time_alone_embeds_nothing(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        library.model.encoded.clear()
        library.write(gato=TEXTS["gato"])
        report = library.sync()
        assert stems(report.unchanged) == ["barco", "gato", "perro"]
        assert (report.generation, library.model.encoded) == (1, [])

    def test_a_moved_file_is_not_embedded_again(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        index = library.index()
        library.model.encoded.clear()
        Path(library.source("gato")).rename(library.source("zorro"))
        report = library.sync()
        assert (stems(report.added), stems(report.removed), report.embedded) == (["zorro"], ["gato"], 0)
        assert passages(library) == []
        assert found(index, "cocina") & {"gato", "zorro"} == {"zorro"}

    def test_files_that_change_places_are_not_embedded_again(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        library.model.encoded.clear()
        library.write(gato=TEXTS["perro"], perro=TEXTS["gato"])
        report = library.sync()
        assert (stems(report.changed), report.embedded, passages(library)) == (["gato", "perro"], 0, [])
        assert found(library.index(), "carteros", "lexical") == {"gato"}

    def test_two_files_of_one_content_are_one_document(self, library: Library) -> None:
        library.write(gato=TEXTS["gato"], copia=TEXTS["gato"])
        report = library.sync()
        assert stems(report.added) == ["copia", "gato"]
        assert report.chunks == report.embedded == len(passages(library)) == len(set(passages(library)))
        index = library.index()
        assert len(index.search("gato", 10)) == report.chunks
        assert index.generation.manifest.documents == 1
        library.write(otra=TEXTS["gato"])
        assert library.sync().embedded == 0

    def test_of_two_files_of_one_content_one_may_leave(self, library: Library) -> None:
        library.write(gato=TEXTS["gato"], copia=TEXTS["gato"])
        library.sync()
        index = library.index()
        assert found(index, "gato") == {"copia"}
        Path(library.source("copia")).unlink()
        library.sync()
        assert found(index, "gato") == {"gato"}
        Path(library.source("gato")).unlink()
        library.sync()
        assert found(index, "gato") == set()

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_a_removed_document_is_not_found_by_an_index_that_was_open(self, library: Library, channel: str) -> None:
        library.write(**TEXTS)
        library.sync()
        index = library.index()
        assert "gato" in found(index, "gato cocina", channel)
        Path(library.source("gato")).unlink()
        assert stems(library.sync().removed) == ["gato"]
        assert "gato" not in found(index, "gato cocina", channel)
        stored = Store.open(library.folder / "fuente.db")
        assert len(stored.source_infos(current_number(library.folder))) == 2

    def test_a_file_that_returns_is_as_it_was(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        before = [hit.chunk.id for hit in library.index().search("gato", 10)]
        Path(library.source("gato")).unlink()
        library.sync()
        library.write(gato=TEXTS["gato"])
        assert stems(library.sync().added) == ["gato"]
        assert [hit.chunk.id for hit in library.index().search("gato", 10)] == before

    def test_a_file_that_cannot_be_read_is_reported_and_stays_as_it_was(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        library.write(gato="broken", nuevo="broken")
        report = library.sync()
        assert [(Path(f.source).stem, f.rule, f.reason) for f in report.failed] == [
            ("gato", "unreadable", "it is broken. Mend it"),
            ("nuevo", "unreadable", "it is broken. Mend it"),
        ]
        assert (report.removed, report.generation) == ([], 1)
        assert found(library.index(), "cocina", "lexical") == {"gato"}
        library.write(gato=TEXTS["gato"])
        assert stems(library.sync().unchanged) == ["barco", "gato", "perro"]

    def test_a_file_that_vanishes_while_it_is_read_is_reported(self, library: Library) -> None:
        library.write(**TEXTS)

        def vanishing(path: Path, source: str) -> Document:
            if path.stem == "gato":
                path.unlink()
            return read(path, source)

        report = library.sync(vanishing)
        assert [(Path(failure.source).stem, failure.rule) for failure in report.failed] == [("gato", "unreadable")]
        assert stems(report.added) == ["barco", "perro"]

    @pytest.mark.skipif(sys.platform != "linux", reason="only there may a name be no text")
    def test_a_name_that_is_no_text_is_reported(self, library: Library) -> None:
        library.write(**TEXTS)
        Path(os.fsdecode(os.fsencode(library.files) + b"/caf\xe9.txt")).write_text("hola")
        report = library.sync()
        assert [failure.source.rpartition("/")[2] for failure in report.failed] == [r"caf\udce9.txt"]
        assert len(report.added) == 3

    def test_only_what_lies_under_the_roots_is_removed(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        with library.writer() as writer:
            report = writer.sync([], [library.files / "other"], read)
            assert report.removed == []
            writer.add([Document("nota", "nota", "Una nota suelta.", (), "es", {}, "0")])
            assert stems(writer.sync([], [library.files], read).removed) == ["barco", "gato", "perro"]
        assert found(library.index(), "nota") == {"nota"}

    def test_a_file_named_twice_is_visited_once(self, library: Library) -> None:
        library.write(gato=TEXTS["gato"])
        path = Path(library.source("gato"))
        with library.writer() as writer:
            assert writer.sync([path, path], [], read).added == [str(path)]

    def test_an_empty_folder_is_an_empty_index(self, library: Library) -> None:
        assert library.sync().generation == 1
        index = library.index()
        assert index.search("gato", 5) == []
        assert index.sources() == []

    def test_progress_names_every_stage(self, library: Library) -> None:
        library.write(**TEXTS)
        seen: list[SyncProgress] = []
        with library.writer() as writer:
            writer.sync(sorted(library.files.iterdir()), [library.files], read, progress=seen.append)
        assert [step.stage for step in seen] == ["read", "read", "read", "embed", "publish"]

    def test_many_files_are_embedded_in_batches_and_once(self, library: Library) -> None:
        library.write(**{f"f{n}": " ".join(f"La palabra{n} {m} va sola." for m in range(12)) for n in range(100)})
        report = library.sync()
        assert report.embedded == len(set(passages(library))) == len(passages(library)) > 256
        assert library.sync().unchanged == report.added


class TestAddAndRemove:
    def note(self, name: str, text: str) -> Document:
        return Document(f"{name}-{text}", name, text, (), "es", {"k": name}, "0")

    def test_texts_that_are_no_files_are_stored_and_replaced(self, library: Library) -> None:
        with library.writer() as writer:
            writer.add([self.note("a", "Uno."), self.note("b", "Dos.")])
            writer.add([self.note("a", "Tres."), self.note("b", "Dos.")])
        index = library.index()
        assert sorted(hit.chunk.text for hit in index.search("x", 9)) == ["Dos.", "Tres."]
        assert passages(library) == ["Uno.", "Dos.", "Tres."]
        assert index.search("dos", 1)[0].metadata == {"k": "b"}

    def test_the_last_of_one_source_stays(self, library: Library) -> None:
        with library.writer() as writer:
            writer.add([self.note("a", "Uno."), self.note("a", "Dos."), self.note("a", "Uno.")])
        assert [hit.chunk.text for hit in library.index().search("x", 9)] == ["Uno."]

    def test_adding_the_same_again_publishes_nothing(self, library: Library) -> None:
        with library.writer() as writer:
            writer.add([self.note("a", "Uno.")])
            writer.add([self.note("a", "Uno.")])
        assert current_number(library.folder) == 1

    def test_removing_takes_out(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        index = library.index()
        with library.writer() as writer:
            writer.remove([library.source("gato")])
        assert "gato" not in found(index, "gato")

    def test_an_unknown_source_is_refused_before_anything_changes(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        with library.writer() as writer:
            with pytest.raises(UnknownSourceError, match="nada"):
                writer.remove([library.source("gato"), "nada"])
            assert writer.publish() == 1
            writer.remove([library.source("gato"), "nada"], missing_ok=True)
        assert found(library.index(), "gato") == {"barco", "perro"}


class TestLock:
    def test_a_second_writer_is_refused_within_a_second_and_names_the_first(self, library: Library) -> None:
        with library.writer():
            start = time.perf_counter()
            with pytest.raises(IndexBusyError, match=f"process {os.getpid()} "), library.writer():
                pass
            assert time.perf_counter() - start < 1.0
        with library.writer():
            pass

    def test_a_process_that_was_killed_holds_nothing(self, library: Library) -> None:
        program = (
            "import sys; from pathlib import Path; from tests.index.library import Library\n"
            "with Library(Path(sys.argv[1]), Path(sys.argv[2])).writer(): print('holds', flush=True); sys.stdin.read()"
        )
        arguments = [sys.executable, "-c", program, str(library.files), str(library.folder)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "holds\n"
            with pytest.raises(IndexBusyError, match=f"process {other.pid} "), library.writer():
                pass
            other.kill()
            other.wait()
        with library.writer():
            pass

    def test_readers_answer_while_a_writer_works(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        with library.writer():
            assert found(library.index(), "gato", "lexical") == {"gato"}

    def test_a_writer_whose_run_failed_starts_afresh(self, library: Library) -> None:
        library.write(**TEXTS)
        writer = library.writer()

        def failing(_: SyncProgress) -> None:
            raise KeyboardInterrupt

        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), writer:
                writer.add([Document("x", "x", "Texto.", (), "es", {}, "0")], progress=failing)
        with writer:
            writer.sync([], [], read)
        assert library.index().sources() == []


class TestIdentity:
    @pytest.mark.parametrize(
        ("changes", "name"), [({"chunk_tokens": 30}, "chunk_tokens"), ({"embedder_name": "other"}, "embedder")]
    )
    def test_other_settings_are_refused_with_the_mend(
        self, library: Library, changes: dict[str, Any], name: str
    ) -> None:
        library.write(**TEXTS)
        library.sync()
        with pytest.raises(IndexMismatchError, match=rf"{name}.*fuente reindex"):
            library.with_changes(**changes).sync()
        with library.with_changes(**changes).writer() as writer, pytest.raises(IndexMismatchError):
            writer.add([])

    def test_another_chunk_size_reindexes_without_files(self, library: Library) -> None:
        library.write(**{name: " ".join([text] * 5) for name, text in TEXTS.items()})
        library.sync()
        index = library.index()
        before = len(index.generation.ids)
        for path in library.files.iterdir():
            path.unlink()
        smaller = library.with_changes(chunk_tokens=8)
        with smaller.writer() as writer:
            report = writer.reindex()
        assert report.generation == 2
        assert report.chunks == len(index.generation.ids) > before
        assert len(found(index, "gato perro barco")) == 3
        assert Store.open(library.folder / "fuente.db").check() == []
        assert stems(smaller.sync().removed) == ["barco", "gato", "perro"]

    def test_another_embedder_reindexes_every_chunk(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        index = library.index()
        other = library.with_changes(embedder_name="other")
        with other.writer() as writer:
            report = writer.reindex()
        assert report.embedded == report.chunks == len(passages(other))
        assert found(other.index(), "gato", "lexical") == {"gato"}
        with pytest.raises(IndexMismatchError, match="embedder"):
            index.search("gato", 5)

    def test_an_empty_index_is_reindexed_too(self, library: Library) -> None:
        library.sync()
        other = library.with_changes(embedder_name="other")
        with other.writer() as writer:
            assert writer.reindex().generation == 2
        assert other.index().search("gato", 5) == []

    def test_an_interrupted_reindex_is_refused_until_it_is_finished(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        index = library.index()
        other = library.with_changes(chunk_tokens=8)

        def stop(step: SyncProgress) -> None:
            if step.stage == "embed":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), other.writer() as writer:
            writer.reindex(progress=stop)
        with pytest.raises(IndexMismatchError, match="fuente reindex"):
            other.sync()
        with pytest.raises(IndexMismatchError):
            library.sync()
        with other.writer() as writer:
            for refused in (lambda: writer.remove([library.source("gato")]), writer.publish, lambda: writer.add([])):
                with pytest.raises(IndexMismatchError):
                    refused()
        assert "gato" in found(index, "gato")
        with other.writer() as writer:
            assert writer.reindex().generation == 2
        assert len(other.sync().unchanged) == 3
        assert "gato" in found(index, "gato")


class TestDamage:
    def test_each_damaged_file_is_found_and_rebuilt(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        whole = library.generation_files()
        assert len(whole) >= 7
        for name in whole:
            path = library.folder / folder_name(current_number(library.folder)) / name
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
            with pytest.raises(IndexDamagedError, match="fuente ingest"):
                library.index()
            number = library.sync().generation
            assert found(library.index(), "gato", "lexical") == {"gato"}
            rebuilt = library.generation_files()
            assert {n: c for n, c in rebuilt.items() if n != "manifest.json"} == {
                n: c for n, c in whole.items() if n != "manifest.json"
            }
            assert current_number(library.folder) == number

    @pytest.mark.parametrize("content", [b"garbage", b"", b"gen-000099", b"gen-000001", None])
    def test_a_lost_current_is_made_anew_with_all_that_is_stored(self, library: Library, content: bytes | None) -> None:
        library.write(gato=TEXTS["gato"])
        library.sync()
        library.write(perro=TEXTS["perro"])
        library.sync()
        library.write(barco=TEXTS["barco"])
        Path(library.source("gato")).unlink()
        library.sync()
        current = library.folder / "CURRENT"
        current.unlink()
        if content is not None:
            current.write_bytes(content)
        report = library.sync()
        assert len(report.unchanged) == 2
        index = library.index()
        assert stems(info.source for info in index.sources()) == ["barco", "perro"]
        assert len(found(index, "perro barco", "dense")) == 2
        number = library.sync().generation
        assert number == report.generation > 3
        assert [path.name for path in library.folder.glob("gen-*")] == [f"gen-{number:06d}"]

    def test_a_lost_current_of_the_first_generation(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        (library.folder / "CURRENT").unlink()
        library.sync()
        assert found(library.index(), "gato", "lexical") == {"gato"}

    def test_a_store_that_is_no_store_is_damage(self, library: Library) -> None:
        library.write(**TEXTS)
        library.sync()
        for path in library.folder.glob("fuente.db*"):
            path.write_bytes(b"garbage" * 999)
        for attempt in (library.index, library.sync):
            with pytest.raises(IndexDamagedError, match="backup"):
                attempt()
        with pytest.raises(IndexDamagedError):  # and the lock was let go
            library.sync()

    def test_a_store_restored_from_a_backup_gets_files_that_belong_to_it(self, library: Library) -> None:
        library.write(gato=TEXTS["gato"])
        library.sync()
        database = library.folder / "fuente.db"
        backup = database.read_bytes()
        library.write(gato=TEXTS["perro"])
        library.sync()
        database.write_bytes(backup)
        for attempt in (library.index, library.sync):
            with pytest.raises(IndexDamagedError, match="checksum"):
                attempt()
        (library.folder / "store.seal").unlink()  # by one who knows what the file is
        with pytest.raises(IndexDamagedError, match="fuente ingest"):
            library.index().search("perro", 5)
        library.sync()
        assert found(library.index(), "carteros", "lexical") == {"gato"}

    def test_a_store_whose_creation_was_stopped_is_created(self, library: Library) -> None:
        library.folder.mkdir()
        (library.folder / "fuente.db").touch()
        library.write(**TEXTS)
        library.sync()
        assert found(library.index(), "gato", "lexical") == {"gato"}


class Stopped(BaseException):
    """Stands for a kill: nothing may catch it."""


class Steps:
    """Counts what a run does to the disk, and ends the run at one of these steps, before or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_at: int, *, after: bool) -> None:
        self.stop_at, self.after, self.done = stop_at, after, 0
        for name in ("fsync", "rename", "replace"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))
        monkeypatch.setattr(Store, "_transaction", self._transaction(Store._transaction))

    def _step(self, *, after: bool) -> None:
        if after == self.after:
            self.done += 1
            if self.done > self.stop_at:
                raise Stopped

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._step(after=False)
            result = function(*arguments, **options)
            self._step(after=True)
            return result

        return call

    def _transaction(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def transaction(store: Store) -> Iterator[sqlite3.Connection]:
            with original(store) as connection:
                yield connection
                self._step(after=False)
            self._step(after=True)

        return transaction


def stopped(stop_at: int, run: Callable[[], object], *, after: bool) -> int | None:
    """Steps that were done when the run was stopped, None when it came to its end."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        steps = Steps(monkeypatch, stop_at, after=after)
        try:
            run()
        except Stopped:
            return steps.done
    return None


def each_stop(library: Library, run: Callable[[], object], *, after: bool) -> Iterator[int]:
    """After each step in turn, with the library as it was at first and then changed by the run up to that step."""
    place = library.files.parent
    template = place.with_name("template")
    shutil.copytree(place, template)
    for step in itertools.count():
        shutil.rmtree(place)
        shutil.copytree(template, place)
        library.model.encoded.clear()
        if stopped(step, run, after=after) is None:
            return
        yield step


@pytest.fixture
def prepared(tmp_path: Path) -> Library:
    """An index of three files, of which one was changed, one removed and one moved since, and one is new."""
    (tmp_path / "place" / "files").mkdir(parents=True)
    library = Library(tmp_path / "place" / "files", tmp_path / "place" / "index")
    library.write(**TEXTS)
    library.sync()
    library.write(gato="La gaviota vuela.", nuevo="Un texto nuevo y recién escrito.")
    Path(library.source("perro")).unlink()
    Path(library.source("barco")).rename(library.source("nave"))
    return library


BEFORE, AFTER = {"gato", "perro", "barco"}, {"gato", "nuevo", "nave"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_sync_stopped_at_any_step_leaves_a_whole_index_and_the_next_one_completes_it(
    prepared: Library, after: bool
) -> None:
    place = prepared.files.parent
    shutil.copytree(place, place.with_name("kept"))
    prepared.sync()
    expected = prepared.generation_files()
    shutil.rmtree(place)
    place.with_name("kept").rename(place)
    steps = 0
    for _ in each_stop(prepared, prepared.sync, after=after):
        index = prepared.index()
        assert found(index, "gato", "dense") == (AFTER if index.generation.number == 2 else BEFORE)
        prepared.sync()
        assert prepared.generation_files() == expected
        assert found(index, "gato", "dense") == AFTER
        if after:  # what was computed is stored by then
            assert len(passages(prepared)) == 2
        prepared.sync()
        assert sorted(path.name for path in prepared.folder.glob("gen-*")) == ["gen-000002"]
        steps += 1
    assert steps >= 15


def test_an_index_that_was_open_answers_after_a_stop(prepared: Library) -> None:
    index = prepared.index()
    for stop_at in (3, 9):
        assert stopped(stop_at, prepared.sync, after=False) is not None
        assert found(index, "gato", "dense") == BEFORE
    prepared.sync()
    assert found(index, "gato", "dense") == AFTER


def test_a_first_sync_stopped_at_any_step_completes(library: Library, tmp_path: Path) -> None:
    library = replace(library, files=tmp_path / "place" / "files", folder=tmp_path / "place" / "index")
    library.files.mkdir(parents=True)
    library.write(**TEXTS)
    steps = 0
    for _ in each_stop(library, library.sync, after=False):
        library.sync()
        assert current_number(library.folder) == 1
        assert found(library.index(), "x", "dense") == BEFORE
        steps += 1
    assert steps >= 10


@pytest.mark.parametrize("operation", ["reindex", "remove"])
def test_other_operations_stopped_at_any_step_complete(prepared: Library, operation: str) -> None:
    other = prepared.with_changes(chunk_tokens=8) if operation == "reindex" else prepared

    def run() -> None:
        with other.writer() as writer:
            if operation == "reindex":
                writer.reindex()
            else:
                writer.remove([other.source("gato")], missing_ok=True)

    steps = 0
    for _ in each_stop(other, run, after=True):
        assert found(prepared.index(), "x", "dense") >= {"perro", "barco"}
        run()
        generation = open_current(other.folder)
        assert generation is not None
        stored = Store.open(other.folder / "fuente.db")
        assert generation.ids.tolist() == stored.outline(generation.number).ids.tolist()
        assert generation.manifest.identity == other.identity.as_dict()
        generation.close()
        assert found(other.index(), "x", "dense") == ({"perro", "barco"} if operation == "remove" else BEFORE)
        steps += 1
    assert steps >= 8
