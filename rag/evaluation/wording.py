"""What a model is told to write questions and short answers, in each language."""

import re
from dataclasses import dataclass

from rag.phrases import NO_ANSWER
from rag.types import Message


@dataclass(frozen=True, slots=True)
class _Wording:
    """`ask` is the system prompt for questions, with one example; `answer` the one for short answers."""

    ask: str
    passage: str
    example: tuple[str, str, str]
    question: str
    reply: str
    answer: str


_WORDINGS = {
    "es": _Wording(
        ask=(
            "Escribes preguntas de examen sobre un texto. Escribe una sola pregunta en español que se entienda sin ver"
            " el texto: nombra a las personas, lugares o cosas de las que trata, y no digas «el texto» ni «según el"
            " autor». La respuesta son unas pocas palabras copiadas del texto, letra por letra, y no está en la"
            " pregunta."
        ),
        passage="Texto",
        example=(
            "El faro de Finisterre se construyó en 1853. Su luz alcanza 23 millas náuticas.",
            "¿Cuántas millas náuticas alcanza la luz del faro de Finisterre?",
            "23 millas náuticas",
        ),
        question="Pregunta",
        reply="Respuesta",
        answer=(
            "Respondes con las palabras exactas del texto, las menos posibles, sin frase completa."
            f" Si el texto no dice la respuesta, escribe solamente: {NO_ANSWER}"
        ),
    ),
    "pt": _Wording(
        ask=(
            "Você escreve perguntas de prova sobre um texto. Escreva uma única pergunta em português que se entenda sem"
            " ver o texto: nomeie as pessoas, os lugares ou as coisas de que trata, e não diga «o texto» nem «segundo o"
            " autor». A resposta são poucas palavras copiadas do texto, letra por letra, e não está na pergunta."
        ),
        passage="Texto",
        example=(
            "O farol da Barra foi construído em 1698. Sua luz alcança 38 milhas náuticas.",
            "Quantas milhas náuticas alcança a luz do farol da Barra?",
            "38 milhas náuticas",
        ),
        question="Pergunta",
        reply="Resposta",
        answer=(
            "Você responde com as palavras exatas do texto, o mínimo possível, sem frase completa."
            f" Se o texto não diz a resposta, escreva apenas: {NO_ANSWER}"
        ),
    ),
    "en": _Wording(
        ask=(
            "You write exam questions about a text. Write one question in English that can be understood without seeing"
            ' the text: name the people, places or things that it is about, and do not say "the text" or "according to'
            ' the author". The answer is a few words copied from the text, letter by letter, and is not in the'
            " question."
        ),
        passage="Text",
        example=(
            "The Eddystone lighthouse was rebuilt in 1882. Its light reaches 17 nautical miles.",
            "How many nautical miles does the light of the Eddystone lighthouse reach?",
            "17 nautical miles",
        ),
        question="Question",
        reply="Answer",
        answer=(
            "You answer with the exact words of the text, as few as possible, no full sentence."
            f" If the text does not give the answer, write only: {NO_ANSWER}"
        ),
    ),
}
_QUESTION = re.compile(r"^\W*(?:pregunta|pergunta|question)\W*?:\W*?(\S.*)$", re.IGNORECASE | re.MULTILINE)
_REPLY = re.compile(r"^\W*(?:respuesta|resposta|answer)\W*?:\s*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_AROUND = ' \t\r"“”«»*`'


def asking(passage: str, language: str) -> tuple[Message, ...]:
    """The request for a question about a passage, after one example."""
    words = _WORDINGS[language]
    text, question, reply = words.example
    return (
        Message("system", words.ask),
        Message("user", f"{words.passage}: {text}"),
        Message("assistant", f"{words.question}: {question}\n{words.reply}: {reply}"),
        Message("user", f"{words.passage}: {passage}"),
    )


def answering(passage: str, question: str, language: str) -> tuple[Message, ...]:
    """The request for the shortest answer that a passage gives."""
    words = _WORDINGS[language]
    text, asked, reply = words.example
    return (
        Message("system", words.answer),
        Message("user", f"{words.passage}: {text}\n{words.question}: {asked}"),
        Message("assistant", reply),
        Message("user", f"{words.passage}: {passage}\n{words.question}: {question}"),
    )


def parsed(reply: str) -> tuple[str, str] | None:
    """Question and answer of a reply, None where either is missing."""
    question, answer = _QUESTION.search(reply), _REPLY.search(reply)
    if question is None or answer is None:
        return None
    return question[1].strip(_AROUND), answer[1].strip(_AROUND)
