"""A reply as the model writes it: verified sentence by sentence, or quoted word for word."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event as Signal

from index.analysis import terms
from ingest.language import detect_language
from ingest.types import Span
from rag.errors import OutOfMemoryError
from rag.examples import examples_text
from rag.generator import Extractor, Generator
from rag.phrases import LANGUAGES, NO_ANSWER, Example, phrases
from rag.prompt import Prompt
from rag.question_kind import asks_to_explain
from rag.spans import Piece, standing_in
from rag.stopwatch import Stopwatch
from rag.types import Draft, Event, Message, Options, Reasoning, Refusal, Sampling, TextDelta
from rag.verification import VerifiedText, sentences_of, without_markers

Asking = Callable[..., tuple[Message, ...]]
"""The messages of an answer, with requests behind the question."""

_log = logging.getLogger(__name__)

_BEGUN_REFUSAL = tuple(NO_ANSWER.casefold()[:length] for length in range(3, len(NO_ANSWER)))
# Names make up too much of a shorter sentence to tell its language by.
_TELLING_LETTERS = 40
# The least ln P at which words that were found are told to the model that writes, and at which they are shown without a
# sentence; and how much less likely than the likeliest others may be for a reply that has them to be shown.
_LIKELY, _SURE, _AS_LIKELY = -3.0, -1.0, 2.0
# With so many words more a reply is still no sentence about them.
_ARTICLE = 1
# Words with these might end the quotation in which they are told, or look like a marker where they are quoted.
_ENDS_QUOTATION = re.compile(r"[«»“”\"\n\[\]]")


@dataclass(frozen=True, slots=True)
class Manner:
    """How one question is answered."""

    sampling: Sampling
    options: Options
    language: str
    examples: tuple[Example, ...] = ()


class Writer:
    """Has a generator reply to the prompts of one question.

    `pieces` counts what it has written; `words` are the fewest words of a passage that answer each of them, once they
    are found. `refusal` is why nothing of it reached the reader, if nothing did.
    """

    def __init__(self, generator: Generator, manner: Manner, watch: Stopwatch, cancel: Signal | None) -> None:
        self.pieces = 0
        self.words: list[str] = []
        self._thoughts: list[str] = []
        self.refusal: Refusal = "low_confidence"
        self._generator = generator
        self._sampling = manner.sampling
        self._options = manner.options
        self._language = manner.language
        self._examples = manner.examples
        self._shown = [self._terms(f"{one.passage} {one.question} {one.answer}") for one in manner.examples]
        self._read: list[frozenset[str]] = []
        self._watch = watch
        self._cancel = cancel
        self._begun_in_another_language = False

    @property
    def reasoning(self) -> str:
        """What it thought before it wrote."""
        return "\n\n".join(filter(None, self._thoughts))

    def write(self, prompt: Prompt, verified: VerifiedText) -> Iterator[Event]:
        """What of a reply the passages carry, in the style asked for."""
        self.refusal = "no_answer"
        with self._watch.stage("write"):
            if self._options.style == "short":
                yield from self._quote(prompt, verified)
            else:
                yield from self._sentences(prompt, verified)

    def _quote(self, prompt: Prompt, verified: VerifiedText) -> Iterator[Event]:
        """The fewest words of a passage that answer, with their marker."""
        if isinstance(self._generator, Extractor):
            piece = next(iter(self._extracted(self._generator, prompt)), None)
        else:
            reply = "".join(self._generator.stream(prompt.short, self._sampling, cancel=self._cancel))
            piece = standing_in([hit.chunk.text for hit in prompt.hits], reply)
        if piece is not None:
            self._watch.mark("first_token")
            self.pieces += 1
            self.words.append(_words(piece, prompt))
            added = verified.quote(prompt.hits[piece.text], Span(piece.start, piece.end))
            if added:
                yield TextDelta(added)

    def _extracted(self, generator: Extractor, prompt: Prompt) -> list[Piece]:
        """The likely words, the likeliest first."""
        with self._watch.stage("extract"):
            found = generator.extract(prompt.short, [hit.chunk.text for hit in prompt.hits], cancel=self._cancel)
        return [piece for piece in found if piece.log_likelihood >= found[0].log_likelihood - _AS_LIKELY]

    def _looked_for(self, prompt: Prompt) -> list[Piece]:
        """The words that may answer a question for a fact; an explanation would be narrowed by them."""
        generator = self._generator
        if not (self._options.words_first and isinstance(generator, Extractor)):
            return []
        if asks_to_explain(prompt.asked, self._language):
            return []
        try:
            return self._extracted(generator, prompt)
        except OutOfMemoryError as error:
            _log.warning("%s. Writing without having looked for the words", error)
            return []

    def _can_be_told(self, piece: Piece, prompt: Prompt) -> bool:
        """Whether the model may be told to write these words."""
        if piece.log_likelihood < _LIKELY or _ENDS_QUOTATION.search(_words(piece, prompt)):
            return False
        return prompt.hits[piece.text].language == self._language  # else the answer would be in two languages

    def _sentences(self, prompt: Prompt, verified: VerifiedText) -> Iterator[Event]:
        """Verified sentences with their markers.

        What the model writes and what it finds word for word go wrong on different questions. So a reply that has none
        of the words that are likely is not shown, and another is written for which the likeliest are told. One that is
        nothing but such words is written again as a sentence.
        """
        pieces = self._looked_for(prompt)
        likely = [_words(piece, prompt) for piece in pieces]
        wanted = likely if pieces and self._can_be_told(pieces[0], prompt) else []
        requests = examples_text(self._examples, self._language)
        self._read = [self._terms(hit.chunk.text) for hit in prompt.hits]
        asking, sampling = prompt.asking, self._sampling
        if self._options.reasoning:
            thought = prompt.asking(phrases(self._language).reason)
            # Thoughts and answer share the tokens of a reply.
            half = max(1, sampling.max_tokens // 2)
            yield from self._think(thought, replace(sampling, max_tokens=half))
            sampling = replace(sampling, max_tokens=max(1, sampling.max_tokens - half))
            asking = partial(_concluding, thought, self._thoughts[-1], phrases(self._language).conclude)
        forks = [verified.fork() for _ in range(self._options.candidates if sampling.temperature > 0 else 1)]
        before = verified.fork()
        yield from self._untold(asking, requests, forks, verified, sampling, wanted)
        if self.refusal == "no_answer" and all(fork.text == before.text for fork in forks):
            return
        own = max(forks, key=lambda fork: (_is_told(fork, before, wanted), fork.support))
        if _is_told(own, before, wanted) or self._is_cancelled():
            yield from _adopted(verified, own)
        else:
            place = _place(_new(own, before), wanted)
            piece = pieces[place or 0]
            if self._can_be_told(piece, prompt):
                hint = phrases(self._language).with_words.format(words=_words(piece, prompt))
                yield from self._candidate(asking, [*requests, hint], verified, sampling)
            if verified.text == before.text and (place is not None or piece.log_likelihood < _SURE):
                yield from _adopted(verified, own)
            elif _place(_new(verified, before), [_words(piece, prompt)]) is None and not self._is_cancelled():
                yield from self._quoted(piece, prompt, verified)
        self.words += likely[_place(_new(verified, before), likely) or 0 :][:1]

    def _untold(
        self,
        asking: Asking,
        requests: Sequence[str],
        forks: Sequence[VerifiedText],
        verified: VerifiedText,
        sampling: Sampling,
        wanted: Sequence[str],
    ) -> Iterator[Event]:
        """A reply for each fork; one alone is shown as it comes once it has any of the words that are wanted."""
        before = verified.fork()
        for number, fork in enumerate(forks):
            for event in self._candidate(asking, requests, fork, _drawn_anew(sampling, number)):
                if len(forks) == 1 and _is_told(fork, before, wanted):
                    yield from _adopted(verified, fork)
                yield from _draft(event, fork, verified)

    def _quoted(self, piece: Piece, prompt: Prompt, verified: VerifiedText) -> Iterator[Event]:
        """The words that the model was told, as the passage has them, where no sentence that is shown tells them.

        It paraphrases them at times, or writes a name of the question that the passage does not have.
        """
        form = phrases(self._language).quoted
        added = verified.quote(prompt.hits[piece.text], Span(piece.start, piece.end), form)
        if added:
            yield TextDelta(added)

    def _think(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Event]:
        """Thoughts before the answer."""
        thoughts = ""
        with self._watch.stage("reason"):
            for piece in self._generator.stream(messages, sampling, cancel=self._cancel):
                self.pieces += 1
                thoughts += piece
                yield Reasoning(piece)
        self._thoughts.append(thoughts.strip())

    def _candidate(
        self, asking: Asking, requests: Sequence[str], verified: VerifiedText, sampling: Sampling
    ) -> Iterator[Event]:
        """One reply; when it begins in another language it is asked for once more."""
        self._begun_in_another_language = False
        yield from self._reply(asking(*requests), verified, sampling, first=True)
        if self._begun_in_another_language:
            messages = asking(*requests, phrases(self._language).in_this_language)
            yield from self._reply(messages, verified, sampling, first=False)

    def _reply(
        self, messages: Sequence[Message], verified: VerifiedText, sampling: Sampling, *, first: bool
    ) -> Iterator[Event]:
        """What of a reply is verified; a sentence that no passage carries is left out."""
        buffer, before = "", verified.text
        for piece in self._generator.stream(messages, sampling, cancel=self._cancel):
            self._watch.mark("first_token")
            self.pieces += 1
            buffer += piece
            if NO_ANSWER.casefold() in buffer.casefold():
                self.refusal = "no_answer"
                return
            if _may_refuse(buffer):
                continue
            *complete, buffer = sentences_of(buffer)
            if first and complete and verified.text == before and other_language(complete[0], self._language):
                self._begun_in_another_language = True
                return
            for sentence in complete:
                yield from self._verified(sentence, verified)
            draft = without_markers(buffer).strip()
            if draft:
                yield Draft(draft)
        if not self._is_cancelled():
            if first and verified.text == before and other_language(buffer, self._language):
                self._begun_in_another_language = True
                return
            for sentence in sentences_of(buffer):
                yield from self._verified(sentence, verified)

    def _verified(self, sentence: str, verified: VerifiedText) -> Iterator[TextDelta]:
        with self._watch.stage("verify"):
            added = "" if self._is_copied(sentence) else verified.add(sentence)
        if added:
            yield TextDelta(added)
        elif sentence.strip():
            self.refusal = "unsupported"

    def _is_copied(self, sentence: str) -> bool:
        """Whether all of a sentence is in an example and not in a passage; small models repeat what they are shown."""
        words = self._terms(without_markers(sentence))
        in_example = any(words <= shown for shown in self._shown)
        return bool(words) and in_example and not any(words <= read for read in self._read)

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(terms(text, self._language))

    def _is_cancelled(self) -> bool:
        return self._cancel is not None and self._cancel.is_set()


def _words(piece: Piece, prompt: Prompt) -> str:
    return prompt.hits[piece.text].chunk.text[piece.start : piece.end]


def _new(text: VerifiedText, before: VerifiedText) -> str:
    """What a text has more than before."""
    return without_markers(text.text[len(before.text) :]).strip()


def _place(text: str, words: Sequence[str]) -> int | None:
    """Which of some words is the first that a text has."""
    return next((place for place, each in enumerate(words) if standing_in([text], each)), None)


def _is_told(fork: VerifiedText, before: VerifiedText, words: Sequence[str]) -> bool:
    """Whether what is new in a fork has one of some words, and more than these, or was said before already.

    Where no words are wanted, anything will do.
    """
    new = _new(fork, before)
    if not words or not new:
        return not words or fork.supported > before.supported
    place = _place(new, words)
    return place is not None and len(new.split()) > len(words[place].split()) + _ARTICLE


def _adopted(verified: VerifiedText, fork: VerifiedText) -> Iterator[TextDelta]:
    """Shows what a fork has become."""
    added = verified.adopt(fork)
    if added:
        yield TextDelta(added)


def _draft(event: Event, fork: VerifiedText, verified: VerifiedText) -> Iterator[Draft]:
    """What of a fork is not shown yet, and what is being written behind it."""
    text = " ".join(filter(None, (_new(fork, verified), event.text if isinstance(event, Draft) else "")))
    if text:
        yield Draft(text)


def _concluding(thought: Sequence[Message], reasoning: str, conclude: str, *requests: str) -> tuple[Message, ...]:
    """The messages of an answer after the thoughts about it."""
    last = Message("user", "\n".join((conclude, *requests)))
    return (*thought, Message("assistant", reasoning), last)


def _drawn_anew(sampling: Sampling, number: int) -> Sampling:
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + number)


def other_language(text: str, language: str) -> str | None:
    """The language of a text when it is not the one asked for; None where it is, or too little is written to tell."""
    if language not in LANGUAGES or sum(map(str.isalpha, text)) < _TELLING_LETTERS:
        return None
    found = detect_language(text, candidates=LANGUAGES)
    return None if found == language else found


def _may_refuse(text: str) -> bool:
    """Whether `text` ends with a beginning of the refusal, which small models write as No_ANSWER, too."""
    return text.endswith((NO_ANSWER[:1], NO_ANSWER[:2])) or text.casefold().endswith(_BEGUN_REFUSAL)
