import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from generative.errors import ConfigError
from generative.training import Training
from generative.vae import Prior, Vae, VaeConfig, kl_to_standard_normal, log_normal, reparameterise


@pytest.fixture
def codes(random):
    return torch.randn(4, 3, generator=random), torch.randn(4, 3, generator=random)


def test_the_divergence_is_that_of_torch(codes):
    mean, log_variance = codes
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    assert torch.allclose(kl_to_standard_normal(mean, log_variance), expected, atol=1e-6)


def test_densities_are_those_of_torch(codes, random):
    mean, log_variance = codes
    x = torch.randn(4, 3, generator=random)
    assert torch.allclose(
        log_normal(x, mean, log_variance), Normal(mean, (log_variance / 2).exp()).log_prob(x), atol=1e-5
    )
    torch.manual_seed(0)
    prior = Prior(3, 5)
    each = Independent(Normal(prior.means, (prior.log_variances / 2).exp()), 1)
    mixture = MixtureSameFamily(Categorical(logits=prior.weights), each)
    assert torch.allclose(prior.log_density(x), mixture.log_prob(x), atol=1e-5)


def test_drawn_codes_have_their_mean_and_spread_and_carry_gradients(codes, random):
    mean, log_variance = (one.requires_grad_() for one in codes)
    drawn = reparameterise(mean, log_variance, random, 20000)
    assert torch.allclose(drawn.mean(0), mean, atol=0.06)
    assert torch.allclose(drawn.var(0).log(), log_variance, atol=0.06)
    drawn.mean(0).sum().backward()
    assert torch.allclose(mean.grad, torch.ones(4, 3), atol=1e-4)
    assert log_variance.grad.abs().sum() > 0


def _exact(vae, x):
    """log p(x) with a code of one number, by integration over it."""
    grid = torch.linspace(-9, 9, 3001)[:, None]
    with torch.no_grad():
        likelihood = vae.log_pixels(vae._pixels(x), grid[:, None].expand(-1, len(x), -1))
        joint = likelihood + vae._prior.log_density(grid)[:, None]
    return torch.logsumexp(joint, 0) + math.log(18 / 3000)


@pytest.mark.parametrize("components", [1, 3])
def test_bounds_are_below_the_exact_likelihood_and_tighten(digits, components):
    training = Training(steps=150, batch_size=64, warmup_steps=5)
    vae = Vae(VaeConfig(training, latent=1, width=16, dropout=0.0, components=components), device="cpu").fit(
        digits.train
    )
    x = digits.test.x[:60]
    exact = _exact(vae, x).mean()
    elbo, few, many = (
        vae.bound(x, k, weighted=weighted).mean() for k, weighted in ((400, False), (5, True), (400, True))
    )
    assert elbo < many
    assert few < many + 0.05  # both are estimates, of a bound that is nearly tight here
    assert many <= exact + 0.02
    assert exact - many < exact - elbo
    assert torch.allclose(-vae.score(x), vae.bound(x))


def test_free_bits_hold_the_divergence_up(make, digits, random):
    vae = make("vae-grey")
    batch = digits.train[torch.arange(16)]
    loss, logs = vae.loss(batch, random)
    held = max(logs["kl"], 3 * 0.1)
    assert float(loss.detach()) >= logs["nats"] - logs["kl"] + 2.0 * held - 1e-3


def test_the_midpoint_of_two_images_is_the_mean_of_their_codes(make, digits):
    vae = make("vae")
    one, other = digits.test.x[:2]
    between = vae.interpolate(one, other, 5)
    assert torch.allclose(between[2], vae.decode(vae.encode(digits.test.x[:2]).mean(0, keepdim=True))[0], atol=1e-6)
    ends = vae.reconstruct(digits.test.x[:2])
    assert torch.allclose(between[[0, -1]], ends, atol=1e-6)


def test_values_that_do_not_go_together_are_refused():
    with pytest.raises(ConfigError, match="importance_samples"):
        VaeConfig().changed({"importance_samples": 4, "beta": 2.0})
