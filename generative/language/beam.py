"""Beam search: the likeliest text that a model can write, looked for among a few candidates at every token.

Taking the likeliest token each time cannot take back a first word that leads nowhere. Here each text is continued in
`beams` ways at once, of which the likeliest are kept; in the end that with the highest mean over its tokens wins, as
the sum alone would favour short ones.

Source: Sutskever, Vinyals & Le 2014, "Sequence to sequence learning with neural networks", section 3.2; the length as
in Wu et al. 2016, "Google's neural machine translation system", equation 14, with α = 1 and without its 5.
"""

from typing import Any, Protocol, Self

import torch
from torch import Tensor

from generative.language.sampling import Memory


class Candidates(Memory, Protocol):
    """A memory whose texts can change places."""

    def of(self, rows: Tensor) -> Self:
        """The memory of these texts (B,), in this order."""
        ...


class SearchedModel(Protocol):
    """A model of sequences (generative.language.sampling.TokenModel) with such a memory."""

    def __call__(self, ids: Tensor, memory: Any = None) -> Tensor: ...

    def memory(self, batch: int) -> Candidates: ...


@torch.no_grad()
def search(model: SearchedModel, prompt: Tensor, length: int, beams: int, stop: int) -> Tensor:
    """The best continuation (B, T + at most `length`) of each prompt; after `stop` it holds `stop` only.

    `prompt` (B · beams, T) has every prompt `beams` times, side by side.
    """
    ids, memory, unread = prompt, model.memory(len(prompt)), prompt
    first = torch.arange(0, len(prompt), beams, device=prompt.device)  # (B,)
    totals = torch.full((len(first), beams), -torch.inf, device=prompt.device)
    totals[:, 0] = 0  # the prompts of a text are alike: one of them is enough to go on from
    for _ in range(length):
        gains = model(unread, memory)[:, -1].log_softmax(-1)  # (B · beams, size)
        ended = ids[:, -1] == stop
        gains[ended] = -torch.inf
        gains[ended, stop] = 0
        totals, places = (totals.view(-1, 1) + gains).view(len(first), -1).topk(beams)
        rows = (places // gains.shape[1] + first[:, None]).flatten()
        unread = (places % gains.shape[1]).view(-1, 1)
        ids, memory = torch.cat([ids[rows], unread], 1), memory.of(rows)
        if bool((unread == stop).all()):
            break
    written = (ids[:, prompt.shape[1] :] != stop).sum(1).view_as(totals) + 1  # with the end
    return ids[first + (totals / written).argmax(1)]
