"""A backup is the index again, wherever it is restored; whatever is wrong with one, nothing comes of it."""

import errno
import hashlib
import io
import itertools
import json
import os
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.archive import backup, restore
from index.archive_file import Contents
from index.errors import ArchiveError, IndexDamagedError, IndexMismatchError, IndexNotFoundError, IndexOutdatedError
from index.integrity import verify
from index.manifest import current_number
from index.schema import SCHEMA_VERSION
from index.settings import SearchSettings
from index.store import Store
from index.types import SyncProgress
from index.writer import IndexWriter
from tests.index.library import TEXTS, Library, found, read
from tests.index.test_migrations import FORMAT_1, OLD_ROWS

UPLOADS = {"uploads/informe ñ.txt": b"Un informe subido.", "uploads/sub/b.txt": b"Otro." * 999}


@pytest.fixture
def filled(library: Library) -> Library:
    """An index that has seen changes, with uploaded files beside it."""
    library.write(**TEXTS, viejo="Un secreto que se va del todo.")
    library.sync()
    library.write(gato=TEXTS["gato"] + " Y sueña con ratones.")
    Path(library.source("viejo")).unlink()
    library.sync()
    for name, content in UPLOADS.items():
        path = library.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return library


@pytest.fixture
def archive(filled: Library, tmp_path: Path) -> Path:
    """A backup of it."""
    backup(filled.folder, tmp_path / "backup.zip")
    return tmp_path / "backup.zip"


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def restored(library: Library, folder: Path) -> Library:
    return Library(library.files, folder, library.model)


def answers(library: Library) -> Any:
    """All that an index shows and finds."""
    index = library.index()
    try:
        sources = index.sources()
        hits = [
            index.search(question, 50, settings=SearchSettings(channel=channel))  # type: ignore[arg-type]
            for question in ("¿Dónde duerme el gato?", "pescado fresco", "nada")
            for channel in ("dense", "lexical", "fused")
        ]
        return sources, [index.document(info.document_id) for info in sources], hits
    finally:
        index.close()


def digest(folder: Path) -> str:
    index = Library(folder, folder).index()
    try:
        return index.generation.manifest.digest
    finally:
        index.close()


