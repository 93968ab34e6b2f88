"""Compound questions, made of two of a set: whether both passages are found, with and without dividing the question.

python -m bench.compound xquad.es.json [--questions 12]      needs the packaged models
"""

import argparse
from pathlib import Path

from bench.measuring import machine
from rag import Fuente, Retriever
from rag.evaluation import Question, QuestionSet, read_squad, sampled
from rag.evaluation.harness import over_paragraphs
from rag.expansion import QueryExpander

_JOINED = {"es": " y ", "pt": " e ", "en": " and "}
_DEPTH = 5


def main() -> None:
    """Prints how many compounds were divided, and the share of which both passages are among the first five."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path)
    parser.add_argument("--questions", type=int, default=12)
    arguments = parser.parse_args()
    fuente = Fuente.configured(retrieval={"rerank": "none"})
    question_set = read_squad(arguments.set)
    index = over_paragraphs(fuente, question_set, fuente.config.models.cache / "evaluation").index
    pairs = _pairs(question_set, arguments.questions)
    asked = [_compound(first, second, question_set.language or "en") for first, second in pairs]
    expander = QueryExpander(lambda: fuente.generator, hypothetical=False, decompose=True)
    whole = [_both(Retriever(index=index, k=_DEPTH), *one) for one in zip(asked, pairs, strict=True)]
    divided = [
        _both(Retriever(index=index, k=_DEPTH, expander=expander), *one) for one in zip(asked, pairs, strict=True)
    ]
    print(f"{len(asked)} compounds, {fuente.generator.name}, {machine()}")
    for name, found in (("whole", whole), ("divided", divided)):
        print(f"{name:<8} both among {_DEPTH}: {sum(found)} of {len(found)}")


def _pairs(question_set: QuestionSet, count: int) -> list[tuple[Question, Question]]:
    """Questions two by two, of different paragraphs."""
    drawn = sampled([one for one in question_set.questions if not one.impossible], None, 0)
    pairs = zip(drawn[: count * 2 : 2], drawn[1 : count * 2 : 2], strict=True)
    return [pair for pair in pairs if pair[0].paragraph_id != pair[1].paragraph_id]


def _compound(first: Question, second: Question, language: str) -> str:
    ending = second.text.lstrip("¿ ")
    return first.text.rstrip(" ?") + _JOINED[language] + ending[:1].lower() + ending[1:]


def _both(retriever: Retriever, question: str, pair: tuple[Question, Question]) -> bool:
    sources = {hit.source for hit in retriever.search(question)}
    return {one.paragraph_id for one in pair} <= sources


if __name__ == "__main__":
    main()
