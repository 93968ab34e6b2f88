"""Work that outlives a run of the page: answers and ingestion in threads, and what they have so far.

Streamlit runs a page again at every click, so nothing that takes longer may happen within a run. A job is
written to by its own thread only; pages read it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Literal

from index.filters import Filter
from index.types import Failure, SyncProgress, SyncReport
from rag import Answer, Conversation, Options, Sampling
from rag.evaluation.building import Built
from rag.evaluation.curves import Curves
from rag.evaluation.questions import Question
from rag.types import Draft, Finished, Reasoning, Retrieved, Rewritten, TextDelta
from rag.types import Event as AnswerEvent
from ui.problems import EXPECTED
from ui.sources import DocumentOf, Source, sources_of


class Job:
    """Something that runs in a thread of its own; the thread does not keep the program alive."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.completed = False
        self._thread: Thread | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begins the work. Errors that a person can mend are kept in `error`; others reach the log."""
        self._thread = Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Returns when the work is over, or after `timeout_s`."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    @property
    def done(self) -> bool:
        """Whether the work is over, well or badly."""
        return self._thread is not None and not self._thread.is_alive()

    @property
    def failed(self) -> bool:
        """Whether the work ended badly."""
        return self.done and not self.completed

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
            self.completed = True
        except EXPECTED as error:
            self.error = error


@dataclass(frozen=True, slots=True)
class Settings:
    """How a question is to be answered, and from which documents; None stands for all."""

    generator: str
    language: str
    k: int
    sampling: Sampling
    options: Options
    where: Filter | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer and its sources in context."""

    answer: Answer
    sources: tuple[Source, ...]


class AnswerJob(Job):
    """One question and its answer so far; `number` is its place in the conversation, `before` what came earlier."""

    def __init__(self, number: int, question: str, settings: Settings, before: Sequence["AnswerJob"] = ()) -> None:
        super().__init__()
        self._before = tuple(before)
        self.number = number
        self.question = question
        self.settings = settings
        self.cancel = Event()
        self.stage: Literal["waiting", "loading", "searching", "reading", "thinking", "writing"] = "waiting"
        self.passages = 0
        self.text = ""
        self.draft = ""
        self.reasoning = ""
        self.reply: Reply | None = None
        self.rewritten: Rewritten | None = None

    @property
    def history(self) -> Conversation:
        """What was answered before; complete once those answers are there."""
        conversation = Conversation()
        for turn in self._before:
            if turn.reply and turn.reply.answer.text:
                conversation = conversation.after(turn.reply.answer)
        return conversation

    def await_history(self) -> None:
        """Returns when the answers before it are there."""
        for turn in self._before:
            turn.wait()

    def take(self, event: AnswerEvent, document_of: DocumentOf) -> None:
        """Takes note of what the answerer tells."""
        match event:
            case Rewritten():
                self.rewritten = event
            case Retrieved(hits):
                self.stage, self.passages = "reading", len(hits)
            case Reasoning(text):
                self.stage, self.reasoning = "thinking", self.reasoning + text
            case Draft(text):
                self.stage, self.draft = "writing", text
            case TextDelta(text):
                self.text, self.draft = self.text + text, ""
            case Finished(answer):
                self.reply = Reply(answer, sources_of(answer, document_of))

    def stop(self) -> None:
        """Ends the answer with the last verified sentence; the page need not wait for the model to notice."""
        self.cancel.set()

    @property
    def stopped(self) -> bool:
        """Whether the reader stopped it."""
        return self.cancel.is_set()

    @property
    def busy(self) -> bool:
        """Whether the reader is still waiting for it."""
        return not (self.done or self.stopped)


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a stage is: `rate` in things a second and `left_s` are None as long as they are unknown."""

    stage: str
    done: int
    total: int
    source: str
    rate: float | None
    left_s: float | None

    @property
    def fraction(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0


class PacedJob(Job):
    """Work that tells how far it is, and that the reader can stop."""

    def __init__(self) -> None:
        super().__init__()
        self.cancel = Event()
        self._progress: SyncProgress | None = None
        self._stage_began = 0.0
        self._stage_first = 0

    def advance(self, progress: SyncProgress) -> None:
        """Takes note of progress. Raises: Stopped once the reader stopped the work."""
        if self.stopped:
            raise Stopped
        if self._progress is None or self._progress.stage != progress.stage:
            self._stage_began, self._stage_first = time.monotonic(), progress.done
        self._progress = progress

    def stop(self) -> None:
        """Ends the work at its next step."""
        self.cancel.set()

    @property
    def stopped(self) -> bool:
        """Whether the reader stopped it."""
        return self.cancel.is_set()

    @property
    def pace(self) -> Pace | None:
        """How far it is; None before the first step."""
        now = self._progress
        if now is None:
            return None
        seconds, made = time.monotonic() - self._stage_began, now.done - self._stage_first
        rate = made / seconds if made > 0 and seconds > 0.5 else None
        left = (now.total - now.done) / rate if rate else None
        return Pace(now.stage, now.done, now.total, now.source, rate, left)

    def _run(self, work: Callable[[], None]) -> None:
        with suppress(Stopped):
            super()._run(work)


class Stopped(Exception):
    """The reader stopped what a job was doing."""


class IngestJob(PacedJob):
    """An ingestion; `unsaved` are uploads that did not even reach the disk."""

    def __init__(self, unsaved: Sequence[Failure] = ()) -> None:
        super().__init__()
        self.unsaved = tuple(unsaved)
        self.report: SyncReport | None = None


class MeasureJob(PacedJob):
    """A measurement of search on a question set; `curves` is what it found."""

    def __init__(self) -> None:
        super().__init__()
        self.curves: Curves | None = None


class QuestionsJob(PacedJob):
    """The writing of a question set into `file`; `built` says how many `questions` it has."""

    def __init__(self) -> None:
        super().__init__()
        self.file = ""
        self.built: Built | None = None
        self.questions: Sequence[Question] = ()