class TestRoundTrip:
    def test_the_same_answers_files_and_digest(self, filled: Library, archive: Path, tmp_path: Path) -> None:
        target = tmp_path / "elsewhere" / "index"
        contents = restore(archive, target)
        again = restored(filled, target)
        assert verify(target) == []
        assert answers(again) == answers(filled)
        assert digest(target) == digest(filled.folder) == contents.digest
        assert again.generation_files() == filled.generation_files()
        assert {name: (target / name).read_bytes() for name in UPLOADS} == UPLOADS
        assert (contents.documents, contents.chunks, contents.sources) == (3, 3, 3)
        assert contents.members.keys() == {"fuente.db", *UPLOADS}
        names = {path.name for path in target.iterdir()}
        assert names == {"fuente.db", "store.seal", "CURRENT", f"gen-{contents.generation:06d}", "uploads"}
        assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["index"]

    def test_it_goes_on_as_the_original_would(self, filled: Library, archive: Path, tmp_path: Path) -> None:
        restore(archive, tmp_path / "again")
        again = restored(filled, tmp_path / "again")
        filled.model.encoded.clear()
        assert len(again.sync().unchanged) == 3
        assert filled.model.encoded == []
        filled.write(pez="El pez nada.")
        assert len(again.sync().added) == 1
        assert verify(again.folder) == []
        with closing(sqlite3.connect(again.folder / "fuente.db")) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_the_index_is_untouched_by_its_backup(self, filled: Library, tmp_path: Path) -> None:
        def content() -> dict[Path, bytes]:
            return {path: path.read_bytes() for path in filled.folder.rglob("*") if path.is_file()}

        before = content()
        backup(filled.folder, tmp_path / "backup.zip")
        assert content() == before

    def test_it_is_a_plain_zip_without_what_was_deleted_or_can_be_derived(self, archive: Path) -> None:
        with zipfile.ZipFile(archive) as plain:
            assert plain.testzip() is None
            assert sorted(plain.namelist()) == sorted(["fuente.db", *UPLOADS, "manifest.json"])
            manifest = json.loads(plain.read("manifest.json"))
            store = plain.read("fuente.db")
        assert (manifest["format"], manifest["version"], manifest["store_format"]) == (
            "fuente-archive",
            1,
            SCHEMA_VERSION,
        )
        assert manifest["members"]["fuente.db"] == [len(store), hashlib.sha256(store).hexdigest()]
        assert manifest["identity"]["embedder"] == "hashed"
        assert b"ratones" in store
        assert b"secreto" not in store

    def test_no_model_is_needed(self, filled: Library, archive: Path, tmp_path: Path) -> None:
        filled.model.encoded.clear()
        restore(archive, tmp_path / "again")
        backup(tmp_path / "again", tmp_path / "again.zip")
        assert filled.model.encoded == []

    def test_a_backup_of_what_was_restored_holds_the_same(self, archive: Path, tmp_path: Path) -> None:
        first = restore(archive, tmp_path / "again")
        second = backup(tmp_path / "again", tmp_path / "again.zip")
        assert replace(second, members={}) == replace(first, members={})
        assert second.members.keys() == first.members.keys()

    def test_an_empty_index(self, library: Library, tmp_path: Path) -> None:
        library.sync()
        backup(library.folder, tmp_path / "backup.zip")
        restore(tmp_path / "backup.zip", tmp_path / "again")
        assert verify(tmp_path / "again") == []
        assert answers(restored(library, tmp_path / "again"))[0] == []

    def test_progress_is_told_for_both(self, filled: Library, tmp_path: Path) -> None:
        stages: list[str] = []
        backup(filled.folder, tmp_path / "backup.zip", progress=lambda stage, done, total: stages.append(stage))
        assert {"copying pages", "checking rows", "compacting", "writing (MB)"} <= set(stages)
        stages.clear()
        restore(tmp_path / "backup.zip", tmp_path / "again", progress=lambda stage, done, total: stages.append(stage))
        assert {"checking (MB)", "unpacking (MB)", "checking rows", "publishing"} <= set(stages)

    def test_many_chunks_are_searched_in_the_same_way(self, library: Library, tmp_path: Path) -> None:
        """Above the limit of exact search the files are trained; training twice gives the same."""
        library.write(**{f"n{number}": f"Nota {number} sobre {number**2}. " * 4 for number in range(80)})
        with library.writer(exact_chunks=50) as writer:
            writer.sync(sorted(library.files.glob("*.txt")), [library.files], read)
        backup(library.folder, tmp_path / "backup.zip")
        contents = restore(tmp_path / "backup.zip", tmp_path / "again", exact_chunks=50)
        assert digest(tmp_path / "again") == digest(library.folder) == contents.digest


