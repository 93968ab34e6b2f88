"""One process writes, eight ask: each answer comes from one generation, and none from one older than the last.

The writer rewrites every document for each edition, so a text says which edition it is of; a few documents are left
out of each edition, and one is taken out right after it was published. Readers compare whatever they are shown with
the states that the writer gives the index.
"""

import os
import re
import shutil
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import current_process, get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from queue import Empty
from threading import BrokenBarrierError
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import IndexBusyError
from index.search import Index
from index.settings import SearchSettings
from index.types import Channel
from ingest.types import Document
from tests.index.library import HashedModel, Library, read

READERS = 8
EVERYTHING = 10_000
# For what should take moments: only a hang takes this long.
PATIENCE_S = 120

_SENTENCES = (
    "La edición {edition} de {name} habla de pescado fresco.",
    "En la edición {edition} de {name} hay barcos y hay pescado.",
    "Termina {name} con pescado, es la edición {edition}.",
)
_NAMES = tuple(f"doc{number}" for number in range(6))
_EDITION = re.compile(r"edición (\d+)")

Texts = dict[str, str]


def state_texts(state: int) -> Texts:
    """Text by name in a state of the index: state 2e is edition e whole, 2e + 1 the same with one document less."""
    edition = state // 2
    names = [name for number, name in enumerate(_NAMES) if (number + edition) % 4]
    return {
        name: " ".join(sentence.format(edition=edition, name=name) for sentence in _SENTENCES)
        for name in names[state % 2 :]
    }


def taken_out(edition: int) -> str:
    """The document that leaves after the edition was published."""
    return next(iter(state_texts(2 * edition)))


def read_edition(path: Path, source: str) -> Document:
    """A file whose metadata say its edition, too."""
    document = read(path, source)
    return replace(document, metadata={"edition": _edition_of(document.text)})


def _edition_of(text: str) -> str:
    (edition,) = set(_EDITION.findall(text))
    return str(edition)


@dataclass(frozen=True)
class Signals:
    """What the processes tell each other.

    `start` is passed once all are ready; `writer` is the process that writes, 0 before and after it does;
    `published` is the newest state that certainly is.
    """

    start: Barrier
    stop: Event
    writer: "Synchronized[int]"
    published: "Synchronized[int]"
    reports: "Queue[Report]"


@dataclass(frozen=True)
class Report:
    """What one process did, and the traceback of its failure."""

    who: str
    counts: Counter[str]
    failure: str = ""


class Publisher:
    """Publishes one state after another."""

    def __init__(self, library: Library, signals: Signals) -> None:
        self.library, self.signals = library, signals
        self.counts: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        with self.library.writer() as writer:
            self.signals.writer.value = os.getpid()
            edition = 1
            self._write(edition)
            writer.sync(self._files(), [self.library.files], read_edition)
            self.signals.published.value = 2 * edition
            self.signals.start.wait(PATIENCE_S)
            end = time.monotonic() + seconds
            while time.monotonic() < end and not self.signals.stop.is_set():
                writer.remove([self.library.source(taken_out(edition))])
                self.signals.published.value = 2 * edition + 1
                edition += 1
                self._write(edition)
                report = writer.sync(self._files(), [self.library.files], read_edition)
                assert (list(report.failed), len(report.added) + len(report.changed)) == ([], len(self._files()))
                self.signals.published.value = 2 * edition
                self.counts["publications"] += 2
            self.signals.writer.value = 0

    def _write(self, edition: int) -> None:
        texts = state_texts(2 * edition)
        for path in self._files():
            if path.stem not in texts:
                path.unlink()
        self.library.write(**texts)

    def _files(self) -> list[Path]:
        return sorted(self.library.files.iterdir())


