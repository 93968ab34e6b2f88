"""Passages and a question become a prompt within a token budget that keeps the best evidence."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from operator import not_

from index.types import Hit
from rag.errors import PromptTooLongError
from rag.phrases import phrases
from rag.types import Message

_KEY_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages of an answer and of the check before it, which share everything up to the question.

    `short` asks for the bare answer in the words of a passage, after examples. `hits` are the passages that are in it,
    `dropped` those that did not fit, `trailing` those that scored too far behind the best to be worth their tokens.
    `blank` is the check without its question. `asked` is the question that the passages were found for, and `language`
    the one that the messages are in.
    """

    answer: tuple[Message, ...]
    check: tuple[Message, ...]
    short: tuple[Message, ...]
    hits: tuple[Hit, ...]
    dropped: tuple[Hit, ...]
    trailing: tuple[Hit, ...] = ()
    blank: tuple[Message, ...] = ()
    asked: str = ""
    language: str = ""

    def asking(self, *requests: str) -> tuple[Message, ...]:
        """The messages of the answer with more requests behind the question."""
        *before, last = self.answer
        return (*before, Message(last.role, "\n".join((last.content, *requests))))

    def showing(self, question: str) -> "Prompt":
        """The same passages behind the same mark, with another question: all that differs comes after them."""
        return _written(self, question)


def build_prompt(
    question: str,
    hits: Sequence[Hit],
    language: str,
    *,
    max_tokens: int,
    count_tokens: Callable[[Sequence[Message]], int],
    margin: float = math.inf,
) -> Prompt:
    """The prompt with as many of the best hits as `max_tokens` has room for.

    Hits, but for the first, whose score is more than `margin` below the best one are left out.

    Raises: PromptTooLongError when not even the best one fits.
    """
    near, trailing = parted(hits, margin)
    kept = len(near)
    while kept and count_tokens(messages_of(question, near[:kept], language)) > max_tokens:
        kept -= 1
    if hits and not kept:
        mend = (
            "Shorten the question, raise generation.prompt_tokens, lower generation.max_tokens, or lower"
            " ingest.chunk_tokens and run `fuente reindex`"
        )
        raise PromptTooLongError(f"the question and its best passage exceed {max_tokens} tokens. {mend}")
    used, dropped = near[:kept], near[kept:]
    return _written(Prompt((), (), (), used, dropped, trailing, (), question, language), question)


def parted(hits: Sequence[Hit], margin: float) -> tuple[tuple[Hit, ...], tuple[Hit, ...]]:
    """The hits that are worth their tokens, and those that score more than `margin` below the best; the first is."""
    best = max((hit.score for hit in hits), default=0.0)
    near = [rank == 0 or hit.score >= best - margin for rank, hit in enumerate(hits)]
    return tuple(compress(hits, near)), tuple(compress(hits, map(not_, near)))


def messages_of(question: str, hits: Sequence[Hit], language: str, *, shown: str | None = None) -> tuple[Message, ...]:
    """The messages that ask for a bare answer, with examples; they are the longest and so decide what fits."""
    words = phrases(language)
    turns = (
        message
        for example in words.examples
        for message in (
            Message("user", _body(example.question, f"[1] {example.passage}", language)),
            Message("assistant", example.answer),
        )
    )
    return (Message("system", words.short), *turns, Message("user", _body(question, _numbered(hits), language, shown)))


def _written(prompt: Prompt, shown: str) -> Prompt:
    """The prompt with its messages, in which `shown` stands for the question."""
    words = phrases(prompt.language)
    write = partial(_messages, prompt.asked, prompt.hits, prompt.language)
    return replace(
        prompt,
        answer=write(shown=shown),
        check=write(words.check, shown=shown),
        short=messages_of(prompt.asked, prompt.hits, prompt.language, shown=shown),
        blank=write(words.check, shown=""),
    )


def _messages(
    question: str, hits: Sequence[Hit], language: str, request: str = "", *, shown: str | None = None
) -> tuple[Message, ...]:
    """The messages of a question; `shown` stands in its place."""
    body = _body(question, _numbered(hits), language, shown)
    return (
        Message("system", phrases(language).instructions),
        Message("user", f"{body}\n{request}" if request else body),
    )


def _body(question: str, passages: str, language: str, shown: str | None = None) -> str:
    words = phrases(language)
    mark = f"{words.passages} {_key(question, passages)}"
    return f"<{mark}>\n{passages}\n</{mark}>\n\n{words.question}: {question if shown is None else shown}"


def _numbered(hits: Sequence[Hit]) -> str:
    return "\n\n".join(f"[{number}] {_passage(hit)}" for number, hit in enumerate(hits, 1))


def _key(question: str, passages: str) -> str:
    """What tells the end of the passages from anything that they say.

    It follows from the request, so that equal requests have equal answers, and no author of a document can know it: it
    depends on the question and on every passage, the document's own included.
    """
    return hashlib.sha256(f"{question}\0{passages}".encode(errors="surrogatepass")).hexdigest()[:_KEY_DIGITS]


def _passage(hit: Hit) -> str:
    headings = " > ".join(hit.chunk.headings)
    return f"({headings}) {hit.chunk.text}" if headings else hit.chunk.text
