"""Reranking by what a passage makes a generator expect: of two close ones the better calls for the question.

Reading passages takes a generator far longer than the first comparison, so it is asked about close calls alone.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from index.rerank import Candidate, Reranker, Scores
from ingest.language import detect_language
from rag.generator import Likelihood

# The second best is told from the best where it is this near. A quarter of the questions of squad-es has such, and a
# tenth of those of xquad.es. Asked about the five nearest instead, the generator read half as much again and as many
# questions were right; docs/retrieval.md has the figures.
_MARGIN = 0.08
_AT_MOST = 2
_WEIGHT = 0.08
_ENDINGS = {
    "es": "Pregunta que este texto responde:",
    "pt": "Pergunta que este texto responde:",
    "en": "Question that this text answers:",
}


class CloseCalls:
    """A reranker whose closest calls are settled by the likelihood of the question given the passage.

    Source: Ponte & Croft 1998, "A Language Modeling Approach to Information Retrieval"; with a language model of today
    Sachan et al. 2022, "Improving Passage Retrieval with Zero-Shot Question Generation", section 2.2.
    """

    def __init__(self, first: Reranker, load: Callable[[], Likelihood]) -> None:
        """`load` gives the generator once a call is close."""
        self._first = first
        self._load = load

    @cached_property
    def _generator(self) -> Likelihood:
        return self._load()

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        """Those of the first reranker (K,) float32; close calls change places, and none falls below what was not close.

        Raises: what the generator raises.
        """
        scores = self._first.scores(question, candidates)
        order = sorted(range(len(candidates)), key=lambda place: (-float(scores[place]), candidates[place].text))
        close = [place for place in order[:_AT_MOST] if scores[order[0]] - scores[place] < _MARGIN]
        if len(close) < 2 or not question.strip():
            return scores
        ending = _ENDINGS[detect_language(question, candidates=tuple(_ENDINGS))]
        texts = [f"{candidates[place].text}\n\n{ending}" for place in close]
        likely = self._generator.log_likelihoods(texts, f" {question.strip()}")
        settled = scores[close] + _WEIGHT * np.array(likely, np.float32)
        # The scores stay and only change hands, so that what was not close keeps its place.
        scores[np.array(close)[np.argsort(-settled, kind="stable")]] = scores[close]
        return scores
