"""Any system call of a sync fails: the error is clear, the old state still answers, and the next run completes."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from index.errors import StoreError
from index.search import Index
from tests.index.proofs.crash import (
    Bench,
    Phase,
    harness,
    in_child,
    state_of,
    table,
    tried,
)
from tests.index.proofs.shim import Call, Mode, Shim, calls_of, compiled_shim

_MODES = (Mode.ONCE, Mode.TORN, Mode.FULL)
# The first round creates the index, the second has every kind of change.
_CREATION, _MIXED = 0, 1


@dataclass(frozen=True, slots=True)
class Failing:
    """The `number`-th call of a round's sync fails: that one, or its second half, or all from it on."""

    round: int
    mode: Mode
    number: int


@dataclass
class Tally:
    """What trials found."""

    modes: Counter[Mode] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    answers_while_full: int = 0
    succeeded: int = 0


def failing_then_resumed(bench: Bench, failing: Failing, shim: Shim, tally: Tally) -> None:
    """Syncs with a failing call, looks at what is left, and syncs again without. Raises: AssertionError."""
    bench.restore(failing.round)
    # The next run is one of the same process, as in the interface, or of another, as on the command line.
    same_process = failing.number % 2 == 0
    failed, told, answered = in_child(partial(_disturbed_sync, bench, failing, shim, same_process))
    tally.answers_while_full += answered
    if told is not None:
        tally.errors[told] += 1
    elif failed:
        tally.succeeded += 1
    if same_process:
        bench.compare(failing.round)
    else:
        shown, _ = in_child(bench.shown_round)
        assert shown in range(failing.round + (told is None), failing.round + 2), f"round {shown} is shown after {told}"
        bench.finish(failing.round)
    tally.modes[failing.mode] += failed


def _disturbed_sync(bench: Bench, failing: Failing, shim: Shim, again: bool) -> tuple[bool, str | None, int]:
    """Whether a call failed, the error that the sync ended with, and how many indexes answered on the full disk.

    Raises: AssertionError when an index does not answer, or otherwise than before or after an undisturbed sync.
    """
    # A held generation is not collected, so every other pair of trials goes without.
    held = bench.library.index() if bench.states[failing.round] and failing.number // 2 % 2 else None
    told, answered, allowed = None, 0, bench.states[failing.round : failing.round + 2]
    shim.arm(bench.library.folder, failing.mode, failing.number)
    try:
        bench.sync()
        allowed = allowed[1:]
    except StoreError as error:
        told = _told(error, bench.library.folder)
    # A sync beside a reader that holds the old generation collects less, and so may end before the chosen call.
    failed = bool(shim.failed())
    assert failed or (told is None and held is not None)
    if failing.mode is Mode.FULL:
        answered = _answers_on_a_full_disk(bench, held, allowed)
    shim.disarm()
    if held is not None:
        assert state_of(held) in allowed, f"after {told} the index that was open answers otherwise"
        held.close()
    assert bench.shown() in allowed, f"after {told} an index that is opened in the same process answers otherwise"
    if again:
        bench.sync()
    return failed, told, answered


def _answers_on_a_full_disk(bench: Bench, held: Index | None, allowed: list[str]) -> int:
    """How many indexes answered, one that is opened now and one that was open. Raises: AssertionError."""
    shown = bench.shown()
    assert shown in allowed, "on a full disk an index that is opened answers otherwise"
    if held is not None:
        assert state_of(held) in allowed, "on a full disk the index that was open answers otherwise"
    return bool(shown) + (held is not None)


def _told(error: StoreError, folder: Path) -> str:
    """The error as a person is told of it."""
    assert str(folder) in str(error)
    assert error.reason
    assert error.mend
    return f"{type(error).__name__}: {error.reason}"