class TestWhileAWriterWorks:
    def test_what_is_published_is_kept_and_nothing_else(self, filled: Library, tmp_path: Path) -> None:
        before = answers(filled)
        taken: list[Contents] = []

        def take(step: SyncProgress) -> None:
            if step.stage == "publish":
                taken.append(backup(filled.folder, tmp_path / "backup.zip"))

        filled.write(gato="La gaviota vuela.", pez="El pez nada.")
        Path(filled.source("perro")).unlink()
        with filled.writer() as writer:
            writer.sync(sorted(filled.files.glob("*.txt")), [filled.files], read, progress=take)
        assert taken[0].generation == 2
        restore(tmp_path / "backup.zip", tmp_path / "again")
        assert verify(tmp_path / "again") == []
        assert answers(restored(filled, tmp_path / "again")) == before
        assert b"gaviota" not in (tmp_path / "again" / "fuente.db").read_bytes()

    def test_in_the_middle_of_a_reindex(self, filled: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = answers(filled)

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(IndexWriter, "publish", stop)
            with pytest.raises(KeyboardInterrupt), filled.with_changes(embedder_name="other").writer() as writer:
                writer.reindex()
        backup(filled.folder, tmp_path / "backup.zip")
        restore(tmp_path / "backup.zip", tmp_path / "again")
        assert verify(tmp_path / "again") == []
        assert answers(restored(filled, tmp_path / "again")) == before

    def test_a_file_that_is_being_uploaded_or_a_link_is_left_out(self, filled: Library, tmp_path: Path) -> None:
        (filled.folder / "uploads" / ".0123456789abcdef.part").write_bytes(b"half")
        if os.name != "nt":
            (filled.folder / "uploads" / "link.txt").symlink_to(filled.files / "gato.txt")
        assert backup(filled.folder, tmp_path / "backup.zip").members.keys() == {"fuente.db", *UPLOADS}


class TestBackupRefuses:
    def test_an_existing_file_unless_forced(self, filled: Library, archive: Path) -> None:
        archive.write_bytes(b"mine")
        with pytest.raises(ArchiveError, match="--force"):
            backup(filled.folder, archive)
        assert archive.read_bytes() == b"mine"
        backup(filled.folder, archive, force=True)
        assert zipfile.is_zipfile(archive)

    def test_a_missing_folder_and_a_folder(self, filled: Library, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="does not exist"):
            backup(filled.folder, tmp_path / "nowhere" / "backup.zip")
        with pytest.raises(ArchiveError, match="exists"):
            backup(filled.folder, tmp_path, force=True)

    def test_a_missing_index_and_one_without_anything_published(self, library: Library, tmp_path: Path) -> None:
        with pytest.raises(IndexNotFoundError):
            backup(library.folder, tmp_path / "backup.zip")
        with library.writer():
            pass
        with pytest.raises(IndexNotFoundError, match="published"):
            backup(library.folder, tmp_path / "backup.zip")
        assert "backup.zip" not in listing(tmp_path)

    def test_an_older_and_a_newer_store(self, filled: Library, tmp_path: Path) -> None:
        for version, error in ((1, IndexOutdatedError), (SCHEMA_VERSION + 1, IndexMismatchError)):
            with closing(sqlite3.connect(filled.folder / "fuente.db")) as connection:
                connection.execute(f"PRAGMA user_version = {version}")
            with pytest.raises(error):
                backup(filled.folder, tmp_path / "backup.zip")

    @pytest.mark.parametrize("statement", ["UPDATE chunks SET text = 'x'", "DELETE FROM vectors"])
    def test_a_damaged_store(self, filled: Library, tmp_path: Path, statement: str) -> None:
        with closing(sqlite3.connect(filled.folder / "fuente.db", isolation_level=None)) as connection:
            connection.execute(statement)
        with pytest.raises(IndexDamagedError, match=r"index.fuente\.db.*fuente repair"):
            backup(filled.folder, tmp_path / "backup.zip")
        assert not [name for name in listing(tmp_path) if "backup" in name or "partial" in name]

    @pytest.mark.skipif(os.name == "nt", reason="no such names there")
    @pytest.mark.parametrize("name", ["a\\b.txt", "a\nb.txt", "C:x.txt", " ..", os.fsdecode(b"caf\xe9.txt")])
    def test_a_name_that_is_none_elsewhere(self, filled: Library, tmp_path: Path, name: str) -> None:
        (filled.folder / "uploads" / name).write_text("x")
        with pytest.raises(ArchiveError, match="Rename it"):
            backup(filled.folder, tmp_path / "backup.zip")


class TestRestoreRefuses:
    def test_a_folder_that_holds_something(self, filled: Library, archive: Path, tmp_path: Path) -> None:
        before = answers(filled)
        with pytest.raises(ArchiveError, match=r"holds an index already.*--index"):
            restore(archive, filled.folder)
        assert answers(filled) == before
        (tmp_path / "some").mkdir()
        (tmp_path / "some" / "mine.txt").write_text("x")
        for folder in (tmp_path / "some", tmp_path / "some" / "mine.txt"):
            with pytest.raises(ArchiveError, match="not an empty folder"):
                restore(archive, folder)
        assert listing(tmp_path / "some") == ["mine.txt"]

    def test_an_empty_folder_is_taken(self, archive: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        restore(archive, tmp_path / "empty")
        assert verify(tmp_path / "empty") == []

    def test_a_missing_archive(self, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="cannot be opened"):
            restore(tmp_path / "missing.zip", tmp_path / "again")
        assert listing(tmp_path) == []

    def test_any_flipped_bit_and_any_cut(self, archive: Path, tmp_path: Path) -> None:
        whole = archive.read_bytes()
        random = np.random.default_rng(3)
        before = listing(tmp_path)
        places = [*range(60), *random.integers(0, len(whole), 80), *range(len(whole) - 100, len(whole))]
        for place in places:
            broken = bytearray(whole)
            broken[place] ^= 1 << int(random.integers(8))
            archive.write_bytes(broken)
            with pytest.raises(ArchiveError, match="Use another backup"):
                restore(archive, tmp_path / "again")
        for length in (*range(0, 200, 20), *random.integers(0, len(whole), 40), len(whole) - 1):
            archive.write_bytes(whole[:length])
            with pytest.raises(ArchiveError, match="Use another backup"):
                restore(archive, tmp_path / "again")
        archive.write_bytes(whole + b"x")
        with pytest.raises(ArchiveError):
            restore(archive, tmp_path / "again")
        assert listing(tmp_path) == before


def forged(
    archive: Path,
    *,
    manifest: Callable[[dict[str, Any]], object] | None = None,
    members: Callable[[dict[str, bytes]], object] | None = None,
    entry: Callable[[zipfile.ZipInfo], object] | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> None:
    """Writes an archive anew, changed, with a checksum that is right."""
    with zipfile.ZipFile(archive) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    told = json.loads(contents.pop("manifest.json"))
    if members:
        members(contents)
        told["members"] = {
            name: [len(content), hashlib.sha256(content).hexdigest()] for name, content in contents.items()
        }
    if manifest:
        manifest(told)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as new:
        for name, content in {**contents, "manifest.json": json.dumps(told).encode()}.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            if entry and name != "manifest.json":
                entry(info)
            new.writestr(info, content)
        new.comment = b"0" * 64
    seal(archive, target.getvalue())


def seal(archive: Path, content: bytes) -> None:
    body = content[:-64]
    archive.write_bytes(body + hashlib.sha256(body).hexdigest().encode())


EVIL = (
    "../evil", "/evil", "uploads/../evil", "uploads/../../evil", "uploads//evil", "uploads/./evil", "uploads/",
    "uploads/..\\..\\evil", "C:/evil", "uploads/C:evil", "uploads/.. /.. /evil", "other.txt", "writer.lock",
    "CURRENT", "gen-000009/manifest.json", "fuente.db-wal", "store.seal", "uploads/a\nb", "Fuente.db",
)  # fmt: skip


class TestForgedArchives:
    """Their checksum is right, so whoever made them meant it."""

    def refused(self, archive: Path, reason: str) -> None:
        place = archive.parent
        before = listing(place)
        with pytest.raises(ArchiveError, match=reason):
            restore(archive, place / "again")
        assert listing(place) == before

    def test_one_that_is_only_written_anew_is_restored(self, filled: Library, archive: Path, tmp_path: Path) -> None:
        forged(archive)
        restore(archive, tmp_path / "again")
        assert answers(restored(filled, tmp_path / "again")) == answers(filled)

    @pytest.mark.parametrize("name", EVIL)
    def test_names(self, archive: Path, name: str) -> None:
        forged(archive, members=lambda members: members.update({name: b"evil"}))
        self.refused(archive, "must not hold|no plain file")

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
    def test_links_and_devices(self, archive: Path, kind: int) -> None:
        forged(archive, entry=lambda entry: setattr(entry, "external_attr", (kind | 0o777) << 16))
        self.refused(archive, "no plain file")

    def test_a_member_twice(self, archive: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(archive, "a") as changed:
            changed.writestr("fuente.db", b"x")
        seal(archive, archive.read_bytes())
        self.refused(archive, "twice")

    @pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_compressions(self, archive: Path, compression: int) -> None:
        forged(archive, compression=compression)
        self.refused(archive, "packed otherwise")

    def test_sizes_that_are_not_those_of_the_manifest(self, archive: Path) -> None:
        def smaller(manifest: dict[str, Any]) -> None:
            manifest["members"]["fuente.db"][0] -= 1

        forged(archive, manifest=smaller)
        self.refused(archive, "not those of its manifest")

    def test_a_member_that_unpacks_to_more_than_it_says(self, archive: Path) -> None:
        """The size in the list of members and in the manifest is a lie; what unpacks tells."""
        forged(archive, members=lambda members: members.update({"uploads/bomb": bytes(10**6)}))
        content = archive.read_bytes()
        lie = (10**6).to_bytes(4, "little")
        assert content.count(lie) == 2
        forged(archive, manifest=lambda manifest: manifest["members"]["uploads/bomb"].__setitem__(0, 1000))
        seal(archive, archive.read_bytes().replace(lie, (1000).to_bytes(4, "little")))
        self.refused(archive, "damaged|larger|differs")

    def test_more_than_the_disk_has_room_for(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))  # type: ignore[attr-defined]
        self.refused(archive, "1000 left")

    def test_a_checksum_that_is_not_that_of_the_member(self, archive: Path) -> None:
        forged(archive, manifest=lambda manifest: manifest["members"]["fuente.db"].__setitem__(1, "0" * 64))
        self.refused(archive, "fuente.db differs from its checksum")

    @pytest.mark.parametrize(
        "change",
        [
            lambda manifest: manifest.pop("digest"),
            lambda manifest: manifest.update(extra=1),
            lambda manifest: manifest.update(format="zip"),
            lambda manifest: manifest.update(generation=-1),
            lambda manifest: manifest.update(generation=True),
            lambda manifest: manifest.update(generation="1"),
            lambda manifest: manifest.update(documents=10**30),
            lambda manifest: manifest.update(version="1"),
            lambda manifest: manifest.update(members=[]),
            lambda manifest: manifest.update(members={}),
            lambda manifest: manifest.update(identity={}),
            lambda manifest: manifest["identity"].update(dimension=8),
            lambda manifest: manifest.update(documents=4),
            lambda manifest: manifest.update(generation=7, documents=4),
            lambda manifest: manifest["members"].update({"uploads/missing": [0, "0" * 64]}),
        ],
    )
    def test_manifests(self, archive: Path, change: Callable[[dict[str, Any]], object]) -> None:
        forged(archive, manifest=change)
        self.refused(archive, "Use another backup")

    @pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 10**5, b"\xff", b"null"])
    def test_manifests_that_are_none(self, archive: Path, text: bytes) -> None:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as new:
            new.writestr("manifest.json", text)
            new.comment = b"0" * 64
        seal(archive, target.getvalue())
        self.refused(archive, "Use another backup")

    def test_a_newer_archive_and_a_newer_store_are_refused_by_name(self, archive: Path) -> None:
        forged(archive, manifest=lambda manifest: manifest.update(version=2, fuente="9.1", hitherto="unknown"))
        self.refused(archive, r"it has format 2, as Fuente 9\.1 wrote it.*Use Fuente 9\.1")
        forged(archive, manifest=lambda manifest: manifest.update(version=1, store_format=SCHEMA_VERSION + 1))
        self.refused(archive, rf"its store has format {SCHEMA_VERSION + 1}, as Fuente 9\.1")

    @pytest.mark.parametrize(
        ("statement", "reason"),
        [
            ("UPDATE chunks SET text = 'x'", "differ from their seals"),
            ("DELETE FROM vectors", "no vector"),
            ("DELETE FROM sources", "no source"),
            ("CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM chunks; END", "declares 't'"),
            ("CREATE VIEW v AS SELECT 1", "declares 'v'"),
            ("CREATE VIRTUAL TABLE v USING fts5(x)", "declares 'v'"),
            ("CREATE TABLE x (y)", "declared otherwise"),
            (f"PRAGMA user_version = {SCHEMA_VERSION + 1}", "format 3, not 2"),
            ("PRAGMA user_version = 1", "format 1, not 2"),
        ],
    )
    def test_stores(self, archive: Path, tmp_path: Path, statement: str, reason: str) -> None:
        def change(members: dict[str, bytes]) -> None:
            members["fuente.db"] = changed_store(members["fuente.db"], tmp_path, statement)

        forged(archive, members=change)
        self.refused(archive, reason)

    @pytest.mark.parametrize("content", [b"", b"garbage" * 999])
    def test_a_store_that_is_none(self, archive: Path, content: bytes) -> None:
        forged(archive, members=lambda members: members.update({"fuente.db": content}))
        self.refused(archive, "store")


def changed_store(content: bytes, folder: Path, *statements: str) -> bytes:
    path = folder / "changed.db"
    path.write_bytes(content)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    content = path.read_bytes()
    path.unlink()
    return content


def older_store(content: bytes, folder: Path) -> bytes:
    """A store as format 1 had it."""
    (folder / "new.db").write_bytes(content)
    path = folder / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FORMAT_1)
        connection.execute("ATTACH ? AS new", (str(folder / "new.db"),))
        for table, rows in OLD_ROWS.items():
            connection.execute(f"INSERT INTO {table} {rows}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    content = path.read_bytes()
    for leftover in (path, folder / "new.db"):
        leftover.unlink()
    return content


def test_a_backup_of_an_older_format_is_brought_up_to_date(filled: Library, archive: Path, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["fuente.db"] = older_store(members["fuente.db"], tmp_path)

    forged(archive, members=change, manifest=lambda manifest: manifest.update(store_format=1))
    restore(archive, tmp_path / "again")
    assert verify(tmp_path / "again") == []
    assert Store.open(tmp_path / "again" / "fuente.db").version() == SCHEMA_VERSION
    assert answers(restored(filled, tmp_path / "again")) == answers(filled)
    assert digest(tmp_path / "again") == digest(filled.folder)


class TestStops:
    """A full disk or a kill at any step leaves what was there, and nothing that is taken for an index."""

    CALLS = ("fsync", "rename", "replace", "mkdir")

    def stopped(self, step: int, run: Callable[[], object], failure: BaseException) -> BaseException | None:
        """What ended the run when its `step`-th change to the disk failed and every one after it."""
        done = itertools.count()

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                if next(done) >= step:
                    raise failure
                return function(*arguments, **options)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for name in self.CALLS:
                patch.setattr(os, name, counted(getattr(os, name)))
            try:
                run()
            except (ArchiveError, KeyboardInterrupt) as error:
                return error
        return None

    @pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    def test_of_a_backup(self, filled: Library, tmp_path: Path, failure: BaseException) -> None:
        target = tmp_path / "backup.zip"
        target.write_bytes(b"the backup before")
        before = listing(tmp_path)
        for step in itertools.count():
            ended = self.stopped(step, lambda: backup(filled.folder, target, force=True), failure)
            if ended is None or target.read_bytes() != b"the backup before":
                break
            assert isinstance(ended, KeyboardInterrupt) or "No space left" in str(ended)
            assert listing(tmp_path) == before
        assert step >= 3
        restore(target, tmp_path / "again")

    @pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    def test_of_a_restoration(self, filled: Library, archive: Path, tmp_path: Path, failure: BaseException) -> None:
        target = tmp_path / "again"
        before = listing(tmp_path)
        for step in itertools.count():
            ended = self.stopped(step, lambda: restore(archive, target), failure)
            if ended is None or target.exists():
                break
            assert isinstance(ended, KeyboardInterrupt) or "No space left" in str(ended)
            assert listing(tmp_path) == before
        assert step >= 15
        assert verify(target) == []
        assert answers(restored(filled, target)) == answers(filled)

    def test_what_a_killed_run_left_is_cleared_away_and_what_is_in_use_is_not(
        self, archive: Path, tmp_path: Path
    ) -> None:
        killed, mine = tmp_path / ".fuente-killed.partial", tmp_path / ".fuente-mine.partial"
        for folder in (killed, mine):
            folder.mkdir()
            (folder / "fuente.db").write_bytes(b"half")
        (killed / "lock").touch()
        restore(archive, tmp_path / "again")
        assert not killed.exists()
        assert mine.exists()  # nothing says that it is one of ours

    def test_two_restorations_at_once_disturb_nobody(self, archive: Path, tmp_path: Path) -> None:
        def other(stage: str, done: int, total: int) -> None:
            if stage == "publishing" and not (tmp_path / "other").exists():
                restore(archive, tmp_path / "other")
                restore(archive, tmp_path / "again")

        with pytest.raises(ArchiveError, match="holds an index already"):
            restore(archive, tmp_path / "again", progress=other)
        for folder in (tmp_path / "other", tmp_path / "again"):
            assert verify(folder) == []
            assert current_number(folder) == 2
        assert not list(tmp_path.glob(".fuente-*"))


def test_found_after_a_round_trip(filled: Library, archive: Path, tmp_path: Path) -> None:
    restore(archive, tmp_path / "again")
    assert found(restored(filled, tmp_path / "again").index(), "ratones", "lexical") == {"gato"}
