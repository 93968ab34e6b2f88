"""How well an answer agrees with the gold answers.

Source: the conventions of SQuAD (Rajpurkar et al., 2016 and 2018), with the articles of three languages and, as
in MLQA (Lewis et al., 2020), all punctuation of Unicode.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

ARTICLES = {
    "en": frozenset({"a", "an", "the"}),
    "es": frozenset({"el", "la", "los", "las", "un", "una", "unos", "unas"}),
    "pt": frozenset({"o", "a", "os", "as", "um", "uma", "uns", "umas"}),
}
_ALL_ARTICLES = frozenset().union(*ARTICLES.values())
_ASCII_SYMBOLS = frozenset("$+<=>^`|~")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}([.,\u00a0\u202f])\d{3}(?:\1\d{3})*(?!\d)")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_INNER_POINT = re.compile(r"(?<=\d)\.(?=\d)")


def normalised(text: str, language: str | None = None) -> str:
    """The text in lower case, without punctuation and articles, words one space apart; accents are kept.

    Without a known `language` the articles of English, Spanish and Portuguese all go. A text of nothing but
    articles keeps them, since "A" or "LA" may well be the answer.
    """
    return " ".join(_tokens(text, language))


def exact_match(prediction: str, golds: Sequence[str], language: str | None = None) -> float:
    """1.0 when the normalised prediction equals a normalised gold answer, otherwise 0.0.

    Without gold answers the question is impossible, and the empty prediction is the right one.
    """
    tokens = _tokens(prediction, language)
    return float(any(tokens == _tokens(gold, language) for gold in golds or ("",)))


def f1(prediction: str, golds: Sequence[str], language: str | None = None) -> float:
    """The largest F1 in [0, 1] between the tokens of the prediction and of a gold answer.

    Without gold answers the question is impossible, and the empty prediction is the right one.
    """
    tokens = _tokens(prediction, language)
    return max(_token_f1(tokens, _tokens(gold, language)) for gold in golds or ("",))


def contains(answer: str, golds: Sequence[str], language: str | None = None) -> float:
    """1.0 when the tokens of a gold answer stand in a row in the answer, otherwise 0.0.

    Equal numbers match however they are written: 1.000 = 1,000 = 1000 and 3,5 = 3.5. Without gold answers the
    question is impossible, and the empty answer is the right one.
    """
    if not golds:
        return exact_match(answer, golds, language)
    # SQuAD joins what punctuation separates (U.S. = US), a sentence needs it apart (Houston/Dallas): either will do.
    return float(
        any(
            _in_a_row(tokens(gold, language), tokens(answer, language))
            for tokens in (_tokens, _separated_tokens)
            for gold in golds
        )
    )


def _tokens(text: str, language: str | None) -> list[str]:
    kept = "".join(character for character in _lower(text) if not _is_dropped(character))
    return _without_articles(kept.split(), language)


def _separated_tokens(text: str, language: str | None) -> list[str]:
    """Tokens with punctuation as a border, except the point inside a number."""
    text = _THOUSANDS.sub(lambda number: number.group().replace(number.group(1), ""), _lower(text))
    text = _DECIMAL_COMMA.sub(".", text)
    points = {point.start() for point in _INNER_POINT.finditer(text)}
    apart = "".join(
        " " if _is_dropped(character) and place not in points else character
        for place, character in enumerate(text)
    )
    return _without_articles(apart.split(), language)


def _lower(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())


def _is_dropped(character: str) -> bool:
    """Punctuation, and invisible characters such as a byte order mark or a soft hyphen."""
    return character in _ASCII_SYMBOLS or unicodedata.category(character)[0] == "P" or _is_invisible(character)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def _without_articles(tokens: list[str], language: str | None) -> list[str]:
    articles = ARTICLES.get(language, _ALL_ARTICLES) if language else _ALL_ARTICLES
    return [token for token in tokens if token not in articles] or tokens


def _token_f1(prediction: Sequence[str], gold: Sequence[str]) -> float:
    if not prediction or not gold:
        return float(not prediction and not gold)
    shared = (Counter(prediction) & Counter(gold)).total()
    return 2 * shared / (len(prediction) + len(gold))


def _in_a_row(short: Sequence[str], long: Sequence[str]) -> bool:
    if not short:
        return False
    starts = range(len(long) - len(short) + 1)
    return any(list(long[start : start + len(short)]) == list(short) for start in starts)
