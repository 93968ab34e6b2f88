"""A small library in three rounds of edits, and processes that are stopped while they bring an index up to them.

Trials run in one process that has imported everything once and forks for each step, so that every run starts
afresh and takes hundredths of a second. Tests start that process with `harness`.
"""

import hashlib
import importlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import index.shards
import index.writer
from index.errors import IndexNotFoundError
from index.integrity import examine, verify
from index.search import Index
from index.settings import SearchSettings
from index.types import SyncProgress
from tests.index.library import HashedModel, Library, read

CHANNELS = ("dense", "lexical", "fused")
QUESTIONS = ("la plaza y el molino", "palabra4")
# Several batches and several shards, of which some are taken over, although the library is small.
SMALL = ((index.writer, "_BATCH_CHUNKS", 6), (index.shards, "SHARD_CHUNKS", 8))
TRIAL_SECONDS = 60
# What tells of the way to a row rather than of what is stored.
HISTORY_COLUMNS = {"number", "document", "added", "removed", "seal", "rowid"}
# Made while the index is in use; nothing that an index says depends on them.
PASSING_FILES = {"writer.lock", "writer.pid", "fuente.db-wal", "fuente.db-shm"}

_connect = sqlite3.connect


def _story(topic: str, sentences: int) -> str:
    return " ".join(
        f"En {topic} la palabra{n} sigue a la hoja{n * 7 % 5} de {topic} número {n}." for n in range(sentences)
    )


_FARO, _HUERTO, _MOLINO, _PUENTE = (_story(t, n) for t, n in (("faro", 9), ("huerto", 5), ("molino", 7), ("puente", 3)))
_TALLER, _MUSEO, _BOSQUE, _PLAZA = (_story(t, n) for t, n in (("taller", 8), ("museo", 4), ("bosque", 9), ("plaza", 6)))
_ESTACION, _BIBLIOTECA, _COSTA = (_story(t, n) for t, n in (("estación", 10), ("biblioteca", 8), ("costa", 9)))

# Files of each round: text and time. There are new, changed, moved and removed ones, files of the same content,
# two that change places, one with a new time alone and one that comes back.
ROUNDS: tuple[dict[str, tuple[str, int]], ...] = (
    {
        "alfa": (_FARO, 0), "beta": (_HUERTO, 0), "gama": (_MOLINO, 0), "delta": (_PUENTE, 0), "copia": (_PUENTE, 0),
        "eta": (_TALLER, 0), "theta": (_MUSEO, 0), "zeta": (_PLAZA, 0),
    },
    {
        "alfa": (_PLAZA, 1), "nave": (_HUERTO, 0), "gama": (_BOSQUE, 1), "copia": (_PUENTE, 0), "eta": (_TALLER, 1),
        "theta": (_MUSEO, 0), "zeta": (_FARO, 1), "iota": (_ESTACION, 1), "kapa": (_BIBLIOTECA, 1),
        "par": (_ESTACION, 1),
    },
    {
        "alfa": (_PLAZA, 1), "nave": (_HUERTO, 0), "gama": (_MOLINO, 2), "copia": (_COSTA, 2), "delta": (_PUENTE, 2),
        "eta": (_TALLER, 1), "zeta": (_FARO, 1), "iota": (_ESTACION, 1), "kapa": (_BIBLIOTECA[::-1], 2),
    },
)  # fmt: skip


class Phase(IntEnum):
    """What a sync is at; `COLLECT` is all that follows the moment at which the new state can be seen."""

    OPEN, PARSE, EMBED, COMMIT, PUBLISH, COLLECT = range(6)


@lru_cache
def _word(model: type[HashedModel], word: str) -> NDArray[np.float64]:
    return HashedModel._word(model(), word)


class Model(HashedModel):
    """Remembers the vectors of words, and says when it embeds."""

    def __init__(self) -> None:
        super().__init__()
        self.enter: Callable[[Phase], None] = lambda phase: None

    def encode(self, texts: list[str], **options: Any) -> NDArray[np.float32]:
        self.enter(Phase.EMBED)
        vectors = super().encode(texts, **options)
        self.enter(Phase.COMMIT)
        return vectors

    def _word(self, word: str) -> NDArray[np.float64]:
        return _word(HashedModel, word)


@dataclass
class Watch:
    """Follows the phases of the sync in this process, from outside: by progress, statements and file names."""

    phase: mmap
    trace: int = -1
    embeddings: int = 0

    def enter(self, phase: Phase) -> None:
        self.phase[0] = phase
        self.embeddings += phase is Phase.EMBED
        if self.trace >= 0:
            os.write(self.trace, f"{phase.name}\n".encode())

    def progress(self, step: SyncProgress) -> None:
        phase = {"read": Phase.PARSE, "publish": Phase.PUBLISH}.get(step.stage)
        if phase is not None:
            self.enter(phase)

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = _connect(*arguments, **options)
        connection.set_trace_callback(self._statement)
        return connection

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and Path(os.fsdecode(arguments[1])).name == "CURRENT":
            self.enter(Phase.COLLECT)

    def _statement(self, statement: str) -> None:
        if statement.startswith("BEGIN") and self.phase[0] in (Phase.PARSE, Phase.EMBED):
            self.enter(Phase.COMMIT)


