"""Shards: the derived files of the documents in one range of ids.

Ids are hashes, so ranges of them hold about equally many chunks, and which range a document falls in depends on
nothing else. A change therefore touches few shards, the others are taken over from the generation before, and the
same files give the same shards in whatever order they came. Building one shard at a time keeps memory flat.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from index.dense import exact_shard, inverted_shard, load_shard, save_shard
from index.files import read_array, write_array
from index.lexical import LexicalShard, Places
from index.store import EVERYTHING, Outline, Range, Store

Kind = Literal["exact", "ivf"]

SHARD_CHUNKS = 16_384
_FORMAT = 2
_PREFIX_BITS = 16


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A shard's folder within its generation, the key of its content, and its number of chunks."""

    name: str
    key: str
    chunks: int


@dataclass(frozen=True, slots=True)
class Shard:
    """An open shard. Document number i has the chunk positions `starts[i]:starts[i + 1]`."""

    ids: NDArray[np.int64]
    documents: NDArray[np.bytes_]
    starts: NDArray[np.int64]
    dense: faiss.Index
    lexical: LexicalShard

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The shard in `folder`, memory-mapped; its checksums must have been verified before."""
        return cls(
            ids=read_array(folder / "ids.npy"),
            documents=read_array(folder / "documents.npy"),
            starts=read_array(folder / "starts.npy"),
            dense=load_shard(folder / "dense.faiss"),
            lexical=LexicalShard.load(folder / "lexical"),
        )

    def mask(self, documents: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Which of the shard's positions (n,) belong to some of these documents."""
        return np.repeat(np.isin(self.documents, documents), np.diff(self.starts))


def partition(chunks: int) -> list[Range]:
    """Ranges of document ids that hold about `SHARD_CHUNKS` chunks at most; a power of two of them."""
    count = 1
    while count * SHARD_CHUNKS < chunks and count < 2**_PREFIX_BITS:
        count *= 2
    step = 2**_PREFIX_BITS // count
    cuts = [f"{place * step:0{_PREFIX_BITS // 4}x}" for place in range(1, count)]
    return [Range(low, high) for low, high in pairwise([EVERYTHING.low, *cuts, EVERYTHING.high])]


def key_of(outline: Outline, kind: Kind, dimension: int) -> str:
    """What decides the content of a shard's files; equal keys mean equal files."""
    digest = hashlib.sha256(f"{_FORMAT}\0{kind}\0{dimension}\0{len(outline.ids)}\0".encode())
    digest.update(outline.ids.tobytes())
    for names in (outline.document_ids, outline.languages):
        digest.update("\0".join(names).encode() + b"\0")
    digest.update(b"".join(outline.keys))
    return digest.hexdigest()


def build(
    folder: Path,
    store: Store,
    generation: int,
    documents: Range,
    outline: Outline,
    kind: Kind,
    known: tuple[Outline, LexicalShard] | None = None,
) -> bool:
    """Writes the files of a shard that holds at least one chunk; False when the store lacks a vector.

    What `known`, the shard of these documents in an older generation, has of the same passages is not analysed again.

    Raises: IndexDamagedError for a stored row that is not as it was written.
    """
    dimension = store.identity().dimension
    batches = list(store.vectors(generation, dimension, documents))
    vectors = np.concatenate(batches) if batches else np.zeros((0, dimension), np.float32)  # (n, D)
    if len(vectors) != len(outline.ids):
        return False
    folder.mkdir()
    names = np.array([name.encode() for name in outline.document_ids])
    firsts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    write_array(folder / "ids.npy", outline.ids)
    write_array(folder / "documents.npy", names[firsts])
    write_array(folder / "starts.npy", np.append(firsts, len(names)).astype(np.int64))
    save_shard(exact_shard(vectors) if kind == "exact" else inverted_shard(vectors), folder / "dense.faiss")
    unchanged = None if known is None else (known[1], _places(outline, known[0]))
    LexicalShard.build(store.passages(generation, documents), unchanged).save(folder / "lexical")
    return True


def _places(outline: Outline, older: Outline) -> Places:
    """Where each passage (n,) was in an older outline; -1 for one that was not there, or differed."""
    # A vector's key is that of the embedded text, which is what is analysed.
    old = {content: place for place, content in enumerate(_contents(older))}
    return np.array([old.get(content, -1) for content in _contents(outline)], np.int64)


def _contents(outline: Outline) -> Iterator[tuple[int, bytes, str]]:
    return zip(outline.ids.tolist(), outline.keys, outline.languages, strict=True)
