"""Text becomes the terms of lexical search: per-language stems, accents folded, no stop words."""

import re
import unicodedata
from functools import lru_cache

import Stemmer

from index.stopwords import STOP_WORDS

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_STEMMERS = {
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french",
    "it": "italian", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish", "tr": "turkish",
}  # fmt: skip


def terms(text: str, language: str) -> list[str]:
    """Terms of `text` in order, repeats kept; words that are all stop words stay rather than leave nothing."""
    words = [word.group().casefold() for word in _WORD.finditer(unicodedata.normalize("NFC", text))]
    stop = STOP_WORDS.get(language, frozenset())
    kept = [word for word in words if word not in stop] or words
    return [_term(word, language) for word in kept]


def fold(text: str) -> str:
    """`text` without accents: á → a, ñ → n, ç → c."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@lru_cache(maxsize=200_000)
def _term(word: str, language: str) -> str:
    stemmer = _stemmer(language)
    # Snowball's rules look at accents, so fold after stemming.
    return fold(stemmer.stemWord(word) if stemmer else word)


@lru_cache(maxsize=32)
def _stemmer(language: str) -> Stemmer.Stemmer | None:
    algorithm = _STEMMERS.get(language)
    return Stemmer.Stemmer(algorithm) if algorithm else None
