import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from generative.captions import Vocabulary, captions
from generative.diffusion import alpha_bars, spaced, step_back
from generative.errors import ConfigError

THEIRS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}


@pytest.mark.parametrize("schedule", THEIRS)
@pytest.mark.parametrize("steps", [50, 1000])
def test_schedules_are_those_of_diffusers(schedule, steps):
    theirs = DDPMScheduler(steps, beta_schedule=THEIRS[schedule]).alphas_cumprod
    assert torch.allclose(alpha_bars(schedule, steps).float(), theirs, rtol=2e-4, atol=1e-7)


def test_noise_follows_its_closed_form_step_by_step(make, random):
    """The variance of many single steps is that of the one big step."""
    family = make("diffusion")
    bars = family.alpha_bar
    kept = bars / torch.cat([torch.ones(1, dtype=torch.float64), bars[:-1]])
    signal, variance = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for one in kept[:700]:
        signal, variance = signal * one.sqrt(), variance * one + 1 - one
    x, noise = torch.full((1, 1, 8, 8), 0.5), torch.ones(1, 1, 8, 8)
    expected = signal * 0.5 + variance.sqrt()
    assert torch.allclose(family.noise(x, torch.tensor([699]), noise).double(), expected.expand(1, 1, 8, 8), atol=1e-5)


@pytest.mark.parametrize("predict", ["epsilon", "v"])
def test_a_right_prediction_gives_image_and_noise_back(make, predict, random):
    family = make("diffusion")
    family.config = family.config.changed({"predict": predict})
    x = torch.rand(3, 1, 8, 8, generator=random) * 2 - 1
    noise = torch.randn(3, 1, 8, 8, generator=random)
    for t in (0, 400, 900):
        signal, spread = family._scales(torch.full((3,), t))
        right = noise if predict == "epsilon" else signal * noise - spread * x
        family.network.forward = lambda *_, right=right: right
        clean, seen = family._guess(family.noise(x, torch.full((3,), t), noise), t, (x, x), 1.0)
        assert torch.allclose(clean, x, atol=1e-3)
        assert torch.allclose(seen, noise, atol=1e-3)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_steps_back_are_those_of_diffusers(eta, random):
    scheduler = DDIMScheduler(
        1000, beta_schedule="linear", clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(20)
    levels, bars = spaced(1000, 20), alpha_bars("linear", 1000)
    assert levels == scheduler.timesteps.tolist()
    x, noise = torch.randn(2, 1, 4, 4, generator=random), torch.randn(2, 1, 4, 4, generator=random)
    for number in (3, 12):
        t, s = levels[number], levels[number + 1]
        clean = (x - (1 - bars[t]).sqrt() * noise) / bars[t].sqrt()
        state = random.get_state()
        ours = step_back(clean.float(), noise, bars[t], bars[s], eta, random)
        random.set_state(state)
        theirs = scheduler.step(noise, t, x, eta=eta, generator=random).prev_sample
        assert torch.allclose(ours, theirs.float(), atol=1e-4)


def test_with_eta_one_a_step_is_the_posterior_of_ddpm(random):
    bars = alpha_bars("cosine", 1000)
    t = 500
    kept = bars[t] / bars[t - 1]
    clean, noise = torch.full((20000, 1), 0.3), torch.full((20000, 1), -0.7)
    x = bars[t].sqrt() * clean + (1 - bars[t]).sqrt() * noise
    mean = (bars[t - 1].sqrt() * (1 - kept) * clean + kept.sqrt() * (1 - bars[t - 1]) * x) / (1 - bars[t])
    variance = (1 - bars[t - 1]) / (1 - bars[t]) * (1 - kept)
    drawn = step_back(clean, noise, bars[t], bars[t - 1], 1.0, random)
    assert float(drawn.mean()) == pytest.approx(float(mean[0]), abs=3e-3)
    assert float(drawn.var()) == pytest.approx(float(variance), rel=0.05)


def test_what_is_known_stays_when_the_rest_is_drawn(make, digits, random):
    known = torch.zeros(8, 8, dtype=torch.bool)
    known[:, :4] = True
    x = digits.test.x[:2]
    painted = make("diffusion").inpaint(x, known, generator=random, rounds=2)
    assert torch.allclose(painted[..., :4], x[..., :4], atol=1e-5)
    assert not torch.allclose(painted[..., 4:], x[..., 4:], atol=0.1)


def test_noising_begins_with_the_image_and_denoising_ends_with_the_sample(make, digits):
    family = make("diffusion")
    shown = family.noising(digits.test.x[:2], 5, torch.Generator().manual_seed(0))
    assert torch.allclose(shown[0], digits.test.x[:2], atol=0.05)
    assert shown.shape == (5, 2, 1, 8, 8)
    *_, last = family.denoising(2, generator=torch.Generator().manual_seed(3))
    sample = family.sample(2, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(((last.x + 1) / 2).clamp(0, 1), sample)


def test_guidance_moves_away_from_the_unconditional(make, digits):
    family = make("diffusion").fit(digits.train, max_steps=8)
    drawn = [
        family.sample(2, condition=3, generator=torch.Generator().manual_seed(0), guidance=w) for w in (0.0, 1.0, 3.0)
    ]
    other = family.sample(2, condition=5, generator=torch.Generator().manual_seed(0), guidance=0.0)
    assert torch.equal(drawn[0], other)
    assert not torch.equal(drawn[1], drawn[2])


def test_captions_in_three_languages_are_conditions(make):
    family = make("diffusion")
    for text in ("dibuja un siete", "Draw a SEVEN", "desenhe um sete", "tres", "três"):
        assert family.parse_condition(text) == text
        assert family.sample(1, condition=text).shape == (1, 1, 8, 8)
    assert family.parse_condition("7") == 7
    for text in ("draw a horse", "", "dibuja el número"):
        with pytest.raises(ConfigError, match="names no class"):
            family.parse_condition(text)


def test_every_caption_tells_its_class_from_the_others():
    vocabulary = Vocabulary(tuple("0123456789"))
    seen = {}
    for label, group in enumerate(captions(tuple("0123456789"))):
        for text in group:
            numbers = tuple(sorted(vocabulary.encode(text)))
            assert seen.setdefault(numbers, label) == label, text
