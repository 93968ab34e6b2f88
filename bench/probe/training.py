"""The line through a layer's states, and the low-rank adapter under it."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.probe.prefixes import Prefix, Prefixes
from bench.probe.tasks import Task
from rag.finetuning.kept import KeptTraining
from rag.low_rank import applied
from rag.probe import FORMAT, LARGEST, LARGEST_STATE

# Of a layer's linear maps: those of attention, which decides what the question is compared with.
ADAPTED = ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj")
_KEPT_EVERY = 10
_LEAST_DEVIATION = 1e-3


@dataclass(frozen=True, slots=True)
class Settings:
    """How the adapter is trained: `batch` tasks make one step; rates rise for `warmup` steps, then fall as a cosine.

    `drawn` tasks are enough for the line that it begins with.
    """

    first: int = 8
    layer: int = 18
    rank: int = 8
    steps: int = 300
    batch: int = 4
    rate: float = 4e-4
    line_rate: float = 5e-5
    warmup: int = 20
    drawn: int = 200
    ridge: float = 3e-4
    seed: int = 0


class Learner:
    """A probe that learns: `down` and `up` of each adapted layer, and the line (2·D,) with its bias.

    The line goes through states of mean 0 and deviation 1, which are so much better conditioned that it learns at all.
    """

    def __init__(self, prefixes: Prefixes, settings: Settings) -> None:
        self._prefixes = prefixes
        self._decoder = prefixes.decoder
        self._settings = settings
        width = int(self._decoder.config.hidden_size)
        torch.manual_seed(settings.seed)
        names = [f"layers.{n}.{name}" for n in range(settings.first, settings.layer) for name in ADAPTED]
        self.adapter = {name: _low_rank(self._decoder.get_submodule(name), settings.rank) for name in names}
        self._mean, self._deviation = torch.zeros(2 * width), torch.ones(2 * width)
        self.line = torch.zeros(2 * width, requires_grad=True)
        self.bias = torch.zeros(1, requires_grad=True)

    def log_odds(self, task: Task) -> Tensor:
        """ln P(answer) − ln P(none) of each question, (N,)."""
        return (self._states(self._prefixes.of(task)) - self._mean) / self._deviation @ self.line + self.bias

    def fit_line(self, tasks: Sequence[Task]) -> None:
        """Begins with the line that fits the model as it is, by logistic regression."""
        from sklearn.linear_model import LogisticRegression

        drawn = _order(tasks, self._settings)[: self._settings.drawn]
        with torch.no_grad():
            states = torch.cat([self._states(self._prefixes.of(task)) for task in drawn])
            self._mean, self._deviation = states.mean(dim=0), states.std(dim=0) + _LEAST_DEVIATION
            states = (states - self._mean) / self._deviation
        answerable = np.concatenate([task.answerable for task in drawn])
        fitted = LogisticRegression(C=self._settings.ridge, max_iter=500).fit(states.numpy(), answerable)
        with torch.no_grad():
            self.line.copy_(torch.from_numpy(fitted.coef_[0]))
            self.bias.copy_(torch.from_numpy(fitted.intercept_))

    def train(self, tasks: Sequence[Task], kept: KeptTraining, tell: Callable[[int, float], None]) -> None:
        """Steps of AdamW on the binary cross-entropy; `tell` is given the step and its loss in nats."""
        settings = self._settings
        adapter = [one for pair in self.adapter.values() for one in pair]
        optimiser = torch.optim.AdamW(
            [
                {"params": adapter, "weight_decay": 0.0, "usual": settings.rate},
                {"params": [self.line, self.bias], "weight_decay": 0.01, "usual": settings.line_rate},
            ],
            betas=(0.9, 0.99),
        )
        done, losses = kept.restore(self.named(), optimiser)
        order = _order(tasks, settings)
        for step in range(done, settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = group["usual"] * _rate(step, settings)
            optimiser.zero_grad()
            losses.append(self._backward(order[step * settings.batch : (step + 1) * settings.batch]))
            torch.nn.utils.clip_grad_norm_([*adapter, self.line, self.bias], 1.0)
            optimiser.step()
            tell(step + 1, losses[-1])
            if (step + 1) % _KEPT_EVERY == 0:
                kept.write(step + 1, losses, self.named(), optimiser)

    def named(self) -> dict[str, Tensor]:
        """All that is learnt, by name."""
        pairs = {f"{name}.{kind}": one for name, pair in self.adapter.items() for kind, one in _kinds(pair)}
        return {**pairs, "line": self.line, "bias": self.bias}

    def save(self, path: Path) -> None:
        """Writes the probe, its adapter in 16-bit floating point."""
        line = self.line.detach() / self._deviation
        last, question = line.chunk(2)
        tensors = {name: one.detach().half() for name, one in self.named().items() if name not in ("line", "bias")}
        tensors |= {"last": last.clone(), "question": question.clone(), "bias": self.bias.detach() - line @ self._mean}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path, {"format": FORMAT, "layer": str(self._settings.layer)})

    def _backward(self, batch: Sequence[Task]) -> float:
        """Adds the gradients of a batch, task by task; its mean loss."""
        count = sum(len(task.questions) for task in batch)
        total = 0.0
        for task in batch:
            answerable = torch.tensor(task.answerable, dtype=torch.float32)
            loss = binary_cross_entropy_with_logits(self.log_odds(task), answerable, reduction="sum") / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def _states(self, prefix: Prefix) -> Tensor:
        """What the last layer makes of the last token, and on average of the question, scaled: (N, 2·D)."""
        states = prefix.states
        count, length, _ = states.shape
        before = prefix.kept.shape[-2]
        places = torch.arange(before, before + length)[None]
        turned = self._decoder.rotary_emb(states, places)
        hidden = torch.full((length, length), -math.inf, dtype=states.dtype).triu(1)
        mask = torch.cat([torch.zeros(length, before, dtype=states.dtype), hidden], dim=1)[None, None]
        with applied(self.adapter, self._decoder):
            for layer in self._decoder.layers[self._settings.first :]:
                states = layer(
                    states,
                    attention_mask=mask,
                    position_ids=places,
                    past_key_values=_Behind(prefix.kept, self._settings.first),
                    position_embeddings=turned,
                    use_cache=True,
                )
                states = states[0] if isinstance(states, tuple) else states
        states = states.float()
        asked = (torch.arange(length)[None] < prefix.end[:, None]).float()[..., None]  # (N, T, 1)
        mean = (states * asked).sum(dim=1) / asked.sum(dim=1)
        return torch.cat([_scaled(states[torch.arange(count), prefix.last]), _scaled(mean)], dim=-1)


class _Behind:
    """A cache that always ends with the passages: what is new comes behind them, and is not kept."""

    def __init__(self, kept: Tensor, first: int) -> None:
        self._kept, self._first = kept, first

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any) -> tuple[Tensor, Tensor]:
        old = self._kept[layer - self._first][:, None].expand(-1, len(keys), -1, -1, -1)
        return torch.cat([old[0], keys], dim=2), torch.cat([old[1], values], dim=2)


def scores(learner: Learner, tasks: Sequence[Task]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The log odds of every question of some tasks, (N,), and whether it is answered, (N,)."""
    with torch.inference_mode():
        odds = np.concatenate([learner.log_odds(task).numpy() for task in tasks])
    return odds.astype(np.float64), np.concatenate([task.answerable for task in tasks])


def _low_rank(linear: Any, rank: int) -> tuple[Tensor, Tensor]:
    """Down (R, in) at random and up (out, R) of zeros: at first nothing is changed."""
    down = torch.randn(rank, linear.in_features) / math.sqrt(linear.in_features)
    return down.requires_grad_(), torch.zeros(linear.out_features, rank).requires_grad_()


def _kinds(pair: tuple[Tensor, Tensor]) -> Iterator[tuple[str, Tensor]]:
    return zip(("down", "up"), pair, strict=True)


def _scaled(states: Tensor) -> Tensor:
    """As `rag.probe` scales them."""
    usual = states.clamp(-LARGEST_STATE, LARGEST_STATE)
    return (usual / (usual.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()).clamp(-LARGEST, LARGEST)


def _rate(step: int, settings: Settings) -> float:
    rising = min(1.0, (step + 1) / settings.warmup)
    return rising * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / settings.steps)))


def _order(tasks: Sequence[Task], settings: Settings) -> list[Task]:
    """The tasks of all steps, each pass in an order of its own."""
    random_ = random.Random(settings.seed)  # noqa: S311
    order: list[Task] = []
    while len(order) < settings.steps * settings.batch:
        order += random_.sample(list(tasks), len(tasks))
    return order
