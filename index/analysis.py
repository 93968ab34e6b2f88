"""Text becomes the terms of lexical search: per-language stems, accents folded, no stop words."""

import re
import unicodedata
from functools import lru_cache

import Stemmer

from index.stopwords import STOP_WORDS

_WORD = re.compile(r"[^\W_]+")
# The English stemmer knows 's; elsewhere an apostrophe parts words, as in "d'água".
_ENGLISH_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_STEMMERS = {
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french",
    "it": "italian", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish", "tr": "turkish",
}  # fmt: skip
# Snowball leaves these plurals and missing tildes apart: canções, cancao | animais | papéis | imóveis | jovens.
# Source: Orengo & Huyck 2001, "A Stemming Algorithm for the Portuguese Language", plural reduction.
_PORTUGUESE_SINGULAR = tuple(
    (re.compile(rf"(?<=\w\w){plural}$"), singular)
    for plural, singular in (
        ("(?:ções|coes|cao)", "ção"), ("(?:ões|oes|ães|ãos)", "ão"), ("ais", "al"), ("veis", "vel"), ("éis", "el"),
        ("eis", "il"), ("óis", "ol"), ("ns", "m"),
    )
)  # fmt: skip
# It leaves the plural of some short words, too: años, dias, leis.
_PLURAL_S = re.compile(r"(?<=\w\w[aeiou])s$")


def terms(text: str, language: str, *, written_in: str | None = None) -> list[str]:
    """Terms of `text` in order, repeats kept; words that are all stop words stay rather than leave nothing.

    A text `written_in` another language, such as a question to documents in `language`, has that one's stop words too.
    """
    # NFKC: ligatures of a PDF become letters. A soft hyphen is no part of its word.
    plain = unicodedata.normalize("NFKC", text).replace("\xad", "").replace("’", "'").casefold()
    words = (_ENGLISH_WORD if language == "en" else _WORD).findall(plain)
    stop = _stop_words(language) | _stop_words(written_in or language)
    kept = [word for word in words if word not in stop] or words
    return [term for term in (_term(word, language) for word in kept) if term]


def fold(text: str) -> str:
    """`text` without accents: á → a, ñ → n, ç → c."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@lru_cache(maxsize=200_000)
def _term(word: str, language: str) -> str:
    if language == "pt":
        word = _portuguese_singular(word)
    stemmer = _stemmer(language)
    # Snowball's rules look at accents, so fold after stemming.
    stem = fold(stemmer.stemWord(word) if stemmer else word)
    if language in ("es", "pt"):
        stem = _PLURAL_S.sub("", stem)
    # luz, luces
    return stem[:-1] + "c" if language == "es" and stem.endswith("z") else stem


def _portuguese_singular(word: str) -> str:
    for plural, singular in _PORTUGUESE_SINGULAR:
        if plural.search(word):
            return plural.sub(singular, word)
    return word


@lru_cache(maxsize=32)
def _stemmer(language: str) -> Stemmer.Stemmer | None:
    algorithm = _STEMMERS.get(language)
    return Stemmer.Stemmer(algorithm) if algorithm else None


@lru_cache(maxsize=32)
def _stop_words(language: str) -> frozenset[str]:
    """Stop words, also as they are typed without accents."""
    words = STOP_WORDS.get(language, frozenset())
    return words | {fold(word) for word in words}
