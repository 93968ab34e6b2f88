"""A small library of text files and its index, with vectors that need no model."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from index.embedder import Embedder
from index.search import Index
from index.settings import SearchSettings
from index.types import Identity, SyncReport
from index.writer import IndexWriter
from ingest.chunking import Chunker
from ingest.errors import UnreadableFileError
from ingest.types import Document

DIMENSION = 16


class HashedModel:
    """Stands in for a sentence-transformers model: a text is the sum of fixed vectors of its words."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        self.tokenizer = SimpleNamespace(backend_tokenizer=tokenizer)
        self.encoded: list[str] = []
        self._dimension = dimension

    def get_embedding_dimension(self) -> int:
        return self._dimension

    def encode(
        self, texts: list[str], *, batch_size: int, normalize_embeddings: bool, show_progress_bar: bool
    ) -> NDArray[np.float32]:
        assert normalize_embeddings
        self.encoded += texts
        sums = np.stack([sum((self._word(word) for word in text.lower().split()), np.zeros(1)) for text in texts])
        return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9), np.float32)

    def _word(self, word: str) -> NDArray[np.float64]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        return np.random.default_rng(seed).normal(size=self._dimension)


def read(path: Path, source: str) -> Document:
    """A text file; one that begins with "broken" cannot be read."""
    content = path.read_bytes()
    if content.startswith(b"broken"):
        raise UnreadableFileError(path, "it is broken", "Mend it")
    digest = hashlib.sha256(content).hexdigest()
    return Document(
        id=digest[:16], source=source, text=content.decode(), pages=(), language="es",
        metadata={"file_name": path.name}, sha256=digest,
    )  # fmt: skip


@dataclass
class Library:
    """A folder of files and the index of them."""

    files: Path
    folder: Path
    model: HashedModel = field(default_factory=HashedModel)
    chunk_tokens: int = 20
    embedder_name: str = "hashed"
    clock_ns: int = 10**18

    @property
    def embedder(self) -> Embedder:
        return Embedder(self.model, name=self.embedder_name, passage_prefix="p: ", query_prefix="q: ")  # type: ignore[arg-type]

    @property
    def identity(self) -> Identity:
        return Identity(
            embedder=self.embedder_name, revision="", dimension=self.embedder.dimension, query_prefix="q: ",
            passage_prefix="p: ", chunk_tokens=self.chunk_tokens, min_chunk_tokens=4,
        )  # fmt: skip

    def write(self, **texts: str) -> None:
        """Writes files by stem, each with a time of its own."""
        for name, text in texts.items():
            path = self.files / f"{name}.txt"
            path.write_text(text, encoding="utf-8")
            self.clock_ns += 10**9
            os.utime(path, ns=(self.clock_ns, self.clock_ns))

    def source(self, name: str) -> str:
        return str(self.files / f"{name}.txt")

    read = staticmethod(read)

    def writer(self, **options: Any) -> IndexWriter:
        embedder = self.embedder
        chunker = Chunker(embedder.token_counter(), max_tokens=self.chunk_tokens, min_tokens=4)
        return IndexWriter(self.folder, embedder, chunker, self.identity, **options)

    def sync(self, reading: Callable[[Path, str], Document] = read) -> SyncReport:
        with self.writer() as writer:
            return writer.sync(sorted(self.files.glob("*.txt")), [self.files], reading)

    def index(self, settings: SearchSettings | None = None) -> Index:
        return Index(self.folder, self.embedder, settings)

    def with_changes(self, **changes: object) -> "Library":
        """The same files and folder, configured otherwise."""
        return replace(self, model=HashedModel(), **changes)  # type: ignore[arg-type]

    def generation_files(self) -> dict[str, bytes]:
        """Content of every file of the current generation, by relative path."""
        current = self.folder / (self.folder / "CURRENT").read_text().split()[0]
        return {str(p.relative_to(current)): p.read_bytes() for p in sorted(current.rglob("*")) if p.is_file()}


def found(index: Index, question: str, channel: str = "fused", k: int = 50) -> set[str]:
    """Stems of the sources found."""
    hits = index.search(question, k, settings=SearchSettings(channel=channel, collapse=False))  # type: ignore[arg-type]
    return {Path(hit.source).stem for hit in hits}


TEXTS = {
    "gato": "El gato duerme en la cocina. Le gusta el pescado fresco.",
    "perro": "El perro corre por el parque. Ladra a los carteros.",
    "barco": "El barco zarpó del puerto. Llevaba pescado y madera.",
}
