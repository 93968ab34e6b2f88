"""A question becomes an answer whose every sentence is tied to a passage, or an honest refusal."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Event as Signal

from index.embedder import readable
from index.filters import Filter
from index.types import Hit
from ingest.language import detect_language
from rag.confidence import UNCALIBRATED, Calibration, Signals, signals_of, weight_of_deviations
from rag.conversation import Conversation
from rag.entailment import Entailment
from rag.errors import OutOfMemoryError
from rag.examples import examples_text
from rag.followups import standalone
from rag.generator import Chooser, Generator, Reader
from rag.grounding import EncodeFunction, Grounder
from rag.phrases import LANGUAGES, Example, phrases
from rag.probe import Probe
from rag.prompt import Prompt, build_prompt
from rag.question_parts import Part, parts_of
from rag.search import Search
from rag.stopwatch import Stopwatch
from rag.types import Answer, Event, Finished, Message, Options, Retrieved, Rewritten, Sampling, TextDelta, Usage
from rag.unmentioned import unmentioned
from rag.verification import VerifiedText, without_markers
from rag.writing import Manner, Writer, other_language

_log = logging.getLogger(__name__)

# Besides those of the whole question.
_PASSAGES_OF_A_PART = 2


class Answerer:
    """Retrieves, checks whether the passages hold the answer, writes it and verifies each sentence."""

    def __init__(
        self,
        retriever: Search,
        generator: Generator,
        encode: EncodeFunction,
        *,
        sampling: Sampling | None = None,
        options: Options | None = None,
        calibration: Calibration = UNCALIBRATED,
        probe: Probe | None = None,
        prompt_tokens: int = 3000,
        language: str = "auto",
        examples: Mapping[str, tuple[Example, ...]] | None = None,
        entailment: Entailment | None = None,
    ) -> None:
        """`examples` are answers that the model is shown, by language; `entailment` judges what it writes."""
        self.retriever = retriever
        self.generator = generator
        self.encode = encode
        self.sampling = sampling or Sampling()
        self.options = options or Options()
        self.calibration = calibration
        self.probe = probe
        self.prompt_tokens = prompt_tokens
        self.language = language
        self.examples = examples or {}
        self.entailment = entailment

    def answer(
        self,
        question: str,
        *,
        k: int | None = None,
        where: Filter | None = None,
        sampling: Sampling | None = None,
        options: Options | None = None,
        language: str | None = None,
        history: Conversation | None = None,
    ) -> Answer:
        """The whole answer, from the documents that meet the filter; a follow-up is understood from its history.

        Raises: ValueError for an empty question, PromptTooLongError, errors of the index.
        """
        *_, last = self.stream(
            question, k=k, where=where, sampling=sampling, options=options, language=language, history=history
        )
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
        options: Options | None = None,
        language: str | None = None,
        history: Conversation | None = None,
        cancel: Signal | None = None,
    ) -> Iterator[Event]:
        """The answer as events: Rewritten for a follow-up, Retrieved, Draft and TextDelta in turn, at last Finished.

        Once `cancel` is set the answer ends with the last verified sentence; with none it is empty, which is no
        abstention.
        """
        if not question.strip():
            raise ValueError("the question is empty; ask something")
        question = readable(question)
        search = partial(self.retriever.search, k=k, where=where)
        manner = self._manner(question, sampling, options, language)
        return _Run(self, question, history or Conversation(), search, manner, cancel).events()

    def signals(self, question: str, *, k: int | None = None, where: Filter | None = None) -> Signals | None:
        """What is known, before anything is written, of whether the passages hold the answer; None without passages.

        Raises: PromptTooLongError, errors of the index.
        """
        search = partial(self.retriever.search, k=k, where=where)
        return _Run(self, question, Conversation(), search, self._manner(question), None).signals()

    def _manner(
        self,
        question: str,
        sampling: Sampling | None = None,
        options: Options | None = None,
        language: str | None = None,
    ) -> Manner:
        chosen = language or self.language
        if chosen == "auto":
            chosen = detect_language(question, candidates=LANGUAGES)
        return Manner(sampling or self.sampling, options or self.options, chosen, self.examples.get(chosen, ()))


class _Run:
    """One question on its way to its answer."""

    def __init__(
        self,
        answerer: Answerer,
        question: str,
        history: Conversation,
        search: Callable[[str], list[Hit]],
        manner: Manner,
        cancel: Signal | None,
    ) -> None:
        self._answerer = answerer
        self._generator = answerer.generator
        self._question = question
        self._history = history
        self._rewritten: Rewritten | None = None
        self._search = search
        self._manner = manner
        self._sampling = manner.sampling
        self._options = manner.options
        self._language = manner.language
        self._cancel = cancel
        self._missing: list[str] = []
        self._certainty = 0.0
        self._watch = Stopwatch()
        self._writer = Writer(answerer.generator, manner, self._watch, cancel)

    def events(self) -> Iterator[Event]:
        with self._watch.stage("rewrite"):
            self._rewritten = standalone(self._question, self._history, self._generator, cancel=self._cancel)
        if self._rewritten:
            yield self._rewritten
        parts = self._parts()
        with self._watch.stage("retrieve"):
            hits = self._found(parts)
        yield Retrieved(hits)
        with self._watch.stage("check"):
            prompt, grounder, signals = self._read(hits)
            self._certainty = self._confidence(signals)
        flag = self._options.unsupported == "flag"
        verified = VerifiedText(grounder, self._language, self._answerer.retriever.page_at, flag_unsupported=flag)
        if signals and parts:
            yield from self._write_parts(parts, prompt, grounder, verified)
        elif self._certainty >= self._options.caution:
            yield from self._writer.write(prompt, verified)
        abstained = not verified.text and not self._is_cancelled()
        if abstained:
            self._certainty = min(self._certainty, 1.0 - self._certainty)
            verified.text = phrases(self._language).abstained
            yield TextDelta(verified.text)
        else:
            yield from self._tell_missing(prompt, verified)
        yield Finished(self._answer(prompt, hits, verified, abstained))

    def _parts(self) -> tuple[Part, ...]:
        """What a compound question asks for; where it is the one before it and a follow-up, what the follow-up does."""
        parts = parts_of(self._asked, self._language)
        if self._rewritten is None or self._rewritten.how != "joined":
            return parts
        follow_up = " ".join(self._question.split())
        return tuple(part for part in parts if part.text in follow_up)

    def _found(self, parts: Sequence[Part]) -> list[Hit]:
        """The passages of the question, and behind them the best of each part that can be searched alone."""
        hits = self._search(self._asked)
        known = {hit.chunk.id for hit in hits}
        for part in parts:
            more = self._search(part.asked)[:_PASSAGES_OF_A_PART] if part.stands_alone else []
            hits += [replace(hit, rank=len(hits) + place) for place, hit in enumerate(_unknown(more, known), 1)]
        return hits

    def _write_parts(
        self, parts: Sequence[Part], prompt: Prompt, grounder: Grounder, verified: VerifiedText
    ) -> Iterator[Event]:
        """Each part of a compound question from the same passages; those that they do not tell are missing.

        The confidence is that in the least sure of the parts that are answered, or in the surest when none is.
        """
        answered: list[float] = []
        refused = [0.0]
        for part in parts:
            asked = prompt.showing(part.asked)
            with self._watch.stage("check"):
                certainty = self._confidence(self._signals(asked, grounder, part.asked))
                # A small model answers about somebody else rather than not at all.
                unknown = unmentioned(part.text, self._language, prompt.hits, self._search)
            before = verified.supported
            if certainty >= self._options.caution and not unknown:
                yield from self._writer.write(asked, verified)
            if self._is_cancelled():
                break
            told = verified.supported > before
            (answered if told else refused).append(certainty)
            self._missing += [] if told else [part.text]
        self._certainty = min(answered, default=max(refused))

    def _tell_missing(self, prompt: Prompt, verified: VerifiedText) -> Iterator[Event]:
        """One sentence about what the documents do not tell: parts of the question, or else what it names."""
        if not verified.supported or self._is_cancelled():
            return
        words = phrases(self._language)
        if self._missing:
            yield TextDelta(verified.note(words.missing_part.format(parts=" ".join(self._missing))))
            return
        with self._watch.stage("verify"):
            names = unmentioned(self._asked, self._language, prompt.hits, self._search)
        if names:
            self._missing += names
            yield TextDelta(verified.note(words.missing_name.format(names=", ".join(names))))

    def _thinking(self) -> Sequence[str]:
        """What is said besides the question to have the model think."""
        words = phrases(self._language)
        return (words.reason, words.conclude) if self._options.reasoning else ()

    def _confidence(self, signals: Signals | None) -> float:
        return self._answerer.calibration.confidence(signals) if signals else 0.0

    @property
    def _asked(self) -> str:
        """The question with what a follow-up leaves unsaid."""
        return self._rewritten.question if self._rewritten else self._question

    def _is_cancelled(self) -> bool:
        return self._cancel is not None and self._cancel.is_set()

    def signals(self) -> Signals | None:
        """What is known of the question before anything is written; None without passages."""
        prompt = self._prompt(self._search(self._asked))
        return self._signals(prompt, self._grounder(prompt), self._asked)

    def _grounder(self, prompt: Prompt) -> Grounder:
        return Grounder(prompt.hits, self._answerer.encode, self._asked, self._answerer.entailment)

    def _read(self, hits: Sequence[Hit]) -> tuple[Prompt, Grounder, Signals | None]:
        """The prompt as the model could read it, and the signals of that; without memory for it half of its passages.

        Reading a prompt takes the most memory, so what could be read can be answered from.
        """
        prompt = self._prompt(hits)
        while True:
            grounder = self._grounder(prompt)
            try:
                return prompt, grounder, self._signals(prompt, grounder, self._asked)
            except OutOfMemoryError as error:
                kept = len(prompt.hits) // 2
                if not kept:
                    raise
                _log.warning("%s. Reading the best %d of %d passages instead", error, kept, len(prompt.hits))
                fewer = self._prompt(prompt.hits[:kept])
                prompt = replace(fewer, dropped=prompt.hits[kept:] + prompt.dropped, trailing=prompt.trailing)

    def _prompt(self, hits: Sequence[Hit]) -> Prompt:
        beside = "\n".join((*examples_text(self._manner.examples, self._language), *self._thinking()))
        room = self._generator.context_tokens - self._sampling.max_tokens
        room -= self._generator.count_tokens([Message("user", beside)]) if beside else 0
        return build_prompt(
            self._asked,
            hits,
            self._language,
            max_tokens=min(self._answerer.prompt_tokens, room),
            count_tokens=self._generator.count_tokens,
            margin=self._options.passage_margin / weight_of_deviations(self._answerer.retriever.corpus_size),
        )

    def _signals(self, prompt: Prompt, grounder: Grounder, question: str) -> Signals | None:
        support = grounder.support(question, self._language)
        if support is None:
            return None
        inner = 0.0
        probe = self._answerer.probe
        if probe and isinstance(self._generator, Reader):
            states = self._generator.read(
                prompt.check, prompt.blank, probe.layer, adapter=probe.adapter, cancel=self._cancel
            )
            inner = probe.log_odds(states) if states else 0.0
        log_odds = None
        if isinstance(self._generator, Chooser):
            words = phrases(self._language)
            log_odds = self._generator.log_odds(prompt.check, words.yes, words.no, cancel=self._cancel)
        unknown = min(len(grounder.unknown_facts(question, self._language, hit)) for hit in prompt.hits)
        corpus_size = self._answerer.retriever.corpus_size
        return signals_of(prompt.hits[0], log_odds, support.score, unknown, corpus_size, inner)

    def _answer(self, prompt: Prompt, hits: list[Hit], verified: VerifiedText, abstained: bool) -> Answer:
        self._watch.mark("total")
        tokens = self._generator.count_tokens(prompt.answer)
        usage = Usage(tokens, self._writer.pieces, len(prompt.dropped), len(prompt.trailing))
        return Answer(
            question=self._question,
            text=verified.text,
            citations=tuple(verified.citations),
            hits=tuple(hits),
            abstained=abstained,
            confidence=self._certainty,
            language=self._language,
            model=self._generator.name,
            timings_s={name: round(seconds, 4) for name, seconds in self._watch.seconds.items()},
            usage=usage,
            rewritten=self._rewritten,
            unsure=tuple(verified.unsure),
            other_language=other_language(without_markers(verified.text), self._language),
            unsupported=tuple(verified.unsupported),
            words=() if abstained else tuple(dict.fromkeys(self._writer.words)),
            missing=() if abstained else tuple(self._missing),
            refusal=(self._writer.refusal if hits else "nothing_found") if abstained else None,
            sampling=self._sampling,
            options=self._options,
            reasoning=self._writer.reasoning,
        )


def _unknown(hits: Sequence[Hit], known: set[int]) -> list[Hit]:
    """The hits whose passages are not known, which they are from then on."""
    new = [hit for hit in hits if hit.chunk.id not in known]
    known.update(hit.chunk.id for hit in new)
    return new
