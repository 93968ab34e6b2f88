"""What a model is told to write questions and short answers, in each language."""

import re
from dataclasses import dataclass

from rag.phrases import NO_ANSWER
from rag.types import Message


@dataclass(frozen=True, slots=True)
class _Wording:
    """`ask` is the system prompt for questions and `answer` that for short answers; `example` serves both."""

    ask: str
    passage: str
    example: tuple[str, str, str]
    question: str
    reply: str
    answer: str


_WORDINGS = {
    "es": _Wording(
        ask=(
            "Te dan un texto y una respuesta que está en él. Escribe una sola pregunta en español que tenga justo esa"
            " respuesta y se entienda sin ver el texto: nombra a las personas, los lugares o las cosas de las que"
            " trata. La pregunta no contiene la respuesta ni dice «el texto» o «según el autor»."
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
            "Você recebe um texto e uma resposta que está nele. Escreva uma única pergunta em português que tenha"
            " exatamente essa resposta e se entenda sem ver o texto: nomeie as pessoas, os lugares ou as coisas de que"
            " trata. A pergunta não contém a resposta nem diz «o texto» ou «segundo o autor»."
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
            "You are given a text and an answer that is in it. Write one question in English that has exactly this"
            " answer and can be understood without seeing the text: name the people, places or things that it is about."
            ' The question does not contain the answer, nor "the text" or "according to the author".'
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
# Before the question a model may repeat the label of the example.
_LABEL = re.compile(r"^\W*(?:pregunta|pergunta|question)\s*:\s*", re.IGNORECASE)
_AROUND = ' \t\r"“”«»*`'


def asking(passage: str, answer: str, language: str) -> tuple[Message, ...]:
    """The request for a question about a passage that has this answer, after one example."""
    words = _WORDINGS[language]
    text, question, reply = words.example
    return (
        Message("system", words.ask),
        Message("user", f"{words.passage}: {text}\n{words.reply}: {reply}"),
        Message("assistant", f"{words.question}: {question}"),
        Message("user", f"{words.passage}: {passage}\n{words.reply}: {answer}"),
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


def question_in(reply: str) -> str:
    """The question that a reply begins with; empty when it says nothing."""
    lines = _LABEL.sub("", reply.strip()).splitlines()
    return lines[0].strip(_AROUND) if lines else ""
