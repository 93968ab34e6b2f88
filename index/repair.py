"""Makes a damaged index whole again out of what is whole in it."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from filelock import FileLock, Timeout

from index.embedder import Embedder
from index.errors import IndexBusyError, IndexDamagedError, IndexMismatchError, StoreError
from index.files import Fingerprint, fingerprint, share, sync_folder
from index.integrity import REPAIRING, examine, require_index, store_findings
from index.manifest import Manifest, current_number, read_current, read_manifest
from index.planning import EXACT_CHUNKS
from index.publishing import collect, highest_number, publish
from index.relations import InspectedStore, ProgressFunction, silent
from index.salvage import Salvage, opened, salvage
from index.schema import SCHEMA_VERSION
from index.store_writer import StoreWriter
from index.types import Identity

_NOTHING = (
    "Restore a backup with `fuente restore` into another folder, or move this one away and ingest the documents again"
)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did: "nothing", the index being sound; "published" its files anew; or "rebuilt" the store.

    `saved` is what the new store holds, and `damaged` the file that it takes the place of, which is kept. With
    `reindex_needed`, nothing is published before `fuente reindex` has run.
    """

    action: Literal["nothing", "published", "rebuilt"]
    generation: int
    saved: Salvage | None = None
    damaged: Path | None = None
    reindex_needed: bool = False


def repair(
    folder: Path,
    *,
    embedder: Embedder | None = None,
    exact_chunks: int = EXACT_CHUNKS,
    progress: ProgressFunction = silent,
) -> RepairReport:
    """Makes an index whole again; whatever stops it, nothing is lost and the next repair goes on.

    Vectors that are lost are computed anew when `embedder` is the one of the index; without it, their documents must
    be ingested again.

    Raises: IndexNotFoundError, IndexBusyError, IndexMismatchError when a reindex must be finished first,
    IndexDamagedError when nothing can be saved.
    """
    require_index(folder)
    with _write_lock(folder):
        damage = {finding.kind for finding in examine(folder, progress).damage}
        if "store" in damage:
            return _rebuilt(folder, embedder, exact_chunks, progress)
        shutil.rmtree(folder / REPAIRING, ignore_errors=True)
        if not damage:
            return RepairReport("nothing", current_number(folder))
        store = StoreWriter.open(folder / "fuente.db")
        if not store.is_complete():
            raise IndexMismatchError(folder, "a reindex was interrupted", "Run `fuente reindex` to finish it")
        return RepairReport("published", _published(folder, store, exact_chunks, progress))


def salvageable(folder: Path, progress: ProgressFunction = silent) -> Salvage | None:
    """What a repair would save of a damaged store, found out in a temporary folder; None for nothing at all."""
    with TemporaryDirectory(prefix="fuente-") as work:
        try:
            found, _ = _salvaged(folder, Path(work), None, progress)
        except IndexDamagedError:
            return None
    return found


