"""What a person calls a model → where its weights are.

A name of the catalogue is looked up in the cache, a path is taken as it is, and anything of the form
organisation/model is a hub name. Pickled weights are refused, since opening them can run code.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models import cache, catalog, gguf, hub
from models.catalog import ModelSpec
from models.errors import ConversionError, NotPreparedError, UnknownModelError, UnsafeModelError
from models.progress import Progress, Report, no_report

Kind = Literal["packaged", "folder", "gguf", "hub"]

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
MODULE_FOLDER = re.compile(r"\d+_\w+")
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """Where a model is: `path_or_hub_id` is what the loaders pass on, `name` what the person asked for.

    `local_files_only` is False only for a hub name when the network was allowed. `snapshot` is the folder of a hub
    model whose weights are on this machine already; its name is the commit.
    """

    name: str
    path_or_hub_id: str
    kind: Kind
    local_files_only: bool = True
    snapshot: Path | None = None

    @property
    def folder(self) -> Path | None:
        """Where the files are; None for a hub model that was not fetched yet."""
        return self.snapshot if self.kind == "hub" else Path(self.path_or_hub_id)


def folder_of(spec: ModelSpec, cache_dir: Path) -> Path:
    """Where the prepared folder of a catalogue model is, or will be."""
    return cache.models_folder(cache_dir) / spec.name


def origin_of(spec: ModelSpec) -> dict[str, object]:
    """What the manifest of a prepared catalogue model must say about its source."""
    return {"name": spec.name, "format": spec.format, "sha256": list(spec.source_hashes())}


def resolve(
    name_or_path: str,
    cache_dir: Path,
    *,
    allow_network: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> ResolvedModel:
    """Where the model is. A GGUF file is converted into the cache the first time, which takes a minute or so.

    Raises:
        NotPreparedError: a catalogue model that is not in the cache yet.
        UnsafeModelError: a folder with pickled weights only.
        ConversionError: a GGUF file that cannot be read, or a folder with several of them.
        UnknownModelError: neither a catalogue name, an existing path with weights, nor a hub name.
    """
    if name_or_path in catalog.CATALOG:
        return _packaged(catalog.CATALOG[name_or_path], cache_dir)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return _local(name_or_path, path.resolve(), cache_dir, progress)
    if HUB_NAME.fullmatch(name_or_path):
        return _of_hub(name_or_path, local_files_only=not allow_network)
    raise UnknownModelError(name_or_path, catalog.CATALOG)


def _packaged(spec: ModelSpec, cache_dir: Path) -> ResolvedModel:
    folder = folder_of(spec, cache_dir)
    if not cache.is_complete(folder, origin_of(spec)):
        raise NotPreparedError(spec.name, folder)
    return ResolvedModel(spec.name, str(folder.resolve()), "packaged")


def _local(name: str, path: Path, cache_dir: Path, progress: Callable[[Progress], None] | None) -> ResolvedModel:
    if path.is_dir():
        _refuse_pickle(path)
        if _has_weights(path):
            return ResolvedModel(name, str(path), "folder")
        path = _only_gguf(name, path)
    if path.suffix.lower() != ".gguf":
        raise UnknownModelError(name, catalog.CATALOG)
    gguf.check_gguf(path)
    return ResolvedModel(name, str(_converted(path, cache_dir, progress or no_report)), "gguf")


def _of_hub(name: str, *, local_files_only: bool) -> ResolvedModel:
    snapshot = hub.snapshot_of(name)
    # Without weights a fetch was interrupted, and the files that tell of the model may be missing, too.
    fetched = snapshot if snapshot is not None and _has_weights(snapshot) else None
    return ResolvedModel(name, name, "hub", local_files_only, fetched)


def _has_weights(folder: Path) -> bool:
    return any(any(place.glob("*.safetensors")) for place in _weight_places(folder))


def _weight_places(folder: Path) -> list[Path]:
    """The folder itself and the numbered ones in which sentence-transformers keeps further modules."""
    modules = [path for path in folder.iterdir() if path.is_dir() and MODULE_FOLDER.fullmatch(path.name)]
    return [folder, *sorted(modules)]


def _refuse_pickle(folder: Path) -> None:
    for place in _weight_places(folder):
        suffixes = {path.suffix.lower() for path in place.iterdir() if path.is_file()}
        if suffixes & PICKLE_SUFFIXES and not suffixes & {".safetensors", ".gguf"}:
            raise UnsafeModelError(place)


def _only_gguf(name: str, folder: Path) -> Path:
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise UnknownModelError(name, catalog.CATALOG)
    if len(files) > 1:
        listed = ", ".join(path.name for path in files)
        raise ConversionError(folder, f"it holds several GGUF files ({listed}), so name the one to use")
    return files[0]


def _converted(path: Path, cache_dir: Path, report: Report) -> Path:
    sha256 = _known_sha256(path, cache_dir)
    name = f"gguf-{sha256[:16]}"
    target = cache.models_folder(cache_dir).resolve() / name
    origin: dict[str, object] = {"name": name, "format": "gguf", "sha256": [sha256]}

    def write(folder: Path) -> None:
        report(Progress("convert", 0, 0, "tensors", f"reading {path.name}"))
        gguf.convert_gguf(
            path, folder, lambda done, total: report(Progress("convert", done, total, "tensors", path.name))
        )

    if not cache.is_complete(target, origin):
        with cache.locked(cache_dir, name, report):
            if not cache.is_complete(target, origin):
                cache.build_folder(target, origin, write, report)
    return target


def _known_sha256(path: Path, cache_dir: Path) -> str:
    """The file's SHA-256, remembered by size and time of change: hashing gigabytes at every start is slow."""
    state = path.stat()
    stamp = {"path": str(path), "size_bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    key = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    note = cache.models_folder(cache_dir) / f".sha256-{key}.json"
    remembered = _read_note(note)
    if remembered.get("stamp") == stamp:
        return str(remembered["sha256"])
    sha256 = cache.sha256_of(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    unfinished = note.with_suffix(".tmp")
    unfinished.write_text(json.dumps({"stamp": stamp, "sha256": sha256}), encoding="utf-8")
    unfinished.replace(note)
    return sha256


def _read_note(note: Path) -> dict[str, object]:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
