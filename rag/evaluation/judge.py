"""A model says whether an answer says what was expected.

It judges by meaning what `contains` and F1 judge by words, so "dos tercios" may pass for "una mayoría de dos tercios".
How far it can be trusted is told by ratings of a person (`rag.evaluation.ratings`).

Source: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", with a reference answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rag.generator import Chooser, Generator
from rag.phrases import phrases
from rag.types import Message, Sampling


@dataclass(frozen=True, slots=True)
class _Wording:
    task: str
    request: str


_WORDINGS = {
    "es": _Wording(
        "Corriges respuestas. Te dan una pregunta, la respuesta correcta y la respuesta de un alumno.",
        "Pregunta: {question}\nRespuesta correcta: {expected}\nRespuesta del alumno: {answer}\n"
        "¿Dice el alumno lo mismo que la respuesta correcta, aunque sea con otras palabras? Responde solo Sí o No.",
    ),
    "pt": _Wording(
        "Você corrige respostas. Recebe uma pergunta, a resposta correta e a resposta de um aluno.",
        "Pergunta: {question}\nResposta correta: {expected}\nResposta do aluno: {answer}\n"
        "O aluno diz o mesmo que a resposta correta, ainda que com outras palavras? Responda apenas Sim ou Não.",
    ),
    "en": _Wording(
        "You grade answers. You are given a question, the correct answer and the answer of a student.",
        "Question: {question}\nCorrect answer: {expected}\nThe student's answer: {answer}\n"
        "Does the student say the same as the correct answer, even if in other words? Reply only Yes or No.",
    ),
}
_YES_OR_NO = Sampling(temperature=0.0, max_tokens=4)


def verdict(generator: Generator, question: str, expected: Sequence[str], answer: str, language: str) -> float:
    """P(yes) in [0, 1] that an answer says what one of the expected ones does.

    A generator that cannot weigh replies writes one: then it is 1 or 0.

    Raises: errors of the generator.
    """
    wording, words = _WORDINGS.get(language, _WORDINGS["en"]), phrases(language)
    request = wording.request.format(question=question, expected=" / ".join(dict.fromkeys(expected)), answer=answer)
    messages = (Message("system", wording.task), Message("user", request))
    if isinstance(generator, Chooser):
        return 1.0 / (1.0 + math.exp(-generator.log_odds(messages, words.yes, words.no)))
    reply = "".join(generator.stream(messages, _YES_OR_NO)).strip()
    return float(reply.casefold().startswith(words.yes.casefold()))
