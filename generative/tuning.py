"""A search for better settings of any family: optuna proposes, a short training judges on held-out training data.

The test data are never looked at: a fifth of the training data is held out for the search. Trainings that are worse
than most at the same step are ended early.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from generative.errors import ConfigError, UnsupportedError
from generative.family import FamilyConfig
from generative.registry import family_class
from generative.training import Progress, seed_of

_HELD_OUT = 0.2
# What every family has; --search adds fields of its own.
SPACE = {"training.lr": "1e-4..1e-2", "training.weight_decay": "1e-3..0.3"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a search: its number, what was changed, and the held-out loss, None where it was ended early."""

    number: int
    changes: dict[str, Any]
    value: float | None


def tune(
    name: str,
    data: str,
    *,
    space: dict[str, str],
    trials: int,
    steps: int,
    seed: int = 0,
    report: Callable[[Trial], None],
) -> Trial:
    """The best trial of `trials` of `steps` steps each; the lowest held-out loss is best.

    `space` has for each field of the configuration either "low..high", searched by orders of magnitude where both are
    fractions and by whole numbers where both are whole, or "this|that".

    Raises: ConfigError for a field or range that does not exist, UnsupportedError without optuna.
    """
    optuna, kind = _optuna(), family_class(name)
    split = kind.open_data(data)
    base = kind.preset("cpu", split.about).changed({"training.steps": steps, "training.log_every": max(1, steps // 10)})
    order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(seed_of(seed, "tune", 0)))
    held, used = order.tensor_split([int(_HELD_OUT * len(order))])
    train, val = _Part(split.train, used), _Part(split.train, held)
    done: list[Trial] = []

    def objective(trial: Any) -> float:
        changes = {field: _suggest(trial, field, values) for field, values in space.items()}
        family = kind(base.changed(changes))

        def watch(progress: Progress) -> None:
            if family.history and family.history[-1]["step"] == progress.step:
                trial.report(_figure(family.history[-1], base), progress.step)
                if trial.should_prune():
                    done.append(Trial(trial.number, changes, None))
                    report(done[-1])
                    raise optuna.TrialPruned

        family.fit(train, val=val, report=watch)
        done.append(Trial(trial.number, changes, _figure(family.history[-1], base)))
        report(done[-1])
        return float(done[-1].value or 0.0)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=trials)
    return min((one for one in done if one.value is not None), key=lambda one: one.value or 0.0)


class _Part:
    """Some examples of a dataset."""

    def __init__(self, data: Any, indices: torch.Tensor) -> None:
        self._data, self._indices = data, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, indices: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: tuple[torch.Tensor, ...] = self._data[self._indices[indices]]
        return found


def _figure(point: dict[str, float], config: FamilyConfig) -> float:
    """The held-out loss of a point of the curve."""
    if "val_loss" not in point:
        raise UnsupportedError(
            f"{type(config).__name__} is not trained by one loss, so there is nothing to compare by."
        )
    return point["val_loss"]


def _suggest(trial: Any, field: str, values: str) -> Any:
    if "|" in values:
        return trial.suggest_categorical(field, values.split("|"))
    low, dots, high = values.partition("..")
    try:
        if not dots:
            raise ValueError("no range")
        if low.isdecimal() and high.isdecimal():
            return trial.suggest_int(field, int(low), int(high))
        return trial.suggest_float(field, float(low), float(high), log=True)
    except ValueError as error:
        raise ConfigError(f"{field}={values!r} is no range. Write low..high, or this|that.") from error


def _optuna() -> Any:
    try:
        return import_module("optuna")
    except ImportError as error:
        raise UnsupportedError("Searching needs optuna: pip install 'fuente[tune]'.") from error
