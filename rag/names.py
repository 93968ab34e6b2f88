"""Names in a text, and the forms under which a name in a sentence and in a passage meet."""

import re
from collections.abc import Iterator

from index.analysis import fold
from index.stopwords import STOP_WORDS
from rag.name_words import ALIASES, OPENERS

# Letters and digits: GANs, GPT-4, XLM-R, H2O, Christie's.
_TOKEN = re.compile(r"\w+(?:['’.&–-]\w+)*")
_JOINT = re.compile(r"['’.&–-]")
_OPENS = re.compile(r"(?:^|[.!?¿¡:]\s+|[¿¡\"“«(\[]|\n)\W*\Z")
_OPENING_WINDOW = 6
# Ends of ordinary words, which names do not have, among them those of the past tense in Spanish and Portuguese.
_COMMON_END = re.compile(
    r"(?:mente|ción|ciones|ção|ções|dad|dades|dade|tion|tions|ness|ndo|ly|ó|ou|iu"
    r"|[ai]rán|\w\w(?:aron|ieron|aban|ían|aram|eram|iram|avam))\Z"
)
# Spanish and Portuguese leave the subject out: "Mide 5 km", "Vive en París". What follows tells these verbs from names,
# of which only some that end alike and stand before a preposition are taken for one.
_PRESENT = re.compile(
    r"(?i:\w{1,8}[ae]n?)\s(?!d[aeo]s?\b|del\b)"
    r"(?:\d|(?:a|al|ao|com|con|e|el|em|en|la|las|lo|los|na|nas|no|nos|o|os|por|um|uma|un|una|varios|varias)\b)"
)
# How neither Spanish nor Portuguese spells its verbs, and foreign names often are: Goethe, Kafka, Newcastle, Stone.
_FOREIGN = re.compile(
    r"[kw]|[^aeiouclndsxáéíóúâêôãõ\W]h|tz|([bdfgjmptvz])\1|\As[^aeiouáéíóúâêôãõ\W]|\A(?:dh|pf|ts)", re.IGNORECASE
)


def names(text: str, accented: str) -> Iterator[re.Match[str]]:
    """Words with a capital inside a sentence, and words of letters and digits.

    The word that begins a sentence has a capital, whatever it is; it counts when another capital follows it.
    `accented` is the text with its accents, each character in the same place.
    """
    found = list(_TOKEN.finditer(text))
    for word, following in zip(found, [*found[1:], None], strict=False):
        inside = not _opens(text, word.start())
        joined = _is_joined(text, word, following) and not is_ordinary(accented[slice(*word.span())])
        if _is_code(word[0]) or (_has_capital(word[0]) and (inside or joined)):
            yield word


def leading_name(text: str) -> tuple[int, tuple[str, ...]] | None:
    """How many words stand before the first name of a text, and the words of that name; None where it names nothing."""
    found = list(names(text, text))
    if not found:
        return None
    together = [found[0]]
    for word in found[1:]:
        if text[together[-1].end() : word.start()] != " ":
            break
        together.append(word)
    before = sum(1 for _ in _TOKEN.finditer(text, 0, together[0].start()))
    return before, tuple(word[0] for word in together)


def opening_words(text: str, accented: str) -> Iterator[re.Match[str]]:
    """Words that begin a sentence and may be a name, as nothing about them says that they are ordinary.

    `accented` is the text with its accents, each character in the same place.
    """
    for word in _TOKEN.finditer(text):
        if not word[0][0].isupper() or _is_code(word[0]) or not _opens(text, word.start()):
            continue
        if is_ordinary(accented[slice(*word.span())]):
            continue
        if not _PRESENT.match(accented, word.start()) or _FOREIGN.search(word[0]):
            yield word


def name_forms(word: str) -> frozenset[str]:
    """The forms of a name: without accents, possessive and plural, and one form for what languages call differently."""
    plain = fold(word.casefold()).replace("’", "'").replace("–", "-").strip("'-.")
    plain = plain.removesuffix("'s")
    forms = {plain}
    if len(plain) > 3 and not plain[-1].isdigit():
        forms |= {plain.removesuffix("s"), plain.removesuffix("es")}
    forms |= {f"={ALIASES[plain]}"} if plain in ALIASES else set()
    return frozenset(forms)


def word_forms(text: str) -> frozenset[str]:
    """The forms of every word of a text, and of the parts of compounds."""
    forms: set[str] = set()
    for found in _TOKEN.finditer(text):
        parts = _JOINT.split(found[0])
        for part in {found[0], *parts}:
            forms |= name_forms(part)
    return frozenset(forms)


def is_named(word: str, known: frozenset[str]) -> bool:
    """Whether a name is among the known forms; a compound also by its parts, unless it has a digit.

    Kullback–Leibler is two words of a passage; GPT-4 must not be made of a GPT-3 and a 4.
    """
    if name_forms(word) & known:
        return True
    parts = _JOINT.split(word)
    return len(parts) > 1 and not any(map(str.isdigit, word)) and all(name_forms(part) & known for part in parts)


def is_ordinary(word: str) -> bool:
    """Whether a word is one that begins sentences without being a name."""
    plain = fold(word.casefold())
    if plain in OPENERS or _COMMON_END.search(word.casefold()):
        return True
    return any(word.casefold() in words or plain in words for words in STOP_WORDS.values())


def _is_code(word: str) -> bool:
    return any(map(str.isdigit, word)) and any(map(str.isalpha, word))


def _has_capital(word: str) -> bool:
    # A letter alone is an initial or a label.
    return len(word) > 1 and any(map(str.isupper, word))


def _is_joined(text: str, word: re.Match[str], following: re.Match[str] | None) -> bool:
    """Whether another capital follows."""
    return following is not None and following[0][0].isupper() and text[word.end() : following.start()] == " "


def _opens(text: str, start: int) -> bool:
    before = text[max(0, start - _OPENING_WINDOW) : start]
    return _OPENS.search(before) is not None and (start <= _OPENING_WINDOW or before.strip(" ") != "")
