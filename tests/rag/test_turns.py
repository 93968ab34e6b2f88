"""A lock is had in the order in which it was asked for, and nobody who gave up waiting keeps it."""

import threading
import time

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


def test_who_gives_up_waiting_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()

    class Interrupted:
        """A lock whose second taking is interrupted, as by Ctrl-C."""

        def __init__(self) -> None:
            self.taken = 0

        def acquire(self) -> None:
            self.taken += 1
            if self.taken == 2:
                raise KeyboardInterrupt

        def release(self) -> None:
            raise AssertionError("it was given to nobody")

    with turns:
        monkeypatch.setattr("rag.turns.Lock", Interrupted)
        with pytest.raises(KeyboardInterrupt), turns:
            raise AssertionError("not reached")
        monkeypatch.undo()
        assert not turns._waiting
    with turns:
        pass


def test_a_turn_given_to_who_gave_up_goes_on_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()

    class GivenMeanwhile:
        """A lock that is handed over just before the waiting for it is interrupted."""

        def __init__(self) -> None:
            self.taken = 0

        def acquire(self) -> None:
            self.taken += 1
            if self.taken == 2:
                turns.__exit__(None, None, None)
                raise KeyboardInterrupt

        def release(self) -> None:
            """Handed over."""

    turns.__enter__()
    monkeypatch.setattr("rag.turns.Lock", GivenMeanwhile)
    with pytest.raises(KeyboardInterrupt):
        turns.__enter__()
    monkeypatch.undo()
    with turns:
        pass
