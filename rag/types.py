"""The data that answering emits."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from index.types import Hit

_MARKER = re.compile(r"\s*\[(?:\d+|[?!])\]")
# What stands behind a sentence, or between quotes: its markers.
_MARKERS = re.compile(r"\s*((?:\[(?:\d+|[?!])\]\s?)+)(?:;\s)?")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation with a chat model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. `temperature` 0 is greedy and repeatable.

    `top_p` in (0, 1] keeps the likeliest tokens that together reach it, `min_p` in [0, 1) those that are at least so
    likely as that share of the likeliest. A `repetition_penalty` above 1 makes what was written less likely to come
    again.
    """

    temperature: float = 0.2
    top_p: float = 0.95
    max_tokens: int = 400
    seed: int | None = None
    stop: tuple[str, ...] = ()
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 2.0:
            raise ValueError(f"temperature={self.temperature} must lie in [0, 2]")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p={self.top_p} must lie in (0, 1]")
        if not 0.0 <= self.min_p < 1.0:
            raise ValueError(f"min_p={self.min_p} must lie in [0, 1)")
        if not 0.5 <= self.repetition_penalty <= 2.0:
            raise ValueError(f"repetition_penalty={self.repetition_penalty} must lie in [0.5, 2]; 1 changes nothing")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens={self.max_tokens} must be at least 1")
        if "" in self.stop:
            raise ValueError("stop has an empty text, which every reply begins with; leave it out")


MOST_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Options:
    """How a question is answered, beyond how tokens are drawn.

    `style` full writes sentences, short gives the fewest words of a passage that answer. `caution` in [0, 1] is the
    confidence below which nothing is answered: 0 is bold. A sentence that no passage supports is removed or flagged,
    as `unsupported` says. Passages that score more than `passage_margin` standard deviations below the best stay out
    of the prompt; in a corpus of few passages, where a deviation tells little, it takes more of them. With
    `words_first` a generator that can looks for the bare words that answer before it writes sentences about them. With
    `reasoning` it first thinks step by step, apart from the answer. Of `candidates` replies, drawn with seeds one
    apart, the one whose sentences the passages support best is the answer; at temperature 0 all are the same, so one
    is written.

    Raises: ValueError for a value out of range.
    """

    style: Literal["full", "short"] = "full"
    caution: float = 0.5
    unsupported: Literal["remove", "flag"] = "remove"
    passage_margin: float = math.inf
    words_first: bool = True
    reasoning: bool = False
    candidates: int = 1

    def __post_init__(self) -> None:
        for name, known in (("style", ("full", "short")), ("unsupported", ("remove", "flag"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {', '.join(known)}")
        if not 0.0 <= self.caution <= 1.0:
            raise ValueError(f"caution={self.caution} must lie in [0, 1]; 0 is bold and 1 refuses everything")
        if not self.passage_margin >= 0.0:
            raise ValueError(f"passage_margin={self.passage_margin} must be at least 0; infinity keeps every passage")
        if not 1 <= self.candidates <= MOST_CANDIDATES:
            raise ValueError(
                f"candidates={self.candidates} must lie in [1, {MOST_CANDIDATES}]; 1 writes a single reply"
            )


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a statement comes from.

    `marker` is the label that stands in square brackets in the answer. `quote` is verbatim:
    `document.text[start:end] == quote`. `support` in [0, 1] tells how well the quote carries the statement. `section`
    has the titles above the quote, outermost first.
    """

    marker: str
    chunk_id: int
    document_id: str
    source: str
    page: int | None
    start: int
    end: int
    quote: str
    support: float
    section: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement of an answer without its markers, which name its citations.

    `support` in [0, 1] is that of the citation that carries it best, None where no passage does. An `unsure` one has a
    name that its source does not have there, or not in this language.
    """

    text: str
    markers: tuple[str, ...]
    support: float | None
    unsure: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer.

    Of the passages found, `dropped_passages` did not fit into the prompt's budget, and `trailing_passages` scored too
    far behind the best to be worth their tokens.
    """

    prompt_tokens: int = 0
    answer_tokens: int = 0
    dropped_passages: int = 0
    trailing_passages: int = 0


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Event: the question that was searched and answered in place of a follow-up.

    `how` tells whether the model put it into words, or the rewriting was of no use and the question before it and the
    follow-up were joined.
    """

    question: str
    how: Literal["rewritten", "joined"]


Refusal = Literal["nothing_found", "low_confidence", "no_answer", "unsupported"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its evidence.

    `confidence` in [0, 1] estimates that the documents hold the answer; `abstained` is set when they do not
    and `text` then says so. `timings_s` has seconds by stage. `rewritten` is None for a question that stands alone.
    `unsure` are names that the quotes do not have, or not in this language; their sentences end in `[?]`.
    `other_language` is set when the answer is not in `language` though the model was asked for it twice.
    `unsupported` are sentences that no passage supports, shown with `[!]` where that is asked for. `words` are the
    fewest words of a passage that answer, word for word, those of each part of a compound question; none where they
    were not looked for or not found. `missing` are parts of the question, or what it names, that the documents do not
    tell; the last line of `text` then says so. `refusal` is why it abstained: nothing was found, the confidence was
    below the caution asked for, the model found no answer in the passages, or no passage supports what it wrote.
    `reasoning` is what the model thought before it wrote, where that was asked for; nothing of it is verified.
    """

    question: str
    text: str
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    abstained: bool
    confidence: float
    language: str
    model: str
    timings_s: Mapping[str, float] = field(default_factory=dict)
    usage: Usage = Usage()
    rewritten: Rewritten | None = None
    unsure: tuple[str, ...] = ()
    other_language: str | None = None
    unsupported: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    refusal: Refusal | None = None
    sampling: Sampling = Sampling()
    options: Options = Options()
    reasoning: str = ""

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The statements with their citations; none when it abstained."""
        if self.abstained:
            return ()
        written = self.text.rpartition("\n")[0] if self.missing else self.text
        *pieces, _ = _MARKERS.split(written)
        return tuple(map(self._sentence, pieces[::2], pieces[1::2]))

    def _sentence(self, text: str, markers: str) -> Sentence:
        known = {citation.marker: citation.support for citation in self.citations}
        cited = tuple(marker for marker in re.findall(r"\d+", markers) if marker in known)
        return Sentence(text.strip(), cited, max((known[one] for one in cited), default=None), "[?]" in markers)

    @property
    def bare_text(self) -> str:
        """The text without markers."""
        return _MARKER.sub("", self.text)

    @property
    def standalone_question(self) -> str:
        """The question as it was searched: with what a follow-up left unsaid."""
        return self.rewritten.question if self.rewritten else self.question


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Event: the passages are found."""

    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Event: a piece of what the model thinks before it writes; it is no part of the answer and not verified."""

    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """Event: the sentence being written so far; not verified yet, and replaced by the next event."""

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Event: a verified sentence of the answer, markers included."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Event: the answer is complete; its text equals the deltas joined."""

    answer: Answer


Event = Rewritten | Retrieved | Reasoning | Draft | TextDelta | Finished
