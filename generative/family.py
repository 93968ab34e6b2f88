"""What every generative family is: a configuration, a network, and how to fit, sample, score, save and load it.

A family that learns by gradients says three things and inherits the rest:

    class Mine(Family[MineConfig]):
        name, score_unit = "mine", "nats a sequence"
        config_class = MineConfig                      # a frozen dataclass below FamilyConfig

        def build(self) -> nn.Module: ...              # called once, under the configuration's seed
        def loss(self, batch, generator): ...          # → (scalar tensor, {"name": float, …})
        def sample(self, n, *, condition=None, generator=None): ...
        def score(self, x): ...                        # (N,), in `score_unit`

and where the terminal should serve it: `open_data`, `preset`, `evaluate`, `write_samples`. A family with two opponents
overrides `parts` and `step`; one without gradients overrides `fit`. Random numbers come from the generator that is
passed, never from the global one, except dropout, which the loop seeds anew at every step.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from generative.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from generative.config import Config
from generative.errors import CheckpointError, ConfigError, UnsupportedError
from generative.training import Batch, Data, Limits, Logs, Report, Trainer, Training, no_report, seed_of
from models import plan_device

Update = Callable[[str, Tensor], bool]


@dataclass(frozen=True, slots=True)
class FamilyConfig(Config):
    """The base of a family's configuration."""

    training: Training = field(default_factory=Training)


@dataclass(frozen=True, slots=True)
class Split:
    """Data by use. `train` and `test` follow the protocol; `about` is what a preset must know of them (shape, …).

    `watched` is what the validation curve is drawn from where all of `test` would take too long.
    """

    name: str
    train: Data
    test: Data
    about: Mapping[str, Any]
    watched: Data | None = None


C = TypeVar("C", bound=FamilyConfig)


