"""A disk that is really full: at every amount of room that is too little, old answers go on and the error is clear.

The files and the index lie on a small file system in memory, mounted in namespaces of the trial's own process, of
which a file takes what room there shall not be. `test_failing_calls` makes fullness by failing single calls instead.
"""

import ctypes
import os
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from index.errors import StoreError
from tests.index.proofs.crash import ROUNDS, Bench, harness, in_child, tried

_DISK_BYTES = 64 * 2**20
_PAGE_BYTES = 4096
_NEW_USER_AND_MOUNTS = 0x10000000 | 0x00020000  # CLONE_NEWUSER, CLONE_NEWNS


def full_disk_trials(folder: Path, step_pages: int) -> dict[str, Any]:
    """Syncs every round with 0, `step_pages`, twice as many … pages of room, until there is room enough."""
    refused = _mounted(folder)
    if refused:
        return {"refused": refused}
    bench, told, failures = Bench(folder / "bench"), Counter[str](), []  # type: ignore[var-annotated]
    enough: list[int] = []
    for number in range(len(ROUNDS)):
        pages = 0
        before = told["none"]
        while told["none"] == before and len(failures) < 5:
            tried((number, pages), partial(_full_then_emptied, bench, number, pages, told), failures)
            pages += step_pages
        enough.append(pages - step_pages)
    failed = sum(told.values()) - told["none"]
    line = (
        f"{failed} syncs of {len(ROUNDS)} rounds that a full disk stopped, every {step_pages} pages of room up to "
        f"what is enough ({', '.join(map(str, enough))}): the old state answered each time"
    )
    return {"failures": failures, "told": dict(told), "enough": enough, "line": line}


def _mounted(folder: Path) -> str:
    """Mounts a file system over the folder, for this process and its children alone; else says why it cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    folder.mkdir(parents=True, exist_ok=True)
    if libc.unshare(_NEW_USER_AND_MOUNTS):
        return f"no namespaces of one's own: {os.strerror(ctypes.get_errno())}"
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(text, encoding="ascii")
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={_DISK_BYTES}".encode()):
        return f"no file system in memory: {os.strerror(ctypes.get_errno())}"
    return ""


def _full_then_emptied(bench: Bench, number: int, pages: int, told: Counter[str]) -> None:
    """One sync with so much room, and one with room again. Raises: AssertionError."""
    bench.restore(number)
    ballast = bench.root / "ballast"
    _fill(ballast, pages)
    error = in_child(partial(_told, bench))
    told[error or "none"] += 1
    allowed = bench.states[number : number + 2] if error else [bench.states[number + 1]]
    shown = in_child(bench.shown)
    assert shown in allowed, f"with {pages} pages of room, after {error}, the index answers otherwise"
    ballast.unlink()
    bench.finish(number)


def _fill(ballast: Path, pages: int) -> None:
    """Takes all room but so many pages."""
    with ballast.open("wb", buffering=0) as file:
        room = os.statvfs(ballast)
        size = room.f_bavail * room.f_frsize - pages * _PAGE_BYTES
        os.posix_fallocate(file.fileno(), 0, size)


def _told(bench: Bench) -> str | None:
    """The error that a sync ends with, as a person is told of it: of a file of the index, and why."""
    try:
        bench.sync()
    except StoreError as error:
        return f"{type(error).__name__}: {error.reason}" if error.path.is_relative_to(bench.root) else str(error)
    return None


def _prove(folder: Path, step_pages: int, report: Callable[[str, object], None]) -> dict[str, Any]:
    if sys.platform != "linux":
        pytest.skip("a file system of one's own is mounted on Linux alone")
    found: dict[str, Any] = harness(full_disk_trials, folder, None, step_pages)
    if "refused" in found:
        pytest.skip(found["refused"])
    assert not found["failures"], "\n\n".join(found["failures"])
    assert all(told == "none" or told.startswith("IndexStorageError: the disk refuses") for told in found["told"])
    # With no room at all each round failed, and each had room enough in the end.
    assert found["told"]["none"] == len(ROUNDS)
    assert all(found["enough"])
    report("full_disk", found["line"])
    return found


def test_a_full_disk_loses_nothing(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    _prove(tmp_path / "disk", 16, record_property)


@pytest.mark.slow
def test_every_amount_of_room(
    tmp_path: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    found = _prove(tmp_path / "disk", 1, record_property)
    with capsys.disabled():
        print(f"\n{found['told']}\n{found['line']}")
