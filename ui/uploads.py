"""Uploaded files on disk: names that cannot escape their folder, contents written whole or not at all."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from index.types import DEFAULT_COLLECTION, Failure
from ui.texts import Texts

# Names longer than 255 bytes cannot be stored; some room is left for the temporary name.
_MAX_NAME_BYTES = 200
_SEPARATORS = re.compile(r"[/\\]")
# Not allowed in a name on one system or another, or invisible.
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
# At its start they hide a file from ingestion, at its end some systems drop them.
_EDGES = re.compile(r"^[\s.~$]+|[\s.]+$")
_NO_LETTERS = re.compile(r"[\W_]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def uploads_folder(index: Path, collection: str) -> Path:
    """Where the uploads of a collection are kept: apart, because what one lacks must not leave another."""
    if collection == DEFAULT_COLLECTION:
        return index / "uploads"
    mark = hashlib.sha256(collection.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return index / f"uploads-{_NO_LETTERS.sub('-', collection)[:32].strip('-').lower()}-{mark}"


def safe_name(given: str) -> str | None:
    """The name to store an upload under, or None when nothing of it can be used.

    It is one part of a path, visible, and keeps the suffix. Different names stay different: where a
    character had to go, a mark of the original name is put in.
    """
    last = unicodedata.normalize("NFC", _SEPARATORS.split(given)[-1])
    stem, dot, suffix = _FORBIDDEN.sub("_", last).rpartition(".")
    stem, suffix = _EDGES.sub("", stem), suffix.strip()
    if not stem or not suffix:
        return None
    if _RESERVED.match(f"{stem}."):
        stem = f"_{stem}"
    kept = _shortened(stem, _MAX_NAME_BYTES - len(suffix.encode()))
    if kept is None:
        return None
    if f"{kept}{dot}{suffix}" == last:
        return last
    mark = hashlib.sha256(last.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept}-{mark}{dot}{suffix}"


def _shortened(stem: str, size_bytes: int) -> str | None:
    if size_bytes < 1:
        return None
    return stem.encode()[:size_bytes].decode(errors="ignore") or None


def save(files: Iterable[tuple[str, Callable[[], bytes]]], folder: Path, texts: Texts) -> list[Failure]:
    """Writes uploads, given as name and content, into `folder`; returns those that could not be.

    A file of the same name is replaced, which makes it a changed document.
    """
    failures: list[Failure] = []
    written: set[str] = set()
    for given, content in files:
        stored = safe_name(given)
        if stored is None:
            failures.append(Failure(given, "unreadable", texts.upload_bad_name))
        elif stored.casefold() in written:
            failures.append(Failure(given, "unreadable", texts.upload_same_name))
        else:
            written.add(stored.casefold())
            try:
                _write(folder, stored, content())
            except OSError:
                failures.append(Failure(given, "unreadable", texts.upload_unwritable))
    return failures


def _write(folder: Path, stored: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Hidden until it is whole, so that a reader passes over it.
    unfinished = folder / f".{hashlib.sha256(stored.encode()).hexdigest()[:16]}.part"
    unfinished.write_bytes(content)
    unfinished.replace(folder / stored)


def is_upload(source: str, folder: Path) -> bool:
    """Whether a document of the index is one of our uploads."""
    return Path(source).parent == folder
