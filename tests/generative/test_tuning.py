import pytest

from generative.errors import ConfigError, UnsupportedError
from generative.tuning import tune


def test_a_search_finds_the_better_settings_and_repeats():
    space = {"training.lr": "1e-6..1e-2", "latent": "1..12"}
    found = []
    for _ in range(2):
        told = []
        best = tune("autoencoder", "digits", space=space, trials=4, steps=20, report=told.append)
        values = [one.value for one in told if one.value is not None]
        assert len(told) == 4
        assert best.value == min(values) < max(values)
        found.append(best)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("family", "space", "message"),
    [
        ("autoencoder", {"latent": "many"}, "low..high"),
        ("autoencoder", {"depth": "1..3"}, "no field 'depth'"),
        ("gan", {"width": "8..16"}, "one loss"),
    ],
)
def test_what_cannot_be_searched_is_said(family, space, message):
    with pytest.raises((ConfigError, UnsupportedError), match=message):
        tune(family, "digits", space=space, trials=1, steps=10, report=lambda _: None)
