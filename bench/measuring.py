"""Times and memory, measured so that they can be compared: in one process, in turns, repeated."""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run took: by the clock (s), and of the processors (s), which work beside it does not change much."""

    wall_s: float
    processor_s: float


def in_turns(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[Spent]]:
    """What each run took, `repeats` times; the order is reversed every other time."""
    spent: dict[str, list[Spent]] = {name: [] for name in runs}
    for number in range(repeats):
        names = list(runs) if number % 2 == 0 else list(runs)[::-1]
        for name in names:
            started, used = time.perf_counter(), _processor_s()
            runs[name]()
            spent[name].append(Spent(time.perf_counter() - started, _processor_s() - used))
    return spent


def _processor_s() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def ratios(over: Sequence[float], under: Sequence[float]) -> str:
    """Median and range of the ratios of paired times."""
    found = sorted(a / b for a, b in zip(over, under, strict=True))
    return f"{statistics.median(found):.3f} (from {found[0]:.3f} to {found[-1]:.3f}, n = {len(found)})"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def seconds(run: Callable[[], object]) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def resident_mb() -> float:
    """Memory of this process that belongs to it alone (MiB), without files that are mapped; 0 where unknown."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


def peak_mb() -> float:
    """The most memory this process has had (MiB), mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> str:
    """What the figures were measured on."""
    return f"{os.cpu_count()} × {platform.machine()}, Python {platform.python_version()}"
