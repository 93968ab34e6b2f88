"""Makes a generation out of what is stored, and deletes those that nobody needs.

A generation is written under a temporary name, flushed, described by its manifest (size and SHA-256 of every
file), renamed, and only then named by CURRENT; whatever stops the writer, CURRENT names a whole generation.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from index import shards
from index.errors import IndexDamagedError
from index.files import Fingerprint, files_below, fingerprint, is_locked, replace, share, sync_folder, write
from index.lexical import LexicalShard
from index.manifest import CURRENT, MANIFEST, Current, Manifest, folder_name, number_of
from index.planning import EXACT_CHUNKS, exact_plan, inverted_plan
from index.shards import Kind, Shard, ShardRecord, partition
from index.store import Outline, Range, Store
from index.types import DensePlan


def publish(
    index_dir: Path, store: Store, number: int, *, previous: Manifest | None = None, exact_chunks: int = EXACT_CHUNKS
) -> Manifest:
    """Builds generation `number` from the store and makes it current.

    `previous` is the manifest of a generation whose files were verified; shards that did not change are taken over
    from it. Up to `exact_chunks` chunks are searched exactly.

    Raises: IndexDamagedError when a stored row is not as it was written, or a chunk's vector is lost.
    """
    final = index_dir / folder_name(number)
    partial = index_dir / f"{folder_name(number)}.partial"
    for leftover in (partial, final):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir()
    manifest = _Draft(partial, store, number, previous).build(exact_chunks)
    text = manifest.to_json()
    write(partial / MANIFEST, text)
    for folder in (*(path for path in partial.rglob("*") if path.is_dir()), partial):
        sync_folder(folder)
    partial.rename(final)
    sync_folder(index_dir)
    replace(index_dir / CURRENT, Current(number, hashlib.sha256(text).hexdigest()).to_text())
    return manifest


def collect(index_dir: Path, current: int) -> int:
    """Deletes generations that are neither current nor held; returns the oldest that is left."""
    kept = [current]
    for folder in sorted(index_dir.glob("gen-*")):
        number = number_of(folder.name)
        if number == current:
            continue
        if number is not None and is_locked(folder / MANIFEST):
            kept.append(number)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return min(kept)


def highest_number(index_dir: Path) -> int:
    """The highest number that a generation's folder has, published or not; 0 without any."""
    return max((number_of(folder.name) or 0 for folder in index_dir.glob("gen-*")), default=0)


def shows(store: Store, manifest: Manifest) -> bool:
    """Whether a generation is what the store holds for it; each may be whole and yet be of another index."""
    dimension = store.identity().dimension
    found = tuple(
        ShardRecord(name, shards.key_of(outline, manifest.dense.kind, dimension), len(outline.ids))
        for name, _, outline in _outlines(store, manifest.generation)
    )
    return found == manifest.shards


@dataclass(slots=True)
class _Draft:
    """A generation under construction in `folder`."""

    folder: Path
    store: Store
    number: int
    previous: Manifest | None
    files: dict[str, Fingerprint] = field(default_factory=dict)

    def build(self, exact_chunks: int) -> Manifest:
        """Writes all but the manifest, which it returns."""
        documents, chunks = self.store.counts(self.number)
        plan = exact_plan(chunks, exact_chunks)
        if chunks > exact_chunks:
            records, languages = self._shards("ivf")
            plan = self._measured(records, exact_chunks)
        if plan.kind == "exact":
            self._clear()
            records, languages = self._shards("exact")
        identity = self.store.identity().as_dict()
        return Manifest(self.number, documents, chunks, languages, identity, plan, records, self.files)

    def _shards(self, kind: Kind) -> tuple[tuple[ShardRecord, ...], tuple[str, ...]]:
        reusable = {record.key: record for record in (self.previous.shards if self.previous else ())}
        records: list[ShardRecord] = []
        languages: set[str] = set()
        dimension = self.store.identity().dimension
        for name, documents, outline in _outlines(self.store, self.number):
            record = ShardRecord(name, shards.key_of(outline, kind, dimension), len(outline.ids))
            if self.previous is not None and record.key in reusable:
                self._take_over(self.previous, reusable[record.key], record)
            else:
                self._make(record, documents, outline, kind)
            records.append(record)
            languages.update(outline.languages)
        return tuple(records), tuple(sorted(languages))

    def _take_over(self, previous: Manifest, old: ShardRecord, record: ShardRecord) -> None:
        source = self.folder.parent / folder_name(previous.generation)
        for name, found in previous.files.items():
            if name.startswith(f"{old.name}/"):
                new = f"{record.name}/{name.removeprefix(f'{old.name}/')}"
                (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
                share(source / name, self.folder / new)
                self.files[new] = found

    def _make(self, record: ShardRecord, documents: Range, outline: Outline, kind: Kind) -> None:
        folder = self.folder / record.name
        known = self._known(record.name, documents)
        if not shards.build(folder, self.store, self.number, documents, outline, kind, known):
            mend = "Run `fuente reindex` to embed the stored texts anew"
            raise IndexDamagedError(self.store.path, f"it lacks vectors for {record.chunks} chunks", mend)
        for path in files_below(folder):
            self.files[path.relative_to(self.folder).as_posix()] = fingerprint(path)

    def _known(self, name: str, documents: Range) -> tuple[Outline, LexicalShard] | None:
        """The previous shard of the same documents, and what it holds; None without one."""
        record = next(
            (record for record in (self.previous.shards if self.previous else ()) if record.name == name), None
        )
        if self.previous is None or record is None:
            return None
        older = self.store.outline(self.previous.generation, documents)
        key = shards.key_of(older, self.previous.dense.kind, self.store.identity().dimension)
        # Not so when the number of shards changed, or the older rows are gone.
        if key != record.key:
            return None
        folder = self.folder.parent / folder_name(self.previous.generation) / name
        return older, LexicalShard.load(folder / "lexical")

    def _measured(self, records: tuple[ShardRecord, ...], exact_chunks: int) -> DensePlan:
        _, first, _ = next(iter(_outlines(self.store, self.number)))
        opened = [Shard.load(self.folder / record.name).dense for record in records]
        return inverted_plan(self.store, self.number, first, opened, exact_chunks)

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            shutil.rmtree(path)
        self.files.clear()


def _outlines(store: Store, number: int) -> Iterator[tuple[str, Range, Outline]]:
    """Each shard that is not empty: its folder's name, its documents, and what it must hold."""
    _, chunks = store.counts(number)
    for place, documents in enumerate(partition(chunks)):
        outline = store.outline(number, documents)
        if len(outline.ids):
            yield f"shard-{place:04x}", documents, outline
