"""How many use the models at a time: several that share them, or one that needs them alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Semaphore
from typing import TypeVar

from rag.turns import Turns

Ready = TypeVar("Ready")


class Seats:
    """So many at a time, first come, first served; who needs all seats waits until they are free."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = Semaphore(count)
        self._door = Turns()

    @contextmanager
    def one(self, ready: Callable[[], Ready], *, alone: Callable[[], bool]) -> Iterator[Ready]:
        """A seat for the block, with what `ready` makes while nobody else comes in; if `alone`, all are free for it."""
        with self._door:
            held = self._take(self._count if alone() else 1)
            try:
                made = ready()
            except BaseException:
                self._free.release(held)
                raise
            if held > 1:
                self._free.release(held - 1)
        try:
            yield made
        finally:
            self._free.release()

    @contextmanager
    def all(self) -> Iterator[None]:
        """Every seat for the block."""
        with self._door:
            held = self._take(self._count)
        try:
            yield
        finally:
            self._free.release(held)

    def _take(self, count: int) -> int:
        for _ in range(count):
            self._free.acquire()
        return count
