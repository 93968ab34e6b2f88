"""A sound index gives no finding, each kind of damage gives one, and looking changes nothing."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index.errors import IndexMismatchError, IndexNotFoundError
from index.integrity import Finding, examine, verify
from index.manifest import MANIFEST, current_number, folder_name
from index.schema import SCHEMA_VERSION, resealed, seal
from index.types import SyncProgress
from index.writer import IndexWriter
from tests.index.library import TEXTS, Library, read


@pytest.fixture
def sound(library: Library) -> Library:
    """An index that has seen a file change and another leave."""
    library.write(**TEXTS, viejo="Un texto que se va.")
    library.sync()
    library.write(gato=TEXTS["gato"] + " Y sueña con ratones.")
    Path(library.source("viejo")).unlink()
    library.sync()
    return library


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def change(library: Library, *statements: str, sealed: bool = False) -> None:
    """Changes rows behind the program's back; a file whose seal is gone hides nothing that the rows would tell."""
    with closing(sqlite3.connect(library.folder / "fuente.db", isolation_level=None)) as connection:
        connection.create_function("seal", -1, seal, deterministic=True)
        for statement in statements:
            connection.execute(statement)
    if not sealed:
        (library.folder / "store.seal").unlink()


def damage_of(library: Library) -> list[Finding]:
    return [finding for finding in verify(library.folder) if finding.kind != "information"]


def told(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.path.name}: {finding.what}. {finding.mend}" for finding in findings)


class TestSound:
    def test_nothing_is_found_and_everything_is_counted(self, sound: Library) -> None:
        stages: set[str] = set()
        examination = examine(sound.folder, lambda stage, done, total: stages.add(stage))
        assert examination.findings == ()
        manifest = sound.index().generation.manifest
        assert (examination.documents, examination.chunks) == (manifest.documents, manifest.chunks) == (3, 3)
        assert examination.vectors == 3
        checked = [path for path in sound.folder.rglob("*") if path.is_file() and not path.name.startswith("writer")]
        assert examination.files == len(checked)
        assert examination.size_bytes == sum(path.stat().st_size for path in checked)
        assert stages == {"checking files", "checking rows", "checking documents", "checking vectors"}

    def test_looking_changes_nothing(self, sound: Library) -> None:
        before = content(sound.folder)
        verify(sound.folder)
        assert content(sound.folder) == before

    def test_an_empty_index_is_sound(self, library: Library) -> None:
        library.sync()
        assert verify(library.folder) == []

    @pytest.mark.parametrize("leaving", ["nothing", "a lock", "an empty store"])
    def test_no_index_is_no_damage(self, library: Library, leaving: str) -> None:
        if leaving != "nothing":
            library.folder.mkdir()
            (library.folder / ("writer.lock" if leaving == "a lock" else "fuente.db")).touch()
        with pytest.raises(IndexNotFoundError, match="fuente ingest"):
            verify(library.folder)

    def test_while_readers_hold_what_is_no_longer_current(self, sound: Library) -> None:
        held = sound.index()
        sound.write(gato="La gaviota vuela.")
        sound.sync()
        assert verify(sound.folder) == []
        held.close()


class TestFiles:
    def test_every_damaged_file_of_a_generation_is_named(self, sound: Library) -> None:
        generation = sound.folder / folder_name(current_number(sound.folder))
        names = sorted(sound.generation_files())
        assert len(names) >= 8
        for name in names:
            path = generation / name
            whole = path.read_bytes()
            for broken in (bytes([whole[0] ^ 1]) + whole[1:], whole[:-1], whole + b"x", b""):
                path.write_bytes(broken)
                assert [(finding.path, finding.kind) for finding in verify(sound.folder)] == [(path, "files")]
            path.unlink()
            assert [finding.path for finding in verify(sound.folder)] == [path]
            path.write_bytes(whole)
        assert verify(sound.folder) == []

    def test_all_damaged_files_are_named_at_once_and_mended_by_a_sync(self, sound: Library) -> None:
        generation = sound.folder / folder_name(current_number(sound.folder))
        damaged = [path for path in generation.rglob("*") if path.is_file() and path.name != MANIFEST]
        for path in damaged:
            path.write_bytes(b"?")
        assert {finding.path for finding in verify(sound.folder)} == set(damaged)
        sound.sync()
        assert verify(sound.folder) == []

    def test_a_file_too_many_is_named(self, sound: Library) -> None:
        extra = sound.folder / folder_name(current_number(sound.folder)) / "shard-0000" / "extra.npy"
        extra.write_bytes(b"x")
        assert [(finding.path, finding.kind) for finding in verify(sound.folder)] == [(extra, "files")]

    @pytest.mark.parametrize("current", [b"", b"garbage", b"gen-000099 " + b"0" * 64 + b"\n", None])
    def test_a_lost_current_is_damage_that_a_sync_mends(self, sound: Library, current: bytes | None) -> None:
        path = sound.folder / "CURRENT"
        path.unlink()
        if current is not None:
            path.write_bytes(current)
        assert {finding.kind for finding in damage_of(sound)} == {"files"}
        sound.sync()
        assert verify(sound.folder) == []

    def test_a_generation_of_another_store_is_found(self, sound: Library) -> None:
        kept = {name: (sound.folder / name).read_bytes() for name in ("fuente.db", "store.seal")}
        sound.write(gato="La gaviota vuela sobre el mar.", pez="El pez nada.")
        sound.sync()
        for name, whole in kept.items():
            (sound.folder / name).write_bytes(whole)
        assert "the published files are of" in told(damage_of(sound))
        sound.sync()
        assert verify(sound.folder) == []


