import pytest
import torch

from generative.gan import Gan, GanConfig, augmented, gradient_penalty, variety
from generative.image_data import Images
from generative.training import Training


def test_the_gradient_penalty_is_that_of_finite_differences(make, digits):
    gan = make("gan")
    critic = gan.network.double().get_submodule("discriminator").eval()
    x, labels = digits.train.x[:2].double(), digits.train.y[:2]
    seen = x.clone().requires_grad_()
    penalty = float(gradient_penalty(critic(seen, labels), seen).detach())
    step, total = 1e-5, 0.0
    with torch.no_grad():
        for place in range(64):
            move = torch.zeros(64, dtype=torch.float64)
            move[place] = step
            ahead, behind = (critic(x + sign * move.view(1, 1, 8, 8), labels) for sign in (1, -1))
            total += float(((ahead - behind) / (2 * step)).square().mean())
    assert penalty == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_the_penalties_hold_the_discriminator_back(digits, penalty):
    slopes = []
    for weight in (0.0, 100.0):
        weights = {"spectral": False, "r1": 0.0, penalty: weight}
        config = GanConfig(Training(30, 32, 0.02, warmup_steps=3), kind="dense", width=16, **weights)
        gan = Gan(config, device="cpu").fit(digits.train)
        images = digits.train.x[:50].clone().requires_grad_()
        slopes.append(float(gradient_penalty(gan._judge(images, digits.train.y[:50]), images).detach()))
    assert slopes[1] < slopes[0] / 4


def test_a_relativistic_pair_cares_about_the_difference_of_logits_only(digits, random):
    gan = Gan(GanConfig(Training(), kind="dense", width=16, relativistic=True), device="cpu")
    real, fake = torch.randn(2, 30, generator=random)
    assert float(gan._loss(real, fake)) == pytest.approx(float(gan._loss(real + 5, fake + 5)), rel=1e-5)
    assert gan._accuracy(real, fake) == gan._accuracy(real + 5, fake + 5) == float((real > fake).double().mean())


def test_spectral_normalisation_holds_every_layer_to_one(make, digits):
    gan = make("gan").fit(digits.train, max_steps=10)
    for layer in gan.parts()["discriminator"].modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Embedding):
            assert float(torch.linalg.matrix_norm(layer.weight.detach(), ord=2)) < 1.35


def test_each_network_is_moved_by_its_own_loss_only(make, digits, random):
    gan = make("gan")
    moved = []

    def update(part, loss):
        loss.backward(inputs=list(gan.parts()[part].parameters()))
        moved.append((part, [name for name, one in gan.network.named_parameters() if one.grad is not None]))
        gan.network.zero_grad(set_to_none=True)
        return True

    gan.step(digits.train[torch.arange(8)], random, update)
    assert [part for part, _ in moved] == ["discriminator", "generator"]
    assert all(name.startswith(part) for part, names in moved for name in names)


def test_variety_is_one_for_real_images_and_falls_with_twins(digits, random):
    one, other = digits.train.x[:200], digits.train.x[200:400]
    assert variety(one, other) == pytest.approx(1.0, abs=0.1)
    twins = one[:5].repeat(40, 1, 1, 1)
    assert variety(twins, other) < 0.1
    assert variety(one[:1].repeat(200, 1, 1, 1) + 0.05 * torch.rand(200, 1, 8, 8, generator=random), other) < 0.3


def test_the_alarm_rings_for_a_generator_that_draws_one_image(make, digits):
    gan = make("gan-plain", log_every=1, lr=1e-9)
    for parameter in gan.parts()["generator"].parameters():
        torch.nn.init.zeros_(parameter)
    gan.fit(digits.train, val=digits.test, max_steps=1)
    assert gan.collapsed
    assert not make("gan").collapsed


def test_a_critic_sees_through_bad_drawings_and_cannot_tell_real_from_real(make, digits):
    gan = make("gan")
    assert gan.critic_accuracy(Images(digits.test.x[:200], digits.test.y[:200])) > 0.9
    gan.sample = lambda n, **_: digits.train.x[:n]
    assert gan.critic_accuracy(Images(digits.test.x[:200], digits.test.y[:200])) < 0.65


def test_training_stops_when_even_only_if_the_critic_agrees(make, digits):
    gan = Gan(GanConfig(Training(), stop_when_even=True), device="cpu")
    gan.history = [{"step": 1.0, "accuracy": 0.5}]
    gan.critic_accuracy = lambda _: 0.9
    assert not gan.finished(digits.test)
    gan.critic_accuracy = lambda _: 0.52
    assert gan.finished(digits.test)
    gan.history = [{"step": 1.0, "accuracy": 0.8}]
    assert not gan.finished(digits.test)


def test_augmentation_moves_a_share_of_the_images_whole_and_is_differentiable(random):
    images = torch.zeros(400, 1, 8, 8)
    images[:, :, 3:5, 3:5] = 1.0
    images.requires_grad_()
    moved = augmented(images, random, 0.5)
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((400,), 4.0))
    # Of those that are moved, one in nine stays where it is.
    still = float((moved == images).all(1).all(1).all(1).double().mean())
    assert still == pytest.approx(0.5 + 0.5 / 9, abs=0.08)
    assert torch.equal(augmented(images, random, 0.0), images)
    moved.sum().backward()
    assert torch.equal(images.grad[:, :, 1:7, 1:7], torch.ones(400, 1, 6, 6))
