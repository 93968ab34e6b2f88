"""The file that a backup is: how it is written, and what is checked before anything of it is believed.

    manifest.json  format, versions, what the index is built with, size and SHA-256 of every other member
    fuente.db      the store
    uploads/…      the user's files that live in the index

It is a plain zip. The comment at its end is the SHA-256, in hexadecimal, of all that comes before it.
"""

import hashlib
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import IO, Any, Self

from index.errors import ArchiveError
from index.files import Fingerprint
from index.relations import ProgressFunction
from index.schema import SCHEMA_VERSION
from index.types import Identity

STORE = "fuente.db"
UPLOADS = "uploads"

_KIND, _VERSION = "fuente-archive", 1
_MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = 64 * 2**20
_SEAL_BYTES = 64
_BLOCK_BYTES = 2**20
_MB = 10**6
# Vectors do not shrink, and texts do so nearly as well as with more work.
_COMPRESSION = 1
_LARGEST_NUMBER = 2**53
_FORBIDDEN = re.compile("[\x00-\x1f\\\\\ud800-\udfff]")
# What reading a zip or JSON that somebody made up may raise.
_MALFORMED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, TypeError, AttributeError, LookupError,
    ArithmeticError, RuntimeError,
)  # fmt: skip
_ANOTHER = "Use another backup"


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive holds: `members` maps names to (size in bytes, SHA-256).

    `fuente` is the version that wrote it, `store_format` the store's, `generation` the published one with its number
    of `documents`, `chunks` and `sources`, and `digest` that of its manifest.
    """

    fuente: str
    store_format: int
    generation: int
    documents: int
    chunks: int
    sources: int
    digest: str
    identity: dict[str, Any]
    members: dict[str, Fingerprint]

    @property
    def size_bytes(self) -> int:
        """Bytes of all members."""
        return sum(size for size, _ in self.members.values())

    def to_json(self) -> bytes:
        """The manifest as it is written."""
        head = {"format": _KIND, "version": _VERSION}
        return json.dumps({**head, **asdict(self)}, indent=1, sort_keys=True).encode()

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """The contents that a manifest tells of. Raises: ValueError, TypeError, LookupError or AttributeError."""
        for name, least in (("generation", 1), ("documents", 0), ("chunks", 0), ("sources", 0)):
            _whole(fields[name], least)
        fields["identity"] = Identity(**fields["identity"]).as_dict()
        fields["members"] = {name: (_whole(size, 0), str(digest)) for name, (size, digest) in fields["members"].items()}
        return cls(**fields)


def write_archive(path: Path, contents: Contents, files: Mapping[str, Path], progress: ProgressFunction) -> Contents:
    """Writes `files` by name into a new archive, flushed to disk, and returns what it holds then.

    A file that vanished meanwhile is left out. Raises: OSError.
    """
    total = sum(file.stat().st_size for file in files.values() if file.exists()) // _MB
    members: dict[str, Fingerprint] = {}
    done = 0
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        for name, file in files.items():
            progress("writing (MB)", done // _MB, total)
            try:
                source = file.open("rb")
            except FileNotFoundError:
                continue
            with source, archive.open(name, "w", force_zip64=True) as member:
                members[name] = _copied(source, member)
            done += members[name][0]
        contents = replace(contents, members=members)
        with archive.open(_MANIFEST, "w") as member:
            member.write(contents.to_json())
        archive.comment = b"0" * _SEAL_BYTES
    with path.open("r+b") as file_:
        seal = _seal(file_, progress)
        file_.write(seal)
        file_.flush()
        os.fsync(file_.fileno())
    return contents


def is_archivable(name: str) -> bool:
    """Whether `name` may be that of a member: one that leads to its place on every system, and nowhere else."""
    parts = name.split("/")
    if name == STORE:
        return True
    return (
        len(parts) > 1
        and parts[0] == UPLOADS
        # Windows drops dots and blanks at the end, and takes "C:x" for a path of its own.
        and all(part.strip(" .") and not _FORBIDDEN.search(part) and not PureWindowsPath(part).drive for part in parts)
    )


class Archive:
    """An archive, open for reading; its checksum, manifest, names and sizes are as they must be."""

    def __init__(self, path: Path, progress: ProgressFunction) -> None:
        """Raises: ArchiveError."""
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ArchiveError(path, f"it cannot be opened ({error.strerror})", _ANOTHER) from error
        try:
            with self._told():
                self._check_seal(progress)
                self._zip = zipfile.ZipFile(self._file)
                self._check_entries()
                self.contents = self._read_contents()
                self._check_sizes()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Lets the file go."""
        self._file.close()

    def extract(self, folder: Path, progress: ProgressFunction) -> None:
        """Writes every member below a folder, flushed to disk, and compares it with its checksum.

        Raises: ArchiveError, OSError for what cannot be written.
        """
        done, total = 0, self.contents.size_bytes // _MB
        for name, expected in self.contents.members.items():
            progress("unpacking (MB)", done // _MB, total)
            target = folder.joinpath(*name.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                self._unpack(name, expected, file)
                file.flush()
                os.fsync(file.fileno())
            done += expected[0]

    def _unpack(self, name: str, expected: Fingerprint, target: IO[bytes]) -> None:
        digest, left = hashlib.sha256(), expected[0]
        with self._told():
            member = self._zip.open(name)
        with member:
            while True:
                with self._told():
                    block = member.read(min(_BLOCK_BYTES, left + 1))
                if not block:
                    break
                left -= len(block)
                if left < 0:
                    raise self._refused(f"{name} is larger than it says")
                digest.update(block)
                target.write(block)
        if left or digest.hexdigest() != expected[1]:
            raise self._refused(f"{name} differs from its checksum")

    def _check_seal(self, progress: ProgressFunction) -> None:
        seal = _seal(self._file, progress)
        if self._file.read() != seal:
            raise self._refused("its content differs from its checksum: it is damaged, cut short or no backup")

    def _check_entries(self) -> None:
        """What can be told from the list of members alone."""
        entries = self._zip.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise self._refused("a member is in it twice")
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.filename != _MANIFEST and not is_archivable(entry.filename):
                raise self._refused(f"it must not hold {entry.filename[:100]!r}")
            if entry.is_dir() or kind not in (0, stat.S_IFREG):
                raise self._refused(f"{entry.filename[:100]!r} is no plain file")
            if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._refused(f"{entry.filename[:100]!r} is encrypted or packed otherwise than by Fuente")

    def _read_contents(self) -> Contents:
        if self._zip.getinfo(_MANIFEST).file_size > _MOST_MANIFEST_BYTES:
            raise self._refused("its manifest is too large")
        with self._zip.open(_MANIFEST) as member:
            text = member.read(_MOST_MANIFEST_BYTES)
        fields = json.loads(text)
        if fields.pop("format") != _KIND:
            raise self._refused("its manifest is of another program")
        formats = (("it", fields.pop("version"), _VERSION), ("its store", fields["store_format"], SCHEMA_VERSION))
        for what, found, known in formats:
            if _whole(found, 1) > known:
                writer = str(fields.get("fuente", "unknown"))[:40]
                reason = (
                    f"{what} has format {found}, as Fuente {writer} wrote it; this program knows formats up to {known}"
                )
                raise ArchiveError(self.path, reason, f"Use Fuente {writer} or newer")
        return Contents.of(fields)

    def _check_sizes(self) -> None:
        declared = {name: size for name, (size, _) in self.contents.members.items()}
        found = {entry.filename: entry.file_size for entry in self._zip.infolist() if entry.filename != _MANIFEST}
        if STORE not in declared or declared != found:
            raise self._refused("its members are not those of its manifest")

    def _refused(self, reason: str) -> ArchiveError:
        return ArchiveError(self.path, reason, _ANOTHER)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Says of a malformed archive that it is one."""
        try:
            yield
        except (*_MALFORMED, OSError) as error:
            raise self._refused(f"it is damaged or no backup of Fuente ({error})") from error


def _whole(value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _LARGEST_NUMBER:
        raise ValueError(f"{value!r:.40} is no number from {least} on")
    return value


def _copied(source: IO[bytes], target: IO[bytes]) -> Fingerprint:
    digest, size = hashlib.sha256(), 0
    while block := source.read(_BLOCK_BYTES):
        digest.update(block)
        target.write(block)
        size += len(block)
    return size, digest.hexdigest()


def _seal(file: IO[bytes], progress: ProgressFunction) -> bytes:
    """What the last bytes of an archive must be; the file is left there."""
    length = os.fstat(file.fileno()).st_size - _SEAL_BYTES
    digest, done = hashlib.sha256(), 0
    file.seek(0)
    while done < length:
        progress("checking (MB)", done // _MB, length // _MB)
        block = file.read(min(_BLOCK_BYTES, length - done))
        digest.update(block)
        done += len(block)
    return digest.hexdigest().encode()
