"""What a transformer makes of each token of a text, at several depths."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.errors import RerankError
from models.devices import cpu_has_bfloat16

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_cpu_has_bfloat16 = cache(cpu_has_bfloat16)
# Texts of a padded batch; they are sorted by length first.
_BATCH = 16
# Tokens that neighbouring pieces of a long text share, so that what lies at a cut is read whole once.
_OVERLAP = 32


@dataclass(frozen=True, slots=True)
class TokenStates:
    """The tokens of one text without prefix and special tokens: `ids` (T,), `words` (T,) and `layers` (L, T, D).

    `words` tells tokens with a letter or digit from punctuation. A text longer than the model takes is read in pieces,
    and the tokens that two of them share occur twice.
    """

    ids: NDArray[np.int64]
    words: NDArray[np.bool_]
    layers: NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What the model reads at once: `ids` with special tokens, and which of them are kept, with or without a letter."""

    text: int
    ids: list[int]
    kept: NDArray[np.int64]
    words: NDArray[np.bool_]


def token_states(
    model: "SentenceTransformer", texts: Sequence[str], prefix: str, depths: Sequence[float]
) -> list[TokenStates]:
    """The states of each text after `prefix`, at depths in (0, 1] of the model's layers.

    Raises: RerankError for a model that is no transformer with a fast tokenizer.
    """
    transformer, tokenizer = _parts(model)
    if not texts:
        return []
    pieces = _pieces(tokenizer, texts, prefix, int(model.max_seq_length or tokenizer.model_max_length))
    states: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(pieces)
    order = sorted(range(len(pieces)), key=lambda place: (len(pieces[place].ids), place))
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        hidden = _hidden(transformer, tokenizer.pad_token_id or 0, [pieces[place].ids for place in batch], depths)
        for place, layers in zip(batch, hidden, strict=True):
            states[place] = layers[:, pieces[place].kept]  # (L, T, D)
    return [_joined(text, pieces, states) for text in range(len(texts))]


def has_token_states(model: Any) -> bool:
    """Whether a model is a transformer with a tokenizer that tells where tokens lie."""
    modules = getattr(model, "_modules", None)
    first = next(iter(modules.values()), None) if modules else None
    return hasattr(first, "auto_model") and bool(getattr(model.tokenizer, "is_fast", False))


def _parts(model: "SentenceTransformer") -> tuple[Any, Any]:
    if not has_token_states(model):
        reason = "the embedder has no states of tokens, as it is no transformer with a fast tokenizer"
        raise RerankError(f"{reason}. Set retrieval.rerank to none, or to a cross-encoder")
    first: Any = model[0]
    return first.auto_model, model.tokenizer


def _pieces(tokenizer: Any, texts: Sequence[str], prefix: str, limit: int) -> list[_Piece]:
    encoded = tokenizer(
        [prefix + text for text in texts],
        truncation=True,
        max_length=limit,
        stride=min(_OVERLAP, limit // 4),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    fields = ("overflow_to_sample_mapping", "input_ids", "offset_mapping", "special_tokens_mask")
    return [
        _piece(prefix + texts[text], len(prefix), text, ids, offsets, special)
        for text, ids, offsets, special in zip(*(encoded[field] for field in fields), strict=True)
    ]


def _piece(
    read: str, prefix: int, text: int, ids: list[int], offsets: list[tuple[int, int]], special: list[int]
) -> _Piece:
    # A token that begins within the prefix may end after it: its space belongs to the text's first word.
    kept = [place for place, (_, end) in enumerate(offsets) if not special[place] and end > prefix]
    words = [any(character.isalnum() for character in read[slice(*offsets[place])]) for place in kept]
    return _Piece(text, ids, np.array(kept, np.int64), np.array(words, np.bool_))


def _hidden(
    transformer: Any, padding: int, batch: Sequence[list[int]], depths: Sequence[float]
) -> Iterator[NDArray[np.float32]]:
    """The states (L, T, D) of each text of a batch, padding included."""
    import torch

    longest = max(map(len, batch))
    ids = torch.full((len(batch), longest), padding)
    mask = torch.zeros((len(batch), longest), dtype=torch.long)
    for row, text in enumerate(batch):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    device = transformer.device
    with torch.inference_mode(), _half(device):
        output = transformer(
            input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True, return_dict=True
        )
    last = len(output.hidden_states) - 1
    chosen = [output.hidden_states[max(1, round(depth * last))] for depth in depths]
    states = torch.stack(chosen, 1).float().cpu().numpy()  # (N, L, T, D)
    yield from states


def _half(device: Any) -> AbstractContextManager[Any]:
    """Half the bits where the hardware multiplies them: 2.3 times as fast, and the states keep a cosine of .9999.

    Vectors, which other machines' are compared with, stay exact; of these the order of a few passages is all that is
    asked.
    """
    import torch

    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and _cpu_has_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def _joined(text: int, pieces: Sequence[_Piece], states: Sequence[NDArray[np.float32]]) -> TokenStates:
    mine = [place for place, piece in enumerate(pieces) if piece.text == text]
    return TokenStates(
        np.concatenate([np.array(pieces[place].ids, np.int64)[pieces[place].kept] for place in mine]),
        np.concatenate([pieces[place].words for place in mine]),
        np.concatenate([states[place] for place in mine], axis=1),
    )
