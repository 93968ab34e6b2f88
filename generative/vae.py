"""The variational autoencoder: codes are distributions, so new images can be drawn from the space between them.

The bound, its parts and everything that is shown are in nats per image. Pixels are black and white (above .5) with a
Bernoulli likelihood, or grey with a Gaussian of one learned spread.

Source: Kingma and Welling, Auto-Encoding Variational Bayes (2014), eq. 3, 4 and appendix B; Higgins et al., β-VAE
(2017), eq. 4; Kingma et al., Improving Variational Inference with Inverse Autoregressive Flow (2016), eq. 15, free
bits; Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders (2016), eq. 8; Tomczak and Welling, VAE with a
VampPrior (2018), section 2, the mixture as prior; Rybkin, Daniilidis and Levine, Simple and Effective VAE Training with
Calibrated Decoders (2021), eq. 5.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.errors import ConfigError
from generative.evaluation.metrics import sharpness
from generative.family import Split
from generative.image_data import Images
from generative.image_family import ImageConfig, ImageFamily, shape_of
from generative.training import Batch, Logs, Training

_SCORE_SAMPLES = 16
_BOUND_SAMPLES = 2000
_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class VaeConfig(ImageConfig):
    """A variational autoencoder."""

    pixels: Literal["binary", "grey"] = "binary"
    latent: int = 12
    width: int = 256
    dropout: float = 0.2
    components: int = 1
    """Gaussians of the prior; 1 is the standard normal, more are learned."""
    beta: float = 1.0
    """The weight of the KL divergence in training; scores always take 1."""
    free_nats: float = 0.0
    """The KL divergence of each number of the code that training does not punish."""
    importance_samples: int = 1
    """Codes of an image that training weighs against one another; 1 trains on the ELBO, more on the tighter bound."""

    def __post_init__(self) -> None:
        if min(self.latent, self.width, self.components) < 1 or min(self.beta, self.free_nats) < 0:
            raise ValueError("latent, width and components must be 1 or more, beta and free_nats 0 or more")
        if not 0 <= self.dropout < 1 or self.importance_samples < 1:
            raise ValueError("dropout must be in [0, 1), importance_samples 1 or more")
        if self.importance_samples > 1 and (self.beta != 1 or self.free_nats):
            raise ValueError(
                "beta and free_nats change the ELBO; leave them at 1 and 0 with importance_samples above 1"
            )


class Vae(ImageFamily[VaeConfig]):
    """A variational autoencoder of images."""

    name = "vae"
    config_class = VaeConfig
    score_unit = "nats per image (minus the evidence lower bound)"

    def build(self) -> nn.Module:
        """Encoder, decoder, the spread of grey pixels and the prior."""
        config = self.config
        return nn.ModuleDict(
            {
                "encoder": _layers(config.image.pixels, config.width, 2 * config.latent, config.dropout),
                "decoder": _layers(config.latent, config.width, config.image.pixels, config.dropout),
                "prior": Prior(config.latent, config.components),
                "spread": _Spread(),
            }
        )

    # The model and its bound.

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (N, latent), of pixels (N, D)."""
        mean, log_variance = self._part("encoder")(2 * x - 1).chunk(2, 1)
        return mean, log_variance.clamp(-12, 6)

    def log_pixels(self, x: Tensor, codes: Tensor) -> Tensor:
        """log p(x | z): pixels (N, D), codes (S, N, latent) → (S, N)."""
        output = self._part("decoder")(codes)
        if self.config.pixels == "binary":
            return -F.binary_cross_entropy_with_logits(output, x.expand(output.shape), reduction="none").sum(-1)
        return log_normal(x, torch.sigmoid(output), 2 * self._log_spread).sum(-1)

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """Minus the bound, with β and free bits or over several samples, its mean over the batch."""
        x = self._pixels(batch[0])
        if self.config.importance_samples > 1:
            nats = -self._bound(x, self.config.importance_samples, generator, weighted=True).mean()
            return nats, {"nats": float(nats.detach())}
        mean, log_variance = self.posterior(x)
        codes = reparameterise(mean, log_variance, generator, 1)
        likelihood = self.log_pixels(x, codes)[0].mean()
        divergence = self._divergence(mean, log_variance, codes).mean(0)  # (latent,) or (1,)
        held = divergence.clamp(min=self.config.free_nats).sum()
        bound = float(likelihood.detach() - divergence.detach().sum())
        return self.config.beta * held - likelihood, {"nats": -bound, "kl": float(divergence.detach().sum())}

    def _divergence(self, mean: Tensor, log_variance: Tensor, codes: Tensor) -> Tensor:
        """KL(q || p) per image: in closed form by number of the code (N, latent), or by the sample drawn (N, 1)."""
        if self.config.components == 1:
            return kl_to_standard_normal(mean, log_variance)
        drawn = log_normal(codes, mean, log_variance).sum(-1) - self._prior.log_density(codes)
        return drawn.mean(0)[:, None]

    def bound(self, images: Tensor, samples: int = _SCORE_SAMPLES, *, weighted: bool = False) -> Tensor:
        """A lower bound of log p(x) in nats, (N,): the ELBO, or the tighter mean of importance weights (Burda, eq. 8).

        The random numbers are always the same, so scores repeat.
        """
        generator = torch.Generator(self.device).manual_seed(0)
        with self.evaluating():
            found = [
                self._bound(part, samples, generator, weighted)
                for part in torch.split(self._pixels(self.checked(images)), 50)
            ]
        return torch.cat(found)

    def _bound(self, x: Tensor, samples: int, generator: torch.Generator, weighted: bool) -> Tensor:
        mean, log_variance = self.posterior(x)
        codes = reparameterise(mean, log_variance, generator, samples)  # (S, N, latent)
        own = log_normal(codes, mean, log_variance).sum(-1)
        weights = self.log_pixels(x, codes) + self._prior.log_density(codes) - own  # (S, N), log w
        return torch.logsumexp(weights, 0) - math.log(samples) if weighted else weights.mean(0)

    def score(self, x: Tensor) -> Tensor:
        """Minus the ELBO, (N,)."""
        return -self.bound(x)

    # Images out of codes.

    def encode(self, images: Tensor) -> Tensor:
        """The means of the codes of images, (N, latent)."""
        with self.evaluating():
            return self.posterior(self._pixels(self.checked(images)))[0]

    def decode(self, codes: Tensor) -> Tensor:
        """The mean images of codes (N, latent), (N, C, H, W) in [0, 1]."""
        with self.evaluating():
            output: Tensor = self._part("decoder")(codes.to(self.device))
            return torch.sigmoid(output).view(-1, *self.config.image.size)

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """Mean images of codes drawn from the prior, (n, C, H, W). There is no condition. Raises: ConfigError."""
        if condition is not None:
            raise ConfigError("This VAE knows no classes. Use gan, diffusion or autoregressive.")
        with self.evaluating():
            codes = self._prior.draw(n, self.generator(generator))
        return self.decode(codes)

    def reconstruct(self, images: Tensor) -> Tensor:
        """The images of their codes' means."""
        return self.decode(self.encode(images))

    def interpolate(self, one: Tensor, other: Tensor, steps: int = 9) -> Tensor:
        """Images between two (C, H, W), (steps, C, H, W): codes on the straight line between theirs.

        With an odd number of steps the middle one is the exact midpoint: its code is the mean of both codes.
        """
        ends = self.encode(torch.stack([one, other]))
        weights = torch.linspace(0, 1, steps, device=self.device)[:, None]
        return self.decode(torch.lerp(ends[:1], ends[1:], weights))

    def figures(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """The bounds on the test images, and how sharp they come back."""
        assert isinstance(data.test, Images)  # noqa: S101
        x = data.test.x[:450]
        pixels = self._pixels(x).view(x.shape)
        return {
            "nats_elbo": float(-self.bound(x, 100).mean()),
            "nats_importance_weighted": float(-self.bound(x, _BOUND_SAMPLES, weighted=True).mean()),
            "sharpness_reconstructed": sharpness(self.reconstruct(x)) / sharpness(pixels),
        }

    def _pixels(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return (flat > 0.5).float() if self.config.pixels == "binary" else flat

    def _part(self, name: str) -> nn.Module:
        return self.network.get_submodule(name)

    @property
    def _log_spread(self) -> Tensor:
        spread: Tensor = self._part("spread")()
        return spread

    @property
    def _prior(self) -> "Prior":
        found = self._part("prior")
        assert isinstance(found, Prior)  # noqa: S101
        return found

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> VaeConfig:
        """`cpu`: black-and-white pixels for the digits, grey for larger images; `gpu`: wider and longer."""
        image = shape_of(about)
        pixels: Literal["binary", "grey"] = "binary" if image.is_small else "grey"
        latent = 16 if image.is_small else 32
        if name == "cpu" and image.is_small:
            # Trained on the ELBO alone, the digits have 17.34 by it and 16.7 by importance weights; with two codes
            # an image 17.5 and 16.5; with five 18.2 and 16.1.
            training = Training(steps=3000, lr=1e-3, weight_decay=0.05, ema_decay=0.999)
            return VaeConfig(training, image, pixels, latent, 256, 0.15, 20, importance_samples=2)
        if name == "cpu":
            return VaeConfig(Training(steps=6000, lr=1e-3, ema_decay=0.999), image, pixels, latent, dropout=0.0)
        if name == "gpu":
            training = Training(steps=60000, batch_size=256, lr=1e-3, weight_decay=0.05, ema_decay=0.9995)
            return VaeConfig(training, image, pixels, latent, width=1024, dropout=0.1)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")


class Prior(nn.Module):
    """p(z): the standard normal, or a mixture of Gaussians with learned weights, means and spreads."""

    def __init__(self, latent: int, components: int) -> None:
        super().__init__()
        self.latent = latent
        if components > 1:
            self.weights = nn.Parameter(torch.zeros(components))
            self.means = nn.Parameter(torch.randn(components, latent))
            self.log_variances = nn.Parameter(torch.zeros(components, latent))
        self.components = components

    def log_density(self, codes: Tensor) -> Tensor:
        """log p(z), (…,) of codes (…, latent)."""
        if self.components == 1:
            return log_normal(codes, torch.zeros_like(codes), torch.zeros_like(codes)).sum(-1)
        each = log_normal(codes[..., None, :], self.means, self.log_variances).sum(-1)  # (…, components)
        return torch.logsumexp(each + self.weights.log_softmax(0), -1)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Codes (n, latent)."""
        normal = torch.randn(n, self.latent, generator=generator, device=generator.device)
        if self.components == 1:
            return normal
        chosen = torch.multinomial(self.weights.softmax(0), n, replacement=True, generator=generator)
        return self.means[chosen] + (self.log_variances[chosen] / 2).exp() * normal


class _Spread(nn.Module):
    """The logarithm of the standard deviation of grey pixels, one for all."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(-1.0))

    def forward(self) -> Tensor:
        """A scalar."""
        return self.log.clamp(min=-5)


def reparameterise(mean: Tensor, log_variance: Tensor, generator: torch.Generator, samples: int) -> Tensor:
    """z = μ + σ ε, (S, N, latent), through which gradients reach μ and σ (Kingma and Welling, eq. 4)."""
    noise = torch.randn(samples, *mean.shape, generator=generator, device=mean.device)
    return mean + (log_variance / 2).exp() * noise


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) || N(0, 1)) of each number of a code, in nats (Kingma and Welling, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def log_normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; μ, σ²), elementwise."""
    return -0.5 * (_LOG_2PI + log_variance + (x - mean).square() / log_variance.exp())


def _layers(inner: int, width: int, outer: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inner, width),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(width, outer),
    )
