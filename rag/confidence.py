"""How likely it is that the retrieved passages hold the answer."""

import math

from index.types import Hit

# Logistic regression on questions of xquad and FaQuAD, each asked once of the whole set and once of the set without
# the article that answers it; the command and the figures are in docs/answers.md.
_LOG_ODDS = 1.2
_BIAS = -1.1
# The fused score counts standard deviations above an ordinary passage of the corpus.
_FUSED_NEUTRAL = 2.4
# Without the generator's opinion an answer may be tried: it is verified sentence by sentence all the same.
_NO_OPINION = 0.5
# In a corpus of a few passages a standard deviation tells little: at this size its weight is one half.
_HALF_WEIGHT_SIZE = 50


def confidence(best: Hit, log_odds: float | None, corpus_size: int | None) -> float:
    """Probability in [0, 1] that the passages hold the answer.

    `log_odds` is ln P(yes) − ln P(no) of the generator's reply to "do the passages hold the answer?", None when it
    cannot tell. `corpus_size` is the number of chunks searched, None when the scores' scale is not known.
    """
    logit = _NO_OPINION if log_odds is None else _LOG_ODDS * log_odds + _BIAS
    if corpus_size is not None:
        weight = corpus_size / (corpus_size + _HALF_WEIGHT_SIZE)
        logit += weight * (best.score - _FUSED_NEUTRAL)
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))
