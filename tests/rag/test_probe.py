"""A probe is a line through states; what is no probe is refused."""

import json
from typing import Any

import numpy as np
import pytest

from index.filters import Filter
from rag.answerer import Answerer
from rag.confidence import PROBED
from rag.generator import States
from rag.probe import Probe
from tests.rag.conftest import FixedSearch, ScriptedChooser, bag_of_words, document, hits_of

PROBE = {"format": "fuente-probe-1", "layer": 2, "last": [1.0, 0.0], "question": [0.0, -2.0], "bias": 0.5}


def test_the_log_odds_are_a_line_through_states_of_mean_square_one() -> None:
    probe = Probe.read(json.dumps(PROBE))
    states = States(np.array([3.0, 3.0], np.float32), np.array([0.0, 2.0], np.float32))
    # The first are scaled to (1, 1), the second to (0, √2).
    assert probe.log_odds(states) == pytest.approx(1.0 - 2 * np.sqrt(2) + 0.5, abs=1e-4)


@pytest.mark.parametrize("huge", [1e30, np.inf, -np.inf, np.nan])
def test_states_beyond_all_bounds_leave_the_odds_finite(huge: float) -> None:
    states = States(np.array([huge, 1.0], np.float32), np.array([huge, 1.0], np.float32))
    assert abs(Probe.read(json.dumps(PROBE)).log_odds(states)) < 100


@pytest.mark.parametrize(
    "change",
    [{"format": "x"}, {"last": [1.0]}, {"last": [[1.0, 2.0]], "question": [[1.0, 2.0]]}, {"last": [float("nan"), 1.0]}],
)
def test_anything_else_is_no_probe(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="probe"):
        Probe.read(json.dumps({**PROBE, **change}))


def test_only_the_model_that_it_was_fitted_on_has_one() -> None:
    probe = Probe.of("qwen2.5-coder-1.5b-instruct")
    assert probe is not None
    assert (probe.layer, probe.last.shape, probe.question.shape) == (18, (1536,), (1536,))
    for name in ("smollm2-135m-instruct", "org/qwen2.5-coder-1.5b-instruct", "../probes/qwen2.5-coder-1.5b-instruct"):
        assert Probe.of(name) is None


class _Reading(ScriptedChooser):
    """A generator whose states are always the same."""

    def read(self, messages: Any, without: Any, layer: int, *, cancel: Any = None) -> States:
        self.layer = layer
        self.question = [one for one in messages[1].content.split() if one not in without[1].content.split()]
        return States(np.array([1.0, 1.0], np.float32), np.array([1.0, -1.0], np.float32))


def test_what_a_probe_reads_is_a_signal_of_the_confidence() -> None:
    generator = _Reading([], 1.0)
    search = FixedSearch(hits_of(document("El faro es de 1823.")))
    plain, probed = (
        Answerer(search, generator, bag_of_words, calibration=PROBED, probe=probe).signals(
            "¿De cuándo es el faro?", where=Filter()
        )
        for probe in (None, Probe.read(json.dumps(PROBE)))
    )
    assert plain
    assert probed
    assert plain.inner == 0.0
    assert probed.inner == pytest.approx(3.5, abs=1e-3)
    assert PROBED.confidence(probed) > PROBED.confidence(plain)
    assert generator.layer == 2
    assert generator.question[:2] == ["¿De", "cuándo"]
