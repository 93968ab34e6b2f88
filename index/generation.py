"""Immutable generations of the derived files, and the one name that says which is current.

    index-dir/
      fuente.db
      gen-000007/  dense.faiss  ids.npy  lexical/…  manifest.json
      CURRENT      the name of one generation; replaced atomically, last

A generation is written under a temporary name, synced, sealed by its manifest (size and SHA-256 of every
file), renamed, and only then named by CURRENT; whatever stops the writer, CURRENT names a whole generation.
"""

import hashlib
import json
import os
import re
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from index.dense import DenseIndex
from index.errors import IndexDamagedError
from index.lexical import LexicalIndex
from index.store import Store
from index.types import Identity

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be deleted there, which protects readers as well.
    fcntl = None  # type: ignore[assignment]

_MEND = "Run `fuente ingest` once more: the files are rebuilt from the stored documents"
_CURRENT = "CURRENT"
_MANIFEST = "manifest.json"
_FOLDER = re.compile(r"gen-(\d{6,})")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation holds; `files` maps relative paths to (size in bytes, sha256)."""

    generation: int
    documents: int
    chunks: int
    languages: tuple[str, ...]
    identity: dict[str, Any]
    files: dict[str, tuple[int, str]]


class Generation:
    """One published generation, open for reading and held against collection until `close` or its own end."""

    def __init__(self, folder: Path) -> None:
        """Raises: IndexDamagedError, also when the generation is being collected."""
        self.folder = folder
        hold = _lock(folder / _MANIFEST, shared=True)
        if hold is None:
            raise IndexDamagedError(folder, "it is being deleted", _MEND)
        # A search may use a generation longer than the index that opened it, so the last one to drop it closes.
        self._release = weakref.finalize(self, hold.close)
        try:
            self._load(folder)
        except BaseException:
            self.close()
            raise

    @property
    def number(self) -> int:
        """The generation's number, from 1."""
        return self.manifest.generation

    def close(self) -> None:
        """Lets the generation be collected."""
        self._release()

    def _load(self, folder: Path) -> None:
        self.manifest = read_manifest(folder)
        verify_files(folder, self.manifest)
        self.ids: NDArray[np.int64] = read_ids(folder)
        self.dense = DenseIndex.load(folder / "dense.faiss")
        languages = self.manifest.languages
        self.lexical = LexicalIndex.load(folder / "lexical", languages) if self.manifest.chunks else None


def current_number(index_dir: Path) -> int:
    """Number of the published generation, 0 when nothing was published yet.

    Raises: IndexDamagedError when CURRENT does not name a generation.
    """
    path = index_dir / _CURRENT
    try:
        name = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return 0
    except (OSError, UnicodeDecodeError) as error:
        raise IndexDamagedError(path, f"it cannot be read ({error})", _MEND) from error
    number = _number_of(name)
    if not number or name != folder_name(number):
        raise IndexDamagedError(path, f"it names {name!r}, not a generation", _MEND)
    return number


def folder_name(number: int) -> str:
    """Folder of a generation, relative to the index."""
    return f"gen-{number:06d}"


def highest_number(index_dir: Path) -> int:
    """The highest number that a generation's folder has, published or not; 0 without any."""
    return max((_number_of(folder.name) or 0 for folder in index_dir.glob("gen-*")), default=0)


def open_current(index_dir: Path) -> Generation | None:
    """The published generation, held; None when nothing was published yet.

    Raises: IndexDamagedError.
    """
    while number := current_number(index_dir):
        try:
            generation = Generation(index_dir / folder_name(number))
        except IndexDamagedError:
            if current_number(index_dir) == number:
                raise
            continue
        # Collecting follows publishing: what is current while it is held is safe, what is not may be half deleted.
        if current_number(index_dir) == number:
            return generation
        generation.close()
    return None


