"""Spoilt files of every suffix become documents or named errors, within the limits on time and memory."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest.errors import IngestError
from ingest.readers.invariants import broken_rule
from ingest.sandbox import SandboxedReader
from ingest.types import Extract
from tests.ingest.proofs.mutation import mutant
from tests.ingest.proofs.specimens import READ, SAMPLES, SUFFIXES

LIMIT_S = 10.0
GRACE_S = 2.0
MEMORY_MIB = 1024
BRIEF, LONG = 6, 200


@dataclass
class Tally:
    """What became of the mutants of a suffix."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    fattest: tuple[int, int] = (0, -1)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{rule} {count}" for rule, count in self.outcomes.most_common())
        return (
            f"slowest {self.slowest[0]:5.2f} s (mutant {self.slowest[1]}), "
            f"fattest {self.fattest[0]:4d} MiB (mutant {self.fattest[1]}): {outcomes}"
        )


@pytest.fixture(scope="module")
def reader() -> Iterator[SandboxedReader]:
    with SandboxedReader(timeout_s=LIMIT_S, memory_mib=MEMORY_MIB) as running:
        running.read(SAMPLES / "en" / "how-fuente-answers.md", "warm-up")  # loads the model of languages
        yield running


def fuzz(reader: SandboxedReader, folder: Path, suffix: str, count: int) -> Tally:
    tally = Tally()
    path = folder / f"a{suffix}"
    for number in range(count):
        path.write_bytes(mutant(suffix, number))
        _forget_peak(reader)
        started = time.monotonic()
        rule = _outcome(reader, path, number, tally)
        taken = time.monotonic() - started
        tally.outcomes[rule] += 1
        tally.slowest = max(tally.slowest, (taken, number))
        tally.fattest = max(tally.fattest, (_peak_mib(reader), number))
        if rule == "timeout" and taken > LIMIT_S + GRACE_S:
            tally.failures.append(f"mutant {number} was ended only after {taken:.1f} s")
    return tally


def _outcome(reader: SandboxedReader, path: Path, number: int, tally: Tally) -> str:
    """The rule, or READ; an error that no reader foresaw is a failure, as is a wrong offset."""
    try:
        document = reader.read(path, path.name)
    except IngestError as error:
        if "made its reader fail" in error.reason or "was read wrongly" in error.reason:
            tally.failures.append(f"mutant {number}: {error.reason}")
        return error.rule
    extract = Extract(document.text, document.pages, document.headings, document.blocks, document.metadata)
    if rule := broken_rule(extract):
        tally.failures.append(f"mutant {number}: {rule}")
    return READ


def _forget_peak(reader: SandboxedReader) -> None:
    if sys.platform == "linux" and reader._process is not None and reader._process.poll() is None:
        Path(f"/proc/{reader._process.pid}/clear_refs").write_text("5")


def _peak_mib(reader: SandboxedReader) -> int:
    """The worker's peak since `_forget_peak`; 0 where there is no telling, and after its end."""
    if sys.platform != "linux" or reader._process is None or reader._process.poll() is not None:
        return 0
    status = Path(f"/proc/{reader._process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def check(reader: SandboxedReader, folder: Path, suffix: str, count: int) -> None:
    tally = fuzz(reader, folder, suffix, count)
    print(f"\n{suffix:12} {tally}")
    assert not tally.failures
    assert tally.outcomes.total() == count
    assert tally.fattest[0] <= MEMORY_MIB


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_few_spoilt_files(reader: SandboxedReader, tmp_path: Path, suffix: str) -> None:
    check(reader, tmp_path, suffix, BRIEF)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_many_spoilt_files(reader: SandboxedReader, tmp_path: Path, suffix: str) -> None:
    check(reader, tmp_path, suffix, LONG)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_reader_that_loses_many_workers_leaks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1 + 2 * (3 - 4)\n" * 50_000)
    before = _held()
    with SandboxedReader(timeout_s=0.01) as reader:
        for _ in range(3):
            with pytest.raises(IngestError, match=r"took longer than 0\.01 s"):
                reader.read(path, "a")
    assert _held() == before


def _held() -> tuple[int, int, set[str]]:
    """Threads, open files and child processes of this process."""
    children: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            children |= set((task / "children").read_text().split())
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), children
