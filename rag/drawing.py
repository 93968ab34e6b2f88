"""The next token out of the logits of a model."""

from collections.abc import Sequence

import torch

from rag.types import Sampling


def draw(logits: torch.Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """A token id drawn from logits (V,); the most likely one at temperature 0.

    `top_p` and `min_p` are judged after the temperature has been applied, and what either of them excludes is never
    drawn. The most likely token always can be.

    Source: nucleus sampling, Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration"; min-p, Nguyen et
    al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs".
    """
    if sampling.temperature == 0.0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / sampling.temperature, dim=-1)  # (V,)
    ordered, tokens = probabilities.sort(descending=True)
    outside = ordered.cumsum(-1) - ordered >= sampling.top_p
    outside |= ordered < sampling.min_p * ordered[0]
    ordered = ordered.masked_fill(outside, 0.0)
    return int(tokens[torch.multinomial(ordered, 1, generator=random)])


def penalised(logits: torch.Tensor, written: Sequence[int], penalty: float) -> torch.Tensor:
    """Logits (V,) with the tokens that were written made less likely; a penalty of 1 changes nothing.

    Only tokens of the reply count: an answer has to repeat words of the passages.

    Source: Keskar et al. 2019, "CTRL: A Conditional Transformer Language Model for Controllable Generation", section
    4.1; as everywhere since, a negative logit is multiplied, so that it falls as well.
    """
    if penalty == 1.0 or not written:
        return logits
    seen = torch.tensor(sorted(set(written)))
    found = logits[seen]
    return logits.index_copy(0, seen, torch.where(found > 0, found / penalty, found * penalty))