def failing_trials(folder: Path, rounds: Sequence[int], trials: int) -> dict[str, Any]:
    """Figures and failures of trials with so many places chosen among all, or with all when it is 0."""
    bench, shim, random_ = Bench(folder), Shim(), random.Random(1)  # noqa: S311 - a sample, no secret
    calls = {number: calls_of(bench, shim, number) for number in rounds}
    written = _bytes_of_first_generation(bench, shim)
    tally = Tally()
    failures: list[str] = []
    places = [
        Failing(round_, mode, number)
        for round_, made in calls.items()
        for number, call in enumerate(made, 1)
        for mode in _MODES
        if mode is not Mode.TORN or call.size_bytes >= 2
    ]
    for failing in _spread(places, calls, trials, random_) if trials else places:
        tried(failing, partial(failing_then_resumed, bench, failing, shim, tally), failures)
        if len(failures) == 5:
            break
    return {**_figures(tally, calls), "failures": failures, "written": written}


def _bytes_of_first_generation(bench: Bench, shim: Shim) -> tuple[int, int]:
    """Bytes that the shim saw written into the first generation's folder, and the size of its files."""
    seen = sum(call.size_bytes for call in calls_of(bench, shim, _CREATION) if "/gen-" in call.path)
    return seen, sum(map(len, bench.library.generation_files().values()))


def _spread(places: list[Failing], calls: dict[int, list[Call]], trials: int, random_: random.Random) -> list[Failing]:
    """A sample with calls of every kind on every kind of file, of which most are SQLite's."""
    kinds: dict[tuple[str, str], list[Failing]] = {}
    for place in random_.sample(places, len(places)):
        kinds.setdefault(calls[place.round][place.number - 1].kind, []).append(place)
    turns = [(turn, place) for kind in kinds.values() for turn, place in enumerate(kind)]
    return [place for _, place in sorted(turns, key=lambda turn: turn[0])[:trials]]


def _figures(tally: Tally, calls: dict[int, list[Call]]) -> dict[str, Any]:
    made = [call for each in calls.values() for call in each]
    names = sorted({call.name for call in made})
    rows = [["", *(phase.name.lower() for phase in Phase), "all"]]
    for name in names:
        counts = [sum(call.name == name and call.phase is phase for call in made) for phase in Phase]
        rows.append([name, *map(str, counts), str(sum(counts))])
    modes = ", ".join(f"{tally.modes[mode]} {mode.name.lower()}" for mode in _MODES)
    line = (
        f"{sum(tally.modes.values())} failures among the {len(made)} calls of {len(calls)} syncs ({modes}): "
        f"{sum(tally.errors.values())} clear errors, {tally.succeeded} syncs that succeeded all the same, "
        f"no state lost or mixed; on the full disk all {tally.answers_while_full} indexes answered"
    )
    errors = table([[count, error] for error, count in tally.errors.most_common()])
    return {
        "line": line,
        "table": f"{table(rows)}\n{errors}",
        "names": names,
        "trials": sum(tally.modes.values()),
        "answers": tally.answers_while_full,
    }


def _prove(folder: Path, rounds: Sequence[int], trials: int, report: Callable[[str, object], None]) -> dict[str, Any]:
    shim = compiled_shim(folder)
    if isinstance(shim, str):
        pytest.skip(shim)
    found: dict[str, Any] = harness(failing_trials, folder / "bench", shim, rounds, trials)
    assert not found["failures"], "\n\n".join(found["failures"])
    # What the shim does not see cannot be made to fail.
    seen, size = found["written"]
    assert seen == size, f"{size - seen} bytes of the generation were written past write(2), by fwrite say"
    assert {"pwrite64", "fdatasync", "write", "fsync", "rename"} <= set(found["names"])
    assert "link" in found["names"] or _MIXED not in rounds
    assert found["answers"] or _MIXED not in rounds
    report("failing_calls", found["line"])
    return found


def test_a_failing_call_is_reported_and_spoils_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert _prove(tmp_path, (_CREATION, _MIXED), 32, record_property)["trials"] >= 30


@pytest.mark.slow
@pytest.mark.parametrize("number", [_CREATION, _MIXED], ids=["creation", "mixed"])
def test_every_call_may_fail(
    tmp_path: Path, number: int, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    found = _prove(tmp_path, (number,), 0, record_property)
    with capsys.disabled():
        print(f"\n{found['table']}\n{found['line']}")
    assert found["trials"] > 1000
