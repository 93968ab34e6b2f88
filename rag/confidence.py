"""How likely it is that the passages hold the answer: signals, weighed as on questions whose answer is known."""

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from index.types import Hit
from rag.errors import CalibrationError

_log = logging.getLogger(__name__)

CALIBRATION_FILE = "calibration.json"
_FORMAT, _VERSION = "fuente-calibration", 1
# The fused score counts standard deviations above an ordinary passage of the corpus.
_FUSED_NEUTRAL = 2.7
_FUSED_MOST = 4.0
# In a corpus of a few passages a standard deviation tells little: at this size its weight is one half.
_HALF_WEIGHT_SIZE = 50
_NO_WEIGHT = 1e-9
# Assumed of a generator that cannot be asked: an answer may be tried, for it is verified all the same.
_ASSUMED_LOG_ODDS = 1.2
_MOST_LOG_ODDS = 12.0
_MOST_UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known before anything is written. Each grows with the chance of an answer, but for `unknown`.

    `reading` is ln P(yes) − ln P(no) of the generator's reply to "do the passages hold the answer?". `coverage` in
    [0, 1] is how well one sentence of the passages covers the question. `retrieval` is the fused score of the best
    passage, in deviations above what is neutral, less in a small corpus. `unknown` counts numbers, dates and names of
    the question that the passage with most of them lacks, up to 3. `inner` is what a probe reads from the generator's
    states, as log odds; 0 for a generator without one.
    """

    reading: float
    coverage: float
    retrieval: float
    unknown: float
    inner: float = 0.0

    def __post_init__(self) -> None:
        for one in fields(self):
            if not math.isfinite(getattr(self, one.name)):
                raise ValueError(f"the signal {one.name} is {getattr(self, one.name)}; it must be finite")

    def as_dict(self) -> dict[str, float]:
        """The values by name, in order."""
        return asdict(self)


SIGNALS = tuple(one.name for one in fields(Signals))


def signals_of(
    best: Hit,
    log_odds: float | None,
    coverage: float,
    unknown: int,
    corpus_size: int | None,
    inner: float = 0.0,
) -> Signals:
    """The signals of a question.

    `log_odds` is None when the generator cannot tell; `corpus_size` is the number of chunks searched, None when the
    scale of the scores is not known.
    """
    reading = _ASSUMED_LOG_ODDS if log_odds is None else max(-_MOST_LOG_ODDS, min(_MOST_LOG_ODDS, log_odds))
    retrieval = weight_of_deviations(corpus_size) * (min(best.score, _FUSED_MOST) - _FUSED_NEUTRAL)
    inner = max(-_MOST_LOG_ODDS, min(_MOST_LOG_ODDS, inner))
    return Signals(reading, coverage, retrieval, float(min(unknown, _MOST_UNKNOWN)), inner)


def weight_of_deviations(corpus_size: int | None) -> float:
    """What a standard deviation of the scores is worth, in (0, 1]; next to nothing where their scale is not known."""
    return corpus_size / (corpus_size + _HALF_WEIGHT_SIZE) if corpus_size else _NO_WEIGHT


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic of the signals: `weights` by name and a `bias`.

    `generator` and `embedder` are the models that gave the signals, "" for weights that are not tied to any; `about`
    says what it was fitted on.
    """

    weights: Mapping[str, float]
    bias: float
    generator: str = ""
    embedder: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def confidence(self, signals: Signals) -> float:
        """Probability in [0, 1] that the passages hold the answer."""
        logit = self.bias + sum(self.weights[name] * value for name, value in signals.as_dict().items())
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))

    def is_for(self, generator: str, embedder: str) -> bool:
        """Whether signals of these models are what was weighed."""
        return not self.generator or (self.generator, self.embedder) == (generator, embedder)

    def save(self, path: Path) -> None:
        """Writes it as JSON, whole or not at all."""
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        content = {"format": _FORMAT, "version": _VERSION, **asdict(self)}
        fresh.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        fresh.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote.

        Raises: CalibrationError for anything else.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls._read(content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CalibrationError(
                f"{path}: this is no calibration ({error}). Remove the file, or run `fuente eval … --calibrate` again"
            ) from error

    @classmethod
    def _read(cls, content: Any) -> Self:
        if (content["format"], content["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"its format is {content['format']!r}, version {content['version']!r}")
        weights = {str(name): _finite(value) for name, value in content["weights"].items()}
        if set(weights) != set(SIGNALS):
            raise ValueError(f"it weighs {', '.join(sorted(weights))}; the signals are {', '.join(SIGNALS)}")
        models = (str(content["generator"]), str(content["embedder"]))
        return cls(weights, _finite(content["bias"]), *models, dict(content["about"]))


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


# Set by hand on questions of xquad and FaQuAD, each asked once of the whole set and once of the set without the article
# that answers it, and on questions of ordinary documents; docs/answers.md has the figures.
UNCALIBRATED = Calibration({"reading": 1.2, "coverage": 2.5, "retrieval": 0.8, "unknown": 0.0, "inner": 0.0}, bias=-1.8)
# For a generator with a probe, set by hand on questions that the probe had not seen, so that hardly any is refused
# that the documents answer; docs/answers.md has the figures.
PROBED = Calibration({"reading": 0.2, "coverage": 2.5, "retrieval": 1.0, "unknown": -0.25, "inner": 0.75}, bias=-1.6)


def stored_calibration(path: Path, generator: str, embedder: str, *, otherwise: Calibration) -> Calibration:
    """The calibration kept at `path` if it was fitted with these models, else `otherwise`.

    Raises: CalibrationError for a file that cannot be read.
    """
    if not path.exists():
        return otherwise
    stored = Calibration.load(path)
    if stored.is_for(generator, embedder):
        return stored
    _log.warning(
        "%s: it was calibrated with %s and %s, so it is not used with %s and %s. Run `fuente eval … --calibrate` again",
        path, stored.generator, stored.embedder, generator, embedder,
    )  # fmt: skip
    return otherwise
