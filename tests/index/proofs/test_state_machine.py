"""Any history of edits, syncs and crashes leaves the index that its last acknowledged state asks for.

A hypothesis state machine does to a folder of files and to its index what people and power cuts do. A dictionary
of source to text is the whole model; after every step the index must equal it.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

from index.errors import IndexMismatchError, IndexNotFoundError, UnknownSourceError
from index.search import Index
from index.settings import SearchSettings
from index.types import Channel, Hit, SyncProgress
from index.writer import IndexWriter
from ingest.types import Document
from tests.index.library import HashedModel, Library, read

NAMES = ("ana", "bea", "ciro", "dora", "eva")
NOTES = ("nota uno", "nota dos")
# No two share a stem, and none is a stop word. Almost all are of one length, so that an edit may keep a file's size.
MARKERS = ("queso", "farol", "cebra", "globo", "trigo", "plomo", "rueda", "brújula")
CHUNK_TOKENS = (8, 14, 20)
EVERYTHING = 10_000

State = dict[str, str]
Answer = list[tuple[str, str, str, int, int]]


class Crash(BaseException):
    """Stands for a kill: nothing may catch it."""


KINDS = ("read", "encode", "progress", "sql", "disk")


@dataclass
class Fuse:
    """Counts a run's events of each kind, and ends the run at the `at`-th of one kind.

    From then on every event of any kind fails, as in a dead process.
    """

    kind: str | None = None
    at: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    blown: bool = False

    def event(self, kind: str) -> None:
        self.seen[kind] += 1
        self.blown = self.blown or (kind == self.kind and self.seen[kind] > self.at)
        if self.blown:
            raise Crash(f"{self.kind} {self.at}")


@contextmanager
def fused(fuse: Fuse | None) -> Iterator[None]:
    """Every statement and commit of SQLite and every lasting change of the disk is an event before and after it."""
    if fuse is None:
        yield
        return

    class Connection(sqlite3.Connection):
        pass

    for name in ("execute", "executemany", "commit"):
        setattr(Connection, name, _counted(getattr(sqlite3.Connection, name), "sql", fuse))
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Connection))
        for name in ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "link"):
            patch.setattr(os, name, _counted(getattr(os, name), "disk", fuse))
        yield


def _counted(function: Callable[..., Any], kind: str, fuse: Fuse) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        fuse.event(kind)
        result = function(*arguments, **options)
        fuse.event(kind)
        return result

    return call


class Model(HashedModel):
    """Vectors of a run that may crash while it embeds."""

    fuse: Fuse | None = None

    def encode(
        self, texts: list[str], *, batch_size: int, normalize_embeddings: bool, show_progress_bar: bool
    ) -> NDArray[np.float32]:
        if self.fuse:
            self.fuse.event("encode")
        return np.stack([vector(text) for text in texts])


@cache
def vector(text: str) -> NDArray[np.float32]:
    """The unit vector (D,) of a text with its prefix."""
    found: NDArray[np.float32] = HashedModel().encode(
        [text], batch_size=1, normalize_embeddings=True, show_progress_bar=False
    )[0]
    return found


class PausedModel(HashedModel):
    """Holds a search between the moment that it chose its generation and the moment that it looks into it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def encode(
        self, texts: list[str], *, batch_size: int, normalize_embeddings: bool, show_progress_bar: bool
    ) -> NDArray[np.float32]:
        self.reached.set()
        self.go_on.wait()  # however long the steps between take; the machine's teardown lets it go on
        return np.stack([vector(text) for text in texts])


class Question:
    """A search in a thread of its own that began and waits; `answer` lets it end."""

    def __init__(self, library: Library, expected: Answer, number: int) -> None:
        self.expected, self.number = expected, number
        self._model = PausedModel()
        self._result: Answer | BaseException | None = None
        self._index = Library(library.files, library.folder, self._model).index()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        assert self._model.reached.wait(20)

    def answer(self) -> None:
        """Raises what the search raised; fails when it shows anything but the generation that it began with."""
        self._model.go_on.set()
        self._thread.join(20)
        self._index.close()
        if isinstance(self._result, BaseException):
            raise self._result
        assert self._result == self.expected

    def _ask(self) -> None:
        try:
            self._result = shown(everything(self._index))
        except BaseException as error:  # noqa: BLE001 - handed over to the test
            self._result = error


