"""A process that indexes is killed (SIGKILL) anywhere: what is published stays whole, and the next run completes it."""

import io
import itertools
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Literal

import pytest

from tests.index.proofs.crash import (
    ROUNDS,
    Bench,
    Phase,
    Watch,
    ended,
    fork,
    harness,
    in_child,
    table,
    tried,
    watched_sync,
)
from tests.index.proofs.shim import Mode, Shim, calls_of, compiled_shim

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials are copies of one process")

# Functions in C that change what is on the disk, or are about to.
_DISK = frozenset(
    ("open", "write", "flush", "close", "fsync", "rename", "replace", "link", "mkdir", "rmdir", "unlink", "remove",
     "truncate", "execute", "executemany", "commit")
)  # fmt: skip
_DISK_OWNERS = (ModuleType, io.IOBase, sqlite3.Connection, sqlite3.Cursor)
# What is written to the pipe once the writer has said that a round is published.
_ACKNOWLEDGED = b"."


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a sync is killed.

    After `at` seconds; before or after the `at`-th call of a function in C; or in the `at`-th system call, with one
    half of its bytes written when it writes.
    """

    kind: Literal["time", "step", "call"]
    at: float


@dataclass(frozen=True, slots=True)
class Place:
    """A round whose sync can be killed, where, in which phase, and what is about to happen there."""

    round: int
    kill: Kill
    phase: Phase
    kind: tuple[str, ...]


def places_of(bench: Bench, number: int, shim: Shim | None) -> list[Place]:
    """Everywhere in a round's sync; some hundred times for "time", which can be anything in between."""
    bench.restore(number)
    start = time.perf_counter()
    in_child(bench.sync)
    seconds = time.perf_counter() - start
    places = [Place(number, Kill("time", seconds * n / 100), Phase.OPEN, ()) for n in range(100)]
    bench.restore(number)
    for at, (phase, name) in enumerate(in_child(partial(_steps, bench)), 1):
        places.append(Place(number, Kill("step", at), Phase(phase), (name,)))
    for at, call in enumerate(calls_of(bench, shim, number) if shim else [], 1):
        places.append(Place(number, Kill("call", at), call.phase, call.kind))
    return places


def _steps(bench: Bench) -> list[tuple[int, str]]:
    """The phase and name of each call in C that a sync makes; no name where it has nothing to do with the disk."""
    steps: list[tuple[int, str]] = []

    def count(frame: FrameType, event: str, function: Any) -> None:
        if event.startswith("c_"):
            # Not str.replace, whose name is the same.
            disk = function.__name__ in _DISK and isinstance(function.__self__, _DISK_OWNERS)
            steps.append((bench.phase[0], function.__name__ if disk else ""))

    sys.setprofile(count)
    bench.sync()
    sys.setprofile(None)
    return steps


def drawn(places: list[Place], random_: random.Random) -> Iterator[Place]:
    """Places without end: renames, then rare kinds in turn with places of another phase and kind each time.

    Most calls are SQLite's and all of one kind. Rare are those that make a generation visible, above all renames.
    """
    groups: dict[tuple[Phase, tuple[str, ...]], list[Place]] = {}
    for place in random_.sample(places, len(places)):
        groups.setdefault((place.phase, place.kind), []).append(place)
    renames = [group for (_, kind), group in groups.items() if {"rename", "replace"} & set(kind)]
    yield from (group[0] for group in renames)
    rare = (group[0] for group in sorted(groups.values(), key=len) if group not in renames)
    phases = {phase: itertools.cycle([g for (at, _), g in groups.items() if at is phase]) for phase, _ in groups}
    for phase in itertools.cycle(phases):
        yield from itertools.islice(rare, 1)
        yield random_.choice(next(phases[phase]))


