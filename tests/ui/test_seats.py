"""Answers of several visitors share the models, as many as configured; who needs them alone waits for its turn."""

import time
from collections.abc import Callable
from threading import Event, Thread

import pytest

from rag import Options, Sampling
from tests.ui.fakes import FakeFuente, answer, events
from ui.jobs import AnswerJob, Settings
from ui.library import Library
from ui.seats import Seats


def _soon(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within some seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class _Visitor:
    """Holds a seat in a thread of its own from when it gets one until it is told to leave."""

    def __init__(self, seats: Seats, order: list[str], name: str, *, alone: bool = False, whole: bool = False) -> None:
        self._leave, self._order, self._name = Event(), order, name
        self._hold = seats.all if whole else lambda: seats.one(lambda: name, alone=lambda: alone)
        self._thread = Thread(target=self._visit, daemon=True)
        self._thread.start()

    def _visit(self) -> None:
        with self._hold():
            self._order.append(self._name)
            self._leave.wait(20)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(20)


def test_as_many_as_there_are_seats_come_in():
    seats, order = Seats(2), []
    first, second = _Visitor(seats, order, "first"), _Visitor(seats, order, "second")
    assert _soon(lambda: sorted(order) == ["first", "second"])
    third = _Visitor(seats, order, "third")
    assert not third._leave.wait(0.05)
    assert "third" not in order
    first.leave()
    assert _soon(lambda: "third" in order)
    second.leave()
    third.leave()


@pytest.mark.parametrize("how", ["alone", "whole"])
def test_who_needs_all_waits_for_them_and_nobody_overtakes(how):
    seats, order = Seats(2), []
    first = _Visitor(seats, order, "first")
    assert _soon(lambda: order == ["first"])
    needy = _Visitor(seats, order, "needy", **{how: True})
    assert _soon(lambda: seats._door._taken)
    late = _Visitor(seats, order, "late")
    assert _soon(lambda: len(seats._door._waiting) == 1)
    assert order == ["first"]
    first.leave()
    assert _soon(lambda: "needy" in order)
    if how == "alone":  # it needed them to prepare, and shares them from then on
        assert _soon(lambda: order == ["first", "needy", "late"])
    else:
        assert order == ["first", "needy"]
    needy.leave()
    assert _soon(lambda: order == ["first", "needy", "late"])
    late.leave()


def test_what_is_made_ready_is_had_and_only_one_makes_it_at_a_time():
    seats, making, most = Seats(4), 0, 0

    def ready() -> int:
        nonlocal making, most
        making += 1
        most = max(most, making)
        time.sleep(0.01)
        making -= 1
        return 7

    def visit() -> None:
        with seats.one(ready, alone=lambda: False) as made:
            assert made == 7

    threads = [Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 1


@pytest.mark.parametrize("alone", [False, True])
def test_an_error_keeps_no_seat(alone):
    seats = Seats(2)

    def broken() -> None:
        raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError), seats.one(broken, alone=lambda: alone):
            pass
        with pytest.raises(KeyError), seats.one(lambda: None, alone=lambda: alone):
            raise KeyError
        with pytest.raises(KeyError), seats.all():
            raise KeyError
    with seats.one(lambda: None, alone=lambda: False), seats.one(lambda: None, alone=lambda: False):
        pass


def _library(fuente: FakeFuente, together: int) -> tuple[Library, list[str]]:
    """A library over that application, and the generators that it was opened with."""
    opened: list[str] = []

    def open_fuente(config, _embedder):
        opened.append(config.models.generator)
        return fuente

    section = fuente.config.models.model_copy(update={"together": together})
    return Library(fuente.config.model_copy(update={"models": section}), open_fuente), opened


def _asked(library: Library, question: str, generator: str | None = None) -> AnswerJob:
    return library.ask(1, question, Settings(generator or library.generator, "en", 5, Sampling(), Options()))


@pytest.mark.parametrize("together", [1, 2, 3])
def test_visitors_are_answered_as_many_at_a_time_as_configured(together, fuente):
    fuente.answerer.events = events(answer())
    fuente.answerer.gate = Event()
    library, _ = _library(fuente, together)
    jobs = [_asked(library, f"{number}?") for number in range(3)]
    assert _soon(lambda: len(fuente.answerer.calls) == together)
    time.sleep(0.05)
    assert len(fuente.answerer.calls) == together
    assert sum(job.stage == "writing" for job in jobs) <= together
    fuente.answerer.gate.set()
    for job in jobs:
        job.wait(10)
        assert job.completed
        assert job.reply is not None
    assert len(fuente.answerer.calls) == 3


def test_another_generator_is_not_loaded_while_an_answer_is_written(fuente):
    fuente.answerer.events = events(answer())
    fuente.answerer.gate = Event()
    library, opened = _library(fuente, 2)
    first = _asked(library, "First?")
    assert fuente.answerer.reached_gate.wait(10)
    other = _asked(library, "Other?", generator="other")
    time.sleep(0.05)
    assert opened == [library.generator]
    assert other.stage in ("waiting", "loading")
    fuente.answerer.gate.set()
    for job in (first, other):
        job.wait(10)
        assert job.completed
    assert opened == [library.generator, "other"]