def everything(index: Index, question: str = "palabra", channel: Channel = "dense") -> list[Hit]:
    """All that a channel finds."""
    return index.search(question, EVERYTHING, settings=SearchSettings(channel=channel, collapse=False))


def shown(hits: Sequence[Hit]) -> Answer:
    """What hits say, in an order that does not depend on scores."""
    return sorted((hit.source, hit.chunk.document_id, hit.chunk.text, hit.chunk.start, hit.chunk.end) for hit in hits)


def published_number(library: Library) -> int:
    """Number of the generation that is published, 0 before the first one."""
    try:
        index = library.index()
    except IndexNotFoundError:
        return 0
    number = index.generation.number
    index.close()
    return number


def check_equal(index: Index, expected: Mapping[str, str]) -> None:
    """Fails unless every way to ask shows these texts by source, and nothing else."""
    infos = index.sources()
    assert [info.source for info in infos] == sorted(expected)
    assert {source: document.text for source, document in index.documents_of(sorted(expected)).items()} == expected
    for info in infos:
        document = index.document(info.document_id)
        assert document is not None
        assert (document.text, info.characters) == (expected[info.source], len(expected[info.source]))
    hits = everything(index)
    check_chunks(hits, expected)
    assert Counter(hit.chunk.document_id for hit in hits) == {i.document_id: i.chunks for i in infos if i.chunks}
    assert shown(everything(index, channel="fused")) == shown(hits)
    check_words(index, hits)


def check_chunks(hits: Sequence[Hit], expected: Mapping[str, str]) -> None:
    """Fails unless the chunks cover each text once, under the first of its sources, each with its own vector."""
    assert len({hit.chunk.id for hit in hits}) == len(hits)
    first = {text: min(source for source, other in expected.items() if other == text) for text in expected.values()}
    by_source: dict[str, list[Hit]] = {}
    for hit in hits:
        by_source.setdefault(hit.source, []).append(hit)
    assert set(by_source) == {source for text, source in first.items() if text.strip()}
    for source, its in by_source.items():
        text, at = expected[source], 0
        for hit in sorted(its, key=lambda hit: hit.chunk.start):
            assert hit.chunk.text == text[hit.chunk.start : hit.chunk.end]
            assert not text[at : hit.chunk.start].strip()  # also false where chunks overlap: see the next line
            assert hit.chunk.start >= at
            assert hit.dense == pytest.approx(vector(f"p: {hit.chunk.text}") @ vector("q: palabra"), abs=1e-4)
            at = hit.chunk.end
        assert not text[at:].strip()


def check_words(index: Index, hits: Sequence[Hit]) -> None:
    """Fails unless a word finds exactly the chunks that hold it."""
    for marker in MARKERS:
        holding = [hit for hit in hits if marker in hit.chunk.text]
        assert shown(everything(index, marker, "lexical")) == shown(holding), marker


def sentence(marker: str) -> str:
    return f"Aquí va la palabra {marker} sola."


