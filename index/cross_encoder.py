"""Reranking by a cross-encoder: a model that reads the question and a passage together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from index.errors import RerankError
from index.rerank import Candidate, Scores

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_BATCH = 16
# Tokens that neighbouring pieces of a long passage share.
_OVERLAP = 32


class CrossEncoderReranker:
    """Any sentence-transformers cross-encoder with one score a pair. A long passage scores as its best piece."""

    def __init__(self, model: "CrossEncoder", *, name: str) -> None:
        """Raises: RerankError for a model that gives a pair several scores."""
        labels = int(getattr(model.config, "num_labels", 1))
        if labels != 1:
            raise RerankError(
                f"{name} gives a pair {labels} scores, it must be 1. Choose a cross-encoder for reranking"
            )
        self._model = model

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        """The model's score for each candidate (K,) float32."""
        if not candidates:
            return np.zeros(0, np.float32)
        asked = self._shortened(question)
        pieces = [self._pieces(asked, candidate.text) for candidate in candidates]
        pairs = [(asked, piece) for passage in pieces for piece in passage]
        found = np.asarray(self._model.predict(pairs, batch_size=_BATCH, show_progress_bar=False), np.float32)
        starts = np.cumsum([0, *(len(passage) for passage in pieces[:-1])])
        return np.asarray(np.maximum.reduceat(found.reshape(-1), starts), np.float32)

    @property
    def _limit(self) -> int:
        return int(self._model.max_seq_length or self._model.tokenizer.model_max_length)

    def _shortened(self, question: str) -> str:
        """The question, cut where it takes half of what the model reads."""
        tokenizer: Any = self._model.tokenizer
        offsets = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
            "offset_mapping"
        ]
        most = self._limit // 2
        return question if len(offsets) <= most else question[: offsets[most - 1][1]]

    def _pieces(self, question: str, text: str) -> list[str]:
        """The text in pieces that fit beside the question."""
        tokenizer: Any = self._model.tokenizer
        taken = len(tokenizer(question, "")["input_ids"])
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = encoded["offset_mapping"]
        room = self._limit - taken
        if len(offsets) <= room:
            return [text]
        step = max(1, room - _OVERLAP)
        starts = range(0, max(1, len(offsets) - _OVERLAP), step)
        return [text[offsets[start][0] : offsets[min(start + room, len(offsets)) - 1][1]] for start in starts]
