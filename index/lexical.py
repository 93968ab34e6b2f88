"""BM25 over chunks, each analysed in its own language."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from index.analysis import terms

# Lucene's form with its usual constants. Source: Robertson & Zaragoza 2009, "The Probabilistic Relevance
# Framework: BM25 and Beyond"; Kamphuis et al. 2020 for the variants.
_K1 = 1.2
_B = 0.75


class LexicalIndex:
    """BM25 scores of every chunk for a question."""

    def __init__(self, bm25: bm25s.BM25, languages: Sequence[str]) -> None:
        self._bm25 = bm25
        self._languages = tuple(languages)

    @classmethod
    def build(cls, passages: Iterable[tuple[str, str]]) -> "LexicalIndex":
        """An index of (text, language) pairs in the order of their positions; at least one."""
        vocabulary: dict[str, int] = {}
        corpus: list[list[int]] = []
        languages: set[str] = set()
        for text, language in passages:
            languages.add(language)
            corpus.append([vocabulary.setdefault(term, len(vocabulary)) for term in terms(text, language)])
        if not vocabulary:
            # BM25 is not defined without a single term; the empty one is never asked for.
            vocabulary, corpus = {"": 0}, [[0] for _ in corpus]
        # Numbered in order of appearance, not by a set's order, so that equal input gives equal files.
        bm25 = bm25s.BM25(k1=_K1, b=_B, method="lucene")
        bm25.index((corpus, vocabulary), show_progress=False)
        return cls(bm25, sorted(languages))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the indexed passages."""
        return self._languages

    def save(self, folder: Path) -> None:
        """Writes the index into `folder` as npy arrays and JSON."""
        self._bm25.save(str(folder), show_progress=False)

    @classmethod
    def load(cls, folder: Path, languages: Sequence[str]) -> "LexicalIndex":
        """The index saved in `folder`, memory-mapped."""
        return cls(bm25s.BM25.load(str(folder), mmap=True, allow_pickle=False, show_progress=False), languages)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of each passage (N,) float32.

        The question is analysed in every language of the corpus: a name or a cognate in a Spanish
        question then meets the stem that a Portuguese passage was indexed under.
        """
        known = sorted({term for language in self._languages for term in terms(question, language)})
        ids = self._bm25.get_tokens_ids(known)
        if not ids:
            return np.zeros(self._bm25.scores["num_docs"], np.float32)
        return np.asarray(self._bm25.get_scores_from_ids(ids), np.float32)