def publish(index_dir: Path, store: Store, identity: Identity, number: int) -> Manifest:
    """Builds generation `number` from the store and makes it current.

    Raises: IndexDamagedError when the store lacks a chunk's vector.
    """
    final = index_dir / folder_name(number)
    partial = index_dir / f"{folder_name(number)}.partial"
    for leftover in (partial, final):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir()
    manifest = _build(partial, store, identity, number)
    for path in partial.rglob("*"):
        _sync(path)
    _write_synced(partial / _MANIFEST, _sealed(asdict(manifest)))
    _sync(partial)
    partial.rename(final)
    _write_synced(index_dir / f"{_CURRENT}.new", folder_name(number))
    _sync(index_dir)
    (index_dir / f"{_CURRENT}.new").replace(index_dir / _CURRENT)
    _sync(index_dir)
    return manifest


def collect(index_dir: Path, current: int) -> int:
    """Deletes generations that are neither current nor held; returns the oldest that is left."""
    kept = [current]
    for folder in sorted(index_dir.glob("gen-*")):
        number = _number_of(folder.name)
        if number == current:
            continue
        if number is not None and _is_held(folder / _MANIFEST):
            kept.append(number)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return min(kept)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a generation's folder.

    Raises: IndexDamagedError when it is missing, malformed or not as it was written.
    """
    try:
        text = (folder / _MANIFEST).read_bytes().decode()
        fields = json.loads(text)
        fields.pop("seal")
        if _sealed(fields) != text:
            raise ValueError("its content differs from its seal")
        files = {name: (int(size), str(digest)) for name, (size, digest) in fields.pop("files").items()}
        languages = tuple(fields.pop("languages"))
        return Manifest(**fields, languages=languages, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IndexDamagedError(folder / _MANIFEST, f"it cannot be read ({error})", _MEND) from error


def read_ids(folder: Path) -> NDArray[np.int64]:
    """Chunk ids (N,) int64 of a generation, by position."""
    ids: NDArray[np.int64] = np.load(folder / "ids.npy", allow_pickle=False)
    return ids


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compares size and SHA-256 of every file with the manifest.

    FAISS loads most files with a flipped bit without a word, so nothing is opened unverified.
    Raises: IndexDamagedError naming the first file that differs.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            found = _fingerprint(path)
        except OSError as error:
            raise IndexDamagedError(path, f"it cannot be read ({error.strerror})", _MEND) from error
        if found != expected:
            raise IndexDamagedError(path, "its content differs from its checksum", _MEND)


def _build(folder: Path, store: Store, identity: Identity, number: int) -> Manifest:
    documents, chunks = store.counts(number)
    np.save(folder / "ids.npy", store.chunk_ids(number), allow_pickle=False)
    dense = DenseIndex.build(store.vectors(number, identity.dimension), identity.dimension)
    if len(dense) != chunks:
        reason = f"{chunks} chunks have {len(dense)} vectors"
        raise IndexDamagedError(store.path, reason, "Run `fuente reindex` to embed the stored texts anew")
    dense.save(folder / "dense.faiss")
    languages: tuple[str, ...] = ()
    if chunks:
        lexical = LexicalIndex.build(store.passages(number))
        lexical.save(folder / "lexical")
        languages = lexical.languages
    files = {path.relative_to(folder).as_posix(): _fingerprint(path) for path in _files(folder)}
    return Manifest(number, documents, chunks, languages, identity.as_dict(), files)


def _sealed(fields: dict[str, Any]) -> str:
    """Manifest fields as JSON with a checksum of themselves; the same fields are always the same text."""
    seal = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    return json.dumps({**fields, "seal": seal}, indent=1, sort_keys=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _fingerprint(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _number_of(name: str) -> int | None:
    found = _FOLDER.fullmatch(name)
    return int(found[1]) if found else None


def _lock(path: Path, *, shared: bool) -> IO[bytes] | None:
    """An open file that is locked until it is closed; None when another process holds it."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise IndexDamagedError(path, f"it cannot be opened ({error.strerror})", _MEND) from error
    if fcntl is not None:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
    return file


def _is_held(manifest: Path) -> bool:
    if not manifest.exists():
        return False
    lock = _lock(manifest, shared=False)
    if lock is None:
        return True
    lock.close()
    return False


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Flushes a file or a folder to disk; folders cannot be opened on Windows, nor need it."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
