"""Files that are flushed to disk, fingerprinted and locked; every file beside the store is written here."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

try:
    import fcntl
except ImportError:  # Windows: an open file cannot be deleted there, which protects readers as well.
    fcntl = None  # type: ignore[assignment]

_BLOCK_BYTES = 64 * 2**20
_READ_BYTES = 2**20
_THREADS = 4

Fingerprint = tuple[int, str]
"""Size in bytes and SHA-256 of a file."""


def write(path: Path, content: bytes | memoryview) -> None:
    """Writes a file and flushes it to disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Writes a file so that it has its old or its new content whatever happens, and has the new one on return."""
    new = path.with_name(f"{path.name}.new")
    write(new, content)
    new.replace(path)
    sync_folder(path.parent)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Writes an array as .npy and flushes it to disk."""
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        # Not numpy's own tofile, which forgets why a write failed.
        file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        file.flush()
        os.fsync(file.fileno())


def read_array(path: Path) -> NDArray[Any]:
    """The array in a .npy file, memory-mapped."""
    # As a plain array: numpy's own kind for mapped files makes each small slice several times slower.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def share(existing: Path, path: Path) -> None:
    """Makes `path` the same file as `existing`, or a copy of it where files cannot be shared."""
    try:
        path.hardlink_to(existing)
    except OSError:
        shutil.copyfile(existing, path)
        _sync(path)


def sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to disk; Windows has no such call, nor needs it."""
    if os.name != "nt":
        _sync(folder)


def fingerprint(path: Path) -> Fingerprint:
    """What tells a file from any other one."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def block_digests(descriptor: int) -> list[str]:
    """SHA-256 of each block of an open file that may be large; several are read at a time."""
    size, turn = os.fstat(descriptor).st_size, Lock()
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(lambda start: _digest(descriptor, start, turn), range(0, size, _BLOCK_BYTES)))


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those below it, by name."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def lock(path: Path, *, shared: bool) -> IO[bytes] | None:
    """An open file that is locked until it is closed; None when another process holds it.

    Raises: OSError when it cannot be opened.
    """
    file = path.open("rb")
    if fcntl is not None:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
    return file


def is_locked(path: Path) -> bool:
    """Whether another process holds a file; one that does not exist is not held."""
    if not path.exists():
        return False
    held = lock(path, shared=False)
    if held is None:
        return True
    held.close()
    return False


def _digest(descriptor: int, start: int, turn: Lock) -> str:
    digest = hashlib.sha256()
    for place in range(start, start + _BLOCK_BYTES, _READ_BYTES):
        with turn:  # Windows has no pread
            os.lseek(descriptor, place, os.SEEK_SET)
            part = os.read(descriptor, _READ_BYTES)
        digest.update(part)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