@dataclass
class Bench:
    """One folder with files and index, what it was before each round, and what each round must end with."""

    root: Path
    states: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    phase: mmap = field(default_factory=lambda: mmap(-1, 1))

    def __post_init__(self) -> None:
        for module, name, value in SMALL:
            assert hasattr(module, name), f"{module.__name__} has no {name} any more"
            setattr(module, name, value)
        self.library.files.mkdir(parents=True)
        self._warm_up()
        self.states.append(self.shown())
        for number in range(len(ROUNDS)):
            edit(self.library.files, number)
            shutil.copytree(self.root / "place", self.root / f"kept{number}")
            batches = in_child(lambda: watched_sync(self, Watch(self.phase)).embeddings)
            assert batches >= 3, f"round {number} is embedded in {batches} batches"
            self.states.append(in_child(self.shown))
            self.contents.append(in_child(self.content))
            _check_against_files(json.loads(self.states[-1]), number)
        assert len(set(self.states)) == len(self.states)

    def _warm_up(self) -> None:
        """Imports what is imported when it is first used, and makes every word's vector, for all processes to come."""
        for number in range(len(ROUNDS)):
            edit(self.library.files, number)
            self.library.sync()
            self.shown()
        shutil.rmtree(self.library.folder)

    @property
    def library(self) -> Library:
        return Library(self.root / "place" / "files", self.root / "place" / "index", Model())

    def restore(self, number: int) -> None:
        """Files and index as they were before the sync of a round."""
        shutil.rmtree(self.root / "place")
        shutil.copytree(self.root / f"kept{number}", self.root / "place")

    def sync(self) -> None:
        """An uninterrupted sync."""
        watched_sync(self, Watch(self.phase))

    def shown(self) -> str:
        """What an index that is opened now answers; "" when nothing is published."""
        return self._opened()[0]

    def content(self) -> str:
        """All that is stored and published, without the number of the generation."""
        library = self.library
        findings = verify(library.folder)
        assert not findings, f"the check of a completed index finds {findings}"
        files = {name: hashlib.sha256(_unnumbered(name, data)).hexdigest() for name, data in
                 library.generation_files().items()}  # fmt: skip
        names = sorted(path.name for path in library.folder.iterdir() if path.name not in PASSING_FILES)
        current = (library.folder / "CURRENT").read_text().split()[0]
        names = ["current" if name == current else name for name in names]
        return json.dumps({"files": files, "names": names, "tables": _tables(library.folder / "fuente.db")}, indent=1)

    def shown_round(self) -> tuple[int, float]:
        """The round after which the index was as it is shown now, and how long opening it took in seconds.

        Raises: AssertionError for a state that never was published, or when a check of the index finds damage.
        """
        shown, seconds = self._opened()
        damage = examine(self.library.folder).damage if shown else ()
        assert not damage, f"damage is found: {damage}"
        assert shown in self.states, f"this state was never published: {shown or 'none'}"
        return self.states.index(shown), seconds

    def finish(self, number: int) -> None:
        """Syncs, and compares all that is stored with an uninterrupted run. Raises: AssertionError."""
        in_child(self.sync)
        self.compare(number)

    def compare(self, number: int) -> None:
        """Raises: AssertionError when the index differs from one whose sync of the round was not disturbed."""
        shown, content = in_child(lambda: [self.shown(), self.content()])
        assert shown == self.states[number + 1], "the answers differ from those of an uninterrupted run"
        assert content == self.contents[number], _difference(self.contents[number], content)

    def _opened(self) -> tuple[str, float]:
        library = self.library
        start = time.perf_counter()
        try:
            opened = library.index()
        except IndexNotFoundError:
            return "", time.perf_counter() - start
        seconds = time.perf_counter() - start
        with closing(opened):
            return state_of(opened), seconds


def edit(files: Path, number: int) -> None:
    """Makes the files those of a round."""
    for path in files.iterdir():
        path.unlink()
    for stem, (text, seconds) in ROUNDS[number].items():
        path = files / f"{stem}.txt"
        path.write_text(text, encoding="utf-8")
        os.utime(path, (10**9 + seconds, 10**9 + seconds))


