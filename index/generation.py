"""Immutable generations of the derived files, and the one name that says which is current.

    index-dir/
      fuente.db
      store.seal   size and SHA-256 of fuente.db while no change is under way
      gen-000007/  manifest.json  shard-0000/…  shard-0001/…
      CURRENT      the name of one generation and the SHA-256 of its manifest; replaced atomically, last

Readers hold a generation; this is how they open it. How one is made is in `index.publishing`.
"""

import weakref
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np
from numpy.typing import NDArray

from index.dense import DenseIndex
from index.embedder import Vectors
from index.errors import IndexDamagedError
from index.files import lock
from index.filters import Filter
from index.lexical import LexicalIndex
from index.manifest import MANIFEST, MEND, Current, read_current, read_manifest, verify_files
from index.shards import Shard
from index.store import Store

# Filters whose documents are remembered; a mask of a million chunks takes 1 MB.
_MASKS = 16
_BACKGROUND_SIZE = 1000


class Generation:
    """One published generation, open for reading and held against collection until `close` or its own end."""

    def __init__(self, index_dir: Path, current: Current) -> None:
        """Raises: IndexDamagedError, also when the generation is being collected."""
        self.folder = index_dir / current.folder_name
        hold = _hold(self.folder / MANIFEST)
        # A search may use a generation longer than the index that opened it, so the last one to drop it closes.
        self._release = weakref.finalize(self, hold.close)
        try:
            self.manifest = read_manifest(index_dir, current)
            verify_files(self.folder, self.manifest)
            shards = [Shard.load(self.folder / record.name) for record in self.manifest.shards]
        except BaseException:
            self.close()
            raise
        self.ids: NDArray[np.int64] = np.concatenate([np.zeros(0, np.int64), *(shard.ids for shard in shards)])
        self.dense = DenseIndex([shard.dense for shard in shards], self.manifest.dense.probes)
        self.lexical = LexicalIndex([shard.lexical for shard in shards], self.manifest.languages)
        self._shards = shards
        self._masks: dict[Filter, NDArray[np.bool_]] = {}
        self._masks_lock = Lock()

    @property
    def number(self) -> int:
        """The generation's number, from 1."""
        return self.manifest.generation

    @cached_property
    def background(self) -> Vectors:
        """Vectors (≤ 1000, D) of a fixed sample, which tells how similar an ordinary chunk is to a question."""
        size = len(self.ids)
        if size <= _BACKGROUND_SIZE:
            return self.dense.vectors(np.arange(size))
        return self.dense.vectors(np.sort(np.random.default_rng(0).choice(size, _BACKGROUND_SIZE, replace=False)))

    def close(self) -> None:
        """Lets the generation be collected."""
        self._release()

    def positions(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """Where chunks of this generation are (K,), by their ids."""
        found = np.flatnonzero(np.isin(self.ids, ids))
        return found[np.argsort(self.ids[found])][np.argsort(np.argsort(ids))]

    def of_documents(self, ids: Collection[str]) -> NDArray[np.bool_]:
        """Which positions (N,) are of some of these documents."""
        documents = np.array([name.encode() for name in ids], np.bytes_)
        return np.concatenate([np.zeros(0, np.bool_), *(shard.mask(documents) for shard in self._shards)])

    def mask(self, where: Filter, store: Store) -> NDArray[np.bool_]:
        """Which positions (N,) meet a filter."""
        with self._masks_lock:
            known = self._masks.get(where)
        if known is not None:
            return known
        mask = self.of_documents(store.matching(where, self.number))
        with self._masks_lock:
            if len(self._masks) >= _MASKS:
                del self._masks[next(iter(self._masks))]
            self._masks[where] = mask
        return mask


def open_current(index_dir: Path) -> Generation | None:
    """The published generation, held; None when nothing was published yet.

    Raises: IndexDamagedError.
    """
    while current := read_current(index_dir):
        try:
            generation = Generation(index_dir, current)
        except IndexDamagedError:
            if read_current(index_dir) == current:
                raise
            continue
        # Collecting follows publishing: what is current while it is held is safe, what is not may be half deleted.
        if read_current(index_dir) == current:
            return generation
        generation.close()
    return None


def _hold(manifest: Path) -> IO[bytes]:
    try:
        hold = lock(manifest, shared=True)
    except OSError as error:
        raise IndexDamagedError(manifest, f"it cannot be opened ({error.strerror})", MEND) from error
    if hold is None:
        raise IndexDamagedError(manifest.parent, "it is being deleted", MEND)
    return hold
