"""The data that the index emits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ingest.types import Chunk, Span

Channel = Literal["dense", "lexical", "fused"]

DEFAULT_COLLECTION = "default"
_LONGEST_COLLECTION = 64


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found for a question. `rank` counts from 1; a higher `score` of the first stage is better.

    `source` is the file that the chunk comes from, the first in the collection when several have the same content;
    `language` (ISO 639-1) and `metadata` are its document's.
    `dense` is the cosine similarity to the question and `lexical` the BM25 score. `rerank` is the score of the second
    stage, where there is one. It decides the order; None where nothing was read anew, and for hits behind what was.
    On the channel "external" another program ranked, and the scores say nothing beyond the order.
    `duplicates` are the near-duplicates that it stands for; they ranked lower and were left out.
    `matched` is the range that was found, where the chunk has what stands around it too.
    """

    chunk: Chunk
    score: float
    rank: int
    channel: Channel | Literal["external"]
    source: str
    language: str
    dense: float
    lexical: float
    metadata: Mapping[str, str] = field(default_factory=dict)
    collection: str = DEFAULT_COLLECTION
    rerank: float | None = None
    duplicates: tuple["Hit", ...] = ()
    matched: Span | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What an index is built with; two of them must be equal for vectors to be comparable."""

    embedder: str
    revision: str
    dimension: int
    query_prefix: str
    passage_prefix: str
    chunk_tokens: int
    min_chunk_tokens: int

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be ingested: `rule` is one word, `reason` a sentence with the mend."""

    source: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync did, by source; `embedded` counts chunks whose vector had to be computed.

    `pictures` counts those of files that are new or changed, where pictures are indexed.
    """

    added: Sequence[str] = ()
    changed: Sequence[str] = ()
    unchanged: Sequence[str] = ()
    removed: Sequence[str] = ()
    failed: Sequence[Failure] = ()
    skipped: Sequence[str] = ()
    chunks: int = 0
    embedded: int = 0
    generation: int = 0
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far a sync is. `stage` is one of scan, read, embed, publish; `total` 0 when unknown."""

    stage: str
    done: int
    total: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A stored file: its document, language, size, number of chunks, and time of last change (ns)."""

    source: str
    document_id: str
    language: str
    chunks: int
    characters: int
    pages: int
    metadata: dict[str, str] = field(default_factory=dict)
    collection: str = DEFAULT_COLLECTION
    modified_ns: int = 0


@dataclass(frozen=True, slots=True)
class DensePlan:
    """How dense search is done: `kind` "exact" or "ivf" (inverted lists of 8-bit vectors, `probes` of them read).

    `recall` is that of the ten best against exact search, on `reason` see the words; 1.0 for exact search.
    """

    kind: Literal["exact", "ivf"]
    probes: int
    recall: float
    reason: str


def check_collection(name: str) -> str:
    """The name of a collection, as it is.

    Raises: ValueError for a name that is not 1 to 64 printable characters, or begins or ends with a space.
    """
    if not 1 <= len(name) <= _LONGEST_COLLECTION or not name.isprintable() or name != name.strip():
        rule = f"1 to {_LONGEST_COLLECTION} printable characters, without spaces around them"
        raise ValueError(f"collection {name!r}: a name has {rule}")
    return name
