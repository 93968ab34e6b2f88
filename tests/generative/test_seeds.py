import pytest
import torch

from generative.autoencoder import Autoencoder, AutoencoderConfig
from generative.errors import CheckpointError
from generative.evaluation.augmentation import a_few, augmentation_figures
from generative.evaluation.seeds import figures_of_seeds, spreads
from generative.family import Split
from generative.training import Training


class Judged(Autoencoder):
    """An autoencoder whose judgement is quick."""

    judged = 0

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        type(self).judged += 1
        return {"error": float(self.score(data.test.x).mean()), "seed": float(seed)}


@pytest.fixture
def run(digits, tmp_path):
    def made(steps=8, count=2, **options):
        config = AutoencoderConfig(Training(steps, 32, warmup_steps=1), digits_shape(digits), latent=2, hidden=(8,))
        return dict(figures_of_seeds(Judged, config, digits, tmp_path, range(count), **options))

    return made


def digits_shape(digits):
    return Autoencoder.preset("cpu", digits.about).image


def test_seeds_differ_repeat_and_are_not_made_twice(run):
    Judged.judged = 0
    first = run()
    assert [one["seed"] for one in first.values()] == [0, 1]
    assert first[0]["error"] != first[1]["error"]
    assert run() == first
    assert run(count=3)[1] == first[1]
    assert Judged.judged == 3


def test_a_run_out_of_time_goes_on(run):
    whole = run(count=1)
    assert run(count=2, max_seconds=0.0) == whole
    assert set(run(count=2)) == {0, 1}


def test_another_configuration_is_refused(run):
    run(count=1)
    with pytest.raises(CheckpointError, match="--out"):
        run(steps=9, count=1)


def test_spreads_are_mean_and_range():
    (found,) = spreads([{"a": 1.0, "b": 5.0}, {"a": 2.0}, {"a": 6.0}])
    assert (found.name, found.mean, found.low, found.high) == ("a", 3.0, 1.0, 6.0)
    assert found.row() == "| a | 3 | 1–6 |"


def test_a_few_are_as_many_of_each_class(digits):
    few = a_few(digits.train, 3, seed=1)
    assert torch.equal(few.y.bincount(), torch.full((10,), 3))
    assert not torch.equal(few.x, a_few(digits.train, 3, seed=2).x)


@pytest.mark.slow
def test_real_images_in_place_of_drawn_ones_are_a_gain(make, digits):
    gan = make("gan")
    gan.sample = lambda n, condition, generator: digits.train.x[:n]
    found = augmentation_figures(gan, digits, per_class=3)
    assert found["real_and_knowing"] > found["real"] + 0.05
