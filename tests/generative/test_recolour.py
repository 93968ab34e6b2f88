import colorsys

import pytest
import torch

from generative import load
from generative.errors import ConfigError
from generative.recolour import Recolour, RecolourConfig, luma


@pytest.fixture(scope="module")
def data():
    return Recolour.open_data("digits")


@pytest.fixture
def small(data):
    config = Recolour.preset("cpu", data.about).changed({"width": 8, "training.steps": 20, "training.log_every": 5})
    return lambda **changes: Recolour(config.changed(changes), device="cpu")


def test_every_class_has_a_hue_of_its_own(data):
    brightest = data.test.x.flatten(2).amax(2)
    hues = torch.tensor([colorsys.rgb_to_hsv(*rgb)[0] for rgb in brightest.tolist()])
    distance = (hues - data.test.y / 10).abs()
    assert float(torch.minimum(distance, 1 - distance).max()) < 0.03
    assert float(luma(torch.ones(1, 3, 2, 2)).mean()) == pytest.approx(1.0)


def test_training_both_ways_is_resumed_exactly_and_learns(small, data, tmp_path):
    path = tmp_path / "half.safetensors"
    whole = small().fit(data.train, val=data.test)
    small().fit(data.train, val=data.test, max_steps=7, checkpoint=path)
    resumed = small().fit(data.train, val=data.test, resume=path)
    assert whole.history == resumed.history
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert whole.history[-1]["val_loss_to_grey"] < whole.history[0]["val_loss_to_grey"]


def test_images_go_to_grey_and_back(small, data, tmp_path):
    family = small().fit(data.train, max_steps=2)
    x = data.test.x[:3]
    assert family.to_grey(x).shape == (3, 1, 8, 8)
    assert family.to_colour(family.to_grey(x)).shape == (3, 3, 8, 8)
    assert family.score(x).shape == (3,)
    loaded = load(family.save(tmp_path / "a.safetensors", training=False), device="cpu")
    one, other = (each.sample(4, generator=torch.Generator().manual_seed(0)) for each in (family, loaded))
    assert torch.equal(one, other)
    with pytest.raises(ConfigError, match="to_grey"):
        family.sample(2, condition=3)
    assert set(family.evaluate(data)) > {"grey_difference", "colour_difference"}


def test_grey_images_are_refused_as_configuration():
    with pytest.raises(ConfigError, match="3 channels"):
        RecolourConfig().changed({"image.channels": 1})
