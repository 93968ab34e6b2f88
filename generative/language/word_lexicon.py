"""A dictionary learnt by counting: for each word of one language the word of another that comes with it most.

Dice(e, f) = 2 · texts with both / (texts with e + texts with f)

Source: Smadja et al. 1996, "Translating collocations for bilingual lexicons", section 6.1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

WORDS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class WordLexicon:
    """The partner of each word, in lower case."""

    partners: dict[str, str]

    @classmethod
    def fit(cls, sources: Sequence[str], targets: Sequence[str], most: float = 1.0) -> "WordLexicon":
        """The lexicon of pairs of texts, for the words that at most this share of the sources has."""
        counters = [CountVectorizer(binary=True, token_pattern=WORDS.pattern) for _ in range(2)]
        read, written = (one.fit_transform(texts) for one, texts in zip(counters, (sources, targets), strict=True))
        both = (read.T @ written).tocoo()  # (words of the sources, words of the targets): texts with both
        alone, other = (np.asarray(one.sum(0)).ravel() for one in (read, written))
        dice = 2 * both.data / (alone[both.row] + other[both.col])
        order = np.lexsort((dice, both.row))
        best = order[np.flatnonzero(np.diff(both.row[order], append=-1))]  # the last, so the best, of each word
        best = best[alone[both.row[best]] <= most * len(sources)]
        words, partners = (one.get_feature_names_out() for one in counters)
        return cls(dict(zip(words[both.row[best]].tolist(), partners[both.col[best]].tolist(), strict=True)))

    def translate(self, text: str) -> str:
        """The text, word by word in the same order and with the same punctuation; unknown words stay."""
        return WORDS.sub(lambda match: self._partner(match.group()), text)

    def _partner(self, word: str) -> str:
        found = self.partners.get(word.lower(), word)
        return found.capitalize() if word[0].isupper() else found
