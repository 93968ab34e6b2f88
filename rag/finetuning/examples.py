"""What a generator is to learn from a question set: to answer from the passages, and to say when they hold no answer.

The prompts are those of `fuente ask`, over the passages that its own search finds, so that training looks like use.
The reply that is to be learnt is a sentence of a passage, which the citation can then point to, or the refusal.
"""

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from index.types import Hit
from ingest.language import detect_language
from ingest.sentences import sentence_spans
from rag.evaluation.questions import Question
from rag.phrases import LANGUAGES, NO_ANSWER, phrases
from rag.prompt import build_prompt
from rag.types import Message

Kind = Literal["answer", "refusal", "yes", "no"]
# Of the answerable questions, so many are asked a second time over passages that do not answer them.
_ASKED_IN_VAIN = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the reply to learn."""

    question_id: str
    kind: Kind
    messages: tuple[Message, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens a prompt may have, how they are counted, and how far behind the best passage one may score."""

    prompt_tokens: int
    count_tokens: Callable[[Sequence[Message]], int]
    margin: float = math.inf


def examples_of(
    question: Question, hits: Sequence[Hit], holds: Callable[[Hit], bool], budget: Budget, seed: int
) -> list[Example]:
    """What there is to learn from one question and the passages found for it; nothing where its answer is not there.

    `holds` tells whether a passage is one that the set calls right.
    """
    if question.impossible:
        return list(_asked(question, hits, None, budget))
    right = [hit for hit in hits if holds(hit)]
    reply = next((found for hit in right if (found := _sentence(hit.chunk.text, question.answers))), None)
    made = [] if reply is None else list(_asked(question, hits, reply, budget))
    lot = random.Random(f"{seed}:{question.id}").random()  # noqa: S311
    others = [hit for hit in hits if hit not in right]
    if lot < _ASKED_IN_VAIN and others and not any(_states(hit, question.answers) for hit in others):
        made += _asked(question, others, None, budget)
    return made


def held_out_copy(questions: Path, titles: set[str], target: Path) -> int:
    """Writes the articles of a question file that are not among these titles; how many they are.

    An article's title is its source in a set over one's own documents.
    """
    content = json.loads(questions.read_text(encoding="utf-8"))
    kept = [article for article in content["data"] if article.get("source", article.get("title", "")) not in titles]
    target.write_text(json.dumps({**content, "data": kept}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return len(kept)


def _asked(question: Question, hits: Sequence[Hit], reply: str | None, budget: Budget) -> Iterator[Example]:
    """The check whether the passages hold the answer, and the answer itself, or its refusal where `reply` is None."""
    language = question.language or detect_language(question.text, candidates=LANGUAGES)
    words = phrases(language)
    room, count = budget.prompt_tokens, budget.count_tokens
    prompt = build_prompt(question.text, hits, language, max_tokens=room, count_tokens=count, margin=budget.margin)
    if reply is not None and not any(reply in hit.chunk.text for hit in prompt.hits):
        return  # the passage that answers did not fit
    yield Example(question.id, "no" if reply is None else "yes", prompt.check, words.no if reply is None else words.yes)
    yield Example(question.id, "refusal" if reply is None else "answer", prompt.answer, reply or NO_ANSWER)


def _sentence(text: str, answers: Sequence[str]) -> str | None:
    """The first sentence of the passage that holds one of the answers."""
    for span in sentence_spans(text):
        sentence = text[span.start : span.end]
        if any(answer in sentence for answer in answers):
            return " ".join(sentence.split())
    return None


def _states(hit: Hit, answers: Sequence[str]) -> bool:
    return any(answer.casefold() in hit.chunk.text.casefold() for answer in answers)
