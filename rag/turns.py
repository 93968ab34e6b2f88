"""A lock that is had in the order in which it was asked for."""

from collections import deque
from threading import Lock
from types import TracebackType


class Turns:
    """A context manager that lets one thread in at a time, first come, first served.

    With `threading.Lock`, a thread that lets go and takes it again at once keeps all others waiting.
    """

    def __init__(self) -> None:
        self._state = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def __enter__(self) -> None:
        with self._state:
            if not self._taken:
                self._taken = True
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:
            self._leave(turn)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._state:
            if self._waiting:
                # It stays taken: it is the next one's.
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _leave(self, turn: Lock) -> None:
        """Out of the queue; a turn that was given meanwhile goes to the next one."""
        with self._state:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self.__exit__(None, None, None)
