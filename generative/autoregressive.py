"""An exact autoregressive model of black-and-white images: one pixel after another, in many orders at once.

One network sees any part of an image and says how likely each pixel that is missing is white. Read in any order, its
answers multiply to an exact probability of the image; the mean over several orders and over the classes is a
probability again, and a better one. So this family says how likely an image is without bound or sampling, which the
others can be held against.

Source: Uria, Murray and Larochelle, A Deep and Tractable Density Estimator (2014), eq. 8 and 10, orderless training and
ensembles of orders; Germain et al., MADE (2015); Hoogeboom et al., Autoregressive Diffusion Models (2022), eq. 5.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.errors import ConfigError
from generative.family import Split
from generative.image_data import Images
from generative.image_family import ImageConfig, ImageFamily, shape_of
from generative.training import Batch, Logs, Training, seed_of


@dataclass(frozen=True, slots=True)
class AutoregressiveConfig(ImageConfig):
    """An orderless autoregressive model."""

    width: int = 256
    blocks: int = 2
    dropout: float = 0.25
    orders: int = 4
    """How many orders `score` takes the mean over."""

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.orders) < 1 or not 0 <= self.dropout < 1:
            raise ValueError("width, blocks and orders must be 1 or more, dropout in [0, 1)")
        if self.image.channels != 1:
            raise ValueError("images must be grey: this family models black-and-white pixels")


class Autoregressive(ImageFamily[AutoregressiveConfig]):
    """An autoregressive model of the pixels above .5."""

    name = "autoregressive"
    config_class = AutoregressiveConfig
    score_unit = "nats per image, exact, of the pixels above .5"

    def build(self) -> nn.Module:
        """The network of all conditionals."""
        config = self.config
        return _Conditionals(config.image.pixels, config.image.classes, config.width, config.blocks, config.dropout)

    @property
    def conditional(self) -> bool:
        """Every sample is of a class."""
        return True

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """An unbiased estimate of the nats per image over all orders: a random part is seen, the rest is guessed.

        With d pixels seen of D, the guesses' mean stands for each of the D conditionals of an order (eq. 8).
        """
        x, labels = binary(batch[0]), batch[1]
        n, pixels = x.shape
        ranks = torch.rand(n, pixels, generator=generator, device=self.device).argsort(1)
        seen = ranks < torch.randint(pixels, (n, 1), generator=generator, device=self.device)  # 0 … D-1 of them
        errors = F.binary_cross_entropy_with_logits(self.network(x, seen, labels), x, reduction="none")
        hidden = (~seen).float()
        return ((errors * hidden).sum(1) / hidden.sum(1) * pixels).mean(), {}

    def log_likelihood(self, x: Tensor, orders: int | None = None) -> Tensor:
        """log p(x) in nats, (N,), exact for the mixture of `orders` orders and all classes, each with equal weight."""
        count = orders or self.config.orders
        classes = self.config.image.classes
        found = [
            self._given(binary(self.checked(x)), label, order)
            for order in self.orders(count)
            for label in range(classes)
        ]
        return torch.logsumexp(torch.stack(found), 0) - math.log(count * classes)

    def score(self, x: Tensor) -> Tensor:
        """-log p(x), (N,)."""
        return -self.log_likelihood(x)

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """Images (n, 1, H, W) of 0 and 1, each pixel drawn after those before it, each image in an order of its own."""
        random = self.generator(generator)
        labels = self.labels(n, condition, random)
        pixels = self.config.image.pixels
        order = torch.rand(n, pixels, generator=random, device=self.device).argsort(1)
        return self._fill(torch.zeros(n, pixels, device=self.device), labels, order, random)

    def complete(
        self, x: Tensor, known: Tensor, *, condition: Any = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """The images with what is not `known` (H, W, bool) drawn from its exact conditional distribution."""
        random = self.generator(generator)
        given = binary(self.checked(x))
        missing = (~known).flatten().nonzero().flatten().to(self.device)
        order = torch.rand(len(x), len(missing), generator=random, device=self.device).argsort(1)
        return self._fill(given, self.labels(len(x), condition, random), missing[order], random)

    def _fill(self, x: Tensor, labels: Tensor, order: Tensor, generator: torch.Generator) -> Tensor:
        seen = torch.ones_like(x, dtype=torch.bool).scatter_(1, order, value=False)
        x = x * seen
        with self.evaluating():
            for places in order.T:  # (N,), the next pixel of each image
                white = torch.sigmoid(self.network(x, seen, labels)).gather(1, places[:, None])
                drawn = torch.rand(white.shape, generator=generator, device=self.device) < white
                x = x.scatter(1, places[:, None], drawn.float())
                seen = seen.scatter(1, places[:, None], value=True)
        return x.view(-1, *self.config.image.size)

    def orders(self, count: int) -> Iterator[Tensor]:
        """The first so many orders of the mixture, (D,) each; always the same."""
        for number in range(count):
            generator = torch.Generator().manual_seed(seed_of(0, "pixel order", number))
            yield torch.randperm(self.config.image.pixels, generator=generator).to(self.device)

    def _given(self, x: Tensor, label: int, order: Tensor) -> Tensor:
        """log p(x | class, order), (N,): the sum of the conditionals along the order."""
        labels = torch.full((len(x),), label, device=self.device)
        seen = torch.zeros_like(x, dtype=torch.bool)
        total = torch.zeros(len(x), device=self.device, dtype=torch.float64)
        with self.evaluating():
            for place in order:
                logits = self.network(x * seen, seen, labels)[:, place]
                total -= F.binary_cross_entropy_with_logits(logits, x[:, place], reduction="none")
                seen[:, place] = True
        return total

    def figures(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """The exact nats per test image."""
        assert isinstance(data.test, Images)  # noqa: S101
        scores = self.score(data.test.x[:450])
        return {"nats": float(scores.mean()), "nats_standard_error": float(scores.std() / len(scores) ** 0.5)}

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> AutoregressiveConfig:
        """`cpu`: under a million parameters; `gpu`: wider."""
        image = shape_of(about)
        if name == "cpu":
            training = Training(steps=3000, batch_size=128, lr=1e-3, weight_decay=0.1, ema_decay=0.999)
            return AutoregressiveConfig(training, image, orders=4 if image.is_small else 1)
        if name == "gpu":
            training = Training(steps=60000, batch_size=512, lr=1e-3, weight_decay=0.1, ema_decay=0.999)
            return AutoregressiveConfig(training, image, width=2048, blocks=4, dropout=0.3)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")


class _Conditionals(nn.Module):
    """Pixels (B, D) of 0 and 1, which of them are seen (B, D), classes (B,) → logits of every pixel (B, D)."""

    def __init__(self, pixels: int, classes: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(2 * pixels, width)
        self.label = nn.Embedding(classes, width)
        self.blocks = nn.ModuleList([_Block(width, dropout) for _ in range(blocks)])
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, pixels))

    def forward(self, x: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        """The logits; those of seen pixels mean nothing."""
        known = seen.to(x.dtype)
        inside = self.enter(torch.cat([(2 * x - 1) * known, known], 1)) + self.label(labels)  # (B, width)
        for block in self.blocks:
            inside = block(inside)
        logits: Tensor = self.leave(inside)
        return logits


class _Block(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) → the same."""
        output: Tensor = x + self.inside(x)
        return output


def binary(images: Tensor) -> Tensor:
    """Images (N, 1, H, W) in [0, 1] as pixels (N, D) of 0 and 1: white is above .5."""
    return (images.flatten(1) > 0.5).float()
