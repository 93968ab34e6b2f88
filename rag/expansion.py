"""What is searched besides a question: a passage that might answer it, and the parts of a question that asks for two.

The generator writes both, so they cost about as much as a short answer. Both are off unless asked for.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from ingest.language import detect_language
from rag.conversation import Conversation
from rag.followups import flaw
from rag.generator import Generator
from rag.phrases import LANGUAGES
from rag.types import Message, Sampling

_PASSAGE = Sampling(temperature=0.0, max_tokens=80, seed=0)
_PARTS = Sampling(temperature=0.0, max_tokens=120, seed=0)
_MOST_PARTS = 3
_WORD = re.compile(r"\w+")

_WRITE_PASSAGE = {
    "es": "Escribes, en una o dos frases y en español, un pasaje de enciclopedia que responde a la pregunta. Cuando no"
    " sabes un dato, pones uno verosímil. Escribes solo el pasaje.",
    "pt": "Você escreve, em uma ou duas frases e em português, um trecho de enciclopédia que responde à pergunta."
    " Quando não sabe um dado, põe um plausível. Escreve apenas o trecho.",
    "en": "You write, in one or two sentences and in English, a passage of an encyclopaedia that answers the question."
    " Where you do not know a fact, you put a plausible one. You write only the passage.",
}
_SPLIT = {
    "es": "Divides una pregunta que pide varias cosas en preguntas que se entienden por sí solas, una por línea."
    " Repites los nombres en cada una. Si pide una sola cosa, la copias. No contestas.",
    "pt": "Você divide uma pergunta que pede várias coisas em perguntas que se entendem sozinhas, uma por linha."
    " Repete os nomes em cada uma. Se pede uma só coisa, copia-a. Não responde.",
    "en": "You divide a question that asks for several things into questions that can be understood alone, one a line."
    " You repeat the names in each. If it asks for one thing only, you copy it. You do not answer.",
}
# A compound question and its parts, then one that only looks like one.
_SPLIT_EXAMPLES: Mapping[str, Sequence[tuple[str, str]]] = {
    "es": (
        (
            "¿Quién pintó Las meninas y en qué año nació Goya?",
            "¿Quién pintó Las meninas?\n¿En qué año nació Goya?",
        ),
        ("¿Qué ríos pasan por Zaragoza y Tudela?", "¿Qué ríos pasan por Zaragoza y Tudela?"),
        ("¿Cuándo y dónde murió Bolívar?", "¿Cuándo murió Bolívar?\n¿Dónde murió Bolívar?"),
    ),
    "pt": (
        (
            "Quem pintou Abaporu e em que ano nasceu Portinari?",
            "Quem pintou Abaporu?\nEm que ano nasceu Portinari?",
        ),
        ("Que rios passam por Recife e Olinda?", "Que rios passam por Recife e Olinda?"),
        ("Quando e onde morreu Bolívar?", "Quando morreu Bolívar?\nOnde morreu Bolívar?"),
    ),
    "en": (
        (
            "Who painted Las Meninas and in what year was Goya born?",
            "Who painted Las Meninas?\nIn what year was Goya born?",
        ),
        ("Which rivers flow through Leeds and York?", "Which rivers flow through Leeds and York?"),
        ("When and where did Bolívar die?", "When did Bolívar die?\nWhere did Bolívar die?"),
    ),
}
# Without one of these, or a second question mark, a question asks for one thing.
_JOINING = {
    "es": frozenset(("y", "e", "además", "también")),
    "pt": frozenset(("e", "além", "também")),
    "en": frozenset(("and", "also")),
}


class QueryExpander:
    """Has a generator write what else is searched.

    Source: hypothetical passages, Gao et al. 2023, "Precise Zero-Shot Dense Retrieval without Relevance Labels",
    section 3.2; parts, Press et al. 2023, "Measuring and Narrowing the Compositionality Gap", section 3.
    """

    def __init__(self, load: Callable[[], Generator], *, hypothetical: bool, decompose: bool) -> None:
        """`load` gives the generator once something is to be written."""
        self._load = load
        self._hypothetical = hypothetical
        self._decompose = decompose

    @cached_property
    def _generator(self) -> Generator:
        return self._load()

    def passage(self, question: str) -> str | None:
        """A passage that might answer the question; None where that is not wanted or nothing of use was written."""
        if not self._hypothetical or not question.strip():
            return None
        language = detect_language(question, candidates=LANGUAGES)
        messages = (Message("system", _WRITE_PASSAGE[language]), Message("user", question))
        written = "".join(self._generator.stream(messages, _PASSAGE)).strip()
        return written or None

    def parts(self, question: str) -> tuple[str, ...]:
        """The questions that a compound one consists of, three at most; none for one that asks for one thing.

        A part in another language, or about something that the question does not name, spoils them all.
        """
        language = detect_language(question, candidates=LANGUAGES)
        if not self._decompose or not _may_be_compound(question, language):
            return ()
        written = "".join(self._generator.stream(_split_messages(question, language), _PARTS))
        parts = tuple(dict.fromkeys(line.strip() for line in written.splitlines() if line.strip()))
        if not 2 <= len(parts) <= _MOST_PARTS:
            return ()
        flaws = (flaw(part, question, Conversation(), language) for part in parts)
        return () if any(flaws) else parts


def _may_be_compound(question: str, language: str) -> bool:
    words = _WORD.findall(question.casefold())
    return question.count("?") > 1 or bool(_JOINING[language].intersection(words))


def _split_messages(question: str, language: str) -> Sequence[Message]:
    examples = [
        message
        for compound, parts in _SPLIT_EXAMPLES[language]
        for message in (Message("user", compound), Message("assistant", parts))
    ]
    return (Message("system", _SPLIT[language]), *examples, Message("user", question))
