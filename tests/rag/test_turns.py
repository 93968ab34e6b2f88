"""A lock is had in the order in which it was asked for, and nobody who gave up waiting keeps it."""

import threading
import time
from collections.abc import Callable

import pytest

from rag.turns import Turns


def test_only_one_is_in_at_a_time() -> None:
    turns, inside, most = Turns(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with turns:
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 1
    assert inside == 0


def test_who_takes_it_again_at_once_waits_for_those_who_came_before() -> None:
    turns, order = Turns(), []
    asked = threading.Event()

    def other() -> None:
        asked.set()
        with turns:
            order.append("other")

    thread = threading.Thread(target=other)
    with turns:
        thread.start()
        asked.wait(20)
        while not turns._waiting:
            time.sleep(0.001)
        order.append("first")
    with turns:
        order.append("again")
    thread.join(20)
    assert order == ["first", "other", "again"]


def test_an_error_inside_lets_it_go() -> None:
    turns = Turns()
    with pytest.raises(KeyError), turns:
        raise KeyError
    with turns:
        pass


class Interrupted:
    """A lock whose second taking is interrupted, as by Ctrl-C; `before` is called first."""

    def __init__(self, before: Callable[[], None]) -> None:
        self._before, self._taken = before, False

    def acquire(self) -> None:
        if self._taken:
            self._before()
            raise KeyboardInterrupt
        self._taken = True

    def release(self) -> None:
        """Handed over."""


def give_up(turns: Turns, monkeypatch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
    """Waits for a turn until that is interrupted."""
    with monkeypatch.context() as patched:
        patched.setattr("rag.turns.Lock", lambda: Interrupted(before))
        with pytest.raises(KeyboardInterrupt):
            turns.__enter__()


def test_who_gives_up_waiting_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    with turns:
        give_up(turns, monkeypatch, lambda: None)
        assert not turns._waiting
    with turns:
        pass


def test_a_turn_given_to_who_gave_up_goes_on_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    turns.__enter__()
    give_up(turns, monkeypatch, lambda: turns.__exit__(None, None, None))
    assert not turns._taken
    with turns:
        pass
