"""Ties each sentence of an answer to the span of a passage that supports it best."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from index.analysis import fold, terms
from index.embedder import Vectors
from index.types import Hit
from ingest.sentences import sentence_spans
from ingest.types import Span

EncodeFunction = Callable[[Sequence[str]], Vectors]

# e5 puts unrelated sentences near .75 and paraphrases above .90, whatever the language.
_UNRELATED = 0.75
_PARAPHRASE = 0.92
# Share of word overlap in a support score.
_COVERAGE = 0.5
# Across languages words do not overlap; what is left to go by is weaker, so a sentence of the same language wins.
_ACROSS = 0.75
_WORD = re.compile(r"\w[\w'’-]*")
# Thousands are also parted by spaces that do not break.
_NUMBER = re.compile(r"\d+(?:[.,:/\u00a0\u2009\u202f]\d+)*")
_THOUSANDS = re.compile(r"[., ](?=\d{3}(?!\d))")
_INNER_WORD = re.compile(r"(?<![.!?¿¡:]\s)(?<!^)(?<![¿¡\"“«])\b[^\W\d_][\w'’-]+")
# Bullets, the numbers of lists, emphasis and quotes in front of a sentence say nothing.
_OPENING = re.compile(r"\W*(?:(?:\d{1,3}[.)]|[a-z]\))\s+)?\W*")


@dataclass(frozen=True, slots=True)
class Support:
    """The span of `hit.chunk.text` that supports a sentence, and how well, in [0, 1]."""

    hit: Hit
    span: Span
    score: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    hit: Hit
    span: Span
    terms: frozenset[str]


class Grounder:
    """Finds support in the passages of one answer; built once, asked for each sentence."""

    def __init__(self, hits: Sequence[Hit], question: str, encode: EncodeFunction) -> None:
        self._encode = encode
        self._candidates = [candidate for hit in hits for candidate in _candidates(hit)]
        texts = [_text(candidate) for candidate in self._candidates]
        self._vectors = encode(texts) if texts else np.zeros((0, 0), np.float32)  # (C, D)
        told = (text for hit in hits for text in (*hit.chunk.headings, hit.chunk.text))
        self._known = _vocabulary("\n".join([question, *told]))
        self._weights = _weights(self._candidates)

    def support(self, sentence: str, language: str) -> Support | None:
        """The best support of a sentence; None when there are no passages."""
        if not self._candidates:
            return None
        similar = self._encode([sentence])[0] @ self._vectors.T  # (C,)
        likeness = np.clip((similar - _UNRELATED) / (_PARAPHRASE - _UNRELATED), 0.0, 1.0)
        words = frozenset(terms(sentence, language))
        scores = [self._score(words, language, c, float(s)) for c, s in zip(self._candidates, likeness, strict=True)]
        best = int(np.argmax(scores))
        return Support(self._candidates[best].hit, self._candidates[best].span, scores[best])

    def foreign_facts(self, sentence: str) -> list[str]:
        """Numbers and names of a sentence that neither the passages nor the question contain."""
        return [fact for fact in _facts(sentence) if not self._is_known(_key(fact))]

    def _is_known(self, key: str) -> bool:
        # Kullback–Leibler is two words of a passage; GPT-4 must not be made of a GPT-3 and a 4.
        parts = [] if any(map(str.isdigit, key)) else key.split("-")
        return key in self._known or (len(parts) > 1 and all(_key(part) in self._known for part in parts))

    def _score(self, words: frozenset[str], language: str, candidate: _Candidate, likeness: float) -> float:
        total = sum(self._weights.get(word, self._weights[""]) for word in words)
        shared = sum(self._weights[word] for word in words & candidate.terms)
        coverage = shared / total if total else 0.0
        # The words alone decide between sentences that say similar things; the vectors carry over languages.
        if candidate.hit.language == language:
            return _COVERAGE * coverage + (1.0 - _COVERAGE) * likeness
        return _ACROSS * likeness


def _candidates(hit: Hit) -> Iterator[_Candidate]:
    for span in sentence_spans(hit.chunk.text):
        yield _Candidate(hit, span, frozenset(terms(hit.chunk.text[span.start : span.end], hit.language)))


def _text(candidate: _Candidate) -> str:
    return candidate.hit.chunk.text[candidate.span.start : candidate.span.end]


def _weights(candidates: Sequence[_Candidate]) -> dict[str, float]:
    """Inverse sentence frequency of each term; under "" that of a term that is in none."""
    counts: dict[str, int] = {}
    for candidate in candidates:
        for word in candidate.terms:
            counts[word] = counts.get(word, 0) + 1
    size = len(candidates)
    weights = {word: math.log(1 + size / count) for word, count in counts.items()}
    return weights | {"": math.log(1 + size / 0.5)}


def _facts(sentence: str) -> list[str]:
    """Numbers, and words written with a capital that do not merely begin a sentence."""
    opening = _OPENING.match(sentence)
    body = sentence[opening.end() :] if opening else sentence
    return [*_NUMBER.findall(body), *(word for word in _INNER_WORD.findall(body) if word[0].isupper())]


def _vocabulary(text: str) -> frozenset[str]:
    """Every word and number of a text, and the parts of compounds, in the form in which facts are compared."""
    words = _WORD.findall(text)
    parts = (part for word in words if "-" in word for part in word.split("-"))
    return frozenset(map(_key, [*words, *parts, *_NUMBER.findall(text)]))


def _key(fact: str) -> str:
    """A form under which 1.000 and 1,000, 0,5 and 0.5, GANs and GAN, São and Sao, Christie's and Christie meet."""
    folded = fold(fact.casefold()).replace("’", "'").strip("'-")
    if folded[:1].isdigit():
        return _THOUSANDS.sub("", folded).replace(",", ".")
    return folded.removesuffix("'s").removesuffix("s")
