"""Whether a question can be understood without what was said before it."""

import re
from functools import lru_cache

from index.analysis import fold
from index.stopwords import STOP_WORDS

_INTERROGATIVES = {
    "es": "qué cuál cuáles quién quiénes cuándo cuánto cuánta cuántos cuántas dónde cómo",
    "pt": "que quê qual quais quem quando quanto quanta quantos quantas onde como",
    "en": "what which who whom whose when where why how is are was were do does did can could will would has have",
}
# What begins by going on from something.
_CONTINUING = {
    "es": r"(?:y|e|o|pero|entonces|además|también|tampoco|qué hay de|qué tal)\b(?! qué es\b)",
    "pt": r"(?:e|ou|mas|então|além disso|também|que tal)\b",
    "en": r"(?:and|or|but|so|then|also|what about|how about|what else|who else|why not|any others?)\b",
}
# Words that stand for something named before. What may also be an article or a conjunction counts only where it
# stands as a pronoun does.
_REFERRING = {
    "es": r"él|ellos?|ellas?|ello|esos?|esas?|eso|estos?|estas?|esto|aquell[oa]s?|aquel|sus?|suy[oa]s?|les?|allí|ahí"
    r"|lo(?! que\b| más\b| de\b| mejor\b| peor\b)|(?:la|las|los)(?= \w+(?:ó|aron|ieron|aban)\b)"
    r"|(?:el|la|los|las) (?:mism[oa]s?|otr[oa]s?|anterior(?:es)?|primer[oa]s?|segund[oa]s?|últim[oa]s?)(?=\W*$)"
    r"|(?:el|la|los|las) (?:anterior(?:es)?|mencionad[oa]s?)|\w{3,}(?:[aei]r|[áé]ndo)l[oae]s?|\w*[áéí]\w*[aei]l[oa]s?",
    "pt": r"eles?|elas?|d?n?essas?|d?n?esses?|d?n?isso|d?n?isto|d?n?estas?|d?n?estes?|aquel[ea]s?|aquilo|seus?|suas?"
    r"|del[ea]s?|nel[ea]s?|lhes?|\w+-[l]?[oa]s?|ali"
    r"|(?:[oa]s?) (?:mesm[oa]s?|outr[oa]s?|primeir[oa]s?|segund[oa]s?|últim[oa]s?)(?=\W*$)|[oa]s? anterior(?:es)?",
    "en": r"it|its|he|she|they|him|her|hers|them|his|theirs?|these|those|this"
    r"|(?<!is )(?<!are )(?<!was )(?<!were )there(?! (?:is|are|was|were)\b)"
    r"|(?:of|about|after|before|with|for|from|like|do|does|did|is|was|why|mean) that(?=\W*(?:$|\band\b))"
    r"|the \w+ ones?(?=\W*$)"
    r"|that (?:one|year|time|case)|the (?:same|other|others|former|latter)(?=\W*$)|the (?:former|latter|previous)",
}
_DEFINING = {
    "es": r"(?:qué|quién|quiénes|cuál) (?:es|son|era|eran|fue|fueron|significa)\b",
    "pt": r"(?:o )?(?:que|quem|qual) (?:é|são|era|eram|foi|foram|significa)\b",
    "en": r"(?:what|who) (?:is|are|was|were|does|do)\b|what's\b|define\b",
}
_PREPOSITIONS = {
    "es": r"(?:en|de|del|con|para|por|sin|desde|hasta|sobre|según|a|al)\b",
    "pt": r"(?:em|n[oa]s?|de|d[oa]s?|com|para|por|pel[oa]s?|sem|desde|até|sobre|segundo|a|ao)\b",
    "en": r"(?:in|of|with|for|from|by|without|since|until|about|on|at|to)\b",
}
_WORD = re.compile(r"\w[\w-]*")
_OPENING = re.compile(r"^[\W_]+")


def needs_context(question: str, language: str) -> bool:
    """Whether a question leans on what was said before: by a pronoun, an ellipsis, or by being too short.

    It is decided by words alone, in microseconds. Where it is wrong, a question that stands alone is rewritten to
    much the same, or one that does not is searched as it is.
    """
    text = _OPENING.sub("", question.casefold()).strip()
    if re.match(_CONTINUING.get(language, r"(?!)"), text) or _referring(language).search(text):
        return True
    named = sum(fold(word) not in _stop_words(language) for word in _WORD.findall(text))
    if re.match(_DEFINING.get(language, r"(?!)"), text):
        return named == 0
    asks = _asks(text, language)
    if not asks and re.match(_PREPOSITIONS.get(language, r"(?!)"), text):
        return True
    return named == 0 or (asks and named == 1 and not _has_name(question))


@lru_cache(maxsize=8)
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(map(fold, STOP_WORDS.get(language, frozenset())))


@lru_cache(maxsize=8)
def _referring(language: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{_REFERRING.get(language, '(?!)')})(?![\w-])")


def _asks(text: str, language: str) -> bool:
    known = _INTERROGATIVES.get(language, "").split()
    # The interrogative need not be the first word: ¿En qué año…?
    return any(word in known for word in _WORD.findall(text)[:3])


def _has_name(question: str) -> bool:
    """Whether a word other than the first has a capital or a digit."""
    return any(not word.islower() for word in _WORD.findall(question)[1:])
