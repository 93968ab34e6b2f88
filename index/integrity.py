"""Says whether an index is as it was left: every file, every row and every relation; nothing is changed."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from index.database import RESTORE
from index.errors import IndexDamagedError, IndexMismatchError, IndexNotFoundError, StoreError
from index.files import files_below, is_locked, lock
from index.manifest import (
    CURRENT,
    MANIFEST,
    MEND,
    Current,
    Manifest,
    differences,
    read_current,
    read_manifest,
)
from index.publishing import shows
from index.relations import InspectedStore, ProgressFunction, silent
from index.schema import SCHEMA_VERSION

Kind = Literal["store", "files", "information"]

REPAIRING = "repairing"
"""Folder within an index in which a repair works."""

_AGAIN = "The next `fuente ingest` completes it"
_REINDEX = "Run `fuente reindex` to finish it"
_ENDLESS = 2**62


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with `path`, and the mend.

    `kind` says what it concerns: "store", the truth; "files", what is derived from it and can be built again;
    "information" is not wrong, such as what a run left that was stopped.
    """

    path: Path
    what: str
    mend: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Examination:
    """What was checked, and what was found."""

    findings: tuple[Finding, ...]
    documents: int
    chunks: int
    vectors: int
    files: int
    size_bytes: int

    @property
    def damage(self) -> tuple[Finding, ...]:
        """The findings that are no mere information."""
        return tuple(finding for finding in self.findings if finding.kind != "information")


def verify(folder: Path) -> list[Finding]:
    """What is wrong with an index, and what a person should know of it; nothing for a sound one.

    Raises: IndexNotFoundError when there is none, IndexMismatchError when a newer version wrote it.
    """
    return list(examine(folder).findings)


def examine(folder: Path, progress: ProgressFunction = silent) -> Examination:
    """Checks every file, row and relation of an index, in flat memory, also while others read it or write to it.

    Raises: IndexNotFoundError when there is none, IndexMismatchError when a newer version wrote it.
    """
    require_index(folder)
    examiner = _Examiner(folder, progress)
    with ExitStack() as held:
        current = None
        with examiner.told("files"):
            current = held.enter_context(held_current(folder))
        manifest = examiner.check_generation(current) if current else None
        examiner.check_database(current, manifest)
        examiner.check_leftovers(current)
    return examiner.result()


def require_index(folder: Path) -> None:
    """Raises: IndexNotFoundError when nothing in a folder is of an index."""
    if not _size(folder / "fuente.db") and not (folder / CURRENT).exists() and not _generations(folder):
        raise IndexNotFoundError(folder, "there is no index here", "Run `fuente ingest PATH` first")


@contextmanager
def held_current(folder: Path) -> Iterator[Current | None]:
    """What is published, kept from being deleted meanwhile; None when nothing was published yet.

    Raises: IndexDamagedError when CURRENT does not name a generation.
    """
    while True:
        current = read_current(folder)
        hold = None
        if current is not None:
            with suppress(OSError):  # who reads the manifest says what is wrong
                hold = lock(folder / current.folder_name / MANIFEST, shared=True)
        if read_current(folder) == current:
            break
        if hold:
            hold.close()
    try:
        yield current
    finally:
        if hold:
            hold.close()


def store_findings(
    path: Path, number: int, manifest: Manifest | None = None, progress: ProgressFunction = silent
) -> list[Finding]:
    """What is wrong with the rows of a store of this program's format, generation `number` being the published one.

    `manifest` is what says how that generation was built, when it is known.
    """
    return list(_StoreExaminer(InspectedStore(path), number, manifest, progress).findings())


@dataclass(slots=True)
class _Examiner:
    """Collects what is found in one index."""

    folder: Path
    progress: ProgressFunction
    findings: list[Finding] = field(default_factory=list)
    sizes: dict[Path, int] = field(default_factory=dict)
    counts: tuple[int, int, int] = (0, 0, 0)

    def add(self, path: Path, what: str, mend: str, kind: Kind) -> None:
        self.findings.append(Finding(path, what, mend, kind))

    @contextmanager
    def told(self, kind: Kind) -> Iterator[None]:
        """Makes a finding of an error."""
        try:
            yield
        except StoreError as error:
            self.add(error.path, error.reason, error.mend, kind)
        except sqlite3.Error as error:
            self.add(self.folder / "fuente.db", f"SQLite cannot read it ({error})", RESTORE, kind)

    def check_generation(self, current: Current) -> Manifest | None:
        """Every file of the published generation."""
        folder = self.folder / current.folder_name
        manifest = None
        with self.told("files"):
            manifest = read_manifest(self.folder, current)
        present = {path.relative_to(folder).as_posix(): path for path in files_below(folder)}
        if manifest is not None:
            self.progress("checking files", 0, len(manifest.files))
            for error in differences(folder, manifest):
                self.add(error.path, error.reason, error.mend, "files")
            for name in sorted(present.keys() - manifest.files.keys() - {MANIFEST}):
                self.add(present[name], f"it does not belong to {folder.name}", "Delete it", "files")
            self.progress("checking files", len(manifest.files), len(manifest.files))
        self.measure(*present.values())
        return manifest

    def check_database(self, current: Current | None, manifest: Manifest | None) -> None:
        """The store, and that the generation shows what it holds."""
        path = self.folder / "fuente.db"
        store = InspectedStore(path)
        if not _size(path):
            self.add(path, "it is empty or missing", RESTORE, "store")
            return
        self.measure(path, store.seal_path, self.folder / CURRENT)
        intact = self.check_seal(store)
        version = 0
        with self.told("store"):
            version = store.version()
        if version > SCHEMA_VERSION and intact:
            reason = f"its format {version} is newer than this program's {SCHEMA_VERSION}"
            raise IndexMismatchError(path, reason, "Use the version of Fuente that wrote it")
        if 0 < version < SCHEMA_VERSION:
            reason = f"its format {version} is older than this program's {SCHEMA_VERSION}, and its rows are not checked"
            self.add(path, reason, "Run `fuente ingest` once: it is brought up to date", "information")
        if version != SCHEMA_VERSION:
            return
        examiner = _StoreExaminer(store, current.number if current else 0, manifest, self.progress)
        found = list(examiner.findings())
        # What rows that are damaged say of a generation says nothing.
        self.findings += found or examiner.relation_to_generation(self.folder)
        self.counts = examiner.counts()

    def check_seal(self, store: InspectedStore) -> bool:
        """Compares the store with its seal; a run that begins meanwhile is no damage."""
        try:
            if not store.is_sealed():
                running = is_locked(self.folder / "writer.lock")
                what = "a run is under way" if running else "the last run was stopped before it ended"
                self.add(self.folder, what, _AGAIN, "information")
        except IndexDamagedError as error:
            self.add(error.path, error.reason, error.mend, "files" if error.path == store.seal_path else "store")
            return False
        return True

    def check_leftovers(self, current: Current | None) -> None:
        """What stopped runs left."""
        for folder in _generations(self.folder):
            if folder.name != (current.folder_name if current else "") and not is_locked(folder / MANIFEST):
                self.add(folder, "a stopped run left it", _AGAIN, "information")
        if (self.folder / REPAIRING).exists():
            what = "a repair is under way or was stopped"
            self.add(self.folder / REPAIRING, what, "Run `fuente repair` again", "information")

    def measure(self, *paths: Path) -> None:
        for path in paths:
            with suppress(OSError):
                self.sizes[path] = path.stat().st_size

    def result(self) -> Examination:
        return Examination(tuple(self.findings), *self.counts, len(self.sizes), sum(self.sizes.values()))


