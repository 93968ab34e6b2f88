"""How far long work is, as lines where there is no terminal."""

from types import SimpleNamespace

import pytest

from rag.cli.progress import count_progress


@pytest.mark.parametrize(
    ("step", "line"), [(0.1, "searching: 51/100 10.0/s, 5 s left"), (30.0, "searching: 60/100 30 s each, 1200 s left")]
)
def test_slow_work_tells_how_long_one_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: float, line: str
) -> None:
    clock = [0.0]
    monkeypatch.setattr("rag.cli.progress.time", SimpleNamespace(monotonic=lambda: clock[0]))
    with count_progress("searching") as progress:
        for done in range(101):
            progress(done, 100)
            clock[0] += step
    assert line in capsys.readouterr().err.replace("\n", " ")
