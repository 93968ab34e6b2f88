"""The rank of the first passage that answers each question, with some settings of search."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from index.search import Index
from index.settings import SearchSettings
from index.types import Hit
from rag.evaluation.questions import Question

# Ranks beyond are not asked for; what is not found has the rank infinity.
DEPTH = 10
_AT_ONCE = 32

Ranks = NDArray[np.float64]
Name = Callable[[Question, Hit], str]


def searched_ranks(
    index: Index,
    name: Name,
    questions: Sequence[Question],
    settings: SearchSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Ranks:
    """Ranks (Q,) from 1 of the answerable questions; infinity for what is not among the first ten.

    `name` gives a hit the id of the paragraph for which it counts.
    """
    ranks = np.full(len(questions), np.inf)
    # Questions about one paragraph together: the second stage keeps the passages that it read last.
    order = sorted(range(len(questions)), key=lambda place: questions[place].paragraph_id)
    for start in range(0, len(order), _AT_ONCE):
        if progress:
            progress(start, len(order))
        places = order[start : start + _AT_ONCE]
        found = index.search_many([questions[place].text for place in places], DEPTH, settings=settings)
        ranks[places] = [_rank(name, questions[place], hits) for place, hits in zip(places, found, strict=True)]
    if progress:
        progress(len(order), len(order))
    return ranks


def _rank(name: Name, question: Question, hits: Sequence[Hit]) -> float:
    # Chunks of one paragraph take one rank, as in the other figures.
    names = list(dict.fromkeys(name(question, hit) for hit in hits))
    return next((float(rank) for rank, key in enumerate(names, 1) if key in question.relevant_ids), np.inf)