# Some come often, so that documents meet, leave and return.
TEXTS = st.one_of(
    st.sampled_from([MARKERS[:1], MARKERS[1:2], MARKERS[:3]]), st.lists(st.sampled_from(MARKERS), max_size=5)
).map(lambda markers: " ".join(map(sentence, markers)))
ANY_NAME = st.sampled_from(NAMES)
EDITS = st.one_of(
    st.tuples(st.just("write"), ANY_NAME, TEXTS),
    st.tuples(st.just("append"), ANY_NAME, st.sampled_from(MARKERS)),
    st.tuples(st.just("alter"), ANY_NAME, st.sampled_from(MARKERS)),
    st.tuples(st.just("move"), ANY_NAME, ANY_NAME),
    st.tuples(st.just("copy"), ANY_NAME, ANY_NAME),
    st.tuples(st.just("swap"), ANY_NAME, ANY_NAME),
    st.tuples(st.just("delete"), ANY_NAME, st.none()),
    st.tuples(st.just("spoil"), ANY_NAME, st.none()),
    st.tuples(st.just("restore"), ANY_NAME, st.integers(0, 3)),
)
# Where in a run it crashes: among the events of which kind, and after what part of them. (Integers would
# mostly be small ones.)
PLACES = st.tuples(st.sampled_from(KINDS), st.sampled_from([part / 40 for part in range(40)]))
REINDEXES = st.tuples(st.just("reindex"), st.sampled_from(CHUNK_TOKENS))
OPERATIONS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(NOTES), TEXTS),
    st.tuples(st.just("remove"), st.sampled_from((*NAMES, *NOTES))),
    st.tuples(st.just("publish")),
)


@dataclass
class Folder:
    """The files on disk, edited by name; every state that a file ever had can come back with its time."""

    library: Library
    past: dict[str, list[tuple[bytes, int]]] = field(default_factory=dict)

    def edit(self, kind: str, name: str, other: Any) -> None:
        path = self.path(name)
        if kind == "write":
            self.library.write(**{name: other})
        elif kind == "spoil":
            self.library.write(**{name: f"broken {self.library.clock_ns}"})
        elif kind == "restore":
            self._restore(name, other)
        elif path.exists() and name != other:
            self._edit_existing(kind, name, other)
        if path.exists():
            self.past.setdefault(name, []).append((path.read_bytes(), path.stat().st_mtime_ns))

    def texts(self) -> dict[str, str | None]:
        """Text by source, None for a file that cannot be read."""
        contents = {str(path): path.read_text("utf-8") for path in self.library.files.iterdir()}
        return {source: None if text.startswith("broken") else text for source, text in contents.items()}

    def path(self, name: str) -> Path:
        return Path(self.library.source(name))

    def _edit_existing(self, kind: str, name: str, other: Any) -> None:
        path = self.path(name)
        if kind == "append":
            self.library.write(**{name: f"{path.read_text('utf-8')} {sentence(other)}".strip()})
        elif kind == "alter":
            self.library.write(**{name: re.sub(r"(?<=palabra )\w+", other, path.read_text("utf-8"), count=1)})
        elif kind == "delete":
            path.unlink()
        elif kind == "move":
            path.replace(self.path(other))
        elif kind == "copy":
            shutil.copy2(path, self.path(other))
        elif kind == "swap" and self.path(other).exists():
            path.replace(path.with_suffix(".aside"))
            self.path(other).replace(path)
            path.with_suffix(".aside").replace(self.path(other))

    def _restore(self, name: str, back: int) -> None:
        if name in self.past:
            content, modified_ns = self.past[name][-1 - back % len(self.past[name])]
            self.path(name).write_bytes(content)
            os.utime(self.path(name), ns=(modified_ns, modified_ns))


