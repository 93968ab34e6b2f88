"""Seconds by stage of one answer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Runs from when it is made; `seconds` has what each stage took, added up over its times."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds what happens inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def mark(self, name: str) -> None:
        """Takes note of the seconds since the start, the first time that it is called with a name."""
        self.seconds.setdefault(name, time.perf_counter() - self._started)
