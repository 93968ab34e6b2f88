"""A pointer: what a decoder writes is mixed with what the token of the source that it points at stands for.

    p(y) = g · softmax(logits)(y) + (1 − g) · Σ_s a(s) · t(y | x_s)

The weights `a` are one head of attention over the source, `g` is a gate of the decoder's state. Where `t` gives every
token itself, the pointer copies; where `t` was counted on pairs of texts (generative.language.alignment), it
translates, and with weights that are all alike it would be IBM model 1.

Source: See et al. 2017, "Get to the point: summarization with pointer-generator networks", equations 8 and 9; with
translations in place of copies, Arthur et al. 2016, "Incorporating discrete translation lexicons into neural machine
translation", sections 3 and 4.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from generative.language.alignment import likeliest, translations
from generative.language.attention import RMSNorm, rotate

Stands = Literal["itself", "translations"]
"""What a token of the source stands for."""
KEPT = 8
"""Translations of a token."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Source:
    """A text as the encoder read it."""

    ids: Tensor
    """(B, S)"""
    states: Tensor
    """(B, S, W)"""
    mask: Tensor
    """(B, 1, 1, S): where it is no padding."""
    turns: tuple[Tensor, Tensor]
    """RoPE's, (S, D) each, of a head of the places."""

    def repeated(self, times: int) -> "Source":
        """Each text so often, side by side."""
        ids, states, mask = (one.repeat_interleave(times, 0) for one in (self.ids, self.states, self.mask))
        return Source(ids, states, mask, self.turns)


class Pointer(nn.Module):
    """Logits and states of a decoder → the logarithm of the mixture; D is the width of its head."""

    partners: Tensor
    shares: Tensor

    def __init__(self, size: int, width: int, head: int, stands: Stands) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, head, bias=False), nn.Linear(width, head, bias=False)
        self.query_norm, self.key_norm = RMSNorm(head), RMSNorm(head)
        self.gate = nn.Linear(width, 1, bias=False)
        kept = 1 if stands == "itself" else KEPT
        self.register_buffer("partners", torch.arange(size, dtype=torch.int32)[:, None].repeat(1, kept))
        self.register_buffer("shares", torch.full((size, kept), 1 / kept))

    def forward(self, logits: Tensor, states: Tensor, source: Source, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Log-probabilities (B, T, size), float32, from logits of that shape and states (B, T, W) at these turns."""
        own = torch.sigmoid(self.gate(states).float())  # (B, T, 1)
        pointed = self.read_off(self.weights(states, source, turns), source.ids)
        mixed = own * logits.float().softmax(-1) + (1 - own) * pointed
        return mixed.clamp_min(_TINY).log()

    def surprise(
        self, nats: Tensor, states: Tensor, source: Source, turns: tuple[Tensor, Tensor], wanted: Tensor
    ) -> Tensor:
        """Nats (B, T) of the tokens `wanted` (B, T) in the mixture, from the decoder's own `nats` of them."""
        own = torch.sigmoid(self.gate(states).float()).squeeze(-1)
        partners, spread = self._spread(self.weights(states, source, turns), source.ids)
        pointed = (spread * (partners[:, None] == wanted[..., None])).sum(-1)
        mixed = own * torch.exp(-nats) + (1 - own) * pointed
        return -mixed.clamp_min(_TINY).log()

    def weights(self, states: Tensor, source: Source, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Where each state points (B, T, S); rows sum to 1."""
        queries = rotate(self.query_norm(self.query(states)), *turns)
        keys = rotate(self.key_norm(self.key(source.states)), *source.turns)
        scores: Tensor = (queries @ keys.transpose(1, 2)).float() / queries.shape[-1] ** 0.5
        scores = scores.masked_fill(~source.mask[:, 0], -torch.inf)
        return scores.softmax(-1)

    def read_off(self, weights: Tensor, ids: Tensor) -> Tensor:
        """The probabilities (B, T, size) of what the tokens `ids` (B, S) stand for, each as much as its weight."""
        partners, spread = self._spread(weights, ids)
        empty = weights.new_zeros(*weights.shape[:2], len(self.partners))
        return empty.scatter_add(2, partners[:, None].expand_as(spread), spread)

    def _spread(self, weights: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens (B, S · kept) that `ids` stand for, and the share (B, T, S · kept) that each gets."""
        spread = weights[..., None] * self.shares[ids].float()[:, None]  # (B, T, S, kept)
        return self.partners[ids].long().flatten(1), spread.flatten(2)

    def meaning(self, ids: Tensor, embedding: nn.Embedding) -> Tensor:
        """The mean embedding (B, S, W) of what each token stands for: read beside the token, it is a gloss.

        Decoder and encoder share the embeddings, so what was written last is easily found in the source.
        """
        return torch.einsum("bsk,bskw->bsw", self.shares[ids].float(), embedding(self.partners[ids].long()))

    def learn(self, sources: Tensor, targets: Tensor, pad: int) -> None:
        """Counts what the tokens stand for on pairs of texts (N, S) and (N, T)."""
        table = translations(sources, targets, len(self.partners), pad)
        partners, shares = likeliest(table, self.partners.shape[1])
        self.partners.copy_(partners)
        self.shares.copy_(shares)