class IndexMachine(RuleBasedStateMachine):
    """The index of a folder of files and the dictionary that it must equal.

    `published` is what the index shows. A crash may leave stored what was not published yet: `possible` holds, for
    the sources that it concerns, every state that the next publication may show.
    """

    def __init__(self, place: Path, tally: Counter[str]) -> None:
        super().__init__()
        self.tally = tally
        self.place = Path(mkdtemp(dir=place))
        (self.place / "files").mkdir()
        self.library = Library(self.place / "files", self.place / "index", Model())
        self.folder = Folder(self.library)
        self.published: State = {}
        self.possible: dict[str, set[str | None]] = {}
        self.number = 0
        self.unfinished = False  # whether a reindex crashed
        self.follower: Index | None = None
        self.questions: list[Question] = []

    @initialize(edits=st.lists(EDITS, max_size=6))
    def first_sync(self, edits: list[tuple[str, str, Any]]) -> None:
        self._edit(edits)
        self._run(("sync", set()))

    @rule(edits=st.lists(EDITS, max_size=3), failing=st.sets(ANY_NAME, max_size=2))
    def edit_and_sync(self, edits: list[tuple[str, str, Any]], failing: set[str]) -> None:
        self._edit(edits)
        self._run(("sync", failing))

    @rule(edits=st.lists(EDITS, max_size=2), operation=st.one_of(OPERATIONS, REINDEXES))
    def edit_and_operate(self, edits: list[tuple[str, str, Any]], operation: tuple[Any, ...]) -> None:
        self._edit(edits)
        self._run(operation)

    @rule(edits=st.lists(EDITS, min_size=1, max_size=3), where=PLACES)
    def crash_a_sync(self, edits: list[tuple[str, str, Any]], where: tuple[str, float]) -> None:
        self._edit(edits)
        self._crash(("sync", set()), where)

    @rule(edits=st.lists(EDITS, max_size=2), operation=OPERATIONS, where=PLACES)
    def crash_an_operation(
        self, edits: list[tuple[str, str, Any]], operation: tuple[Any, ...], where: tuple[str, float]
    ) -> None:
        self._edit(edits)
        self._crash(operation, where)

    @rule(operation=REINDEXES, where=PLACES, then=st.one_of(OPERATIONS, st.just(("sync", set()))), finish=st.booleans())
    def crash_a_reindex(
        self, operation: tuple[Any, ...], where: tuple[str, float], then: tuple[Any, ...], finish: bool
    ) -> None:
        self._crash(operation, where)
        self._run(then)
        if finish:
            self._run(operation)

    @rule()
    def reopen(self) -> None:
        if self.follower is not None:
            self.follower.close()
        self.follower = self.library.index() if self.number else None

    # Nothing is embedded for an index without a chunk, so a search in it cannot be held.
    @precondition(lambda self: any(text.strip() for text in self.published.values()) and len(self.questions) < 2)
    @rule()
    def ask(self) -> None:
        index = self.library.index()
        self.questions.append(Question(self.library, shown(everything(index)), self.number))
        index.close()

    @precondition(lambda self: self.questions)
    @rule(last=st.booleans())
    def answer(self, last: bool) -> None:
        question = self.questions.pop(-1 if last else 0)
        self.tally["answers from an old generation"] += question.number < self.number
        question.answer()

    @precondition(lambda self: self.number and not self.unfinished)
    @rule()
    def compact(self) -> None:
        """What nobody uses leaves the disk, and what somebody uses stays."""
        held = {question.number for question in self.questions}
        if self.follower is not None:
            held.add(self.follower.generation.number)
        self._run(("publish",))
        left = {path.name for path in self.library.folder.glob("gen-*")}
        assert left == {f"gen-{number:06d}" for number in held | {self.number}}

    @invariant()
    def equals_the_model(self) -> None:
        self.tally["steps"] += 1
        if not self.number:
            with pytest.raises(IndexNotFoundError):
                self.library.index()
            return
        index = self.library.index()
        try:
            assert index.generation.number == self.number
            check_equal(index, self.published)
            if self.follower is not None:
                assert shown(everything(self.follower)) == shown(everything(index))
                assert self.follower.sources() == index.sources()
        finally:
            index.close()

    def teardown(self) -> None:
        try:
            while self.questions:
                self.questions.pop().answer()
            if self.number:
                self._check_files()
        finally:
            for question in self.questions:
                question._model.go_on.set()
            if self.follower is not None:
                self.follower.close()
            shutil.rmtree(self.place)

    def _edit(self, edits: list[tuple[str, str, Any]]) -> None:
        for edit in edits:
            self.folder.edit(*edit)

    def _crash(self, operation: tuple[Any, ...], where: tuple[str, float]) -> None:
        """Starts the operation and stops it somewhere, which a rehearsal finds out about."""
        events = self._rehearse(operation)
        kind = where[0] if events[where[0]] else "sql"
        self._run(operation, Fuse(kind, int(events[kind] * where[1])))

    def _run(self, operation: tuple[Any, ...], fuse: Fuse | None = None) -> None:
        """Does what is asked, perhaps up to a crash, and follows it in the model."""
        if operation[0] == "reindex":
            self.library.chunk_tokens = operation[1]
        effect = self._effect(operation)
        try:
            with fused(fuse):
                self._do(operation, fuse)
        except Crash:
            assert fuse is not None
            self.tally[f"crashes in {fuse.kind}"] += 1
            self._crashed(operation, effect)
        except IndexMismatchError as error:
            self.tally["refusals after a crashed reindex"] += 1
            assert self.unfinished
            assert "fuente reindex" in str(error)  # noqa: PT017 - whether it is raised depends on the crash
        except UnknownSourceError:
            source = self._source(operation[1])
            assert operation[0] == "remove"
            assert source not in self.published or None in self.possible.get(source, ())
        else:
            if operation[0] in ("sync", "add", "reindex"):
                self.unfinished = False
            self.possible |= {source: {text} for source, text in effect.items()}
            self._observe()

    def _rehearse(self, operation: tuple[Any, ...]) -> Counter[str]:
        """The events of the operation, counted on a copy of the index."""
        shutil.copytree(self.library.folder, self.place / "rehearsal")
        fuse, library = Fuse(), self.library
        tokens = operation[1] if operation[0] == "reindex" else library.chunk_tokens
        self.library = replace(library, folder=self.place / "rehearsal", chunk_tokens=tokens)
        try:
            with fused(fuse), suppress(IndexMismatchError, UnknownSourceError):
                self._do(operation, fuse)
        finally:
            self.library = library
            shutil.rmtree(self.place / "rehearsal")
        return fuse.seen

    def _do(self, operation: tuple[Any, ...], fuse: Fuse | None) -> None:
        kind, *arguments = operation
        self.library.model.fuse = fuse  # type: ignore[attr-defined]
        try:
            with self.library.writer() as writer:
                if kind == "sync":
                    self._sync(writer, arguments[0], fuse)
                elif kind == "add":
                    writer.add([_note(*arguments)], progress=_progress(fuse))
                elif kind == "remove":
                    writer.remove([self._source(arguments[0])])
                elif kind == "reindex":
                    writer.reindex(progress=_progress(fuse))
                else:
                    assert writer.publish() >= self.number
        finally:
            self.library.model.fuse = None  # type: ignore[attr-defined]

    def _sync(self, writer: IndexWriter, failing: set[str], fuse: Fuse | None) -> None:
        def reading(path: Path, source: str) -> Document:
            if fuse:
                fuse.event("read")
            if path.stem in failing:
                raise PermissionError(13, "Permission denied")
            return read(path, source)

        files = sorted(self.library.files.iterdir())
        report = writer.sync(files, [self.library.files], reading, progress=_progress(fuse))
        failed = [failure.source for failure in report.failed]
        assert sorted([*report.added, *report.changed, *report.unchanged, *failed]) == [str(path) for path in files]
        unreadable = {source for source, text in self.folder.texts().items() if text is None}
        assert unreadable <= set(failed) <= unreadable | {self._source(name) for name in failing}

    def _effect(self, operation: tuple[Any, ...]) -> dict[str, str | None]:
        """The state of the sources that the operation decides, None for those that leave."""
        kind, *arguments = operation
        if kind == "add":
            return {arguments[0]: arguments[1]}
        if kind == "remove":
            return {self._source(arguments[0]): None}
        if kind != "sync":
            return {}
        texts = self.folder.texts()
        failing = {self._source(name) for name in arguments[0]}
        absent: dict[str, str | None] = {self._source(name): None for name in NAMES if self._source(name) not in texts}
        read_again = {source: text for source, text in texts.items() if text is not None and source not in failing}
        return absent | read_again

    def _crashed(self, operation: tuple[Any, ...], effect: dict[str, str | None]) -> None:
        if operation[0] == "reindex":
            self.unfinished = True
        if published_number(self.library) != self.number:
            # The new generation was acknowledged by its name; the crash came after.
            self.tally["crashes after publication"] += 1
            self.possible |= {source: {text} for source, text in effect.items()}
            self._observe()
            return
        for source, text in effect.items():
            self.possible.setdefault(source, {self.published.get(source)}).add(text)

    def _observe(self) -> None:
        """Takes what the index shows as the model's state, where the model allows it."""
        index = self.library.index()
        try:
            shows = {source: document.text for source, document in index.documents_of(self._all_sources()).items()}
            for source in self._all_sources():
                allowed = self.possible.get(source, {self.published.get(source)})
                assert shows.get(source) in allowed, f"{source} shows {shows.get(source)!r}, not one of {allowed}"
            tokens = index.generation.manifest.identity["chunk_tokens"]
            assert self.unfinished or tokens == self.library.chunk_tokens
            assert index.generation.number >= self.number
            self.tally["publications"] += index.generation.number > self.number
            self.published, self.possible, self.number = shows, {}, index.generation.number
        finally:
            index.close()

    def _check_files(self) -> None:
        """Fails unless the files of the index are those that the same texts give in an index of their own."""
        index = self.library.index()
        tokens = index.generation.manifest.identity["chunk_tokens"]
        index.close()
        fresh = self.library.with_changes(folder=self.place / "fresh", chunk_tokens=tokens)
        for path in self.library.files.iterdir():
            path.unlink()
        notes = {source: text for source, text in self.published.items() if source in NOTES}
        fresh.write(**{Path(s).stem: text for s, text in self.published.items() if s not in notes})
        fresh.sync()
        with fresh.writer() as writer:
            writer.add([_note(*note) for note in notes.items()])
        assert comparable(self.library) == comparable(fresh)

    def _source(self, name: str) -> str:
        return name if name in NOTES else self.library.source(name)

    def _all_sources(self) -> list[str]:
        return [self._source(name) for name in (*NAMES, *NOTES)]


