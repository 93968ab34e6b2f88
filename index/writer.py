"""The one writer of an index: documents in, a new generation out."""

import errno
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from index.database import FREE_SPACE
from index.embedder import Embedder
from index.errors import (
    IndexBusyError,
    IndexDamagedError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexStorageError,
    UnknownSourceError,
)
from index.manifest import Manifest, current_number, read_current, read_manifest, verify_files
from index.planning import EXACT_CHUNKS
from index.publishing import collect, highest_number, publish, shows
from index.schema import Entry, StoredSource
from index.store import embedded_text
from index.store_writer import StoreWriter
from index.types import DEFAULT_COLLECTION, Failure, Identity, SyncProgress, SyncReport, check_collection
from ingest.chunking import ChunkFunction
from ingest.errors import IngestError
from ingest.types import Chunk, Document

ReadFunction = Callable[[Path, str], Document]
ProgressFunction = Callable[[SyncProgress], None]

# Chunks embedded together: enough that sorting by length leaves little padding, small enough that a stopped
# run loses little work.
_BATCH_CHUNKS = 256
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
# What Python makes of a file name that is not valid UTF-8; SQLite cannot store it.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _silent(_: SyncProgress) -> None:
    pass


@dataclass(slots=True)
class _Tally:
    collection: str = DEFAULT_COLLECTION
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    chunks: int = 0
    embedded: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document whose chunks wait to be embedded; `stat` is None for one that is stored and cut anew."""

    document: Document
    stat: tuple[int, int] | None
    chunks: list[Chunk]


class IndexWriter:
    """Holds the write lock of an index from `with` to its end."""

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        chunk: ChunkFunction,
        identity: Identity,
        *,
        exact_chunks: int = EXACT_CHUNKS,
    ) -> None:
        """Up to `exact_chunks` chunks dense search is exact."""
        self._folder = folder
        self._exact_chunks = exact_chunks
        self._embedder = embedder
        self._chunk = chunk
        self._identity = identity
        self._lock = FileLock(folder / "writer.lock", timeout=0.5)
        self._waiting: list[_Waiting] = []

    def __enter__(self) -> Self:
        """Raises: IndexBusyError, IndexMismatchError for a newer format, IndexDamagedError, IndexStorageError."""
        with self._told_of_refusals():
            return self._entered()

    def _entered(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        holder = self._folder / "writer.pid"
        try:
            self._lock.acquire()
        except Timeout as error:
            reason = f"process {_pid(holder)} is writing to this index"
            raise IndexBusyError(self._folder, reason, "Wait until it ends, or stop it") from error
        with ExitStack() as opened:
            opened.callback(self._lock.release)
            holder.write_text(str(os.getpid()), encoding="ascii")
            self._store = self._open_store()
            opened.enter_context(self._store.open_log())
            self._current = self._newest_number()
            self._waiting = []
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises: IndexStorageError, also in place of what the disk refused meanwhile."""
        with self._told_of_refusals():
            try:
                if error is None:
                    self._store.seal_file()
                elif isinstance(error, OSError):
                    raise error
            finally:
                self._opened.close()

    @contextmanager
    def _told_of_refusals(self) -> Iterator[None]:
        """A write to an open file that fails tells of no file, and of no mend."""
        try:
            yield
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            path = Path(error.filename or self._folder)
            raise IndexStorageError(path, f"the disk refuses ({error.strerror})", FREE_SPACE) from error

    def sync(
        self,
        files: Sequence[Path],
        roots: Sequence[Path],
        read: ReadFunction,
        *,
        collection: str = DEFAULT_COLLECTION,
        skipped: Sequence[str] = (),
        progress: ProgressFunction = _silent,
    ) -> SyncReport:
        """Makes the collection equal to `files`; what it has under the folders `roots` and not in `files` leaves.

        A file that cannot be read is reported and, when an earlier state of it is stored, kept as it was.
        Paths are absolute.

        Raises: IndexMismatchError, ValueError for a name that no collection can have.
        """
        check_collection(collection)
        self._check_identity()
        files = list(dict.fromkeys(files))
        tally = _Tally(collection)
        known = self._store.sources(collection)
        for number, path in enumerate(files):
            progress(SyncProgress("read", number, len(files), str(path)))
            self._visit(path, read, known, tally)
            self._flush(tally, progress, at_least=_BATCH_CHUNKS)
        self._flush(tally, progress)
        removed = _vanished(known, files, roots)
        if removed:
            self._store.remove([(source, collection) for source in removed], self._next)
        progress(SyncProgress("publish", len(files), len(files)))
        generation = self.publish()
        return SyncReport(
            tally.added, tally.changed, tally.unchanged, removed, tally.failed, skipped,
            tally.chunks, tally.embedded, generation,
        )  # fmt: skip

    def add(
        self,
        documents: Iterable[Document],
        *,
        collection: str = DEFAULT_COLLECTION,
        progress: ProgressFunction = _silent,
    ) -> None:
        """Stores documents that are no files, such as texts given through LangChain, and publishes.

        A document takes the place of what its source showed before.

        Raises: IndexMismatchError, ValueError for a name that no collection can have.
        """
        check_collection(collection)
        self._check_identity()
        tally = _Tally(collection)
        for document in documents:
            if not self._is_shown(document, collection):
                self._queue(document, (len(document.text), 0))
            self._flush(tally, progress, at_least=_BATCH_CHUNKS)
        self._flush(tally, progress)
        self.publish()

    def remove(self, sources: Collection[str], *, collection: str | None = None, missing_ok: bool = False) -> None:
        """Takes sources out of a collection, or of all, and publishes.

        Raises: UnknownSourceError, before anything is changed, when one is not stored, unless `missing_ok`;
        IndexMismatchError when a reindex was interrupted.
        """
        self._check_complete()
        known = {
            source: [name for name in found if collection in (None, name)]
            for source, found in self._store.collections_of(sources).items()
        }
        unknown = [source for source, found in known.items() if not found]
        if unknown and not missing_ok:
            mend = "`fuente status --sources` lists what is stored"
            raise UnknownSourceError(self._folder, f"{unknown[0]} is not in this index", mend)
        self._store.remove([(source, name) for source, found in known.items() for name in found], self._next)
        self.publish()

    def reindex(self, *, progress: ProgressFunction = _silent) -> SyncReport:
        """Cuts and embeds the stored texts anew with this writer's chunking and embedder; files are not read."""
        # Marked first: if this is interrupted, nothing may publish a mixture of old and new vectors.
        self._store.set_identity(self._identity, complete=False)
        tally = _Tally()
        ids = self._store.live_documents()
        for number, document_id in enumerate(ids):
            progress(SyncProgress("read", number, len(ids), document_id))
            document = self._store.document(document_id, self._next)
            if document is not None:
                self._queue(document, None)
            self._flush(tally, progress, at_least=_BATCH_CHUNKS)
        self._flush(tally, progress)
        self._store.set_identity(self._identity, complete=True)
        return SyncReport(chunks=tally.chunks, embedded=tally.embedded, generation=self.publish())

    def publish(self) -> int:
        """Makes all that is stored visible, when there is news or the current files are damaged.

        Returns: the number of the current generation.
        Raises: IndexMismatchError when a reindex was interrupted.
        """
        self._check_complete()
        sound = self._sound_manifest()
        if sound is None or self._store.newest_change() > self._current or not shows(self._store, sound):
            publish(self._folder, self._store, self._next, previous=sound, exact_chunks=self._exact_chunks)
            self._current = self._next
        self._store.prune(collect(self._folder, self._current))
        return self._current

    @property
    def _next(self) -> int:
        return self._current + 1

    def _open_store(self) -> StoreWriter:
        path = self._folder / "fuente.db"
        try:
            store = StoreWriter.open(path)
        except IndexNotFoundError:
            return StoreWriter.create(path, self._identity)
        store.require_whole()
        return store

    def _newest_number(self) -> int:
        """Number of the newest generation, which the next one follows; 0 when nothing was published yet.

        When CURRENT is lost, a number under which no stored change is too new to be seen.
        """
        newest_change = self._store.newest_change()
        try:
            current = current_number(self._folder)
        except IndexDamagedError:
            current = 0
        # A run that was stopped leaves changes for the one generation after the current.
        if newest_change <= current + 1:
            return current
        return max(newest_change, highest_number(self._folder))

    def _visit(self, path: Path, read: ReadFunction, known: Mapping[str, StoredSource], tally: _Tally) -> None:
        """Queues a new or changed file; the rest is only counted."""
        source = str(path)
        if _SURROGATE.search(source):
            shown = source.encode("utf-8", "backslashreplace").decode()
            tally.failed.append(Failure(shown, "unreadable", "its name is not valid Unicode. Rename it"))
            return
        try:
            found = path.stat()
            stat = (found.st_size, found.st_mtime_ns)
            stored = known.get(source)
            if stored is not None and (stored.size_bytes, stored.modified_ns) == stat:
                tally.unchanged.append(source)
                return
            document = read(path, source)
        except OSError as error:
            tally.failed.append(Failure(source, "unreadable", error.strerror or str(error)))
            return
        except IngestError as error:
            tally.failed.append(Failure(source, error.rule, f"{error.reason}. {error.mend}"))
            return
        if stored is not None and stored.document_id == document.id:
            self._store.touch(source, tally.collection, stat)
            tally.unchanged.append(source)
            return
        (tally.changed if stored else tally.added).append(source)
        # A moved or copied file shows a document that is stored already: nothing to cut or embed.
        if not self._store.link(source, tally.collection, document.id, stat, self._next):
            self._queue(document, stat)

    def _is_shown(self, document: Document, collection: str) -> bool:
        """Whether the document's source shows it already, and nothing that waits would change that."""
        stored = self._store.source(document.source, collection)
        awaited = any(waiting.document.source == document.source for waiting in self._waiting)
        return stored is not None and stored.document_id == document.id and not awaited

    def _queue(self, document: Document, stat: tuple[int, int] | None) -> None:
        self._waiting.append(_Waiting(document, stat, self._chunk(document)))

    def _flush(self, tally: _Tally, progress: ProgressFunction, at_least: int = 0) -> None:
        """Embeds and stores the waiting documents once they have `at_least` chunks together."""
        # By id: two files of the same content are one document.
        chunks = {chunk.id: chunk for waiting in self._waiting for chunk in waiting.chunks}
        if not self._waiting or len(chunks) < at_least:
            return
        self._embed(list(chunks.values()), tally, progress)
        # Together: a transaction a document took 25 ms each, most of it flushing.
        entries = [Entry(each.document, each.stat, self._keyed(each.chunks)) for each in self._waiting]
        self._store.put(entries, tally.collection, self._next)
        self._waiting = []

    def _embed(self, chunks: Sequence[Chunk], tally: _Tally, progress: ProgressFunction) -> None:
        """Stores the vector of every chunk that has none yet."""
        texts = {key: embedded_text(chunk.text, chunk.headings) for chunk, key in self._keyed(chunks)}
        stored = self._store.known_vectors(texts)
        missing = [key for key in texts if key not in stored]
        for start in range(0, len(missing), _BATCH_CHUNKS):
            progress(SyncProgress("embed", start, len(missing)))
            keys = missing[start : start + _BATCH_CHUNKS]
            vectors = self._embedder.encode_passages([texts[key] for key in keys])  # (B, D)
            self._store.add_vectors(dict(zip(keys, vectors, strict=True)))
        tally.chunks += len(chunks)
        tally.embedded += len(missing)

    def _keyed(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, bytes]]:
        return [(chunk, self._embedder.vector_key(embedded_text(chunk.text, chunk.headings))) for chunk in chunks]

    def _check_identity(self) -> None:
        stored = self._store.identity()
        mend = "Use the same settings, or run `fuente reindex` to embed the stored texts anew"
        if stored != self._identity:
            given = self._identity.as_dict()
            name = next(key for key, value in stored.as_dict().items() if value != given[key])
            reason = f"it was built with {name} {stored.as_dict()[name]!r}, not {given[name]!r}"
            raise IndexMismatchError(self._folder, reason, mend)
        self._check_complete()

    def _check_complete(self) -> None:
        if not self._store.is_complete():
            raise IndexMismatchError(self._folder, "a reindex was interrupted", "Run `fuente reindex` to finish it")

    def _sound_manifest(self) -> Manifest | None:
        """The manifest of the current generation; None when it is not whole or was built otherwise."""
        try:
            current = read_current(self._folder)
            if current is None or current.number != self._current:
                return None
            manifest = read_manifest(self._folder, current)
            verify_files(self._folder / current.folder_name, manifest)
        except IndexDamagedError:
            return None
        return manifest if manifest.identity == self._store.identity().as_dict() else None


def _pid(holder: Path) -> str:
    try:
        return holder.read_text(encoding="ascii") or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"


def _vanished(known: Collection[str], files: Sequence[Path], roots: Sequence[Path]) -> list[str]:
    seen = {str(path) for path in files}
    return sorted(
        source for source in known if source not in seen and any(Path(source).is_relative_to(root) for root in roots)
    )