@dataclass(slots=True)
class _StoreExaminer:
    """Checks the rows of one store; `number` is the published generation, 0 when there is none."""

    store: InspectedStore
    number: int
    manifest: Manifest | None
    progress: ProgressFunction

    def findings(self) -> Iterator[Finding]:
        """What is wrong with rows and with relations between them."""
        checks: tuple[Callable[[], list[str]], ...] = (
            self.store.schema_differences,
            self._check_rows,
            lambda: self.store.broken_relations(self.number),
            lambda: self.store.wrong_texts(self.progress),
            lambda: self.store.wrong_vectors(self.number, self._dimensions(), self.progress),
        )
        for check in checks:
            try:
                for what in check():
                    yield Finding(self.store.path, what, RESTORE, "store")
            except StoreError as error:
                yield Finding(error.path, error.reason, error.mend, "store")
            except sqlite3.Error as error:
                yield Finding(self.store.path, f"SQLite cannot read it ({error})", RESTORE, "store")

    def relation_to_generation(self, folder: Path) -> Iterator[Finding]:
        """Whether the published generation is what the store holds for it."""
        try:
            if self.number:
                yield from self._unpublished(folder)
                if self.manifest is not None:
                    yield from self._differences(folder / CURRENT, self.manifest)
            elif any(self.store.counts(_ENDLESS)):
                yield Finding(folder / CURRENT, "nothing is published of what is stored", MEND, "files")
        except (StoreError, sqlite3.Error):
            return  # was found already

    def counts(self) -> tuple[int, int, int]:
        """Documents, chunks and vectors; 0 where they cannot be counted."""
        try:
            return (*self.store.counts(self.number or _ENDLESS), self.store.count("vectors"))
        except (StoreError, sqlite3.Error):
            return 0, 0, 0

    def _check_rows(self) -> list[str]:
        self.progress("checking rows", 0, 0)
        return self.store.check()

    def _dimensions(self) -> tuple[int | None, int | None]:
        """Of the vectors that are published, and of those that are stored now; None when unknown."""
        stored = self.store.identity().dimension
        published = self.manifest.identity.get("dimension", stored) if self.manifest else None
        return published, stored if self.store.is_complete() else None

    def _unpublished(self, folder: Path) -> Iterator[Finding]:
        if not self.store.is_complete():
            yield Finding(folder, "a reindex is under way or was stopped before it ended", _REINDEX, "information")
        elif newer := self.store.rows_beyond(self.number):
            what = f"{newer} rows are stored and not published yet"
            yield Finding(folder, what, _AGAIN, "information")

    def _differences(self, current: Path, manifest: Manifest) -> Iterator[Finding]:
        if manifest.identity != self.store.identity().as_dict():
            # A reindex changes the settings first and publishes last.
            if self.store.is_complete() and not self.store.rows_beyond(self.number):
                yield Finding(
                    current, "the published files were built with other settings than the store", MEND, "files"
                )
            return
        said, found = (manifest.documents, manifest.chunks), self.store.counts(self.number)
        if said != found:
            what = "the published files are of {} documents and {} chunks, the store has {} and {}"
            yield Finding(current, what.format(*said, *found), MEND, "files")
        elif not shows(self.store, manifest):
            yield Finding(current, "the published files are of other documents than the store has", MEND, "files")


def _generations(folder: Path) -> list[Path]:
    """Folders of generations, finished or not."""
    return sorted(path for path in folder.glob("gen-*") if path.is_dir())


def _size(path: Path) -> int:
    """Bytes of a file, 0 when there is none."""
    return path.stat().st_size if path.is_file() else 0
