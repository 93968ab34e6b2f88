"""How likely it is that the retrieved passages hold the answer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from index.types import Hit


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """Logistic regression over what retrieval and the generator tell.

    `log_odds` weighs ln P(yes) − ln P(no) of the generator's reply to "do the passages hold the answer?",
    `fused` the best hit's fused score, `dense` its cosine to the question.
    """

    bias: float
    log_odds: float
    fused: float
    dense: float

    def probability(self, hits: Sequence[Hit], log_odds: float | None) -> float:
        """Probability in [0, 1]; 0 without hits. `log_odds` is None when the generator cannot tell."""
        if not hits:
            return 0.0
        dense = max(hit.dense for hit in hits)
        logit = self.bias + self.fused * hits[0].score + self.dense * dense
        if log_odds is not None:
            logit += self.log_odds * log_odds
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))


WITH_GENERATOR = ConfidenceModel(bias=-1.5, log_odds=1.5, fused=0.3, dense=0.0)
WITHOUT_GENERATOR = ConfidenceModel(bias=-1.5, log_odds=0.0, fused=0.6, dense=0.0)
# Another program's search: its scores have no known scale, so the generator decides alone.
EXTERNAL = ConfidenceModel(bias=0.0, log_odds=1.5, fused=0.0, dense=0.0)