def comparable(library: Library) -> dict[str, bytes]:
    """The files of the current generation, its manifest without what tells generations apart."""
    files = library.generation_files()
    manifest = json.loads(files["manifest.json"])
    kept = {key: value for key, value in manifest.items() if key not in ("generation", "seal")}
    return files | {"manifest.json": json.dumps(kept, sort_keys=True).encode()}


def _note(source: str, text: str) -> Document:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Document(digest[:16], source, text, (), "es", {}, digest)


def _progress(fuse: Fuse | None) -> Callable[[SyncProgress], None]:
    def report(_: SyncProgress) -> None:
        if fuse:
            fuse.event("progress")

    return report


OFTEN = ("publications", "crashes in sql", "crashes in disk", "crashes after publication")
ALWAYS = (
    *(f"crashes in {kind}" for kind in KINDS),
    *("refusals after a crashed reindex", "answers from an old generation", *OFTEN),
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Leaves what bm25s says of each of thousands of builds out of a failure's report."""
    caplog.set_level(logging.WARNING, logger="bm25s")


def prove(place: Path, happenings: Collection[str], start: int = 0, **chosen: Any) -> None:
    """Runs histories; fails when one breaks the model, or when none of them had something of `happenings`."""
    tally: Counter[str] = Counter()
    few = settings(
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        **chosen,
    )
    machine = seed(start)(lambda: IndexMachine(place, tally))
    run_state_machine_as_test(machine, settings=few)  # type: ignore[arg-type]
    print(*(f"{count} {what}" for what, count in sorted(tally.items())), sep="\n")
    assert not [what for what in happenings if not tally[what]], tally


def test_any_short_history_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    prove(tmp_path, OFTEN, max_examples=25, stateful_step_count=20, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_any_long_history_leaves_what_was_acknowledged(tmp_path: Path, part: int) -> None:
    prove(tmp_path, ALWAYS, part, max_examples=50, stateful_step_count=50, print_blob=True)
