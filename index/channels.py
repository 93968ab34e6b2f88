"""What the dense and the lexical channel put forward for a question, in one order."""

import numpy as np
from numpy.typing import NDArray

from index.embedder import Vectors
from index.fusion import mixed, reciprocal_ranks, standardised
from index.ranking import Asked, Ranking
from index.settings import SearchSettings


def ranked_by_channels(asked: Asked, width: int, settings: SearchSettings) -> Ranking:
    """All that the channels put forward, `width` each, best first."""
    generation, vector, allowed = asked.generation, asked.vector, asked.allowed
    lexical_all = generation.lexical.scores(asked.question)
    channels = []
    if settings.channel != "lexical":
        nearest = generation.dense.search(vector[None, :], width, allowed)[1][0]
        channels.append(nearest[nearest >= 0])
    if settings.channel != "dense":
        channels.append(_top(lexical_all if allowed is None else np.where(allowed, lexical_all, 0), width))
    positions = np.unique(np.concatenate(channels))
    dense = generation.dense.similarities(vector, positions)
    lexical = lexical_all[positions]
    if settings.channel == "fused":
        background = generation.background @ vector  # (B,)
        scores = _fused(dense, lexical, background, lexical_all, settings)
    else:
        scores = dense if settings.channel == "dense" else lexical
    order = np.lexsort((generation.ids[positions], -scores))
    return Ranking(positions[order], scores[order], dense[order], lexical[order])


def _fused(
    dense: Vectors, lexical: Vectors, dense_background: Vectors, lexical_background: Vectors, settings: SearchSettings
) -> Vectors:
    if settings.fusion == "mix":
        return mixed(
            standardised(dense, dense_background), standardised(lexical, lexical_background), settings.dense_weight
        )
    by_words = np.argsort(-lexical, kind="stable")
    # What shares no word with the question has no rank in that channel.
    return reciprocal_ranks([np.argsort(-dense, kind="stable"), by_words[lexical[by_words] > 0]], len(dense))


def _top(scores: Vectors, k: int) -> NDArray[np.int64]:
    """Positions of the k best positive scores, best first; ties by position."""
    positions = np.flatnonzero(scores > 0)
    if positions.size > k:
        positions = positions[np.argpartition(-scores[positions], k - 1)[:k]]
    return positions[np.lexsort((positions, -scores[positions]))]
