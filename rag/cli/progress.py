"""How far long work is: a live bar on a terminal, a line every few seconds elsewhere; always on standard error."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

import models
from index.types import SyncProgress
from rag.cli.rendering import notes

_SECONDS_BETWEEN_LINES = 5.0
# Files that did not change go by at tens of thousands a second, and moving the bar takes longer than looking at one.
_SECONDS_BETWEEN_MOVES = 0.1


@contextmanager
def sync_progress() -> Iterator[Callable[[SyncProgress], None]]:
    """Shows a sync: files read, chunks embedded."""
    labels = {"read": "reading files", "embed": "embedding chunks", "publish": "publishing"}
    with _meter() as meter:
        yield lambda event: meter.show(labels[event.stage], event.done, event.total, "")


@contextmanager
def count_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how many of how many are done."""
    with _meter() as meter:
        yield lambda done, total: meter.show(label, done, total, "")


@contextmanager
def model_progress(name: str) -> Iterator[Callable[[models.Progress], None]]:
    """Shows the preparation of a model."""

    def show(event: models.Progress) -> None:
        if event.unit == "bytes":
            meter.show(f"{event.stage} {name}", event.done // 10**6, event.total // 10**6, "MB")
        else:
            meter.show(f"{event.stage} {name}", event.done, event.total, event.unit)

    with _meter() as meter:
        yield show


@contextmanager
def loading_progress(name: str) -> Iterator[Callable[[models.Progress], None]]:
    """Shows that the models are loaded, and a meter once something has to be prepared for that."""
    with ExitStack() as stack:
        status = stack.enter_context(notes.status("loading the models"))
        meters: list[Callable[[models.Progress], None]] = []

        def show(event: models.Progress) -> None:
            if not meters:
                status.stop()  # a terminal draws one live thing at a time
                meters.append(stack.enter_context(model_progress(name)))
            meters[0](event)

        yield show


@contextmanager
def _meter() -> Iterator["_Meter"]:
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
    with bar:
        yield _Meter(bar)


class _Meter:
    """Stages of work by label, each with rate and time left."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._last_line = time.monotonic()
        self._last: tuple[str, int, int, str] | None = None
        self._last_move = 0.0

    def show(self, label: str, done: int, total: int, unit: str) -> None:
        """Moves a stage to `done` of `total`; `total` 0 is unknown."""
        now = time.monotonic()
        if self._last is not None and self._last[0] != label:
            self._move(now, *self._last)  # a stage is left where it ended
            self._last_move = 0.0
        self._last = (label, done, total, unit)
        if now - self._last_move >= _SECONDS_BETWEEN_MOVES:
            self._last_move = now
            self._move(now, *self._last)

    def _move(self, now: float, label: str, done: int, total: int, unit: str) -> None:
        begun, first = self._started.setdefault(label, (now, done))
        rate = (done - first) / (now - begun) if now > begun else 0.0
        speed = _speed(rate, unit) if rate > 0 else ""
        if not self._bar.disable:
            self._draw(label, done, total, speed)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = f", {(total - done) / rate:.0f} s left" if rate > 0 and total > done else ""
            notes.print(f"{label}: {done}{f'/{total}' if total else ''} {unit} {speed}{left}".replace("  ", " "))

    def _draw(self, label: str, done: int, total: int, speed: str) -> None:
        if label not in self._tasks:
            self._tasks[label] = self._bar.add_task(label, total=None, rate="")
        self._bar.update(self._tasks[label], completed=done, total=total or None, rate=speed)


def _speed(rate: float, unit: str) -> str:
    """Where one takes longer than some seconds, how long it takes."""
    return f"{rate:.1f} {unit}/s".replace(" /", "/") if rate >= 0.2 else f"{1 / rate:.0f} s each"
