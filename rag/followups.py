"""A follow-up question becomes one that stands alone."""

import re
from collections.abc import Iterator, Sequence
from threading import Event

from index.analysis import terms
from ingest.language import detect_language
from rag.context_need import needs_context
from rag.conversation import Conversation, Turn
from rag.generator import Generator
from rag.phrases import LANGUAGES
from rag.types import Message, Rewritten, Sampling

_SAMPLING = Sampling(temperature=0.0, max_tokens=80, stop=("\n",))
# A subject is seldom older than this; a longer prompt costs time and leads small models astray.
_TURNS = 3
_MOST_CHARACTERS = 300
# Words of its own that a rewritten question may bring along, such as a verb for an ellipsis.
_NEW_TERMS = 0.35
_WORD = re.compile(r"\w[\w'’-]*")

_INSTRUCTIONS = {
    "es": "Reescribes la última pregunta de una conversación para que se entienda por sí sola: pones los nombres en"
    " lugar de los pronombres y añades lo que se sobreentiende. No la contestas. Escribes solo la pregunta, en"
    " español.",
    "pt": "Você reescreve a última pergunta de uma conversa para que se entenda sozinha: põe os nomes no lugar dos"
    " pronomes e acrescenta o que está subentendido. Não a responde. Escreve apenas a pergunta, em português.",
    "en": "You rewrite the last question of a conversation so that it can be understood alone: you put names in place"
    " of pronouns and add what is left unsaid. You do not answer it. You write only the question, in English.",
}
_LABELS = {
    "es": ("Pregunta", "Respuesta", "Última pregunta"),
    "pt": ("Pergunta", "Resposta", "Última pergunta"),
    "en": ("Question", "Answer", "Last question"),
}
# Question, reply, follow-up, and what it stands for.
_EXAMPLES = {
    "es": """
        ¿Quién pintó Las meninas? | Las pintó Diego Velázquez. | ¿Dónde nació? | ¿Dónde nació Diego Velázquez?
        ¿Cuántos habitantes tiene Lima? | Tiene diez millones. | ¿Y Quito? | ¿Cuántos habitantes tiene Quito?
        ¿Qué es un sismógrafo? | Registra temblores. | ¿Quién lo inventó? | ¿Quién inventó el sismógrafo?""",
    "pt": """
        Quem pintou Abaporu? | Foi Tarsila do Amaral. | Onde ela nasceu? | Onde nasceu Tarsila do Amaral?
        Quantos habitantes tem Lima? | Tem dez milhões. | E Quito? | Quantos habitantes tem Quito?
        O que é um sismógrafo? | Registra tremores. | Quem o inventou? | Quem inventou o sismógrafo?""",
    "en": """
        Who painted Las Meninas? | Diego Velázquez did. | Where was he born? | Where was Diego Velázquez born?
        How many people live in Lima? | Ten million. | And in Quito? | How many people live in Quito?
        What is a seismograph? | It records tremors. | Who invented it? | Who invented the seismograph?""",
}


def standalone(
    question: str, history: Conversation, generator: Generator, *, cancel: Event | None = None
) -> Rewritten | None:
    """The question that a follow-up stands for; None when there is no history or it stands alone.

    What the model writes is taken when it is in the language of the question, repeats no earlier question and tells
    of nothing that neither question nor history do. Otherwise the question before it and the follow-up are joined.
    """
    language = detect_language(question, candidates=LANGUAGES)
    if not history or not needs_context(question, language):
        return None
    recent = history.last(_TURNS)
    written = "".join(generator.stream(_messages(question, recent, language), _SAMPLING, cancel=cancel)).strip()
    if flaw(written, question, recent, language) is None:
        return Rewritten(written, "rewritten")
    return Rewritten(f"{recent.turns[-1].question} {question}", "joined")


def flaw(written: str, question: str, history: Conversation, language: str) -> str | None:
    """Why a rewritten question cannot be used; None when it can."""
    if not written:
        return "empty"
    if question.rstrip().endswith("?") and not written.endswith("?"):
        return "an answer, no question"
    asked = [question, *(turn.question for turn in history.turns)]
    if any(_words(written) == _words(earlier) for earlier in asked):
        return "it repeats a question"
    if detect_language(written, candidates=LANGUAGES) != language:
        return "another language"
    told = frozenset(terms("\n".join([*asked, *(turn.reply for turn in history.turns)]), language))
    if _names(written, language) - told:
        return "a name or number from elsewhere"
    used = frozenset(terms(written, language))
    return "it is about something else" if len(used - told) > _NEW_TERMS * len(used) else None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _names(text: str, language: str) -> frozenset[str]:
    """Terms of numbers, and of words with a capital that do not begin the text."""
    words = _WORD.findall(text)
    named = [word for place, word in enumerate(words) if (place and word != word.lower()) or _has_digit(word)]
    return frozenset(term for word in named for term in terms(word, language))


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))


def _messages(question: str, history: Conversation, language: str) -> Sequence[Message]:
    return (Message("system", _INSTRUCTIONS[language]), *_conversations(question, history, language))


def _conversations(question: str, history: Conversation, language: str) -> Iterator[Message]:
    """Conversations that were rewritten, as requests and replies, and the one to rewrite."""
    for line in _EXAMPLES[language].strip().splitlines():
        asked, reply, follow_up, rewritten = (part.strip() for part in line.split("|"))
        yield Message("user", _transcript([Turn(asked, reply)], follow_up, language))
        yield Message("assistant", rewritten)
    yield Message("user", _transcript(history.turns, question, language))


def _transcript(turns: Sequence[Turn], question: str, language: str) -> str:
    asks, replies, last = _LABELS[language]
    lines = []
    for turn in turns:
        lines.append(f"{asks}: {_cut(turn.question)}")
        if turn.reply:
            lines.append(f"{replies}: {_cut(turn.reply)}")
    return "\n".join([*lines, f"{last}: {_cut(question)}"])


def _cut(text: str) -> str:
    return " ".join(text.split())[:_MOST_CHARACTERS]
