"""What says which generation is current and what it must hold; nothing is opened that differs from it."""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from index.errors import IndexDamagedError
from index.files import Fingerprint, fingerprint
from index.shards import ShardRecord
from index.types import DensePlan

CURRENT = "CURRENT"
MANIFEST = "manifest.json"
MEND = "Run `fuente ingest` once more: the files are rebuilt from the stored documents"

_FOLDER = re.compile(r"gen-(\d{6,})")
_VERIFYING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation holds; `files` maps relative paths to (size in bytes, sha256)."""

    generation: int
    documents: int
    chunks: int
    languages: tuple[str, ...]
    identity: dict[str, Any]
    dense: DensePlan
    shards: tuple[ShardRecord, ...]
    files: dict[str, Fingerprint]

    @property
    def digest(self) -> str:
        """SHA-256 of all but the number: the same documents and settings give the same."""
        fields = asdict(self)
        del fields["generation"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> bytes:
        """The manifest as it is written; equal ones are equal bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Raises: ValueError, TypeError, KeyError or AttributeError for anything that `to_json` does not write."""
        fields = json.loads(text)
        fields["languages"] = tuple(fields["languages"])
        fields["dense"] = DensePlan(**fields["dense"])
        fields["shards"] = tuple(ShardRecord(**record) for record in fields["shards"])
        fields["files"] = {name: (int(size), str(digest)) for name, (size, digest) in fields["files"].items()}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Current:
    """What the file CURRENT says: a generation's number and the checksum of its manifest."""

    number: int
    manifest_sha256: str

    @property
    def folder_name(self) -> str:
        """The generation's folder, relative to the index."""
        return folder_name(self.number)

    def to_text(self) -> bytes:
        """What the file holds."""
        return f"{self.folder_name} {self.manifest_sha256}\n".encode()


def folder_name(number: int) -> str:
    """Folder of a generation, relative to the index."""
    return f"gen-{number:06d}"


def number_of(name: str) -> int | None:
    """The number of a generation's folder; None for the name of anything else."""
    found = _FOLDER.fullmatch(name)
    return int(found[1]) if found else None


def read_current(index_dir: Path) -> Current | None:
    """What is published; None when nothing was published yet.

    Raises: IndexDamagedError when CURRENT does not name a generation.
    """
    path = index_dir / CURRENT
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IndexDamagedError(path, f"it cannot be read ({error})", MEND) from error
    name, _, digest = text.decode("ascii", "replace").strip().partition(" ")
    number = number_of(name)
    if not number or Current(number, digest).to_text() != text or not re.fullmatch("[0-9a-f]{64}", digest):
        raise IndexDamagedError(path, f"it says {name[:40]!r}, which is no generation", MEND)
    return Current(number, digest)


def current_number(index_dir: Path) -> int:
    """Number of the published generation, 0 when nothing was published yet.

    Raises: IndexDamagedError when CURRENT does not name a generation.
    """
    current = read_current(index_dir)
    return current.number if current else 0


def read_manifest(index_dir: Path, current: Current) -> Manifest:
    """The manifest of the generation that CURRENT means.

    Raises: IndexDamagedError when it is missing or not as it was written.
    """
    path = index_dir / current.folder_name / MANIFEST
    try:
        text = path.read_bytes()
        if hashlib.sha256(text).hexdigest() != current.manifest_sha256:
            raise ValueError("its content differs from its checksum")
        return Manifest.from_json(text)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IndexDamagedError(path, f"it cannot be read ({error})", MEND) from error


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compares size and SHA-256 of every file of a generation with its manifest.

    FAISS loads most files with a flipped bit without a word, so nothing is opened unverified.
    Raises: IndexDamagedError naming the first file that differs.
    """
    for error in differences(folder, manifest):
        raise error


def differences(folder: Path, manifest: Manifest) -> list[IndexDamagedError]:
    """What `verify_files` finds, all of it."""
    with ThreadPoolExecutor(_VERIFYING_THREADS) as threads:
        found = threads.map(lambda item: _difference(folder / item[0], item[1]), manifest.files.items())
        return [error for error in found if error is not None]


def _difference(path: Path, expected: Fingerprint) -> IndexDamagedError | None:
    try:
        found = fingerprint(path)
    except OSError as error:
        return IndexDamagedError(path, f"it cannot be read ({error.strerror})", MEND)
    if found != expected:
        return IndexDamagedError(path, "its content differs from its checksum", MEND)
    return None
