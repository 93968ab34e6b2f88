"""Passages and a question become a prompt within a token budget that keeps the best evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from index.types import Hit
from rag.errors import PromptTooLongError
from rag.phrases import phrases
from rag.types import Message


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages of an answer and of the check before it, which share everything up to the question.

    `hits` are the passages that are in it, `dropped` those that did not fit.
    """

    answer: tuple[Message, ...]
    check: tuple[Message, ...]
    hits: tuple[Hit, ...]
    dropped: tuple[Hit, ...]

    def asking(self, request: str) -> tuple[Message, ...]:
        """The messages of the answer with one more request behind the question."""
        *before, last = self.answer
        return (*before, Message(last.role, f"{last.content}\n{request}"))


def build_prompt(
    question: str,
    hits: Sequence[Hit],
    language: str,
    *,
    max_tokens: int,
    count_tokens: Callable[[Sequence[Message]], int],
) -> Prompt:
    """The prompt with as many of the best hits as `max_tokens` has room for.

    Raises: PromptTooLongError when not even the best one fits.
    """
    kept = len(hits)
    while kept and count_tokens(messages_of(question, hits[:kept], language)) > max_tokens:
        kept -= 1
    if hits and not kept:
        mend = (
            "Shorten the question, raise generation.prompt_tokens, lower generation.max_tokens, or lower"
            " ingest.chunk_tokens and run `fuente reindex`"
        )
        raise PromptTooLongError(f"the question and its best passage exceed {max_tokens} tokens. {mend}")
    used = tuple(hits[:kept])
    return Prompt(
        _messages(question, used, language, ""), messages_of(question, used, language), used, tuple(hits[kept:])
    )


def messages_of(question: str, hits: Sequence[Hit], language: str) -> tuple[Message, ...]:
    """The messages of the check, which is the longer of the two and so decides what fits."""
    return _messages(question, hits, language, phrases(language).check)


def _messages(question: str, hits: Sequence[Hit], language: str, request: str) -> tuple[Message, ...]:
    words = phrases(language)
    passages = "\n\n".join(f"[{number}] {_passage(hit)}" for number, hit in enumerate(hits, 1))
    body = f"{passages}\n\n{words.question}: {question}"
    return (
        Message("system", words.instructions),
        Message("user", f"{body}\n{request}" if request else body),
    )


def _passage(hit: Hit) -> str:
    headings = " > ".join(hit.chunk.headings)
    return f"({headings}) {hit.chunk.text}" if headings else hit.chunk.text
