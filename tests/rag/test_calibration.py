"""The confidence is fitted on known answers, judged on other articles, kept as JSON and read back or refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import IndexNotFoundError
from rag.cli.calibrating import Sample, calibrated
from rag.compose import Fuente
from rag.confidence import PROBED, SIGNALS, UNCALIBRATED, Calibration, Signals, signals_of, weight_of_deviations
from rag.errors import CalibrationError
from rag.evaluation.abstention import auroc
from rag.evaluation.calibration import calibration_error, fitted, judged, reliability, wrongly_answered
from rag.evaluation.errors import TooFewQuestionsError
from rag.evaluation.harness import over_paragraphs
from rag.evaluation.opening import Opened
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from rag.probe import Probe
from rag.types import Message
from tests.rag.conftest import ScriptedChooser, document, hits_of

HIT = hits_of(document("Una red aprende."))[0]
TRUE = Calibration({"reading": 0.5, "coverage": 1.0, "retrieval": 2.0, "unknown": -1.5, "inner": 0.8}, bias=0.3)


def drawn(count: int, seed: int = 0) -> tuple[list[Signals], Any]:
    """Signals by chance, and answers that follow the weights of TRUE."""
    random = np.random.default_rng(seed)
    signals = [
        Signals(random.normal(0, 2), random.uniform(), random.normal(), float(random.integers(0, 3)), random.normal())
        for _ in range(count)
    ]
    chance = np.array([TRUE.confidence(one) for one in signals])
    return signals, random.uniform(size=count) < chance


def test_fitting_finds_the_weights_that_made_the_answers() -> None:
    found = fitted(*drawn(30_000))
    for name, weight in TRUE.weights.items():
        assert found.weights[name] == pytest.approx(weight, abs=0.25), name
    assert found.bias == pytest.approx(TRUE.bias, abs=0.25)


def test_without_questions_the_weights_stay_as_they_were() -> None:
    few = fitted(*drawn(1))
    for name, weight in UNCALIBRATED.weights.items():
        assert few.weights[name] == pytest.approx(weight, abs=1.0), name


def test_what_is_judged_is_fitted_without_its_own_group() -> None:
    signals, answerable = drawn(400)
    groups = [str(place % 8) for place in range(400)]
    before = judged(signals, answerable, groups)
    # Whatever is said of group 3 changes the confidences of the others, never its own.
    mine = np.array([group == "3" for group in groups])
    after = judged(signals, np.where(mine, ~answerable, answerable), groups)
    assert np.allclose(before.confidences[mine], after.confidences[mine])
    assert not np.allclose(before.confidences[~mine], after.confidences[~mine])
    assert before.statistics(0)["auroc"].value == pytest.approx(auroc(before.confidences, answerable))


@pytest.mark.parametrize("answerable", [[True] * 30, [True] * 30 + [False] * 19, [False] * 60])
def test_too_few_of_either_kind_are_an_error(answerable: Sequence[bool]) -> None:
    signals, _ = drawn(len(answerable))
    with pytest.raises(TooFewQuestionsError, match="at least 20 are needed to calibrate"):
        judged(signals, np.array(answerable), ["a"] * len(answerable))


def test_honest_confidences_lie_on_the_diagonal_and_boastful_ones_do_not() -> None:
    random = np.random.default_rng(1)
    honest = random.uniform(size=4000)
    came_true = random.uniform(size=4000) < honest
    assert calibration_error(honest, came_true) < 0.03
    assert calibration_error(np.sqrt(honest), came_true) > 0.1
    bins = reliability(honest, came_true)
    assert sum(one.count for one in bins) == 4000
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)


def test_wrongly_answered_counts_the_others_above_the_threshold_of_the_needless_refusals() -> None:
    confidences = np.array([0.1, 0.5, 0.6, 0.7, 0.2, 0.55, 0.9])
    answerable = np.array([True, True, True, True, False, False, False])
    # One of the four may be refused, so the threshold is 0.5, and two of the three others lie above it.
    assert wrongly_answered(confidences, answerable, needless=0.25) == pytest.approx(2 / 3)
    assert np.isnan(wrongly_answered(confidences, np.ones(7, np.bool_)))


@given(st.floats(-100, 100), st.floats(0, 1), st.integers(0, 9), st.one_of(st.none(), st.integers(1, 10**6)))
def test_confidence_is_a_probability_that_rises_with_each_signal_of_an_answer(
    log_odds: float, coverage: float, unknown: int, size: int | None
) -> None:
    value = UNCALIBRATED.confidence(signals_of(HIT, log_odds, coverage, unknown, size))
    assert 0.0 <= value <= 1.0
    assert UNCALIBRATED.confidence(signals_of(HIT, log_odds + 1, coverage, unknown, size)) >= value
    assert (
        UNCALIBRATED.confidence(signals_of(replace(HIT, score=HIT.score + 1), log_odds, coverage, unknown, size))
        >= value
    )
    assert 0.0 < weight_of_deviations(size) <= 1.0


def test_a_calibration_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = replace(TRUE, generator="g", embedder="e", about={"questions": 3})
    saved.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == saved
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.json"]
    assert saved.is_for("g", "e")
    assert not saved.is_for("g", "other")
    assert UNCALIBRATED.is_for("any", "any")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"weights": {"reading": 1.0}},
        {"weights": dict.fromkeys(SIGNALS, "1")},
        {"weights": dict.fromkeys(SIGNALS, True)},
        {"weights": [1, 2]},
        {"bias": None},
        {"bias": 1e999},
        {"about": 3},
    ],
)
def test_anything_else_is_refused_with_its_mend(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "calibration.json"
    TRUE.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CalibrationError, match="Remove the file"):
        Calibration.load(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"format": NaN}', "[" * 100_000, "\x00"])
def test_no_text_breaks_the_reading(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(CalibrationError):
        Calibration.load(path)


class _ByNumber(ScriptedChooser):
    """Finds an answer to even numbers only."""

    def log_odds(self, messages: Sequence[Message], first: str, second: str, *, cancel: Any = None) -> float:
        number = int(messages[1].content.rsplit("número", 1)[1].split("?")[0])
        return (3.0 if number % 2 == 0 else -3.0) + 0.01 * number


def _question(number: int) -> Question:
    text = f"¿Cuándo se encendió el faro número {number}?"
    if number % 2:
        return Question(str(number), text, (), (), f"p{number}", impossible=True)
    return Question(str(number), text, (str(1800 + number),), (None,), f"p{number}", impossible=False)


def _question_set(count: int) -> QuestionSet:
    texts = [f"El faro número {number} se encendió en {1800 + number}." for number in range(count)]
    paragraphs = [Paragraph(f"p{number}", f"artículo {number % 7}", text) for number, text in enumerate(texts)]
    return QuestionSet("faros", "es", tuple(paragraphs), tuple(map(_question, range(count))))


def test_a_calibration_is_kept_with_the_index_and_used_from_then_on(
    plain_settings: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fuente = Fuente.configured(models={"embedder": str(tiny_models / "embedder"), "cache": "cache"})
    vars(fuente)["generator"] = _ByNumber([], 0.0)
    (plain_settings / "notas.txt").write_text("El faro es de 1823.")
    fuente.ingest([plain_settings / "notas.txt"])
    question_set = _question_set(48)
    opened = Opened(question_set, over_paragraphs(fuente, question_set, Path("sets")), own=False, by_paragraph=True)
    sample = Sample(None, 0, Path("signals.jsonl"), given=True, short=False)
    for _ in range(2):  # the second time from the records
        calibrated(fuente, opened, sample, Path("plots"), json=True)
    report = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "}")
    assert report["set"]["given_paragraph"]
    assert report["confidence"]["auroc"]["value"] == 1.0
    assert sorted(path.name for path in Path("plots").iterdir()) == ["reliability.png", "risk_coverage.png"]
    assert len(Path("signals.jsonl").read_text().splitlines()) == 49
    stored = Calibration.load(fuente.config.index / "calibration.json")
    assert (stored.generator, stored.about["questions"]) == ("scripted", 48)
    assert fuente.answerer.calibration == stored
    vars(fuente).pop("answerer")
    fuente.generator.name = "another"
    assert fuente.answerer.calibration == UNCALIBRATED  # no probe comes with that generator


def test_a_calibration_is_not_used_with_another_probe(plain_settings: Path, tiny_models: Path) -> None:
    fuente = Fuente.configured(models={"embedder": str(tiny_models / "embedder"), "cache": "cache"})
    vars(fuente)["generator"] = _ByNumber([], 0.0)
    (plain_settings / "notas.txt").write_text("El faro es de 1823.")
    fuente.ingest([plain_settings / "notas.txt"])
    row = np.ones(2, np.float32)
    vars(fuente)["probe"] = Probe(1, row, row, 0.0, revision="old")
    stored = replace(UNCALIBRATED, bias=1.0, generator=fuente.signalling, embedder=fuente.embedder.name)
    stored.save(fuente.config.index / "calibration.json")
    assert fuente.answerer.calibration == stored
    vars(fuente).pop("answerer")
    vars(fuente)["probe"] = Probe(1, row, row, 0.0, revision="new")
    assert fuente.answerer.calibration == PROBED


def test_without_an_index_there_is_nothing_to_keep_it_with(plain_settings: Path, tiny_models: Path) -> None:
    fuente = Fuente.configured(models={"embedder": str(tiny_models / "embedder"), "cache": "cache"})
    vars(fuente)["generator"] = _ByNumber([], 0.0)
    opened = Opened(_question_set(2), over_paragraphs(fuente, _question_set(2), Path("sets")), own=False)
    with pytest.raises(IndexNotFoundError, match="fuente ingest"):
        calibrated(fuente, opened, Sample(None, 0, None, given=False, short=False), None, json=True)
