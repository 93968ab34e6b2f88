"""A model folder in the cache: written whole or not at all, and checkable ever after.

It is built beside its final place, flushed to disk, sealed with a manifest that is written last, and then
moved into place in one step. A folder without its manifest is therefore never taken for a model.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from models.errors import ChecksumError
from models.progress import Progress, Report

FORMAT_VERSION = 1
MANIFEST = "manifest.json"

Origin = Mapping[str, object]
"""What a folder was made from: compared with the manifest, so that a changed source is built again."""


def models_folder(cache_dir: Path) -> Path:
    """Where the prepared models lie, one folder each."""
    return cache_dir / "models"


def is_complete(folder: Path, origin: Origin) -> bool:
    """Whether `folder` was sealed from `origin` and every file still has its size. Reads no weights."""
    manifest = _read_manifest(folder)
    if manifest is None or manifest["origin"] != dict(origin):
        return False
    return all(_has_size(folder / name, entry["size_bytes"]) for name, entry in manifest["files"].items())


def check_hashes(folder: Path) -> None:
    """Reads every file of a sealed folder.

    Raises:
        ChecksumError: a file is missing or is not the one that was written.
    """
    manifest = _read_manifest(folder)
    mend = f"Delete {folder} and prepare the model again."
    if manifest is None:
        raise ChecksumError(folder / MANIFEST, "a readable manifest", "none", mend)
    for name, entry in manifest["files"].items():
        path = folder / name
        found = sha256_of(path) if path.is_file() else "no such file"
        if found != entry["sha256"]:
            raise ChecksumError(path, entry["sha256"], found, mend)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(cache_dir: Path, name: str, report: Report) -> Iterator[None]:
    """Holds the lock of one model, so that two processes do not both build it; says so while it waits."""
    folder = models_folder(cache_dir)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".lock-{name}")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(Progress("wait", 0, 0, "", f"another process is preparing {name}"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def build_folder(target: Path, origin: Origin, write: Callable[[Path], None], report: Report) -> None:
    """Lets `write` fill a new folder and moves it to `target`; the caller holds the lock of the name.

    Whatever `write` raises leaves `target` as it was and nothing behind.
    """
    _remove_abandoned(target)
    partial = target.parent / f".partial-{target.name}-{os.getpid()}"
    partial.mkdir(parents=True)
    try:
        write(partial)
        report(Progress("seal", 0, 0, "", f"writing {target.name} to disk"))
        _seal(partial, origin)
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
        _flush_folder(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_abandoned(target: Path) -> None:
    # The lock is held, so whoever left these is gone.
    abandoned = re.compile(rf"\.partial-{re.escape(target.name)}-\d+")
    for path in target.parent.iterdir():
        if abandoned.fullmatch(path.name):
            shutil.rmtree(path)


def _seal(folder: Path, origin: Origin) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        # safetensors writes files for their owner alone; a cache may be shared or built into an image.
        path.chmod(0o644)
        _flush_file(path)
    manifest = {
        "format_version": FORMAT_VERSION,
        "origin": dict(origin),
        "files": {path.relative_to(folder).as_posix(): _describe(path) for path in paths},
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    _flush_file(path)
    for subfolder in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        _flush_folder(subfolder)


def _describe(path: Path) -> dict[str, object]:
    return {"sha256": sha256_of(path), "size_bytes": path.stat().st_size}


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("format_version") != FORMAT_VERSION:
        return None
    return manifest


def _flush_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a folder; its file system journals the rename.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