def _arm(kill: Kill, bench: Bench, shim: Shim | None) -> None:
    if kill.kind == "call":
        assert shim is not None
        shim.arm(bench.library.folder, Mode.KILL, int(kill.at))
    if kill.kind != "step":
        return
    left = int(kill.at)

    def count(frame: FrameType, event: str, function: Any) -> None:
        nonlocal left
        left -= event.startswith("c_")
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: whether it was killed, in which phase, and whether it had acknowledged its round."""

    killed: bool
    phase: Phase
    acknowledged: bool


def killed_run(bench: Bench, kill: Kill, shim: Shim | None) -> End:
    """A sync that is killed, unless it ends before."""
    before = _current(bench)

    def work(pipe: int) -> None:
        _arm(kill, bench, shim)
        watched_sync(bench, Watch(bench.phase), lambda: void(os.write(pipe, _ACKNOWLEDGED)))

    bench.phase[0] = Phase.OPEN
    process, pipe = fork(work)
    if kill.kind == "time":
        time.sleep(kill.at)
        os.kill(process, signal.SIGKILL)
    code, output = ended(process, pipe)
    assert code in (0, -signal.SIGKILL), f"exit code {code}: {output.decode()}"
    phase = Phase(bench.phase[0])
    if phase in (Phase.PUBLISH, Phase.COLLECT):
        phase = Phase.PUBLISH if _current(bench) == before else Phase.COLLECT
    return End(code != 0, phase, output == _ACKNOWLEDGED)


def _current(bench: Bench) -> bytes:
    path = bench.library.folder / "CURRENT"
    return path.read_bytes() if path.exists() else b""


@dataclass
class Tally:
    """What trials found."""

    phases: Counter[tuple[str, Phase]] = field(default_factory=Counter)
    documents: int = 0
    slowest_open_s: float = 0.0
    trials: int = 0
    published_unacknowledged: int = 0


def killed_then_resumed(bench: Bench, number: int, kills: list[Kill], shim: Shim | None, tally: Tally) -> None:
    """Kills the sync of a round, then the runs that resume it; at last one may end. Raises: AssertionError."""
    bench.restore(number)
    acknowledged = number
    for kill in kills:
        end = killed_run(bench, kill, shim)
        if end.killed:
            tally.phases[kill.kind, end.phase] += 1
        acknowledged = max(acknowledged, number + end.acknowledged)
        shown, seconds = in_child(bench.shown_round)
        allowed = {acknowledged, number + 1}
        assert shown in allowed, f"{kill} at {end}: the index shows round {shown}, not one of {allowed}"
        tally.published_unacknowledged += shown > acknowledged
        acknowledged = shown  # what was seen once must not go away again
        tally.documents += len(ROUNDS[shown - 1]) if shown else 0
        tally.slowest_open_s = max(tally.slowest_open_s, seconds)
    bench.finish(number)
    tally.trials += 1


def kill_trials(folder: Path, kills: int, seed: int, preloaded: bool) -> dict[str, Any]:
    """Figures and failures of so many kills, in every phase by every means."""
    bench, shim = Bench(folder), Shim() if preloaded else None
    random_ = random.Random(seed)  # noqa: S311 - places to kill, no secret
    places = [place for number in range(len(ROUNDS)) for place in places_of(bench, number, shim)]
    kinds = ["step", "call", "time"] if shim else ["step", "time"]
    queues = {kind: drawn([p for p in places if p.kill.kind == kind], random_) for kind in kinds}
    # Times less often than what can be chosen.
    turns = itertools.cycle([*kinds, *kinds[:-1]])
    tally, failures = Tally(), list[str]()
    for trial in range(2 * kills):
        reached = len({phase for _, phase in tally.phases}) == len(Phase)
        if (reached and sum(tally.phases.values()) >= kills) or len(failures) == 5:
            break
        first = next(queues[next(turns)])
        # Every fourth trial kills the runs that resume, too.
        more = random_.choices([p.kill for p in places if p.round == first.round], k=random_.randint(1, 3))
        plan = [first.kill, *(more if trial % 4 == 3 else ())]
        tried((first, plan), partial(killed_then_resumed, bench, first.round, plan, shim, tally), failures)
    return {**_figures(tally, kinds), "failures": failures}


def _figures(tally: Tally, kinds: list[str]) -> dict[str, Any]:
    counts = [[tally.phases[kind, phase] for phase in Phase] for kind in kinds]
    rows: list[list[object]] = [["", *(phase.name.lower() for phase in Phase), "all"]]
    rows += [[kind, *count, sum(count)] for kind, count in zip(kinds, counts, strict=True)]
    sums = [sum(column) for column in zip(*counts, strict=True)]
    rows.append(["all", *sums, sum(sums)])
    line = (
        f"{sum(sums)} kills in {tally.trials} trials; {tally.documents} documents checked, none lost, none twice; "
        f"{tally.published_unacknowledged} times the new state was whole before it was acknowledged; "
        f"slowest opening {tally.slowest_open_s * 1000:.0f} ms"
    )
    return {"kills": sum(sums), "phases": sums, "line": line, "table": table(rows)}


def void(_: object) -> None:
    """Drops what a call returns."""


def _prove(folder: Path, kills: int, seed: int, report: Callable[[str, object], None]) -> dict[str, Any]:
    shim = compiled_shim(folder)
    preload = shim if isinstance(shim, Path) else None
    found: dict[str, Any] = harness(kill_trials, folder / "bench", preload, kills, seed, preload is not None)
    assert not found["failures"], "\n\n".join(found["failures"])
    report("kills", found["line"])
    return found


def test_a_killed_sync_leaves_a_published_state_and_the_next_run_completes_it(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = _prove(tmp_path, 24, 1, record_property)
    assert found["kills"] >= 24
    assert all(found["phases"])


@pytest.mark.slow
def test_two_hundred_kills(
    tmp_path: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    found = _prove(tmp_path, 200, 2, record_property)
    with capsys.disabled():
        print(f"\n{found['table']}\n{found['line']}")
    assert found["kills"] >= 200
    assert all(found["phases"])
