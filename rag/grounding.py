"""Ties each sentence of an answer to the span of a passage that supports it best."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.analysis import terms
from index.embedder import Vectors
from index.types import Hit
from ingest.sentences import sentence_spans
from ingest.types import Span
from rag.entailment import Entailment
from rag.facts import Evidence, evidence_of, unknown_facts
from rag.names import is_named, leading_name, word_forms

EncodeFunction = Callable[[Sequence[str]], Vectors]

# e5 puts unrelated sentences near .75 and paraphrases above .90, whatever the language.
_UNRELATED = 0.75
_PARAPHRASE = 0.92
# Share of word overlap in a support score.
_COVERAGE = 0.5
# Across languages words do not overlap; what is left to go by is weaker, so a sentence of the same language wins.
_ACROSS = 0.75
# Below this no passage carries the sentence. Of 125 sentences written about paragraphs of XQuAD, 124 had so much from
# their own, 28 from the next one of the article and 2 from another article's (docs/answers.md).
_MIN_SUPPORT = 0.4
# Across languages, and for a passage that only has the names which a better one leaves out.
_LEAST_SUPPORT = 0.25
# A passage that supports a sentence better by this is cited, though it leaves out a name that the question gave.
_CLEARLY_BETTER = 0.1
# The probability of entailment from which on a passage carries the sentence, and how many passages are judged.
_ENTAILED = 0.5
_MOST_JUDGED = 8
# A name behind fewer words is what a span tells of.
_SUBJECT_WORDS = 3
_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")


@dataclass(frozen=True, slots=True)
class Support:
    """The span of `hit.chunk.text` that supports a sentence, and how well, in [0, 1].

    `unsure` are names of the sentence that the passage, which is in another language, does not write that way, or the
    first one, where the span tells of another name in its place.
    """

    hit: Hit
    span: Span
    score: float
    unsure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence of a passage, or a row of a table with the names of its columns before it in `text`."""

    hit: Hit
    span: Span
    text: str
    terms: frozenset[str]


class Grounder:
    """Finds support in the passages of one answer; built once, asked for each sentence."""

    def __init__(
        self, hits: Sequence[Hit], encode: EncodeFunction, question: str = "", entailment: Entailment | None = None
    ) -> None:
        """`question` is what the sentences answer. `entailment` judges them in place of words and vectors."""
        self._encode = encode
        self._entailment = entailment
        self._asked = word_forms(question)
        self._candidates = [candidate for hit in hits for candidate in _candidates(hit)]
        texts = [candidate.text for candidate in self._candidates]
        self._vectors = encode(texts) if texts else np.zeros((0, 0), np.float32)  # (C, D)
        self._evidence: dict[int, Evidence] = {}
        self._weights = _weights(self._candidates)

    def support(self, sentence: str, language: str) -> Support | None:
        """The best support of a sentence; None when there are no passages."""
        return max(self._supports(sentence, language), key=lambda support: support.score, default=None)

    def verified(self, sentence: str, language: str) -> tuple[Support, ...]:
        """The support of a sentence whose every number, date and name is in the passage that supports it.

        It is one span, or two: where the passage that supports a sentence clearly best leaves out names, all of which
        the question gave, the one that has them follows it. Empty when no passage supports the sentence well enough, or
        none of those that do tells all of its facts. Names that a passage in another language may write differently
        (Court, Tribunal) are let through as `unsure`.
        """
        ordered = self._carrying(sentence, language)
        missing = [self.unknown_facts(sentence, language, one.hit) for one in ordered]
        if [] in missing:
            whole = missing.index([])
            better = self._lacking_what_was_asked(ordered[:whole], missing, ordered[whole].score)
            if better:
                return (better, ordered[whole])
            if self._is_enough(ordered[whole], language):
                return (replace(ordered[whole], unsure=_exchanged(sentence, ordered[whole])),)
        for one, facts in zip(ordered, missing, strict=True):
            if one.hit.language != language and not any(map(_has_number, facts)):
                return (replace(one, unsure=tuple(facts)),)
        return ()

    def _carrying(self, sentence: str, language: str) -> list[Support]:
        """The best span of each passage that may support a sentence, best first."""
        best: dict[int, Support] = {}
        for support in self._supports(sentence, language):
            known = best.get(support.hit.chunk.id)
            if known is None or support.score > known.score:
                best[support.hit.chunk.id] = support
        ordered = sorted(best.values(), key=lambda support: -support.score)
        if self._entailment is None:
            return [support for support in ordered if support.score >= _LEAST_SUPPORT]
        likely = ordered[:_MOST_JUDGED]
        scores = self._entailment.scores([_around(support) for support in likely], sentence)
        judged = [replace(one, score=float(score)) for one, score in zip(likely, scores, strict=True)]
        return sorted((one for one in judged if one.score >= _ENTAILED), key=lambda support: -support.score)

    def _is_enough(self, support: Support, language: str) -> bool:
        """Whether a span that may support a sentence does so alone."""
        if self._entailment is not None or support.hit.language != language:
            return True
        return support.score >= _MIN_SUPPORT

    def _lacking_what_was_asked(
        self, ordered: Sequence[Support], missing: Sequence[list[str]], score: float
    ) -> Support | None:
        """The first that is clearly better than `score` and lacks nothing but names of the question."""
        for one, facts in zip(ordered, missing, strict=False):
            given = not any(map(_has_number, facts)) and all(is_named(fact, self._asked) for fact in facts)
            if given and one.score >= max(_MIN_SUPPORT, score + _CLEARLY_BETTER):
                return one
        return None

    def unknown_facts(self, sentence: str, language: str, hit: Hit) -> list[str]:
        """Numbers, dates and names of a sentence that a passage and the titles above it do not contain."""
        evidence = self._evidence.get(hit.chunk.id)
        if evidence is None:
            told = ((text, hit.language) for text in (*hit.chunk.headings, hit.chunk.text))
            evidence = self._evidence[hit.chunk.id] = evidence_of(told)
        return unknown_facts(sentence, language, evidence)

    def _supports(self, sentence: str, language: str) -> list[Support]:
        """How well every sentence of the passages supports this one."""
        if not self._candidates:
            return []
        similar = self._encode([sentence])[0] @ self._vectors.T  # (C,)
        likeness = np.clip((similar - _UNRELATED) / (_PARAPHRASE - _UNRELATED), 0.0, 1.0)
        words = frozenset(terms(sentence, language))
        return [
            Support(one.hit, one.span, self._score(words, language, one, float(like)))
            for one, like in zip(self._candidates, likeness, strict=True)
        ]

    def _score(self, words: frozenset[str], language: str, candidate: _Candidate, likeness: float) -> float:
        total = sum(self._weights.get(word, self._weights[""]) for word in words)
        shared = sum(self._weights[word] for word in words & candidate.terms)
        coverage = shared / total if total else 0.0
        # The words alone decide between sentences that say similar things; the vectors carry over languages.
        if candidate.hit.language == language:
            return _COVERAGE * coverage + (1.0 - _COVERAGE) * likeness
        return _ACROSS * likeness


