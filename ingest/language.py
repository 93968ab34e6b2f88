"""Which language a document or a question is in."""

import re
from collections.abc import Sequence
from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

DEFAULT_CANDIDATES = ("es", "pt", "en")

_WINDOWS = 10
_WINDOW_CHARACTERS = 300
_SHORT_CHARACTERS = 120
_CLOSE_CALL = 6.0  # log-odds; asking the words below it took Portuguese questions from 99.7 % right to 100 %
_NO_LANGUAGE = "zxx"
_SMALL_RELATIVES = ("an", "wa")
_WORD = re.compile(r"[^\W\d_]+")
_MARKS = re.compile(r"[¿¡ñãõêôç]")
_TELLING_BY_LANGUAGE = {  # words and letters that the other two languages hardly use
    "es": """el los las del al y en es un una con por qué quién quiénes cuándo cuánto cuántos dónde cuál
        cuáles quien quienes cuando cuanto cuantos cuantas donde cual cuales hola gracias fue son ¿ ¡ ñ""",
    "pt": """o os um uma do dos da das no na nos nas ao e em é com não quem quando onde qual quais quanto
        quantos quantas olá obrigado obrigada são foi ã õ ê ô ç""",
    "en": "the of and to in is are was were who what when where which why how do does did hello thanks",
}
_TELLING = {code: frozenset(words.split()) for code, words in _TELLING_BY_LANGUAGE.items()}


def detect_language(text: str, *, default: str = "en", candidates: Sequence[str] | None = DEFAULT_CANDIDATES) -> str:
    """The ISO 639 code of the language that most of the text is in; `default` when it has no words.

    `candidates=None` chooses among the hundred languages that the model knows well. Long texts are judged by
    windows spread over their whole length, since the beginning is often a cover in another language.
    """
    if not _WORD.search(text):
        return default
    sample = _sample(text)
    ranking = _identifier(None if candidates is None else tuple(candidates)).rank(sample)
    language, score = ranking[0]
    if language == _NO_LANGUAGE:
        return default
    close = len(ranking) > 1 and score - ranking[1][1] < _CLOSE_CALL
    if close and candidates is not None and len(sample) <= _SHORT_CHARACTERS:
        return _voted(sample, candidates) or str(language)
    return str(language)


@lru_cache(maxsize=8)
def _identifier(candidates: tuple[str, ...] | None) -> LanguageIdentifier:
    """A model restricted to the candidates, of which each set has its own, so that none is ever changed."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(candidates or list(filter(_is_common, identifier.labels)))
    return identifier


def _is_common(label: str) -> bool:
    """Languages with a code of two letters; the labels of their small relatives catch odd Spanish and English."""
    return label == _NO_LANGUAGE or (len(label) == 2 and label not in _SMALL_RELATIVES)


def _sample(text: str) -> str:
    if len(text) <= _WINDOWS * _WINDOW_CHARACTERS:
        return text
    step = (len(text) - _WINDOW_CHARACTERS) / (_WINDOWS - 1)
    starts = (round(index * step) for index in range(_WINDOWS))
    return "\n".join(text[start : start + _WINDOW_CHARACTERS] for start in starts)


def _voted(text: str, candidates: Sequence[str]) -> str | None:
    """The candidate with more telling words and letters than any other, or None."""
    lowered = text.casefold()
    found = {*_WORD.findall(lowered), *_MARKS.findall(lowered)}
    votes = sorted(((len(found & _TELLING.get(code, frozenset())), code) for code in candidates), reverse=True)
    if len(votes) > 1 and votes[0][0] == votes[1][0]:
        return None
    return votes[0][1] if votes[0][0] else None
