"""Descriptors of SQLite's file, which a process may not close at any time.

POSIX takes all locks of a process on a file away when it closes any descriptor of that file, those of SQLite's
connections in other threads included; another process could then delete the log of a writer at work.
Source: https://sqlite.org/howtocorrupt.html, section 2.2.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

_guard = Lock()
_connections = 0
_waiting: list[int] = []


@contextmanager
def connection_open() -> Iterator[None]:
    """Within it, a connection of SQLite may be open; what was read beside it is closed after the last one."""
    global _connections  # what POSIX counts by process is counted by process
    with _guard:
        _connections += 1
    try:
        yield
    finally:
        with _guard:
            _connections -= 1
            while _waiting and not _connections:
                os.close(_waiting.pop())


@contextmanager
def read_beside(path: Path) -> Iterator[int]:
    """A descriptor to read the file by, which takes no lock of this process away when it is closed."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        yield descriptor
    finally:
        with _guard:
            if _connections:
                _waiting.append(descriptor)
            else:
                os.close(descriptor)