def _has_number(fact: str) -> bool:
    """Whether a fact counts or dates something, also in words, which every language has its own form for."""
    return any(map(str.isdigit, fact)) or not any(map(str.isupper, fact))


def _exchanged(sentence: str, support: Support) -> tuple[str, ...]:
    """The first name of a sentence, where the span that supports it has another one that the sentence does not have.

    "An LSTM has two gates" is supported best by what a passage about both says of the GRU. A name of the titles above
    is what a passage tells of, unless the span begins with the other one.
    """
    span = support.hit.chunk.text[support.span.start : support.span.end]
    said, told = leading_name(sentence), leading_name(span)
    if said is None or told is None:
        return ()
    (_, name), (before, other) = said, told
    titles = "" if before < _SUBJECT_WORDS else " ".join(support.hit.chunk.headings)
    known = word_forms(f"{span} {titles}")
    if any(is_named(word, known) for word in name):
        return ()
    if any(is_named(word, word_forms(sentence)) for word in other):
        return ()
    return (" ".join(name),)


def _candidates(hit: Hit) -> Iterator[_Candidate]:
    """Everything in a passage that may carry a sentence; the heading of a table tells nothing alone."""
    spans = sentence_spans(hit.chunk.text)
    texts = [hit.chunk.text[span.start : span.end] for span in spans]
    columns = ""
    for number, (span, text) in enumerate(zip(spans, texts, strict=True)):
        if not text.startswith("|"):
            columns = ""
        elif _is_rule(texts[number + 1 : number + 2]):
            columns = f"{text}\n"
            continue
        elif _is_rule([text]):
            continue
        told = columns + text
        yield _Candidate(hit, span, told, frozenset(terms(told, hit.language)))


def _is_rule(lines: Sequence[str]) -> bool:
    """Whether a line is the one under the heading of a table."""
    return any(map(_RULE.fullmatch, lines))


def _around(support: Support) -> str:
    """A span with the sentence before it and the one after, which tell what its pronouns stand for."""
    text = support.hit.chunk.text
    spans = sentence_spans(text)
    place = spans.index(support.span)
    first, last = spans[max(0, place - 1)], spans[min(len(spans) - 1, place + 1)]
    return text[first.start : last.end]


def _weights(candidates: Sequence[_Candidate]) -> dict[str, float]:
    """Inverse sentence frequency of each term; under "" that of a term that is in none."""
    counts: dict[str, int] = {}
    for candidate in candidates:
        for word in candidate.terms:
            counts[word] = counts.get(word, 0) + 1
    size = len(candidates)
    weights = {word: math.log(1 + size / count) for word, count in counts.items()}
    return weights | {"": math.log(1 + size / 0.5)}
