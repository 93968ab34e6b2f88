"""An index as one file that can be kept elsewhere, and back.

An archive holds what is published, and nothing that was deleted, is under way or can be derived.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock, Timeout

from index.archive_file import STORE, UPLOADS, Archive, Contents, is_archivable, write_archive
from index.database import RESTORE, Database, write_identity, write_meta
from index.errors import ArchiveError, IndexDamagedError, IndexNotFoundError, IndexStorageError, StoreError
from index.files import sync_folder
from index.integrity import held_current, store_findings
from index.manifest import CURRENT, Manifest, read_manifest
from index.planning import EXACT_CHUNKS
from index.publishing import publish
from index.relations import ProgressFunction, silent
from index.schema import SCHEMA_VERSION, VERSIONED, resealed
from index.store import Store
from index.store_writer import StoreWriter
from index.types import Identity

_WORKPLACES = (".fuente-", ".partial")
_COPIED_PAGES = 1000
_SPACE = "Free space on the disk or mend its rights, then run the command again: nothing was changed"
_ANOTHER = "Use another backup"


def backup(folder: Path, file: Path, *, force: bool = False, progress: ProgressFunction = silent) -> Contents:
    """Writes what an index has published, and the user's files in it, into one new file; says what it holds.

    Others may read the index and write to it meanwhile. `force` replaces a file that exists.

    Raises: ArchiveError, IndexNotFoundError, IndexOutdatedError, IndexDamagedError.
    """
    file = file.absolute()
    _refuse_existing(file, force)
    with held_current(folder) as current:
        store = _Published.open(folder / STORE)
        if current is None:
            raise IndexNotFoundError(folder, "nothing is published yet", "Run `fuente ingest PATH` first")
        manifest = read_manifest(folder, current)
        try:
            with _workplace(file.parent) as place:
                contents = _write(store, manifest, place, progress)
                _refuse_existing(file, force)
                (place / "archive").replace(file)
                sync_folder(file.parent)
        except (OSError, IndexStorageError) as error:
            raise ArchiveError(file, f"it cannot be written: {_told(error)}", _SPACE) from error
    return contents


def restore(
    file: Path, folder: Path, *, exact_chunks: int = EXACT_CHUNKS, progress: ProgressFunction = silent
) -> Contents:
    """Makes an archive an index again, in a folder that does not exist yet or is empty; says what it holds.

    Nothing is put into the folder before all of it is there, checked and searchable. Sources keep their paths.

    Raises: ArchiveError.
    """
    folder = folder.resolve()
    _refuse_occupied(folder)
    with closing(Archive(file, progress)) as archive:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _require_space(folder, archive.contents)
            with _workplace(folder.parent) as place:
                new = place / "index"
                new.mkdir()
                archive.extract(new, progress)
                _make_index(archive, new, exact_chunks, progress)
                _move(new, folder)
        except (OSError, IndexStorageError) as error:
            raise ArchiveError(folder, f"it cannot be written: {_told(error)}", _SPACE) from error
        return archive.contents


def _write(store: "_Published", manifest: Manifest, place: Path, progress: ProgressFunction) -> Contents:
    """Writes the file `archive` in `place`."""
    uploads = store.path.parent / UPLOADS
    files = {f"{UPLOADS}/{path.relative_to(uploads).as_posix()}": path for path in _files(uploads)}
    for name, path in files.items():
        if not is_archivable(name):
            raise ArchiveError(path, "its name is not one that every system can store", "Rename it")
    store.copy_to(place / "copy.db", progress)
    copy = _Copy(place / "copy.db")
    for finding in store_findings(copy.path, manifest.generation, manifest, progress):
        raise IndexDamagedError(store.path, finding.what, RESTORE)
    copy.settle(manifest.generation, Identity(**manifest.identity))
    progress("compacting", 0, 0)
    copy.compact_into(place / STORE)
    contents = Contents(
        fuente=_version(),
        store_format=SCHEMA_VERSION,
        generation=manifest.generation,
        documents=manifest.documents,
        chunks=manifest.chunks,
        sources=len(copy.source_infos(manifest.generation)),
        digest=manifest.digest,
        identity=manifest.identity,
        members={},
    )
    return write_archive(place / "archive", contents, {STORE: place / STORE, **files}, progress)


def _make_index(archive: Archive, folder: Path, exact_chunks: int, progress: ProgressFunction) -> None:
    """Makes an index of the store in `folder`. Raises: ArchiveError when it is not what its manifest says."""
    contents, path = archive.contents, folder / STORE
    try:
        found = Database(path).version()
        if found != contents.store_format:
            raise ArchiveError(archive.path, f"its store has format {found}, not {contents.store_format}", _ANOTHER)
        # Before anything else is read: what is declared may act by itself.
        _Copy(path).require_plain_tables()
        StoreWriter.open(path)
        for finding in store_findings(path, contents.generation, progress=progress):
            raise ArchiveError(archive.path, f"its store is damaged: {finding.what}", _ANOTHER)
        store = _Copy(path)
        store.keep_log()
        said = (contents.documents, contents.chunks, contents.identity, True)
        if said != (*store.counts(contents.generation), store.identity().as_dict(), store.is_complete()):
            raise ArchiveError(archive.path, "its store holds other things than its manifest says", _ANOTHER)
        progress("publishing", 0, 0)
        publish(folder, store, contents.generation, exact_chunks=exact_chunks)
        store.seal_file()
    except (IndexStorageError, ArchiveError):
        raise
    except StoreError as error:
        raise ArchiveError(archive.path, f"its store is damaged: {error.reason}", _ANOTHER) from error
    except sqlite3.Error as error:
        raise ArchiveError(archive.path, f"its store cannot be read ({error})", _ANOTHER) from error


def _move(new: Path, folder: Path) -> None:
    for path in (path for path in new.rglob("*") if path.is_dir()):
        sync_folder(path)
    sync_folder(new)
    _refuse_occupied(folder)
    if folder.exists():
        folder.rmdir()  # it is empty, and some systems rename onto nothing that exists
    new.rename(folder)
    sync_folder(folder.parent)


class _Published(Store):
    """The store of an index in use."""

    def copy_to(self, target: Path, progress: ProgressFunction) -> None:
        """Copies the store as it is at one moment."""

        def tell(_status: int, left: int, total: int) -> None:
            progress("copying pages", total - left, total)

        with self._connect() as connection, closing(sqlite3.connect(target)) as copy:
            # An open reading transaction: a writer's changes would have the copy begin anew.
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM meta").fetchone()
            connection.backup(copy, pages=_COPIED_PAGES, progress=tell, sleep=0)


class _Copy(StoreWriter):
    """A copy of a store that nobody else uses."""

    def settle(self, number: int, identity: Identity) -> None:
        """Takes back what was not published with generation `number`, and deletes what it does not need."""
        with self._transaction() as connection:
            unneeded = "added > ?1 OR removed <= ?1"
            gone = f"SELECT number FROM documents WHERE {unneeded}"
            connection.execute(f"DELETE FROM texts WHERE document IN ({gone})", (number,))
            for table in VERSIONED:
                connection.execute(f"DELETE FROM {table} WHERE {unneeded}", (number,))
                reopened = f"UPDATE {table} SET {resealed(table, removed='NULL')} WHERE removed NOTNULL"
                connection.execute(reopened)
            unused = "NOT EXISTS (SELECT 1 FROM chunks c WHERE c.vector_key = vectors.key)"
            connection.execute(f"DELETE FROM vectors WHERE {unused}")
            write_identity(connection, identity)
            write_meta(connection, "complete", "yes")

    def compact_into(self, target: Path) -> None:
        """Writes the rows alone into a new file: pages keep what was deleted."""
        with self._connect() as connection:
            connection.execute("VACUUM INTO ?", (str(target),))

    def keep_log(self) -> None:
        """Makes the file one that is read while it is written to."""
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")

    def require_plain_tables(self) -> None:
        """Raises: IndexDamagedError when the file declares what would act by itself."""
        with self._connect() as connection:
            query = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
            found = connection.execute(query).fetchone()
        if found:
            raise self._damaged(f"it declares {found[0]!r:.100}, which Fuente does not")


def _refuse_existing(file: Path, force: bool) -> None:
    if file.exists() and (file.is_dir() or not force):
        raise ArchiveError(file, "it exists already", "Choose another name, or replace a file with --force")
    if not file.parent.is_dir():
        raise ArchiveError(file, "its folder does not exist", "Create it first")


def _refuse_occupied(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        is_index = (folder / STORE).exists() or (folder / CURRENT).exists()
        reason = "it holds an index already" if is_index else "it is not an empty folder"
        raise ArchiveError(folder, reason, "Restore into another one with --index, or move this one away first")


def _require_space(folder: Path, contents: Contents) -> None:
    free = shutil.disk_usage(folder.parent).free
    if contents.size_bytes > free:
        reason = f"the backup unpacks to {contents.size_bytes} bytes, of which the disk has {free} left"
        raise ArchiveError(folder, reason, _SPACE)


def _files(folder: Path) -> Iterator[Path]:
    """The plain files of a folder that is no link, and of those below it; not those that are being written."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(parent, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink() and not (path.name[0] == "." and path.suffix == ".part"):
                yield path


@contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    """A hidden folder to work in, deleted afterwards; what runs left that were killed is deleted, too."""
    prefix, suffix = _WORKPLACES
    for leftover in parent.glob(f"{prefix}*{suffix}"):
        _discard(leftover)
    place = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=parent))
    lock = FileLock(place / "lock", timeout=1)
    try:
        with lock:
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _discard(place: Path) -> None:
    if not (place / "lock").exists():
        return
    try:
        with FileLock(place / "lock", timeout=0):
            shutil.rmtree(place, ignore_errors=True)
    except Timeout:
        return  # somebody works in it


def _told(error: OSError | IndexStorageError) -> str:
    return error.reason if isinstance(error, IndexStorageError) else error.strerror or str(error)


def _version() -> str:
    try:
        return version("fuente")
    except PackageNotFoundError:
        return "unknown"