class Family(ABC, Generic[C]):
    """A generative model. `network` is what is trained; `average` its running average, if it keeps one.

    Raises: models.errors.DeviceError where device or dtype (auto, cpu, cuda:N …; auto, float32, bfloat16 …) is not
    to be had.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[FamilyConfig]]
    score_unit: ClassVar[str]
    """What `score` counts, and whether it is exact, a bound or a proxy."""
    draws: ClassVar[bool] = True
    """Whether it has samples to show."""

    def __init__(self, config: C, *, device: str = "auto", dtype: str = "auto") -> None:
        plan = plan_device(device, dtype, role="embedder")
        self.config: C = config
        self.device = torch.device(plan.device)
        self.dtype: torch.dtype = getattr(torch, plan.dtype_name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(config.training.seed, "weights", 0))
            self.network = self.build().to(self.device)
        self.average: nn.Module | None = None
        self.history: list[Logs] = []
        self._trainer: Trainer | None = None

    @abstractmethod
    def build(self) -> nn.Module:
        """A new network on the CPU with random weights."""

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """What to go down, a scalar, and values for the curve. `batch` is what the data give, on the device."""
        raise UnsupportedError(f"{self.name} is not trained by one loss.")

    @abstractmethod
    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` new examples; the same generator state gives the same ones. `condition` asks for a kind of them."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """How unexpected each example is, (N,) float32 in `score_unit`; higher is stranger."""

    # How it is trained.

    def parts(self) -> dict[str, nn.Module]:
        """What is optimised, each part by an optimiser of its own."""
        return {"network": self.network}

    def prepare(self, data: Data) -> None:
        """What is counted on the data before the first step, if anything; a run that goes on has it already."""

    def step(self, batch: Batch, generator: torch.Generator, update: Update) -> Logs:
        """One step of training. `update(part, loss)` moves a part down a loss, or skips where it is not finite."""
        loss, logs = self.loss(batch, generator)
        update("network", loss)
        return {"loss": float(loss.detach()), **logs}

    def validation(self, batch: Batch, generator: torch.Generator) -> Logs:
        """What to write beside the curve for a batch of validation data."""
        loss, logs = self.loss(batch, generator)
        return {"loss": float(loss), **logs}

    def learning_rate(self, part: str) -> float:
        """The highest learning rate of a part."""
        return self.config.training.lr

    def finished(self, val: Data | None) -> bool:
        """Whether the family itself calls the training done; asked at every point of the curve."""
        return False

    def fit(
        self,
        data: Data,
        *,
        val: Data | None = None,
        max_steps: int | None = None,
        max_seconds: float = float("inf"),
        resume: Path | None = None,
        checkpoint: Path | None = None,
        report: Report = no_report,
    ) -> Self:
        """Trains on `data`, from the weights as they are or from those of `resume`, a checkpoint with its state.

        `max_steps` counts from the first step of all and is `config.training.steps` by default; the learning rate
        is laid out over the latter either way. `checkpoint` is written every minute and at the end. On a CPU, N steps
        and N more by `resume` are the same 2N steps, bit for bit.

        Raises: DataError, DivergedError, CheckpointError.
        """
        if resume is None:
            self.prepare(data)
        self._trainer, self.history = Trainer(self), []
        if resume is not None:
            self._take(read_checkpoint(resume), training=True)
        steps = self.config.training.steps if max_steps is None else max_steps
        self._trainer.run(data, val, Limits(steps, max_seconds, checkpoint), report)
        return self

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within it `network` is the average where there is one, in evaluation mode, and nothing is differentiated."""
        trained = self.network
        self.network = self.average if self.average is not None else trained
        was_training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.network.train(was_training)
            self.network = trained

    def copy_network(self) -> nn.Module:
        """A copy of the network that is not trained."""
        return copy.deepcopy(self.network).requires_grad_(requires_grad=False)

    def generator(self, generator: torch.Generator | None) -> torch.Generator:
        """The generator that was passed, or a fresh one seeded by chance."""
        if generator is None:
            generator = torch.Generator(self.device)
            generator.seed()
        return generator

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(one.numel() for one in self.network.parameters())

    # How it is kept.

    def save(self, path: Path, *, training: bool = True, dtype: torch.dtype | None = None) -> Path:
        """Writes a checkpoint; the path.

        Without `training` only what sampling needs is written, the average in place of the weights. `dtype` rounds
        weights (float16 halves the file); a file to resume from is never rounded.
        """
        state: dict[str, Any] = {"history": self.history, "extra": self.extra_state()}
        if training and self._trainer is not None:
            tensors = {f"network.{name}": one for name, one in self.network.state_dict().items()}
            if self.average is not None:
                tensors |= {f"average.{name}": one for name, one in self.average.state_dict().items()}
            tensors |= self._trainer.tensors()
            state["trainer"] = self._trainer.state()
        else:
            kept = self.average if self.average is not None else self.network
            tensors = {f"network.{name}": _rounded(one, dtype) for name, one in kept.state_dict().items()}
        return write_checkpoint(Checkpoint(self.name, self.config.to_json(), tensors, state), path)

    @classmethod
    def load(cls, path: Path, *, device: str = "auto", dtype: str = "auto") -> Self:
        """The family of a checkpoint, ready to sample. Raises: CheckpointError, ConfigError."""
        checkpoint = read_checkpoint(path)
        if checkpoint.family != cls.name:
            raise CheckpointError(f"{path} holds a {checkpoint.family!r}, not a {cls.name!r}. Load it by that name.")
        family = cls(cls.config_class.from_json(checkpoint.config), device=device, dtype=dtype)  # type: ignore[arg-type]
        family._take(checkpoint, training=False)
        return family

    def extra_state(self) -> dict[str, Any]:
        """Plain values beyond the network that the checkpoint should keep, a threshold for one."""
        return {}

    def take_extra_state(self, extra: Mapping[str, Any]) -> None:
        """Takes back what `extra_state` gave."""

    def _take(self, checkpoint: Checkpoint, *, training: bool) -> None:
        """Puts a checkpoint's weights in place, and its run where `training`. Raises: CheckpointError."""
        if checkpoint.family != self.name or checkpoint.config != self.config.to_json():
            raise CheckpointError(
                f"The checkpoint is of a {checkpoint.family!r} with another configuration, {checkpoint.config}. "
                "Resume with the configuration that it was trained with."
            )
        _load_weights(self.network, checkpoint.part("network"))
        if average := checkpoint.part("average"):
            self.average = self.copy_network()
            _load_weights(self.average, average)
        self.history = [dict(point) for point in checkpoint.state["history"]]
        self.take_extra_state(checkpoint.state["extra"])
        if training and self._trainer is not None:
            self._trainer.restore(checkpoint)

    # How the terminal serves it; a family overrides what it offers.

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:
        """The data of that name, or in that folder. Raises: DataError."""
        raise UnsupportedError(f"{cls.name} has no data of its own.")

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> C:
        """The configuration for `cpu` (minutes on two cores) or `gpu`, fitted to the data. Raises: ConfigError."""
        raise ConfigError(f"{cls.name} has no preset {name!r}.")

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """Figures on held-out data, by name."""
        raise UnsupportedError(f"{self.name} has no evaluation.")

    def write_samples(self, samples: Tensor, folder: Path) -> list[Path]:
        """Writes samples as files that a person can open; their paths."""
        raise UnsupportedError(f"{self.name} does not write samples.")

    def parse_condition(self, text: str) -> Any:
        """What `sample` takes as condition, out of what a person typed. Raises: ConfigError."""
        raise UnsupportedError(f"{self.name} cannot be asked for a kind of sample.")


AnyFamily = Family[Any]


def _rounded(one: Tensor, dtype: torch.dtype | None) -> Tensor:
    return one.to(dtype) if dtype is not None and one.is_floating_point() else one


def _load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CheckpointError(f"The checkpoint's weights do not fit its configuration: {error}") from error