class Reader:
    """Asks in every way there is and holds each answer against the states that it may show."""

    def __init__(self, library: Library, signals: Signals) -> None:
        self.library, self.signals = library, signals
        self.counts: Counter[str] = Counter()
        self.state = 0
        self._seen: set[int] = set()

    def run(self, _: float) -> None:
        self.signals.start.wait(PATIENCE_S)
        index = self.library.index()
        while not self.signals.stop.is_set():
            self._ask(index)
            if self.counts["rounds"] % 10 == 0:
                index.close()
                index = self.library.index()
        self._ask(index)
        index.close()

    def _ask(self, index: Index) -> None:
        self.counts["rounds"] += 1
        for channel in get_args(Channel):
            self._search(index, channel)
        self._sources(index)
        self._documents(index)

    def _search(self, index: Index, channel: Channel) -> None:
        self._heed()
        hits = index.search("pescado", EVERYTHING, settings=SearchSettings(channel=channel, collapse=False))
        self.counts["searches"] += 1
        pieces: dict[str, list[tuple[int, str]]] = {}
        for hit in hits:
            assert hit.metadata["edition"] == _edition_of(hit.chunk.text)
            pieces.setdefault(Path(hit.source).stem, []).append((hit.chunk.start, hit.chunk.text))
        self._advance({name: " ".join(text for _, text in sorted(texts)) for name, texts in pieces.items()}, channel)
        self._document(index, hits[0].chunk.document_id)

    def _document(self, index: Index, document_id: str) -> None:
        """A document of the last answer is what it was, or has left because the index went on."""
        document = index.document(document_id)
        self.counts["documents"] += 1
        if document is None:
            before = self.state
            self._documents(index)
            assert self.state > before, f"{document_id} is not shown, but nothing was published"
        else:
            state = 2 * int(document.metadata["edition"])
            assert document.text == state_texts(state)[Path(document.source).stem]

    def _sources(self, index: Index) -> None:
        self._heed()
        infos = index.sources()
        self.counts["lists of sources"] += 1
        (edition,) = {int(info.metadata["edition"]) for info in infos}
        lengths = {Path(info.source).stem: info.characters for info in infos}
        self._advance({name: text for name, text in state_texts(2 * edition).items() if name in lengths}, "sources")
        assert lengths == {name: len(text) for name, text in state_texts(self.state).items()}

    def _documents(self, index: Index) -> None:
        self._heed()
        shown = index.documents_of([self.library.source(name) for name in _NAMES])
        self.counts["lists of documents"] += 1
        self._advance({Path(source).stem: document.text for source, document in shown.items()}, "documents")

    def _heed(self) -> None:
        """What was published before the question is the least that its answer may show."""
        self.state = max(self.state, self.signals.published.value)

    def _advance(self, shown: Mapping[str, str], asked: str) -> None:
        """Fails unless exactly the texts of one state are shown, and that is not an older one."""
        editions = {_edition_of(text) for text in shown.values()}
        assert len(editions) == 1, f"{asked} shows editions {sorted(editions)} together"
        (edition,) = map(int, editions)
        states = [state for state in (2 * edition, 2 * edition + 1) if state_texts(state) == shown]
        assert states, f"{asked} shows {sorted(shown)} of edition {edition}, which was never published"
        assert states[0] >= self.state, f"{asked} shows state {states[0]} after state {self.state}"
        self.state = states[0]
        self._seen.add(self.state)
        self.counts["states seen"] = len(self._seen)


def work(role: type[Publisher] | type[Reader], folders: tuple[Path, Path], seconds: float, signals: Signals) -> None:
    """The body of a process: whatever ends it is reported."""
    worker = role(Library(*folders), signals)
    failure = ""
    try:
        worker.run(seconds)
    except BaseException:  # noqa: BLE001 - handed over to the test
        failure = traceback.format_exc()
        signals.start.abort()
    if failure or role is Publisher:
        signals.stop.set()
    signals.reports.put(Report(current_process().name, worker.counts, failure))


def refused(library: Library, signals: Signals) -> int:
    """How often a second writer was turned away while the first one wrote; each time the first is named."""
    with suppress(BrokenBarrierError):  # its cause is in the report of the process that broke it
        signals.start.wait(PATIENCE_S)
    first, count = signals.writer.value, 0
    while not signals.stop.is_set():
        try:
            with library.writer():
                assert signals.writer.value == 0, "a second writer came in while the first one wrote"
        except IndexBusyError as error:
            assert f"process {first} " in str(error)  # noqa: PT017 - whether it is raised depends on the moment
            count += 1
    return count


def reports(signals: Signals, processes: Sequence[BaseProcess]) -> list[Report]:
    """One report of each process; fails with the tracebacks of all that failed."""
    found = []
    for _ in processes:
        try:
            found.append(signals.reports.get(timeout=PATIENCE_S))
        except Empty:
            raise AssertionError(f"of {len(processes)} processes only these ended: {found}") from None
    failures = [f"--- {report.who}\n{report.failure}" for report in found if report.failure]
    assert not failures, "\n".join(failures)
    return found


