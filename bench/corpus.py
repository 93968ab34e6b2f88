"""Made-up documents of any number, with vectors that need no model: only the shape is that of a real corpus."""

import hashlib
import zlib
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from index.embedder import Embedder
from index.schema import Entry
from index.store import embedded_text
from ingest.types import Chunk, Document

DIMENSION = 384
# Without the words that every passage has, which are not indexed: about half of a passage of 120 words.
WORDS_PER_CHUNK = 60

_VOCABULARY = 50_000
_COMMON_WORDS = 100
_TOPICS = 500
# Noise against the topic's vector: neighbours are as unlike as passages of one subject under e5.
_SPREAD = 0.9


class TopicModel:
    """Stands in for a sentence-transformers model: a text's vector is that of a topic, and noise, by its checksum."""

    def __init__(self) -> None:
        tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        self.tokenizer = SimpleNamespace(backend_tokenizer=tokenizer)
        topics = np.random.default_rng(0).normal(size=(_TOPICS, DIMENSION)).astype(np.float32)
        self._topics = topics / np.linalg.norm(topics, axis=1, keepdims=True)

    def get_embedding_dimension(self) -> int:
        """Length of a vector."""
        return DIMENSION

    def encode(self, texts: list[str], **_: Any) -> NDArray[np.float32]:
        """Unit vectors (N, D)."""
        vectors = np.stack([self._vector(zlib.crc32(text.encode())) for text in texts])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def _vector(self, seed: int) -> NDArray[np.float32]:
        noise = np.random.default_rng(seed).standard_normal(DIMENSION, np.float32) * (_SPREAD / DIMENSION**0.5)
        return np.asarray(self._topics[seed % _TOPICS] + noise, np.float32)


def embedder(of_questions: Embedder | None = None) -> Embedder:
    """An embedder that costs next to nothing, but for questions what another of the same dimension does."""
    made = Embedder(TopicModel(), name="topics")  # type: ignore[arg-type]
    if of_questions is not None:
        made.encode_queries = of_questions.encode_queries  # type: ignore[method-assign]
    return made


def texts(count: int, seed: int = 0) -> Iterator[str]:
    """Passages of words with the frequencies of a language (Zipf's law)."""
    random = np.random.default_rng(seed)
    words = np.array([f"{_syllables(number)}" for number in range(_VOCABULARY)])
    shares = np.cumsum(1 / np.arange(_COMMON_WORDS, _COMMON_WORDS + _VOCABULARY))
    for _ in range(count):
        chosen = np.searchsorted(shares, random.random(WORDS_PER_CHUNK) * shares[-1])
        yield " ".join(words[chosen]) + "."


def questions(count: int) -> list[str]:
    """Eight words each: some common, some rare."""
    return [" ".join(text.split()[:8]) for text in texts(count, seed=1)]


def entries(chunks: int, model: Embedder, chunks_per_document: int = 10) -> Iterator[tuple[Entry, dict[bytes, Any]]]:
    """Documents ready to be stored, each with the vectors of its chunks by key."""
    passages = texts(chunks)
    for number in range(-(-chunks // chunks_per_document)):
        own = list(islice(passages, chunks_per_document))
        yield _entry(number, own, model)


def _entry(number: int, passages: list[str], model: Embedder) -> tuple[Entry, dict[bytes, Any]]:
    name = hashlib.sha256(b"%d" % number).hexdigest()
    text = "\n\n".join(passages)
    document = Document(
        id=name[:16], source=f"/corpus/{number:07d}.txt", text=text, pages=(), language=("es", "pt", "en")[number % 3],
        metadata={"file_name": f"{number:07d}.txt"}, sha256=name,
    )  # fmt: skip
    start, chunks = 0, []
    for place, passage in enumerate(passages):
        key = model.vector_key(embedded_text(passage, ()))
        chunk_id = int(name[:13], 16) * 1024 + place
        chunks.append((Chunk(chunk_id, document.id, passage, start, start + len(passage), None, ()), key))
        start += len(passage) + 2
    vectors = model.encode_passages(passages)
    return Entry(document, (len(text), 0), chunks), {key: vectors[i] for i, (_, key) in enumerate(chunks)}


def _syllables(number: int) -> str:
    consonants, vowels = "bcdfglmnprstvz", "aeiou"
    word = ""
    while True:
        number, rest = divmod(number, len(consonants) * len(vowels))
        word += consonants[rest // len(vowels)] + vowels[rest % len(vowels)]
        if not number:
            return word
