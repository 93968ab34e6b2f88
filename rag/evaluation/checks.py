"""Which generated questions are worth a person's time: each check names what is wrong."""

import re
from collections.abc import Iterable, Sequence

from index.analysis import terms
from ingest.language import detect_language
from ingest.sentences import sentence_spans
from rag.evaluation.answers import contains, f1

_QUESTION_WORDS = (4, 32)
_ANSWER_WORDS = 12
_ANSWER_CHARACTERS = 120
# Of the terms of two questions together, the share that both have.
_ALIKE = 0.7
# A short answer in other words, such as "in 1853" for "1853", still agrees.
_AGREEING_F1 = 0.5
_SELF_REFERENCE = re.compile(
    r"\b(?:el|este|ese|del|al|un|o|no|do|neste|nesse|deste|the|this|that)\s+"
    r"(?:siguiente\s+|seguinte\s+|above\s+|given\s+|following\s+)?"
    r"(?:texto|pasaje|fragmento|párrafo|extracto|trecho|parágrafo|excerto|text|passage|paragraph|excerpt|snippet)\b"
    r"|\b(?:[ae]sta|nesta|desta|na|a) passagem\b"
    r"|\b(?:según|segundo|de acordo com|according to)\s+(?:el|la|o|a|the)\s+(?:autor[a]?|author|documento?|document)\b",
    re.IGNORECASE,
)


def problem(question: str, span: str, passage: str, language: str) -> str | None:
    """What makes a question with its answer useless, in a word or two; None when nothing does."""
    words = len(question.split())
    known = set(terms(passage, language))
    asked = set(terms(question, language))
    checks = (
        ("no question mark", not question.endswith("?")),
        ("too short", words < _QUESTION_WORDS[0] or len(asked) < 2),
        ("too long", words > _QUESTION_WORDS[1]),
        ("answer not in the passage", not span.strip() or span not in passage),
        ("answer too long", len(span.split()) > _ANSWER_WORDS or len(span) > _ANSWER_CHARACTERS),
        ("answer in the question", bool(contains(question, [span], language))),
        ("about the text itself", _SELF_REFERENCE.search(question) is not None),
        ("other language", detect_language(question, default=language) != language),
        ("not about the passage", len(asked & known) < 2),
    )
    return next((name for name, holds in checks if holds), None)


def agrees(prediction: str, span: str, language: str) -> bool:
    """Whether a model's answer from the passage is the span, give or take a word."""
    return f1(prediction, [span], language) >= _AGREEING_F1 or bool(contains(prediction, [span], language))


class Asked:
    """The questions so far, so that no two are nearly alike."""

    def __init__(self, questions: Iterable[tuple[str, str]] = ()) -> None:
        """`questions` with their languages."""
        self._terms = [frozenset(terms(question, language)) for question, language in questions]

    def has_like(self, question: str, language: str) -> bool:
        """Whether most of the terms are those of one that was asked."""
        new = frozenset(terms(question, language))
        return any(len(new & old) >= _ALIKE * len(new | old) for old in self._terms)

    def add(self, question: str, language: str) -> None:
        """Remembers a question."""
        self._terms.append(frozenset(terms(question, language)))


def supported(question: str, needed: str, passages: Sequence[tuple[str, str]]) -> bool:
    """Whether a sentence of the (text, language) passages holds `needed` and half of what else is asked."""
    return any(
        _says(passage[span.start : span.end], language, question, needed)
        for passage, language in passages
        for span in sentence_spans(passage)
    )


def _says(sentence: str, language: str, question: str, needed: str) -> bool:
    said = set(terms(sentence, language))
    key = set(terms(needed, language))
    rest = set(terms(question, language)) - key
    return bool(key) and key <= said and len(rest & said) * 2 >= len(rest)