def run_processes(library: Library, seconds: float) -> Counter[str]:
    """What a writer, eight readers and a second writer in this process did together."""
    context = get_context("spawn")
    signals = Signals(
        context.Barrier(READERS + 2), context.Event(), context.Value("i", 0), context.Value("i", 0), context.Queue()
    )
    arguments = ((library.files, library.folder), seconds, signals)
    processes = [context.Process(target=work, name="writer", args=(Publisher, *arguments))]
    processes += [
        context.Process(target=work, name=f"reader {number}", args=(Reader, *arguments)) for number in range(READERS)
    ]
    for process in processes:
        process.start()
    try:
        counts = Counter({"refusals of a second writer": refused(library, signals)})
        for report in reports(signals, processes):
            counts += report.counts
    finally:
        signals.stop.set()
        for process in processes:
            process.join(PATIENCE_S)
            process.kill()
    return counts


def check(library: Library, seconds: float) -> None:
    counts = run_processes(library, seconds)
    print(*(f"{count} {what}" for what, count in sorted(counts.items())), sep="\n")
    for what in ("publications", "searches", "states seen", "refusals of a second writer"):
        assert counts[what] > 0, f"no {what}: nothing was proved"
    with library.writer() as writer:
        current = writer.publish()
    assert [path.name for path in library.folder.glob("gen-*")] == [f"gen-{current:06d}"]
    assert (library.folder / "CURRENT").read_text().split()[0] == f"gen-{current:06d}"


def test_readers_are_never_misled_for_moments(library: Library) -> None:
    check(library, 3)


@pytest.mark.slow
def test_readers_are_never_misled_for_a_minute(library: Library) -> None:
    check(library, 60)


class Meeting(HashedModel):
    """A search in a thread that waits at one of its looks at CURRENT, until a writer is about to delete or has done so.

    It waits once more at its next look, and before it embeds the question, until the writer is done: whatever it
    opened in between is gone by then.
    """

    def __init__(self, look: int) -> None:
        super().__init__()
        self.looks_left = look
        self.came, self.may_go, self.went_on, self.done = (threading.Event() for _ in range(4))
        self.thread: threading.Thread | None = None
        self.found: set[str] | BaseException = set()

    def ask(self, index: Index) -> None:
        def run() -> None:
            try:
                self.found = {
                    Path(hit.source).stem
                    for hit in index.search("pescado", EVERYTHING, settings=SearchSettings(collapse=False))
                }
            except BaseException as error:  # noqa: BLE001 - handed over to the test
                self.found = error
            self.came.set()
            self.went_on.set()

        self.thread = threading.Thread(target=run)
        self.thread.start()
        assert self.came.wait(PATIENCE_S)

    def look(self) -> None:
        """Called after each look at CURRENT."""
        if threading.current_thread() is not self.thread:
            return
        self.looks_left -= 1
        if self.looks_left == 0:
            self.came.set()
            assert self.may_go.wait(PATIENCE_S)
        elif self.looks_left < 0:
            self._rest()

    def encode(
        self, texts: list[str], *, batch_size: int, normalize_embeddings: bool, show_progress_bar: bool
    ) -> NDArray[np.float32]:
        if threading.current_thread() is self.thread:
            self.came.set()
            self._rest()
        return super().encode(
            texts,
            batch_size=batch_size,
            normalize_embeddings=normalize_embeddings,
            show_progress_bar=show_progress_bar,
        )

    def _rest(self) -> None:
        self.went_on.set()
        assert self.done.wait(PATIENCE_S)


@pytest.mark.parametrize("deleted", [False, True], ids=["is about to be deleted", "was deleted"])
@pytest.mark.parametrize("look", range(1, 7))
def test_a_search_that_meets_a_writer_at_the_worst_moment_answers(
    library: Library, monkeypatch: pytest.MonkeyPatch, look: int, deleted: bool
) -> None:
    meeting = Meeting(look)
    library.write(uno="Un pescado.")
    library.sync()
    index = Library(library.files, library.folder, meeting).index()
    library.write(dos="Dos pescados y un pescado.")
    library.sync()
    read_bytes, rmtree = Path.read_bytes, shutil.rmtree

    def read_and_meet(path: Path) -> bytes:
        content = read_bytes(path)
        if path.name == "CURRENT":
            meeting.look()
        return content

    def meet_and_delete(path: Path, ignore_errors: bool = False) -> None:
        if not deleted:
            meeting.may_go.set()
            assert meeting.went_on.wait(PATIENCE_S)
        rmtree(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(Path, "read_bytes", read_and_meet)
    monkeypatch.setattr(shutil, "rmtree", meet_and_delete)
    meeting.ask(index)
    library.write(tres="Tres pescados y un pescado.")
    library.sync()
    meeting.may_go.set()
    meeting.done.set()
    assert meeting.thread is not None
    meeting.thread.join(PATIENCE_S)
    assert meeting.found in ({"uno", "dos"}, {"uno", "dos", "tres"})
    index.close()
