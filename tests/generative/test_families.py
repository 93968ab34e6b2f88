"""What holds for every family of images."""

import pytest
import torch

from generative import FAMILIES, family_class, load
from generative.errors import ConfigError, DataError
from generative.family import FamilyConfig
from generative.image_family import ImageFamily
from tests.generative.conftest import SMALL


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


def _weights(network):
    return torch.cat([one.flatten().double() for one in network.state_dict().values()])


def test_training_resumed_is_training_that_never_stopped(make, name, digits, tmp_path):
    path = tmp_path / "half.safetensors"
    val = digits.test[torch.arange(40)]
    val = type(digits.test)(*val)
    whole = make(name, steps=6, log_every=2).fit(digits.train, val=val)
    make(name, steps=6, log_every=2).fit(digits.train, val=val, max_steps=3, checkpoint=path)
    resumed = make(name, steps=6, log_every=2).fit(digits.train, val=val, resume=path)
    assert torch.equal(_weights(whole.network), _weights(resumed.network))
    assert torch.equal(_weights(whole.average), _weights(resumed.average))
    assert whole.history == resumed.history


def test_samples_repeat_and_are_images(make, name):
    family = make(name)
    one, again, other = (family.sample(3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.shape == (3, 1, 8, 8)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_saved_family_samples_and_scores_the_same(make, name, digits, tmp_path):
    family = make(name).fit(digits.train, max_steps=2)
    loaded = load(family.save(tmp_path / "a.safetensors", training=False), device="cpu")
    x = digits.test.x[:5]
    assert torch.equal(family.score(x), loaded.score(x))
    assert torch.equal(family.score(x), family.score(x))
    one, other = (each.sample(2, generator=torch.Generator().manual_seed(0)) for each in (family, loaded))
    assert torch.equal(one, other)


def test_scores_are_one_a_image_and_shapes_are_checked(make, name, digits):
    family = make(name)
    assert family.score(digits.test.x[:7]).shape == (7,)
    assert family.score_unit
    with pytest.raises(DataError, match="do not fit"):
        family.score(torch.zeros(2, 1, 28, 28))


def test_a_class_is_drawn_where_classes_are_known(make, name):
    family = make(name)
    if family.conditional:
        assert len(family.sample(2, condition=7)) == len(family.sample(2, condition=torch.tensor([1, 2]))) == 2
        with pytest.raises(ConfigError, match="0 to 9"):
            family.sample(2, condition=10)
    else:
        with pytest.raises(ConfigError):
            family.sample(2, condition=7)


def test_a_threshold_is_exceeded_by_the_share_asked_for(make, name, digits):
    family = make(name)
    x = digits.test.x[:100]
    threshold = family.calibrate(x, 0.1)
    assert int((family.score(x) > threshold).sum()) == 10
    with pytest.raises(DataError, match="threshold"):
        family.calibrate(x[:5], 0.1)


@pytest.mark.parametrize("family", [name for name in FAMILIES if issubclass(family_class(name), ImageFamily)])
@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_presets_are_configurations(family, preset):
    kind = family_class(family)
    about = {"channels": 3 if family == "recolour" else 1, "height": 28, "width": 28, "class_names": ("a", "b")}
    config = kind.preset(preset, about)
    assert isinstance(config, FamilyConfig)
    assert type(config).from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="preset"):
        kind.preset("tpu", about)
