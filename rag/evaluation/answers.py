"""How well an answer agrees with the gold answers.

Source: the conventions of SQuAD (Rajpurkar et al., 2016 and 2018), with the articles of three languages and,
as in MLQA (Lewis et al., 2020), all punctuation of Unicode.
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
    return float(any(_contains(answer, gold, language) for gold in golds))


def _contains(answer: str, gold: str, language: str | None) -> bool:
    # SQuAD joins what punctuation separates (U.S. = US), prose needs it apart (Houston/Dallas): either will
    # do. Joined, though, 3.5 would be 35.
    has_digit = any(character.isdigit() for character in gold)
    return any(
        _in_a_row(_without_articles(words(gold), language), _without_articles(words(answer), language))
        # With the articles too, for the answer that is one: grade A.
        or _in_a_row(words(gold), words(answer))
        for words in ((_separated_words,) if has_digit else (_separated_words, _joined_words))
    )


def _tokens(text: str, language: str | None) -> list[str]:
    return _without_articles(_joined_words(text), language)


def _joined_words(text: str) -> list[str]:
    return "".join(character for character in _lower(text) if not _is_punctuation(character)).split()


def _separated_words(text: str) -> list[str]:
    """Words with punctuation as a border, except the point inside a number."""
    text = _THOUSANDS.sub(lambda number: number.group().replace(number.group(1), ""), _lower(text))
    text = _DECIMAL_COMMA.sub(".", text)
    points = {point.start() for point in _INNER_POINT.finditer(text)}
    return "".join(
        " " if _is_punctuation(character) and place not in points else character for place, character in enumerate(text)
    ).split()


def _lower(text: str) -> str:
    """Lower case, accents in one form, no invisible characters such as byte order marks and soft hyphens."""
    composed = unicodedata.normalize("NFC", text.lower())
    return "".join(character for character in composed if unicodedata.category(character) != "Cf")


def _is_punctuation(character: str) -> bool:
    return character in _ASCII_SYMBOLS or unicodedata.category(character)[0] == "P"


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
