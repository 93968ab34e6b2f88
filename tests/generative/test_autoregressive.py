import itertools

import pytest
import torch

from generative.autoregressive import Autoregressive, AutoregressiveConfig
from generative.image_family import ImageShape
from generative.training import Training


@pytest.fixture
def tiny():
    """A model of images of 4×4 pixels in two classes, all 65,536 of which can be asked for."""
    config = AutoregressiveConfig(Training(), ImageShape(1, 4, 4, ("a", "b")), width=8, blocks=1, orders=2)
    return Autoregressive(config, device="cpu")


def test_the_probabilities_of_all_images_add_up_to_one(tiny):
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=16))).view(-1, 1, 4, 4)
    assert float(tiny.log_likelihood(every).exp().sum()) == pytest.approx(1.0, abs=1e-6)


def test_a_seen_pixel_of_later_order_does_not_matter(tiny):
    """The logits of a pixel depend on what is seen only."""
    x = torch.rand(2, 16).round()
    seen = torch.arange(16).expand(2, -1) < 5
    labels = torch.tensor([0, 1])
    changed = torch.where(seen, x, 1 - x)
    with tiny.evaluating():
        assert torch.equal(tiny.network(x, seen, labels), tiny.network(changed, seen, labels))


def test_the_loss_estimates_the_likelihood_over_orders(tiny, random):
    """Their means agree, for one class, up to what sampling leaves."""
    x = (torch.rand(64, 1, 4, 4, generator=random) > 0.5).float()
    labels = torch.zeros(64, dtype=torch.int64)
    with tiny.evaluating():
        estimate = torch.stack([tiny.loss((x, labels), random)[0] for _ in range(60)])
        exact = torch.stack([-tiny._given(x.flatten(1), 0, order).mean() for order in tiny.orders(60)])
    assert float(estimate.mean()) == pytest.approx(float(exact.mean()), abs=0.05)


def test_more_orders_are_no_worse_on_average(tiny):
    x = (torch.rand(200, 1, 4, 4) > 0.5).float()
    one = torch.stack([tiny._given(x.flatten(1), 0, order) for order in tiny.orders(4)])
    mixture = torch.logsumexp(one, 0) - torch.tensor(4.0).log()
    assert float(mixture.mean()) >= float(one.mean())


def test_samples_are_black_and_white_and_completions_keep_what_is_known(make, digits, random):
    family = make("autoregressive")
    assert set(family.sample(3, generator=random).unique().tolist()) <= {0.0, 1.0}
    known = torch.arange(64).view(8, 8) < 32
    x = (digits.test.x[:4] > 0.5).float()
    completed = family.complete(x, known, condition=3, generator=random)
    assert torch.equal(completed[..., known], x[..., known])
