"""Texts become unit vectors; the model's prefixes are applied here and nowhere else."""

import hashlib
import re
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.token_states import TokenStates, has_token_states, token_states
from ingest.tokens import TokenCounter
from models.deferred import DeferredEmbedder
from models.errors import DimensionError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]

# What each family, a word of the model's name, was trained with; one that is not named here has no prefixes.
# Source: Wang et al. 2024, "Multilingual E5 Text Embeddings", section 2.
_PREFIXES = {"e5": ("query: ", "passage: ")}


def prefixes_of(name: str) -> tuple[str, str]:
    """Query and passage prefix of an embedder, by its name."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return next((pair for family, pair in _PREFIXES.items() if family in words), ("", ""))


class Embedder(Embeddings):
    """A sentence-transformers model as unit vectors, and as LangChain `Embeddings`.

    A deferred model is loaded by the first text, or at once when its files do not tell its dimension.
    """

    def __init__(
        self,
        model: "SentenceTransformer | DeferredEmbedder",
        *,
        name: str,
        revision: str = "",
        query_prefix: str = "",
        passage_prefix: str = "",
        batch_size: int = 16,
    ) -> None:
        self.name = name
        self.revision = revision
        self.query_prefix = query_prefix
        self.passage_prefix = passage_prefix
        self._deferred = model if isinstance(model, DeferredEmbedder) else DeferredEmbedder(lambda: model)
        self._batch_size = batch_size
        self._loading = Lock()
        self._loaded: SentenceTransformer | None = None
        self._counter: TokenCounter | None = None
        self.dimension: int = self._deferred.dimension or _stated_dimension(name, self._model())

    def load(self) -> None:
        """Loads the model now, so that the first text need not wait for it.

        Raises: ModelError, one of its kinds.
        """
        self._model()

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (N, D) float32 of questions."""
        return self._encode(list(map(readable, texts)), self.query_prefix)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (N, D) float32 of passages."""
        return self._encode(texts, self.passage_prefix)

    @property
    def has_token_states(self) -> bool:
        """Whether the model, which is loaded for it, tells what it makes of each token."""
        return has_token_states(self._model())

    def query_states(self, texts: Sequence[str], depths: Sequence[float]) -> list[TokenStates]:
        """What the model makes of each token of questions, at depths in (0, 1] of its layers.

        Raises: RerankError for a model that does not tell.
        """
        return token_states(self._model(), list(map(readable, texts)), self.query_prefix, depths)

    def passage_states(self, texts: Sequence[str], depths: Sequence[float]) -> list[TokenStates]:
        """The same of passages."""
        return token_states(self._model(), texts, self.passage_prefix, depths)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of passages, as LangChain wants them."""
        return self.encode_passages(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        """Vector of a question, as LangChain wants it."""
        return self.encode_queries([text])[0].tolist()  # type: ignore[no-any-return]

    def token_counter(self) -> TokenCounter:
        """Counts tokens as this model does; one counter, as it reads the tokenizer when it first counts."""
        if self._counter is None:
            self._counter = TokenCounter(self._deferred.load_tokenizer or self._copied_tokenizer)
        return self._counter

    def vector_key(self, text: str) -> bytes:
        """A 32-byte key under which the vector of a passage can be stored and found again."""
        identity = "\0".join((self.name, self.revision, str(self.dimension), self.passage_prefix, text))
        return hashlib.sha256(identity.encode()).digest()

    def _copied_tokenizer(self) -> Tokenizer:
        # Truncation and padding belong to the model that has the original.
        return Tokenizer.from_str(self._model().tokenizer.backend_tokenizer.to_str())

    def _model(self) -> "SentenceTransformer":
        with self._loading:
            if self._loaded is None:
                model = self._deferred.load()
                stated, found = self._deferred.dimension, model.get_embedding_dimension()
                if stated is not None and stated != found:
                    raise DimensionError(self.name, stated, found)
                self._loaded = model
            return self._loaded

    def _encode(self, texts: Sequence[str], prefix: str) -> Vectors:
        return self._encoded([prefix + text for text in texts])

    def _encoded(self, inputs: Sequence[Any]) -> Vectors:
        """Unit vectors (N, D) float32 of what the model takes."""
        if not inputs:
            return np.zeros((0, self.dimension), np.float32)
        # sentence-transformers sorts by length, so batches waste little on padding.
        vectors = self._model().encode(
            list(inputs),
            batch_size=self._batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.ascontiguousarray(vectors, np.float32)  # (N, D)


def readable(question: str) -> str:
    """What no tokenizer takes becomes "?": bytes of a command line that are no UTF-8 arrive as lone surrogates.

    Readers leave none in the text of documents.
    """
    return question.encode("utf-8", "replace").decode("utf-8")


def _stated_dimension(name: str, model: "SentenceTransformer") -> int:
    dimension = model.get_embedding_dimension()
    if dimension is None:
        raise ValueError(f"{name}: the model does not state its dimension; choose a pooled embedding model")
    return dimension
