import json

import pytest

from generative.autoencoder import AutoencoderConfig
from generative.errors import ConfigError
from generative.training import Training


def test_a_configuration_round_trips():
    config = AutoencoderConfig(Training(lr=3e-4, betas=(0.0, 0.9)), kind="conv", hidden=(8, 16))
    assert AutoencoderConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "tree",
    [
        {"widht": 3},
        {"training": {"learning_rate": 1.0}},
        {"latent": "32"},
        {"latent": 0},
        {"kind": "deep"},
        {"training": {"lr": -1.0}},
        {"image": {"height": 9}},
    ],
)
def test_what_is_not_known_or_breaks_a_rule_raises(tree):
    with pytest.raises(ConfigError):
        AutoencoderConfig.from_json(json.dumps(tree))


def test_changes_reach_nested_fields_and_leave_the_original():
    config = AutoencoderConfig()
    changed = config.changed({"training.lr": 0.5, "latent": 3})
    assert (changed.training.lr, changed.latent) == (0.5, 3)
    assert config == AutoencoderConfig()


@pytest.mark.parametrize("path", ["nothing", "training.nothing", "latent.nothing"])
def test_a_change_of_a_field_that_is_not_there_raises(path):
    with pytest.raises(ConfigError, match="nothing"):
        AutoencoderConfig().changed({path: 1})
