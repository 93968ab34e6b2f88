"""The parts of a question that asks for several things, told by its words alone."""

import re
from dataclasses import dataclass

from rag.context_need import needs_context
from rag.phrases import phrases

_MOST_PARTS = 3
_AND = {"es": r"(?:y|e)", "pt": "e", "en": "and"}
# What a question asks by. Spanish writes it with an accent, which tells it from a conjunction. In Portuguese and
# English it may also go on with a clause (the city where he was born and where he died), so less is taken for one.
_ASKING = {
    "es": r"(?:(?:en|de|a|al|con|por|para|desde|hasta|sobre|según) )?"
    r"(?:qué|quién|quiénes|cuándo|cuánto|cuánta|cuántos|cuántas|dónde|cómo|cuál|cuáles)",
    "pt": r"(?:(?:em|de|a|com|por|para|desde|até|sobre) )?"
    r"(?:o que|qual|quais|quem|quando|quantos?|quantas?|onde|como|por que|(?<=em )que|(?<=de )que)",
    "en": r"(?:(?:in|on|at|of|for|by|from|to|with) )?"
    r"(?:what|who|whom|how|when|where|why|which(?= \w+(?: \w+)? (?:is|are|was|were|do|does|did|has|have|had|can)\b))",
}
# What may follow in a question without a verb: and when, and in what year.
_BARE = r"(?: (?:año|siglo|día|mes|fecha|lugar|ciudad|país|precio|motivo|ano|século|dia|mês|data|cidade|preço))?"
_QUESTION = re.compile(r"[^?]*[^?\s][^?]*\?")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things that a question asks for: `text` for a reader, `asked` as it can be understood alone."""

    text: str
    asked: str

    @property
    def stands_alone(self) -> bool:
        """Whether it can be understood without the other parts."""
        return self.asked == self.text


def parts_of(question: str, language: str) -> tuple[Part, ...]:
    """The parts of a compound question, three at most; none for one that asks for a single thing.

    A part that leans on the others is asked together with the whole question.
    """
    for divide in (_sentences, _joined_words, _clauses):
        texts = divide(" ".join(question.split()), language)
        if 2 <= len(texts) <= _MOST_PARTS:
            return tuple(_part(text, question, language) for text in texts)
    return ()


def _part(text: str, question: str, language: str) -> Part:
    if not needs_context(text, language) and (_is_naming(text) or not _is_naming(question)):
        return Part(text, text)
    return Part(text, f"{question}\n{phrases(language).only_part.format(part=text)}")


def _sentences(question: str, language: str) -> list[str]:
    """¿Qué es una GAN? ¿Quién la inventó?"""
    found = [match[0].strip() for match in _QUESTION.finditer(question)]
    asking = re.compile(rf"¿|\b{_asking(language)}\b", re.IGNORECASE)
    return found if len(found) > 1 and all(map(asking.search, found)) else []


def _joined_words(question: str, language: str) -> list[str]:
    """¿Cuándo y dónde murió Bolívar?, and ¿Quién inventó las GAN y en qué año?"""
    asking, both = _asking(language), _AND.get(language, r"(?!)")
    body = question.strip("¿? ")
    before = re.fullmatch(rf"({asking}),? {both} ({asking}) (\w.*)", body, re.IGNORECASE)
    if before:
        first, second, rest = before.groups()
        return [_asked(f"{first} {rest}", question), _asked(f"{second} {rest}", question)]
    behind = re.fullmatch(rf"({asking}) (.+?),? {both} ({asking}{_BARE})", body, re.IGNORECASE)
    if behind and language != "en":
        first, rest, second = behind.groups()
        return [_asked(f"{first} {rest}", question), _asked(f"{second} {rest}", question)]
    return []


def _clauses(question: str, language: str) -> list[str]:
    """¿Quién pintó Las meninas y en qué año nació Goya?"""
    asking, both = _asking(language), _AND.get(language, r"(?!)")
    body = question.strip("¿? ")
    if not re.match(rf"{asking}\b.*\b{both} {asking}\b", body, re.IGNORECASE):
        return []
    clauses = re.split(rf",? {both} (?={asking}\b)|, (?={asking}\b)", body, flags=re.IGNORECASE)
    return [_asked(clause, question) for clause in clauses]


def _is_naming(question: str) -> bool:
    """Whether a word other than the first has a capital or a digit."""
    return any(not word.islower() for word in re.findall(r"\w+", question)[1:])


def _asking(language: str) -> str:
    return _ASKING.get(language, r"(?!)")


def _asked(text: str, question: str) -> str:
    """A question of its own, with the signs that the whole one has."""
    opening = "¿" if question.lstrip().startswith("¿") else ""
    return f"{opening}{text[:1].upper()}{text[1:]}{'?' if question.rstrip().endswith('?') else ''}"
