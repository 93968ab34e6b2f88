"""A question becomes an answer whose every sentence is tied to a passage, or an honest refusal."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from threading import Event as Signal

from index.filters import Filter
from index.types import Hit
from ingest.language import detect_language
from ingest.sentences import sentence_spans
from rag.confidence import confidence
from rag.generator import Chooser, Generator
from rag.grounding import EncodeFunction, Grounder, Support
from rag.phrases import LANGUAGES, NO_ANSWER, phrases
from rag.prompt import Prompt, build_prompt
from rag.search import Search
from rag.types import Answer, Citation, Draft, Event, Finished, Retrieved, Sampling, TextDelta, Usage

# The passages are numbered in the prompt and small models copy the numbers at random; ours are computed.
_MODEL_MARKER = re.compile(r"\s*\[\s*\d+(?:\s*(?:[,;–-]|\b(?:y|e|and)\b)\s*\d+)*\s*\]")
_WORD = re.compile(r"\w")


class Answerer:
    """Retrieves, checks whether the passages hold the answer, writes it and verifies each sentence."""

    def __init__(
        self,
        retriever: Search,
        generator: Generator,
        encode: EncodeFunction,
        *,
        sampling: Sampling | None = None,
        prompt_tokens: int = 3000,
        abstain_below: float = 0.5,
        language: str = "auto",
    ) -> None:
        self.retriever = retriever
        self.generator = generator
        self.encode = encode
        self.sampling = sampling or Sampling()
        self.prompt_tokens = prompt_tokens
        self.abstain_below = abstain_below
        self.language = language

    def answer(
        self,
        question: str,
        *,
        k: int | None = None,
        where: Filter | None = None,
        sampling: Sampling | None = None,
        language: str | None = None,
    ) -> Answer:
        """The whole answer, from the documents that meet the filter.

        Raises: ValueError for an empty question, PromptTooLongError, errors of the index.
        """
        *_, last = self.stream(question, k=k, where=where, sampling=sampling, language=language)
        if not isinstance(last, Finished):
            raise TypeError(f"a stream ends with Finished, not {last!r}")
        return last.answer

    def stream(
        self,
        question: str,
        *,
        k: int | None = None,
        where: Filter | None = None,
        sampling: Sampling | None = None,
        language: str | None = None,
        cancel: Signal | None = None,
    ) -> Iterator[Event]:
        """The answer as events: Retrieved, then Draft and TextDelta in turn, at last Finished.

        Once `cancel` is set the answer ends with the last verified sentence; with none it is empty, which is no
        abstention.
        """
        if not question.strip():
            raise ValueError("the question is empty; ask something")
        chosen = language or self.language
        if chosen == "auto":
            chosen = detect_language(question, candidates=LANGUAGES)
        search = partial(self.retriever.search, question, k=k, where=where)
        return _Run(self, question, search, sampling or self.sampling, chosen, cancel).events()


class _Run:
    """One question on its way to its answer."""

    def __init__(
        self,
        answerer: Answerer,
        question: str,
        search: Callable[[], list[Hit]],
        sampling: Sampling,
        language: str,
        cancel: Signal | None,
    ) -> None:
        self._answerer = answerer
        self._generator = answerer.generator
        self._question = question
        self._search = search
        self._sampling = sampling
        self._language = language
        self._cancel = cancel
        self._timings: dict[str, float] = {}
        self._started = time.perf_counter()
        self._text = ""
        self._line_ended = False
        self._citations: list[Citation] = []
        self._pieces = 0

    def events(self) -> Iterator[Event]:
        with self._timed("retrieve"):
            hits = self._search()
        yield Retrieved(hits)
        room = self._generator.context_tokens - self._sampling.max_tokens
        prompt = build_prompt(
            self._question,
            hits,
            self._language,
            max_tokens=min(self._answerer.prompt_tokens, room),
            count_tokens=self._generator.count_tokens,
        )
        with self._timed("check"):
            grounder = Grounder(prompt.hits, self._answerer.encode)
            certainty = self._confidence(prompt, grounder)
        if certainty >= self._answerer.abstain_below:
            with self._timed("write"):
                yield from self._write(prompt, grounder)
        abstained = not self._text and not self._is_cancelled()
        if abstained:
            certainty = min(certainty, 1.0 - certainty)
            self._text = phrases(self._language).abstained
            yield TextDelta(self._text)
        yield Finished(self._answer(prompt, hits, abstained, certainty))

    def _is_cancelled(self) -> bool:
        return self._cancel is not None and self._cancel.is_set()

    def _confidence(self, prompt: Prompt, grounder: Grounder) -> float:
        support = grounder.support(self._question, self._language)
        if support is None:
            return 0.0
        log_odds = None
        if isinstance(self._generator, Chooser):
            words = phrases(self._language)
            log_odds = self._generator.log_odds(prompt.check, words.yes, words.no, cancel=self._cancel)
        return confidence(prompt.hits[0], log_odds, support.score, self._answerer.retriever.corpus_size)

    def _write(self, prompt: Prompt, grounder: Grounder) -> Iterator[Event]:
        """Verified sentences with their markers; a sentence that no passage carries is left out."""
        buffer = ""
        for piece in self._generator.stream(prompt.answer, self._sampling, cancel=self._cancel):
            self._timings.setdefault("first_token", time.perf_counter() - self._started)
            self._pieces += 1
            buffer += piece
            if NO_ANSWER in buffer:
                return
            if _may_become(buffer, NO_ANSWER):
                continue
            *complete, buffer = _split(buffer)
            for sentence in complete:
                yield from self._verified(sentence, grounder)
            draft = _without_markers(buffer).strip()
            if draft:
                yield Draft(draft)
        if not self._is_cancelled():
            for sentence in _split(buffer):
                yield from self._verified(sentence, grounder)

    def _verified(self, sentence: str, grounder: Grounder) -> Iterator[TextDelta]:
        cleaned = _without_markers(sentence)
        content = cleaned.strip()
        self._line_ended |= "\n" in cleaned[: cleaned.find(content)]
        ends_line = "\n" in sentence[len(sentence.rstrip()) :]
        with self._timed("verify"):
            support = self._support(content, grounder)
        if support is None:
            self._line_ended |= ends_line
            return
        separator = "\n" if self._line_ended else " "
        text = f"{separator if self._text else ''}{content} [{self._cite(support)}]"
        self._line_ended = ends_line
        self._text += text
        yield TextDelta(text)

    def _support(self, content: str, grounder: Grounder) -> Support | None:
        """What carries a sentence; None when nothing does, or when it tells what no passage does."""
        return grounder.verified(content, self._language) if _WORD.search(content) else None

    def _cite(self, support: Support) -> str:
        """The marker of a supporting span; the same span keeps its marker."""
        chunk = support.hit.chunk
        start, end = chunk.start + support.span.start, chunk.start + support.span.end
        for citation in self._citations:
            if (citation.chunk_id, citation.start) == (chunk.id, start):
                return citation.marker
        marker = str(len(self._citations) + 1)
        quote = chunk.text[support.span.start : support.span.end]
        page = self._answerer.retriever.page_at(support.hit, start)
        self._citations.append(
            Citation(
                marker, chunk.id, chunk.document_id, support.hit.source, page, start, end, quote,
                round(support.score, 4),
            )
        )  # fmt: skip
        return marker

    def _answer(self, prompt: Prompt, hits: list[Hit], abstained: bool, confidence: float) -> Answer:
        self._timings["total"] = time.perf_counter() - self._started
        usage = Usage(self._generator.count_tokens(prompt.answer), self._pieces, len(prompt.dropped))
        return Answer(
            question=self._question,
            text=self._text,
            citations=tuple(self._citations),
            hits=tuple(hits),
            abstained=abstained,
            confidence=confidence,
            language=self._language,
            model=self._generator.name,
            timings_s={name: round(seconds, 4) for name, seconds in self._timings.items()},
            usage=usage,
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._timings[name] = self._timings.get(name, 0.0) + time.perf_counter() - start


def _split(text: str) -> list[str]:
    """Complete sentences and, last, the one that is still being written; joined they are `text`."""
    starts = [span.start for span in sentence_spans(text)][1:]
    bounds = [0, *starts, len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


def _without_markers(text: str) -> str:
    """`text` without what looks like our markers, also when taking one out makes another."""
    while (rest := _MODEL_MARKER.sub("", text)) != text:
        text = rest
    return text


def _may_become(text: str, ending: str) -> bool:
    """Whether `text` ends with a beginning of `ending`."""
    return any(text.endswith(ending[:length]) for length in range(1, len(ending)))