class TestInformation:
    def test_a_store_without_a_seal(self, sound: Library) -> None:
        (sound.folder / "store.seal").unlink()
        (finding,) = verify(sound.folder)
        assert (finding.kind, finding.what) == ("information", "the last run was stopped before it ended")
        sound.sync()
        assert verify(sound.folder) == []

    def test_a_run_under_way(self, sound: Library) -> None:
        seen: list[list[Finding]] = []

        def look(step: SyncProgress) -> None:
            if step.stage == "publish":
                seen.append(verify(sound.folder))

        sound.write(gato="La gaviota vuela.")
        with sound.writer() as writer:
            writer.sync(sorted(sound.files.glob("*.txt")), [sound.files], read, progress=look)
            assert {finding.what for finding in verify(sound.folder)} == {"a run is under way"}
        assert {finding.kind for finding in seen[0]} == {"information"}
        assert "rows are stored and not published yet" in told(seen[0])
        assert verify(sound.folder) == []

    def test_a_run_that_was_stopped(self, sound: Library) -> None:
        def stop(step: SyncProgress) -> None:
            if step.stage == "publish":
                raise KeyboardInterrupt

        sound.write(gato="La gaviota vuela.", pez="El pez nada.")
        Path(sound.source("perro")).unlink()
        with pytest.raises(KeyboardInterrupt), sound.writer() as writer:
            writer.sync(sorted(sound.files.glob("*.txt")), [sound.files], read, progress=stop)
        (sound.folder / "gen-000003.partial").mkdir()
        assert {finding.kind for finding in verify(sound.folder)} == {"information"}
        assert "gen-000003.partial: a stopped run left it" in told(verify(sound.folder))
        sound.sync()
        assert verify(sound.folder) == []

    def test_a_reindex_that_was_stopped(self, sound: Library) -> None:
        def stop(step: SyncProgress) -> None:
            if step.stage == "embed":
                raise KeyboardInterrupt

        other = sound.with_changes(chunk_tokens=8)
        with pytest.raises(KeyboardInterrupt), other.writer() as writer:
            writer.reindex(progress=stop)
        assert {finding.kind for finding in verify(sound.folder)} == {"information"}
        assert "fuente reindex" in told(verify(sound.folder))
        with other.writer() as writer:
            writer.reindex()
        assert verify(sound.folder) == []

    def test_what_a_killed_writer_left_in_the_log_stays_there(self, sound: Library, tmp_path: Path) -> None:
        with closing(sqlite3.connect(sound.folder / "fuente.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM meta").fetchone()  # the log cannot be folded into the file
            sound.write(pez="El pez nada.")
            sound.sync()
            killed = tmp_path / "killed"
            shutil.copytree(sound.folder, killed)
        (killed / "fuente.db-shm").unlink()
        before = content(killed)
        assert before["fuente.db-wal"] != hashlib.sha256(b"").hexdigest()
        assert {finding.kind for finding in verify(killed)} == {"information"}
        after = content(killed)
        assert after.pop("fuente.db-shm")  # SQLite's memory, which readers share
        assert after == before

    def test_an_older_store(self, sound: Library) -> None:
        change(sound, f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
        assert "is older than this program's" in told(verify(sound.folder))
        assert damage_of(sound) == []


def test_a_newer_store_is_refused(sound: Library) -> None:
    change(sound, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(IndexMismatchError, match="newer"):
        verify(sound.folder)


def _vector(values: object) -> str:
    return f"X'{np.asarray(values, np.float32).tobytes().hex()}'"


FIRST_CHUNK = "rowid = (SELECT min(rowid) FROM chunks)"
FIRST_VECTOR = "key = (SELECT min(key) FROM vectors)"
FIRST_DOCUMENT = "number = (SELECT min(number) FROM documents WHERE removed IS NULL)"


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE chunks SET text = 'otra cosa'", "3 rows of chunks differ from their seals"),
        (f"UPDATE vectors SET seal = zeroblob(8) WHERE {FIRST_VECTOR}", "1 rows of vectors differ from their seals"),
        ("UPDATE meta SET value = '{}' WHERE key = 'identity'", "1 rows of meta differ from their seals"),
        ("DROP INDEX chunks_of_vector", "declared otherwise than by Fuente: chunks_of_vector"),
        (
            "CREATE TRIGGER t AFTER DELETE ON meta BEGIN DELETE FROM chunks; END",
            "declared otherwise than by Fuente: t",
        ),
        (f"DELETE FROM documents WHERE {FIRST_DOCUMENT}", "foreign key"),
        (
            f"UPDATE chunks SET {resealed('chunks', text=repr('otra cosa'))} WHERE {FIRST_CHUNK}",
            "1 chunks have another text than their document",
        ),
        (
            f"UPDATE chunks SET {resealed('chunks', **{'vector_key': 'zeroblob(32)'})} WHERE {FIRST_CHUNK}",
            "1 chunks have no vector",
        ),
        (f"DELETE FROM vectors WHERE {FIRST_VECTOR}", "1 chunks have no vector"),
        ("DELETE FROM texts WHERE document = (SELECT min(document) FROM texts)", "1 documents have no text"),
        ("DELETE FROM sources WHERE path LIKE '%gato%'", "1 live documents have no source"),
        (
            f"UPDATE documents SET {resealed('documents', removed='1')} WHERE {FIRST_DOCUMENT}",
            "1 sources show a document that is missing or not live",
        ),
        (
            f"UPDATE documents SET {resealed('documents', characters='7')} WHERE {FIRST_DOCUMENT}",
            "1 documents have another length than is recorded",
        ),
        *(
            (
                f"UPDATE vectors SET {resealed('vectors', vector=vector)} WHERE {FIRST_VECTOR}",
                "1 vectors are of another",
            )
            for vector in (
                _vector(np.eye(8)[0]),
                _vector(np.full(16, np.nan)),
                _vector([np.inf, *[0] * 15]),
                _vector(np.zeros(16)),
                _vector(np.full(16, 0.5)),
                "X'00'",
                "X''",
            )
        ),
    ],
)
def test_every_broken_relation_is_found(sound: Library, statement: str, what: str) -> None:
    change(sound, statement)
    damage = damage_of(sound)
    assert what in told(damage)
    assert {finding.kind for finding in damage} == {"store"}
    assert "fuente repair" in told(damage)


def test_a_lost_vector_that_nothing_uses_is_no_damage(sound: Library) -> None:
    vector = _vector(np.eye(16)[0])
    change(sound, f"INSERT INTO vectors VALUES (zeroblob(32), {vector}, seal(zeroblob(32), {vector}))")
    assert damage_of(sound) == []


def test_a_change_that_no_run_made_is_found_by_the_seal_of_the_file(sound: Library) -> None:
    change(sound, "PRAGMA user_version = 2", "CREATE TABLE x (y)", "DROP TABLE x", sealed=True)
    (finding,) = verify(sound.folder)
    assert (finding.path.name, finding.kind) == ("fuente.db", "store")
    assert "differs from its checksum" in finding.what


def test_a_damaged_seal_is_found(sound: Library) -> None:
    path = sound.folder / "store.seal"
    whole = path.read_bytes()
    for broken in (b"", b"{", whole[:-2], whole + b"x", bytes([whole[0] ^ 1]) + whole[1:]):
        path.write_bytes(broken)
        assert [finding.path for finding in damage_of(sound)] == [path]


@pytest.mark.parametrize("whole", [b"", b"garbage" * 999, b"SQLite format 3\0" + bytes(9000)])
def test_a_store_that_is_none_is_damage(sound: Library, whole: bytes) -> None:
    (sound.folder / "fuente.db").write_bytes(whole)
    assert {finding.kind for finding in damage_of(sound)} == {"store"}
    (sound.folder / "fuente.db").unlink()
    assert {finding.kind for finding in damage_of(sound)} == {"store"}


def test_every_flipped_bit_of_the_store_is_found_and_none_is_too_much(sound: Library) -> None:
    path = sound.folder / "fuente.db"
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    # The head and the declarations, where a bit misleads SQLite most, and places anywhere.
    for place in (*random.integers(0, 100, 25), *random.integers(100, 4096, 15), *random.integers(0, len(whole), 40)):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(random.integers(8))
        path.write_bytes(broken)
        assert {finding.kind for finding in damage_of(sound)} == {"store"}, place
    path.write_bytes(whole)
    assert verify(sound.folder) == []


@pytest.mark.parametrize("stopped", ["embed", "publish"])
def test_vectors_of_two_embedders_may_be_right(sound: Library, stopped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reindex for an embedder of another dimension that was stopped leaves both kinds."""
    other = sound.with_changes(embedder_name="small")
    other.model._dimension = 8
    sound.write(pez="El pez nada.")
    sound.sync()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(IndexWriter, "publish" if stopped == "publish" else "_embed", stop)
        with pytest.raises(KeyboardInterrupt), other.writer() as writer:
            writer.reindex()
    assert {finding.kind for finding in verify(sound.folder)} == {"information"}
    with other.writer() as writer:
        writer.reindex()
    assert verify(sound.folder) == []
    change(sound, f"UPDATE vectors SET {resealed('vectors', vector=_vector(np.eye(16)[0]))} WHERE {FIRST_VECTOR}")
    assert "1 vectors are of another length" in told(damage_of(sound))
