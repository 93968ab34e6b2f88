"""An index kept equal to files and folders while they change."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from watchfiles import Change, watch

from index.errors import StoreError
from index.types import SyncReport
from ingest.discovery import is_passed_over
from ingest.errors import IngestError
from ingest.readers import SUPPORTED_SUFFIXES
from models import ModelError

# What may be over soon: another process writes, a folder is not mounted, the disk is full.
_PASSING = (IngestError, StoreError, ModelError, OSError, sqlite3.Error)
_RETRY_S = 10.0
# Something that never rests, such as a download, is read in between.
_MOST_SETTLE_TIMES = 10
# Network folders notify of nothing, and a notification may be lost.
_LONGEST_REST_S = 600.0
_POLL_MS = 3000
_STEP_MS = 100

_Matters = Callable[[Change, str], bool]

_log = logging.getLogger(__name__)


def follow(
    sync: Callable[[], SyncReport],
    ticks: Iterable[bool],
    on_report: Callable[[SyncReport], None],
    on_error: Callable[[Exception], None],
) -> None:
    """Syncs at once, and again at every tick that is True, until the ticks end.

    The first report is given whatever it says and the first error is raised. Later on, only what is new is told,
    and after an error it is tried again with the next change or in ten seconds.
    """
    report = sync()
    on_report(report)
    told, retry_at = "", float("inf")
    for changed in ticks:
        if not changed and time.monotonic() < retry_at:
            continue
        known = set(report.failed)
        try:
            report = sync()
        except _PASSING as error:
            retry_at = time.monotonic() + _RETRY_S
            if str(error) != told:
                told = str(error)
                on_error(error)
            continue
        told, retry_at = "", float("inf")
        if report.added or report.changed or report.removed or set(report.failed) - known:
            on_report(report)


def settled_changes(
    roots: Sequence[Path], *, index: Path, stop: Event, settle_s: float, suffixes: Collection[str] = SUPPORTED_SUFFIXES
) -> Iterator[bool]:
    """A tick about every `settle_s` seconds until `stop` is set: True when something changed and then rested so long.

    The first True says nothing but that the watch has begun. Hidden files, machinery, files with none of the `suffixes`
    and the folder of the index do not count, unless they are named themselves. `roots` may vanish and come back.
    """
    matters = _filter(roots, index, suffixes)
    checked = time.monotonic()
    while not stop.is_set():
        state = [_identity(root) for root in roots]
        changed_at: float | None = time.monotonic()  # what happened before this watch began is not known
        for batch in _batches([root for root in roots if root.exists()], stop, settle_s):
            now = time.monotonic()
            restless = any(matters(change, path) for change, path in batch)
            if restless and changed_at is None:
                changed_at = now
            # A root that was replaced is another file, of which the watch knows nothing.
            if [_identity(root) for root in roots] != state:
                break
            long = changed_at is not None and now - changed_at > _MOST_SETTLE_TIMES * settle_s
            settled = changed_at is not None and (long or not restless)
            due = settled or now - checked > _LONGEST_REST_S
            if due:
                changed_at, checked = None, now
            yield due
        yield False
        stop.wait(settle_s)


def _batches(places: Sequence[Path], stop: Event, settle_s: float) -> Iterator[set[tuple[Change, str]]]:
    """What changed, bit by bit; an empty set when nothing did for `settle_s` seconds. Ends when it must begin anew."""
    settle_ms = max(1, round(settle_s * 1000))
    options: dict[str, Any] = {
        "watch_filter": None,
        "debounce": settle_ms,
        "step": min(_STEP_MS, settle_ms),
        "rust_timeout": settle_ms,
        "yield_on_timeout": True,
        "stop_event": stop,
        "ignore_permission_denied": True,
    }
    begun = False
    try:
        for batch in watch(*places, **options):
            begun = True
            yield batch
    except FileNotFoundError:
        return  # vanished in this moment
    except (OSError, RuntimeError) as error:
        # A name that is not valid Unicode ends a watch that has begun.
        if begun:
            _log.debug("the watch begins anew: %s", error)
            return
        _log.warning("%s. Looking for changes every %d s instead", error, _POLL_MS // 1000)
        yield from watch(*places, force_polling=True, poll_delay_ms=_POLL_MS, **options)


def _filter(roots: Sequence[Path], index: Path, suffixes: Collection[str]) -> _Matters:
    """Whether a change may change what an ingest of `roots` finds.

    Some systems tell real paths of what was named through a link, so both forms are known.
    """
    own = tuple(form + os.sep for form in _forms(index))
    forms = [(form, form.startswith(own)) for root in roots for form in _forms(root)]

    def matters(change: Change, path: str) -> bool:
        if change == Change.modified and Path(path).is_dir():
            return False  # what changed in it is told by itself
        return any(
            path == root
            or (
                path.startswith(root + os.sep)
                and (named_within or not (path + os.sep).startswith(own))
                and not is_passed_over(Path(path[len(root) + 1 :]).parts)
                and not _is_other_file(path, suffixes)
            )
            for root, named_within in forms
        )

    return matters


def _forms(path: Path) -> set[str]:
    return {str(path), os.path.realpath(path)}


def _is_other_file(path: str, suffixes: Collection[str]) -> bool:
    """Whether it is a file that no reader reads; of one that is gone only folders would be known, so it is not."""
    found = Path(path)
    return found.suffix.lower() not in suffixes and found.is_file()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