def _rebuilt(folder: Path, embedder: Embedder | None, exact_chunks: int, progress: ProgressFunction) -> RepairReport:
    work = folder / REPAIRING
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        saved, complete = _salvaged(folder, work, embedder, progress)
        for finding in store_findings(work / "fuente.db", 0, progress=progress):
            raise IndexDamagedError(
                folder / "fuente.db", f"what is whole does not fit together: {finding.what}", _NOTHING
            )
        damaged = _put_in_place(work / "fuente.db", folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    store = StoreWriter.open(folder / "fuente.db")
    if complete:
        number = _published(folder, store, exact_chunks, progress)
    else:
        store.seal_file()
        number = _current_number(folder)
    return RepairReport("rebuilt", number, saved, damaged, reindex_needed=not complete)


def _salvaged(folder: Path, work: Path, embedder: Embedder | None, progress: ProgressFunction) -> tuple[Salvage, bool]:
    """What could be saved into a new store in `work`, and whether all of it follows one identity.

    Raises: IndexDamagedError when that is nothing.
    """
    database = _evidence(folder)
    if not database.is_file():
        raise IndexDamagedError(database, "it is missing", _NOTHING)
    _refuse_older(database)
    manifest = _manifest(folder)
    with opened(database, work) as wreck:
        identity, complete = _settings(database, wreck.meta(), manifest)
        saved = salvage(wreck, work / "fuente.db", identity, embedder=embedder, progress=progress)
    was_empty = manifest is not None and not manifest.documents and not saved.lost
    if not saved.documents and not was_empty:
        raise IndexDamagedError(database, "no document in it is whole", _NOTHING)
    store = StoreWriter(work / "fuente.db")
    if complete is None:
        # A reindex changes the settings first and publishes last.
        complete = manifest is not None and store.newest_change() <= manifest.generation
    store.set_identity(identity, complete=complete)
    store.seal_file()
    nameless = manifest.documents - saved.documents - len(saved.lost) if manifest else 0
    return replace(saved, nameless=max(nameless, 0)), complete


def _settings(database: Path, meta: Mapping[str, str], manifest: Manifest | None) -> tuple[Identity, bool | None]:
    """What the index is built with, and whether every chunk follows it; None when that is not recorded."""
    stored = Identity(**json.loads(meta["identity"])) if "identity" in meta else None
    published = Identity(**manifest.identity) if manifest else None
    identity = stored or published
    if identity is None:
        raise IndexDamagedError(database, "nothing says any more how the index was built", _NOTHING)
    if "complete" in meta:
        return identity, meta["complete"] == "yes"
    return identity, True if stored and published in (None, stored) else None


def _refuse_older(database: Path) -> None:
    try:
        version = InspectedStore(database).version()
    except (StoreError, sqlite3.Error):
        return
    if 0 < version < SCHEMA_VERSION:
        raise IndexDamagedError(database, f"it is of format {version}, whose rows cannot be checked", _NOTHING)


def _published(folder: Path, store: StoreWriter, exact_chunks: int, progress: ProgressFunction) -> int:
    """Publishes all that is stored and returns the number of the new generation."""
    progress("publishing", 0, 0)
    number = max(store.newest_change(), highest_number(folder), _current_number(folder)) + 1
    publish(folder, store, number, exact_chunks=exact_chunks)
    store.prune(collect(folder, number))
    store.seal_path.unlink(missing_ok=True)
    store.seal_file()
    return number


def _put_in_place(new: Path, folder: Path) -> Path:
    """Makes `new` the store; returns where the damaged one is kept."""
    database = folder / "fuente.db"
    kept = _evidence(folder)
    if kept == database:
        kept = _keep(database)
    (folder / "store.seal").unlink(missing_ok=True)
    # Its log would be taken for that of the new store.
    for suffix in ("-wal", "-shm"):
        database.with_name(f"{database.name}{suffix}").unlink(missing_ok=True)
    sync_folder(folder)
    new.replace(database)
    sync_folder(folder)
    return kept


def _keep(database: Path) -> Path:
    """Where the damaged store is kept from now on, with its log when that holds anything."""
    folder = database.parent
    number = 1
    while (kept := folder / f"{database.name}.damaged-{number}").exists() or _log(kept).exists():
        number += 1
    new = kept.with_name(f"{kept.name}.new")
    new.unlink(missing_ok=True)
    if _content(_log(database)):
        # Apart from the original: what another run might write to that would not fit the log that is kept.
        _copy(_log(database), _log(kept))
        _copy(database, new)
    else:
        share(database, new)
    new.replace(kept)
    sync_folder(folder)
    return kept


def _evidence(folder: Path) -> Path:
    """The damaged store: where an earlier repair kept it just before it was stopped, or in its place."""
    database = folder / "fuente.db"
    kept = sorted(
        (path for path in folder.glob(f"{database.name}.damaged-*") if path.name.rpartition("-")[2].isdigit()),
        key=lambda path: int(path.name.rpartition("-")[2]),
    )
    if not kept or not database.is_file() or fingerprint(kept[-1]) != fingerprint(database):
        return database
    return kept[-1] if _content(_log(database)) in (None, _content(_log(kept[-1]))) else database


def _copy(existing: Path, path: Path) -> None:
    shutil.copyfile(existing, path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _log(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _content(path: Path) -> Fingerprint | None:
    """What tells a file from another; None for one that is empty or missing."""
    return fingerprint(path) if path.exists() and path.stat().st_size else None


def _manifest(folder: Path) -> Manifest | None:
    try:
        current = read_current(folder)
        return read_manifest(folder, current) if current else None
    except IndexDamagedError:
        return None


def _current_number(folder: Path) -> int:
    try:
        return current_number(folder)
    except IndexDamagedError:
        return 0


@contextmanager
def _write_lock(folder: Path) -> Iterator[None]:
    """Keeps writers out, as a writer does."""
    lock = FileLock(folder / "writer.lock", timeout=0.5)
    try:
        lock.acquire()
    except Timeout as error:
        raise IndexBusyError(
            folder, "another process writes to this index", "Wait until it ends, or stop it"
        ) from error
    try:
        (folder / "writer.pid").write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        lock.release()
