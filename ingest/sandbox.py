"""Reads files in a worker process, so that a hostile or broken file costs only that process.

The worker gets paths and gives back extracts, as JSON and UTF-8 behind their lengths, over its standard
streams. It has a limit on memory, a limit on time, no network, none of the environment's secrets, and can
neither write files nor start processes. What it sends is checked as if the file itself had sent it; a
document's identity and language are found in this process.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import ingest
from ingest.errors import (
    BombFileError,
    EmptyFileError,
    EncryptedFileError,
    IngestError,
    MemoryLimitError,
    NestedFileError,
    OversizeFileError,
    ReaderCrashError,
    TimeLimitError,
    UnreadableFileError,
    UnsafeXmlError,
    UnsupportedFileError,
)
from ingest.pictures import Pictures, unpacked
from ingest.readers import reader_for
from ingest.readers.invariants import broken_rule
from ingest.readers.text_builder import clean_text
from ingest.reading import DEFAULT_MAX_BYTES, FileIdentity, identify, refuse_changed, to_document
from ingest.sandbox_worker import Message, Wanted, frame, receive, send
from ingest.types import Document, Extract, Heading, Page, Span

_ERRORS: dict[str, type[IngestError]] = {
    kind.rule: kind
    for kind in (
        BombFileError, EmptyFileError, EncryptedFileError, MemoryLimitError, NestedFileError, OversizeFileError,
        ReaderCrashError, UnreadableFileError, UnsafeXmlError, UnsupportedFileError,
    )
}  # fmt: skip
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
_START_TIMEOUT_S = 60.0
_MAX_REASON_CHARACTERS = 500
_MEND = "Convert it to another format, or leave it out"


class SandboxedReader:
    """Reads one file at a time in its worker, which is started once and anew after each death."""

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES, timeout_s: float = 60.0, memory_mib: int = 1024) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self._running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, path: Path, source: str) -> Document:
        """The document in a file, cited as `source`.

        Raises:
            IngestError: one of its kinds; TimeLimitError, MemoryLimitError and ReaderCrashError for a file
                that takes too long, needs too much memory or ends the worker.
            RuntimeError: no worker can be started.
        """
        reader_for(path)
        identity, reply, text = self._answered(path, "text")
        return to_document(path, _extract(path, reply, text), source=source, identity=identity)

    def pictures(self, path: Path) -> tuple[Pictures, FileIdentity]:
        """The pictures of a file with one of `PICTURED_SUFFIXES`, and the identity of the file that they are of.

        Raises: what `read` raises.
        """
        identity, reply, text = self._answered(path, "pictures")
        refuse_changed(path, identity)
        try:
            return unpacked(reply, text), identity
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableFileError(path, "got a malformed answer from its reader", _MEND) from error

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._stop()

    def _answered(self, path: Path, wanted: Wanted) -> tuple[FileIdentity, Message, str]:
        identity = identify(path, max_bytes=self._max_bytes)
        try:
            with self._lock:
                reply, text = self._ask(path, wanted)
        except IngestError:
            refuse_changed(path, identity)  # half of a file that is being written looks damaged
            raise
        return identity, reply, text

    def _ask(self, path: Path, wanted: Wanted) -> tuple[Message, str]:
        """The worker's answer about one file, errors raised."""
        process = self._running()
        request = {"path": str(path.absolute()), "max_bytes": self._max_bytes, "wanted": wanted}
        answer, timed_out = self._exchange(process, request, self._timeout_s)
        if timed_out:
            raise TimeLimitError(path, f"took longer than {self._timeout_s:g} s", _MEND)
        if answer is None:
            status = self._stop()
            reason = f"ended its reader ({status}), as does what needs more than {self._memory_mib} MiB"
            raise ReaderCrashError(path, reason, _MEND)
        rule = answer[0].get("rule")
        if rule == MemoryLimitError.rule:
            self._stop()  # its memory is fragmented, the next file deserves a fresh worker
            raise MemoryLimitError(path, f"needed more than {self._memory_mib} MiB", _MEND)
        if rule is not None:
            reason, mend = (clean_text(str(answer[0].get(key)))[:_MAX_REASON_CHARACTERS] for key in ("reason", "mend"))
            raise _ERRORS.get(str(rule), UnreadableFileError)(path, reason, mend)
        return answer

    def _exchange(
        self, process: subprocess.Popen[bytes], request: Message | None, timeout_s: float
    ) -> tuple[tuple[Message, str] | None, bool]:
        """The answer or None when the worker died, and whether it was killed for taking too long.

        Killing it from a timer ends the blocking read on every platform, which no select on pipes does.
        """
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker has no pipes")
        timed_out = threading.Event()

        def expire() -> None:
            timed_out.set()
            process.kill()

        timer = threading.Timer(timeout_s, expire)
        timer.daemon = True
        timer.start()
        try:
            if request is not None:
                send(process.stdin, frame(request))
            answer = receive(process.stdout)
        except (OSError, ValueError, TypeError, RecursionError):
            answer = None
        finally:
            timer.cancel()
        if timed_out.is_set():
            self._stop()
        return answer, timed_out.is_set()

    def _running(self) -> subprocess.Popen[bytes]:
        """The worker, started if there is none."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        backstop_s = int(self._timeout_s) + 10
        code = f"from ingest.sandbox_worker import serve; serve({self._memory_mib * 2**20}, {backstop_s})"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: a json.py among the documents must not be imported
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            close_fds=True,
        )
        ready, _ = self._exchange(self._process, None, _START_TIMEOUT_S)
        if ready is None:
            raise RuntimeError(
                f"the reading worker did not start ({self._stop()}); raise memory_mib={self._memory_mib}"
            )
        return self._process

    def _stop(self) -> str:
        """How the worker ended, after ending it if it still ran."""
        process, self._process = self._process, None
        if process is None:
            return "stopped"
        process.kill()
        for pipe in filter(None, (process.stdin, process.stdout)):
            with contextlib.suppress(BrokenPipeError):  # closing flushes what the dead worker never took
                pipe.close()
        return f"exit status {process.wait()}"


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    root = str(Path(ingest.__file__).resolve().parents[1])
    kept["OPENBLAS_NUM_THREADS"] = "1"  # openpyxl imports NumPy, whose threads count against the memory
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))
    return kept


def _extract(path: Path, reply: Message, text: str) -> Extract:
    """The extract in a reply, built from checked values alone."""
    try:
        extract = Extract(
            text=text,
            pages=tuple(Page(*map(_integer, page)) for page in _groups(reply["pages"], 3)),
            headings=tuple(
                Heading(_integer(level), _string(title), _integer(start))
                for level, title, start in _groups(reply["headings"], 3)
            ),
            blocks=tuple(Span(*map(_integer, block)) for block in _groups(reply["blocks"], 2)),
            metadata={_string(key): _string(value) for key, value in reply["metadata"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableFileError(path, "got a malformed answer from its reader", _MEND) from error
    if rule := broken_rule(extract):
        raise UnreadableFileError(path, f"was read wrongly: {rule}", _MEND)
    return extract


def _groups(flat: object, size: int) -> Iterator[tuple[object, ...]]:
    """Successive groups of `size` values of a flat list.

    Raises:
        TypeError: no list.
        ValueError: the last group lacks values.
    """
    if not isinstance(flat, list):
        raise TypeError(f"a list expected, not {type(flat).__name__}")
    return zip(*[iter(flat)] * size, strict=True)


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"an integer expected, not {type(value).__name__}")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string expected, not {type(value).__name__}")
    return value
