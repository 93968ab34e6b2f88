"""failing_calls.c: compiled, armed, and asked which system calls a sync makes."""

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tests.index.proofs.crash import Bench, Phase, Watch, in_child, watched_sync


class Mode(IntEnum):
    """What failing_calls.c does from the chosen call on."""

    COUNT, ONCE, TORN, FULL, KILL = range(1, 6)


class Shim:
    """failing_calls.c, where this process was started with it."""

    def __init__(self) -> None:
        self._functions = ctypes.CDLL(None)

    def arm(self, folder: Path, mode: Mode, number: int, trace: int = -1) -> None:
        path = os.fsencode(folder.resolve())
        self._functions.failing_calls_arm(path, int(mode), ctypes.c_long(number), trace)

    def disarm(self) -> None:
        self._functions.failing_calls_disarm()

    def failed(self) -> int:
        """Calls that failed since it was armed."""
        return int(self._functions.failing_calls_failed())


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that a sync makes: its phase, name, bytes to write and path."""

    phase: Phase
    name: str
    size_bytes: int
    path: str

    @property
    def kind(self) -> tuple[str, str]:
        """What it does, and to which kind of file: a suffix, or a name without its number."""
        path = Path(self.path)
        return self.name, path.suffix or path.name.rstrip("0123456789abcdef")


def calls_of(bench: Bench, shim: Shim, number: int) -> list[Call]:
    """The system calls of a round's sync that change files of the index, in their order."""
    bench.restore(number)
    trace = bench.root / "trace"

    def traced() -> None:
        descriptor = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        shim.arm(bench.library.folder, Mode.COUNT, 0, descriptor)
        watched_sync(bench, Watch(bench.phase, descriptor))

    in_child(traced)
    calls, phase = [], Phase.OPEN
    for line in trace.read_text().splitlines():
        if "\t" in line:
            name, size, path = line.split("\t")
            calls.append(Call(phase, name, int(size), path))
        else:
            phase = Phase[line]
    return calls


def compiled_shim(folder: Path) -> Path | str:
    """The compiled failing_calls.c, or why there is none."""
    if sys.platform != "linux":
        return "system calls are made to fail on Linux alone"
    compiler = shutil.which("cc")
    if compiler is None:
        return "there is no C compiler (cc)"
    target = folder / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", target, source, "-ldl"], check=True)
    return target