def watched_sync(bench: Bench, watch: Watch, published: Callable[[], None] = lambda: None) -> Watch:
    """Syncs the files; calls `published` when the writer has said that they are published."""
    library = bench.library
    library.model.enter = watch.enter  # type: ignore[attr-defined]
    sys.addaudithook(watch.audit)
    sqlite3.connect = watch.connect  # type: ignore[assignment]  # for the rest of this process, a short one
    watch.enter(Phase.OPEN)
    with library.writer() as writer:
        writer.sync(sorted(library.files.glob("*.txt")), [library.files], read, progress=watch.progress)
        published()
    return watch


def state_of(opened: Index) -> str:
    """Every document, and the chunks that questions find on each channel with their scores."""
    sources = sorted(opened.sources(), key=lambda info: info.source)
    documents = {info.document_id: opened.document(info.document_id) for info in sources}
    hits = {
        f"{channel} {question}": [
            (hit.chunk.id, hit.chunk.document_id, hit.chunk.start, hit.chunk.end, hit.chunk.text, hit.source,
             hit.score, hit.dense, hit.lexical)
            for hit in opened.search(question, 1000, settings=SearchSettings(channel=channel, collapse=False))  # type: ignore[arg-type]
        ]
        for channel in CHANNELS for question in QUESTIONS
    }  # fmt: skip
    state = {
        "sources": [(Path(info.source).stem, info.document_id, info.chunks) for info in sources],
        "texts": {key: document.text if document else None for key, document in documents.items()},
        "hits": hits,
    }
    return json.dumps(state, sort_keys=True)


def _check_against_files(state: Any, number: int) -> None:
    """The files themselves say what must be stored, once each."""
    wanted = {stem: text for stem, (text, _) in ROUNDS[number].items()}
    assert {stem: state["texts"][document] for stem, document, _ in state["sources"]} == wanted
    assert len(state["sources"]) == len(wanted)
    everything = state["hits"][f"dense {QUESTIONS[0]}"]
    ids = [hit[0] for hit in everything]
    assert len(ids) == len(set(ids)) == sum({document: chunks for _, document, chunks in state["sources"]}.values())
    assert all(state["texts"][document][start:end] == text for _, document, start, end, text, *_ in everything)
    assert all(state["hits"].values())


def _unnumbered(name: str, content: bytes) -> bytes:
    if Path(name).name != "manifest.json":
        return content
    fields = json.loads(content)
    del fields["generation"]
    return json.dumps(fields, sort_keys=True).encode()


def _tables(database: Path) -> dict[str, list[Any]]:
    """Number of rows of every table and a digest of what they say; SQLite's own check must find nothing."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for table in sorted(tables):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            told = ", ".join(f'"{column}"' for column in columns if column not in HISTORY_COLUMNS) or "1"
            rows = sorted(map(repr, connection.execute(f"SELECT {told} FROM {table}")))
            found[table] = [len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()]
        return found


def _difference(expected: str, found: str) -> str:
    wanted, got = expected.splitlines(), found.splitlines()
    return (
        f"only uninterrupted: {[x for x in wanted if x not in got]}; only here: {[x for x in got if x not in wanted]}"
    )


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    """Starts `work` in a copy of this process; returns its id and the end of a pipe to which it may write."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    os.close(reading)
    signal.alarm(TRIAL_SECONDS)  # what hangs is ended, and seen by its status
    try:
        work(writing)
    except BaseException:  # noqa: BLE001 - goes on in the parent
        os.write(writing, traceback.format_exc(chain=False).encode())
        os._exit(1)
    os._exit(0)


def ended(process: int, reading: int) -> tuple[int, bytes]:
    """How a process ended, as exit code or negative signal, and what it wrote."""
    with os.fdopen(reading, "rb") as pipe:
        output = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), output


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a process of its own. Raises: AssertionError with the error that it had there."""
    code, output = ended(*fork(lambda pipe: _write_all(pipe, json.dumps(work()).encode())))
    assert code == 0, f"exit code {code}\n{output.decode()}"
    return json.loads(output)


def _write_all(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(content)


def harness(function: Callable[..., Any], folder: Path, shim: Path | None, *arguments: Any) -> Any:
    """What `function(folder, *arguments)` returns in a process that has one thread and, where given, the shim."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(Path(__file__).parents[3])}
    if shim:
        environment["LD_PRELOAD"] = str(shim)
    command = "from tests.index.proofs.crash import main; main()"
    asked = json.dumps([function.__module__, function.__qualname__, str(folder), arguments])
    done = subprocess.run(
        [sys.executable, "-c", command], input=asked, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def main() -> None:
    """Runs the function that standard input names and writes what it returns to standard output."""
    module, name, folder, arguments = json.loads(sys.stdin.read())
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    json.dump(function(Path(folder), *arguments), sys.stdout)


def tried(name: object, trial: Callable[[], None], failures: list[str]) -> None:
    """Runs a trial; when it fails, `failures` tells which and why."""
    try:
        trial()
    except AssertionError as error:
        failures.append(f"{name}: {error}")


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows as aligned columns."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell!s:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
