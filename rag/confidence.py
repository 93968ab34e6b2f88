"""How likely it is that the retrieved passages hold the answer."""

import math

from index.types import Hit

# Set on questions of xquad and FaQuAD, each asked once of the whole set and once of the set without the article that
# answers it, and on questions of ordinary documents; docs/answers.md has the figures.
_BIAS = -1.8
_LOG_ODDS = 1.2
_QUESTION_SUPPORT = 2.5
# The fused score counts standard deviations above an ordinary passage of the corpus.
_FUSED = 0.8
_FUSED_NEUTRAL = 2.7
_FUSED_MOST = 4.0
# In a corpus of a few passages a standard deviation tells little: at this size its weight is one half.
_HALF_WEIGHT_SIZE = 50
# Assumed of a generator that cannot be asked: an answer may be tried, for it is verified all the same.
_ASSUMED_LOG_ODDS = 1.2


def confidence(best: Hit, log_odds: float | None, question_support: float, corpus_size: int | None) -> float:
    """Probability in [0, 1] that the passages hold the answer.

    `log_odds` is ln P(yes) − ln P(no) of the generator's reply to "do the passages hold the answer?", None when it
    cannot tell. `question_support` in [0, 1] is how well one sentence of the passages covers the question itself.
    `corpus_size` is the number of chunks searched, None when the scale of the scores is not known.
    """
    logit = _BIAS + _LOG_ODDS * (_ASSUMED_LOG_ODDS if log_odds is None else log_odds)
    logit += _QUESTION_SUPPORT * question_support
    if corpus_size is not None:
        weight = corpus_size / (corpus_size + _HALF_WEIGHT_SIZE)
        logit += weight * _FUSED * (min(best.score, _FUSED_MOST) - _FUSED_NEUTRAL)
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))
