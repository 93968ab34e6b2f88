"""A probe is a line through states and an adapter under them; what is no probe is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from index.filters import Filter
from rag.answerer import Answerer
from rag.confidence import PROBED
from rag.generator import States
from rag.low_rank import LowRank
from rag.probe import FORMAT, Probe
from tests.rag.conftest import FixedSearch, ScriptedChooser, bag_of_words, document, hits_of

ABOUT = {"format": FORMAT, "layer": "2"}
Q_PROJ = "layers.0.self_attn.q_proj"
WEIGHTS = {
    "last": torch.tensor([1.0, 0.0]),
    "question": torch.tensor([0.0, -2.0]),
    "bias": torch.tensor([0.5]),
    f"{Q_PROJ}.down": torch.ones(1, 2),
    f"{Q_PROJ}.up": torch.ones(3, 1),
}


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    return written(tmp_path, WEIGHTS, ABOUT)


def written(folder: Path, weights: dict[str, torch.Tensor], about: dict[str, str]) -> Probe:
    path = folder / "probe.safetensors"
    save_file({name: one.half() for name, one in weights.items()}, path, about)
    return Probe.load(path)


def test_the_log_odds_are_a_line_through_states_of_mean_square_one(probe: Probe) -> None:
    states = States(np.array([3.0, 3.0], np.float32), np.array([0.0, 2.0], np.float32))
    # The first are scaled to (1, 1), the second to (0, √2).
    assert probe.log_odds(states) == pytest.approx(1.0 - 2 * np.sqrt(2) + 0.5, abs=1e-4)


def test_the_adapter_is_read_by_the_names_of_its_layers(probe: Probe) -> None:
    assert set(probe.adapter) == {Q_PROJ}
    down, up = probe.adapter[Q_PROJ]
    assert (down.shape, up.shape, down.dtype) == ((1, 2), (3, 1), torch.float32)


def test_other_weights_are_another_revision_and_the_same_saved_again_are_not(tmp_path: Path) -> None:
    # Eight times, as the order of the header's entries differs from one saving to the next.
    again = {written(tmp_path, WEIGHTS, ABOUT).revision for _ in range(8)}
    other = written(tmp_path, {**WEIGHTS, "bias": torch.tensor([0.6])}, ABOUT).revision
    later = written(tmp_path, WEIGHTS, {**ABOUT, "layer": "3"}).revision
    assert len(again) == 1
    assert len({*again, other, later}) == 3


@pytest.mark.parametrize("huge", [1e30, np.inf, -np.inf, np.nan])
def test_states_beyond_all_bounds_leave_the_odds_finite(probe: Probe, huge: float) -> None:
    states = States(np.array([huge, 1.0], np.float32), np.array([huge, 1.0], np.float32))
    assert abs(probe.log_odds(states)) < 100


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({}, {"format": "x"}),
        ({}, {"layer": "-1"}),
        ({}, {"layer": "two"}),
        ({"last": None}, {}),
        ({"last": torch.ones(1)}, {}),
        ({"last": torch.ones(1, 2), "question": torch.ones(1, 2)}, {}),
        ({"last": torch.tensor([float("nan"), 1.0])}, {}),
        ({f"{Q_PROJ}.up": None}, {}),
        ({f"{Q_PROJ}.up": torch.ones(3, 2)}, {}),
        ({f"{Q_PROJ}.down": torch.tensor([[float("inf"), 1.0]])}, {}),
    ],
)
def test_anything_else_is_no_probe(tmp_path: Path, change: dict[str, Any], about: dict[str, str]) -> None:
    weights = {name: one for name, one in {**WEIGHTS, **change}.items() if one is not None}
    with pytest.raises(ValueError, match=r"probe\.safetensors"):
        written(tmp_path, weights, {**ABOUT, **about})


def test_a_file_that_is_no_safetensors_is_no_probe(tmp_path: Path) -> None:
    (tmp_path / "probe.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="Install Fuente again"):
        Probe.load(tmp_path / "probe.safetensors")


def test_only_the_model_that_it_was_fitted_on_has_one() -> None:
    probe = Probe.of("qwen2.5-coder-1.5b-instruct")
    assert probe is not None
    assert (probe.last.shape, probe.question.shape) == ((1536,), (1536,))
    for name in ("smollm2-135m-instruct", "org/qwen2.5-coder-1.5b-instruct", "../probes/qwen2.5-coder-1.5b-instruct"):
        assert Probe.of(name) is None


class _Reading(ScriptedChooser):
    """A generator whose states are always the same."""

    def read(
        self, messages: Any, without: Any, layer: int, *, adapter: LowRank | None = None, cancel: Any = None
    ) -> States:
        self.layer = layer
        self.adapter = adapter
        self.question = [one for one in messages[1].content.split() if one not in without[1].content.split()]
        return States(np.array([1.0, 1.0], np.float32), np.array([1.0, -1.0], np.float32))


def test_what_a_probe_reads_is_a_signal_of_the_confidence(probe: Probe) -> None:
    generator = _Reading([], 1.0)
    search = FixedSearch(hits_of(document("El faro es de 1823.")))
    plain, probed = (
        Answerer(search, generator, bag_of_words, calibration=PROBED, probe=one).signals(
            "¿De cuándo es el faro?", where=Filter()
        )
        for one in (None, probe)
    )
    assert plain
    assert probed
    assert plain.inner == 0.0
    assert probed.inner == pytest.approx(3.5, abs=1e-3)
    assert PROBED.confidence(probed) > PROBED.confidence(plain)
    assert generator.layer == 2
    assert generator.adapter is probe.adapter
    assert generator.question[:2] == ["¿De", "cuándo"]
