"""Reranking by late interaction: every token of the question finds its best match in the passage.

One vector a passage blurs what each sentence says. The states of its tokens are in the same model, and comparing them
one by one tells passages of one topic apart. Nothing is stored: the few candidates of a question are read anew.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from index.embedder import Embedder
from index.fusion import standardised
from index.rerank import Candidate, Scores
from index.token_states import TokenStates

# Layers 9 and 12 of twelve. The last one is what the model was trained to pool; below it, states are closer to words.
_DEPTHS = (0.75, 1.0)
# An answer lies within a sentence or two: windows are two adjacent blocks of 24 tokens.
_BLOCK = 24
# Fitted by listwise softmax on half of the questions of five sets; docs/retrieval.md has the figures of the other half.
_WHOLE = 0.40
_WINDOW = 0.60
_COVERAGE = 0.13
_COSINE = 0.016
# Passages whose states are kept, about 0.6 MB each: the next question of a conversation is often about the same ones.
_REMEMBERED = 128


class LateInteraction:
    """Compares tokens of the embedder, each centred by the mean of the candidates.

    Source: MaxSim of Khattab & Zaharia 2020, "ColBERT", section 3.3, without its training; centring after
    Mu & Viswanath 2018, "All-but-the-Top".
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: OrderedDict[str, TokenStates] = OrderedDict()
        self._lock = Lock()

    def scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        """A score for each candidate (K,) float32, mostly in [0, 1.2]; it depends on the others, not on their order.

        Raises: RerankError for an embedder without states of tokens.
        """
        if not candidates:
            return np.zeros(0, np.float32)
        # In one order sums are rounded in one way.
        order = sorted(range(len(candidates)), key=lambda place: (candidates[place].text, candidates[place].cosine))
        sorted_scores = self._scores(question, [candidates[place] for place in order])
        scores = np.empty(len(order), np.float32)
        scores[order] = sorted_scores
        return scores

    def _scores(self, question: str, candidates: Sequence[Candidate]) -> Scores:
        asked = self._embedder.query_states([question], _DEPTHS)[0]
        passages = self._passages([candidate.text for candidate in candidates])
        whole, window = _late(asked, passages)
        cosine = np.array([candidate.cosine for candidate in candidates], np.float32)
        coverage = np.array([candidate.coverage for candidate in candidates], np.float32)
        late = _WHOLE * whole + _WINDOW * window
        # In deviations, as the spread of cosines differs between embedders.
        return np.asarray(late + _COVERAGE * coverage + _COSINE * standardised(cosine, cosine), np.float32)

    def _passages(self, texts: Sequence[str]) -> list[TokenStates]:
        """The states of each text, as they are kept; the model reads those that are new."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
        new = list(dict.fromkeys(text for text in texts if text not in found))
        found |= zip(new, self._embedder.passage_states(new, _DEPTHS), strict=True)
        with self._lock:
            for text in dict.fromkeys(texts):
                self._known[text] = found[text]
                self._known.move_to_end(text)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return [found[text] for text in texts]


def _late(question: TokenStates, passages: Sequence[TokenStates]) -> tuple[Scores, Scores]:
    """How well the question's tokens are matched on average, in each passage and in its best window (K,)."""
    kept = question.words if question.words.any() else np.ones(len(question.ids), np.bool_)
    lengths = [len(passage.ids) for passage in passages]
    if not kept.any() or not sum(lengths):
        nothing = np.zeros(len(passages), np.float32)
        return nothing, nothing
    layers = [
        _similarities(np.concatenate([passage.layers[depth] for passage in passages]), question.layers[depth, kept])
        for depth in range(len(question.layers))
    ]
    similarities = np.split(np.mean(layers, axis=0), np.cumsum(lengths)[:-1])
    weights = _weights(question.ids[kept], [passage.ids for passage in passages])
    matches = [_block_matches(passage) for passage in similarities]
    whole = [float(blocks.max(axis=0) @ weights) for blocks in matches]
    pairs = [np.maximum(blocks[:-1], blocks[1:]) if len(blocks) > 1 else blocks for blocks in matches]
    return np.array(whole, np.float32), np.array([(pair @ weights).max() for pair in pairs], np.float32)


def _similarities(states: NDArray[np.float32], question: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines (T, Q) of the candidates' tokens (T, D) and the question's (Q, D), centred by the mean of the former.

    Centring the products instead of the states saves a copy of them, which took most of the time.
    """
    mean = states.mean(axis=0)
    asked = question - mean
    asked /= np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-9)
    products = states @ np.vstack((asked, mean)).T  # (T, Q + 1)
    squared = np.einsum("td,td->t", states, states) - 2 * products[:, -1] + mean @ mean
    norms = np.sqrt(np.maximum(squared, 1e-9))
    return np.asarray((products[:, :-1] - asked @ mean) / norms[:, None], np.float32)


def _weights(question: NDArray[np.int64], passages: Sequence[NDArray[np.int64]]) -> Scores:
    """The inverse frequency of each token of the question among the candidates (Q,), adding up to 1.

    Candidates are like the question; as many others, none with the token, are thought of besides.
    """
    having = Counter(token for passage in passages for token in set(passage.tolist()))
    found = np.array([having[token] for token in question.tolist()], np.float32)
    weights = np.log1p((2 * len(passages) - found + 0.5) / (found + 0.5))
    return np.asarray(weights / weights.sum(), np.float32)


def _block_matches(similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The best similarity (T, Q) to each token of the question in every block of tokens (B, Q); a rest joins the last.

    A passage without tokens is one block without a match.
    """
    if not len(similarities):
        return np.zeros((1, similarities.shape[1]), np.float32)
    starts = np.arange(max(1, round(len(similarities) / _BLOCK))) * _BLOCK
    return np.maximum.reduceat(similarities, starts, axis=0)
