"""What is known of a text before it is translated: a dictionary's words in it, and how the closest known text was.

An encoder that reads "And his fame went forth" is given "And his fama went forth", as rare words are what it cannot
learn from few texts and what a dictionary is good at, and behind it, on a line of its own, what the closest text that
was translated became. What of both goes into the target, and in which form, is left to the network.

Source: Song et al. 2019, "Code-switching for enhancing NMT with pre-specified translation", section 3; Bulté & Tezcan
2019, "Neural fuzzy repair: integrating fuzzy matches into neural machine translation", section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from generative.language.word_lexicon import WORDS, WordLexicon

_COMMON = 0.01  # of the texts; a network learns such a word, and each of its senses, from the texts themselves
_TELLING = 0.05  # of the texts; words of more say little about which texts are close


@dataclass(frozen=True, slots=True)
class Hints:
    """A dictionary and a memory of translated texts, each of a group, a book for one."""

    lexicon: WordLexicon
    vectoriser: TfidfVectorizer
    vectors: Any
    """(N, features), sparse, of unit length."""
    targets: list[str]
    groups: np.ndarray
    """(N,)"""

    @classmethod
    def fit(cls, sources: Sequence[str], targets: Sequence[str], groups: Sequence[int]) -> "Hints":
        """Learns both from translated texts."""
        vectoriser = TfidfVectorizer(
            ngram_range=(1, 2), max_df=_TELLING, sublinear_tf=True, token_pattern=WORDS.pattern, dtype=np.float32
        )
        vectors = vectoriser.fit_transform(sources)
        lexicon = WordLexicon.fit(sources, targets, most=_COMMON)
        return cls(lexicon, vectoriser, vectors, list(targets), np.asarray(groups))

    def beside(self, texts: Sequence[str], group: int) -> list[str]:
        """The texts of a group with their hints; the closest text is looked for in the other groups.

        In its own group it would be closer than a text of a new group can hope for.
        """
        others = np.flatnonzero(self.groups != group)
        closeness = self.vectoriser.transform(texts) @ self.vectors[others].T  # (texts, others)
        closest = others[np.asarray(closeness.argmax(1)).ravel()]
        return [
            f"{self.lexicon.translate(text)}\n{self.targets[number]}"
            for text, number in zip(texts, closest, strict=True)
        ]


def closest_known(hinted: str) -> str:
    """What the closest known text became, out of a text with its hints."""
    return hinted.rpartition("\n")[2]
