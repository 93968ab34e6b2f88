"""One training loop for every family that learns by gradients.

Every random number of step s comes from a seed made of the run's seed and s, the order of the data included. So a
run that stops at step N and goes on is the same, bit for bit on a CPU, as one that never stopped, and a checkpoint
holds no state of a random generator.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from generative.checkpoint import Checkpoint
from generative.config import Config
from generative.errors import CheckpointError, ConfigError, DataError, DivergedError, Stop

if TYPE_CHECKING:
    from generative.family import AnyFamily

Batch = tuple[Tensor, ...]
Logs = dict[str, float]
# Steps in a row that may be non-finite before training gives up.
_PATIENCE = 20
_CHECKPOINT_EVERY_S = 60.0


class Data(Protocol):
    """A sized dataset of tensors, torch's TensorDataset for one: indices (B,) int64 in, a tuple of tensors out."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Batch: ...


@dataclass(frozen=True, slots=True)
class Training(Config):
    """How the loop trains; a part of every family's configuration."""

    steps: int = 2000
    """Steps of the whole run; the learning rate is laid out over them."""
    batch_size: int = 128
    lr: float = 1e-3
    """The highest learning rate, after the warm-up."""
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    """Of AdamW, on weights of two dimensions and more."""
    warmup_steps: int = 100
    final_lr: float = 0.0
    """The learning rate at the last step, as a share of the highest."""
    clip_norm: float = 1.0
    """Gradients of a larger norm are scaled down to it; 0 leaves them."""
    ema_decay: float = 0.0
    """Of the running average of the weights that samples and scores then use; 0 keeps none."""
    log_every: int = 50
    """Steps that make one point of the curve."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            min(self.steps, self.batch_size, self.log_every) < 1
            or min(self.warmup_steps, self.clip_norm, self.seed) < 0
        ):
            raise ValueError(
                "steps, batch_size and log_every must be 1 or more; warmup_steps, clip_norm, seed 0 or more"
            )
        if self.lr <= 0 or not 0 <= self.ema_decay < 1 or not 0 <= self.final_lr <= 1:
            raise ValueError("lr must be above 0, ema_decay in [0, 1) and final_lr in [0, 1]")


@dataclass(frozen=True, slots=True)
class Progress:
    """One step is made. `rate` is steps a second, `left_s` how long the rest takes; both None at first."""

    step: int
    total: int
    logs: Mapping[str, float]
    rate: float | None
    left_s: float | None


Report = Callable[[Progress], None]


def no_report(_: Progress) -> None:
    """Drops the report, for callers that do not ask for one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop and where to keep the state: `max_steps` counts from the first step of all, resumed ones too."""

    max_steps: int
    max_seconds: float = math.inf
    checkpoint: Path | None = None


@dataclass(slots=True)
class Trainer:
    """The state of a run beside the weights: optimisers, step, seconds, skipped steps."""

    family: "AnyFamily"
    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    optimisers: dict[str, torch.optim.AdamW] = field(default_factory=dict)
    _in_a_row: int = 0
    _sums: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimisers = {name: _optimiser(part, self.training) for name, part in self.family.parts().items()}
        if self.training.ema_decay and self.family.average is None:
            self.family.average = self.family.copy_network()

    @property
    def training(self) -> Training:
        """How to train."""
        training: Training = self.family.config.training
        return training

    def run(self, data: Data, val: Data | None, limits: Limits, report: Report) -> None:
        """Trains until a limit, the family itself or the report ends it, and writes the checkpoint at the end.

        Raises: DataError, DivergedError.
        """
        if len(data) < 1:
            raise DataError("There is nothing to train on: the data are empty.")
        began, before, first, kept = time.monotonic(), self.seconds, self.step, time.monotonic()
        devices = [self.family.device] if self.family.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            while self.step < limits.max_steps and time.monotonic() - began < limits.max_seconds:
                logs = self._one_step(data)
                now = time.monotonic()
                self.seconds = before + now - began
                self._note(logs, val)
                if limits.checkpoint and now - kept > _CHECKPOINT_EVERY_S:
                    self.family.save(limits.checkpoint)
                    kept = now
                rate = (self.step - first) / (now - began) if self.step - first > 1 else None
                left = (limits.max_steps - self.step) / rate if rate else None
                try:
                    report(Progress(self.step, limits.max_steps, logs, rate, left))
                except Stop:
                    break
                if self.step % self.training.log_every == 0 and self.family.finished(val):
                    break
        if limits.checkpoint:
            self.family.save(limits.checkpoint)

    def update(self, part: str, loss: Tensor) -> bool:
        """One optimiser step of one part down the gradient of `loss` (scalar); False where it was not finite.

        A non-finite step changes nothing: neither weights nor the optimiser's averages.
        """
        optimiser = self.optimisers[part]
        parameters = [one for group in optimiser.param_groups for one in group["params"]]
        optimiser.zero_grad(set_to_none=True)
        if finite := bool(torch.isfinite(loss)):
            torch.autograd.backward(loss, inputs=parameters)
            norm = nn.utils.clip_grad_norm_(parameters, self.training.clip_norm or math.inf)
            finite = bool(torch.isfinite(norm))
        if finite:
            for group in optimiser.param_groups:
                group["lr"] = self.family.learning_rate(part) * schedule(self.step, self.training)
            optimiser.step()
        else:
            self.skipped += 1
        self._in_a_row = 0 if finite else self._in_a_row + 1
        if self._in_a_row >= _PATIENCE:
            raise DivergedError(
                f"{_PATIENCE} steps in a row were not finite, the last at step {self.step}. The last good weights are "
                "kept; train from them with a lower training.lr."
            )
        return finite

    def tensors(self) -> dict[str, Tensor]:
        """The optimisers' averages, by part, parameter and name."""
        found: dict[str, Tensor] = {}
        for part, optimiser in self.optimisers.items():
            for number, values in optimiser.state_dict()["state"].items():
                found |= {f"optimiser.{part}.{number}.{name}": one for name, one in values.items()}
        return found

    def state(self) -> dict[str, Any]:
        """How far the run is, as plain values."""
        return {"step": self.step, "seconds": self.seconds, "skipped": self.skipped, "sums": self._sums}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes up the run that a checkpoint was written in. Raises: CheckpointError."""
        state = checkpoint.state.get("trainer")
        if not isinstance(state, dict):
            raise CheckpointError("This checkpoint holds weights only, nothing to resume from. Train without resume.")
        self.step, self.seconds, self.skipped = int(state["step"]), float(state["seconds"]), int(state["skipped"])
        self._sums = {str(key): [float(one) for one in values] for key, values in state["sums"].items()}
        for part, optimiser in self.optimisers.items():
            averages: dict[int, dict[str, Tensor]] = {}
            for name, one in checkpoint.part(f"optimiser.{part}").items():
                number, key = name.split(".", 1)
                averages.setdefault(int(number), {})[key] = one
            optimiser.load_state_dict({**optimiser.state_dict(), "state": averages})

    def _one_step(self, data: Data) -> Logs:
        family, training = self.family, self.training
        torch.manual_seed(seed_of(training.seed, "dropout", self.step))
        generator = torch.Generator(family.device).manual_seed(seed_of(training.seed, "step", self.step))
        indices = batch_indices(len(data), training, self.step)
        batch = tuple(one.to(family.device) for one in data[indices])
        family.network.train()
        with _autocast(family):
            logs = family.step(batch, generator, self.update)
        self.step += 1
        if family.average is not None:
            _move_average(family.average, family.network, self._decay())
        return logs

    def _decay(self) -> float:
        # Shorter at first, or the random initial weights would stay in the average for long.
        return min(self.training.ema_decay, (1 + self.step) / (10 + self.step))

    def _note(self, logs: Logs, val: Data | None) -> None:
        """Adds a point to the curve every `log_every` steps and at the end: means since the last, and validation."""
        for key, value in logs.items():
            if math.isfinite(value):
                self._sums.setdefault(key, []).append(value)
        if self.step % self.training.log_every and self.step != self.training.steps:
            return
        point = {key: math.fsum(values) / len(values) for key, values in self._sums.items()}
        if val is not None:
            point |= {f"val_{key}": value for key, value in validate(self.family, val).items()}
        self.family.history.append({"step": float(self.step), **point})
        self._sums = {}


def schedule(step: int, training: Training) -> float:
    """The learning rate of a step as a share of the highest: a linear warm-up, then half a cosine.

    Source: Loshchilov and Hutter, SGDR (2017), eq. 5, one period.
    """
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    done = min(1.0, (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps))
    return training.final_lr + (1 - training.final_lr) * 0.5 * (1 + math.cos(math.pi * done))


def batch_indices(size: int, training: Training, step: int) -> Tensor:
    """The examples of one step, (B,) int64: every epoch is a new order of all `size` examples, cut into batches.

    Examples that fill no batch at the end of an epoch wait for another one. Data that fill none are one batch.
    """
    count = min(training.batch_size, size)
    epoch, place = divmod(step, size // count)
    generator = torch.Generator().manual_seed(seed_of(training.seed, "order", epoch))
    return torch.randperm(size, generator=generator)[place * count : (place + 1) * count]


def validate(family: "AnyFamily", data: Data, batch_size: int = 500) -> Logs:
    """The mean logs of `family.validation` over all data, always with the same random numbers."""
    sums: dict[str, float] = {}
    with family.evaluating():
        for number, indices in enumerate(torch.split(torch.arange(len(data)), batch_size)):
            generator = torch.Generator(family.device).manual_seed(seed_of(0, "validation", number))
            batch = tuple(one.to(family.device) for one in data[indices])
            for key, value in family.validation(batch, generator).items():
                sums[key] = sums.get(key, 0.0) + value * len(indices)
    return {key: total / len(data) for key, total in sums.items()}


def seed_of(seed: int, purpose: str, number: int) -> int:
    """A seed below 2⁶³ that no other purpose or number shares in practice."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _optimiser(part: nn.Module, training: Training) -> torch.optim.AdamW:
    learned = [one for one in part.parameters() if one.requires_grad]
    if not learned:
        raise ConfigError(f"{type(part).__name__} has nothing to train: no parameter requires a gradient.")
    groups = [
        {"params": [one for one in learned if one.dim() >= 2], "weight_decay": training.weight_decay},
        {"params": [one for one in learned if one.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([one for one in groups if one["params"]], lr=training.lr, betas=training.betas)


def _autocast(family: "AnyFamily") -> AbstractContextManager[Any]:
    if family.dtype == torch.float32:
        return nullcontext()
    return torch.autocast(family.device.type, family.dtype)


@torch.no_grad()
def _move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves every weight of the average towards the network's; other buffers are copied."""
    for old, new in zip(average.parameters(), network.parameters(), strict=True):
        old.lerp_(new, 1 - decay)
    for held, now in zip(average.buffers(), network.buffers(), strict=True):
        held.copy_(now)


def curve(history: list[Logs], key: str) -> Iterator[tuple[float, float]]:
    """The points of one quantity of a history, (step, value)."""
    return ((point["step"], point[key]) for point in history if key in point)
