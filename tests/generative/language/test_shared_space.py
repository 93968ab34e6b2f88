from pathlib import Path

import pytest
import torch
from torch.nn import functional

from generative.captions import captions
from generative.errors import ConfigError, UnsupportedError
from generative.language.shared_space import (
    SharedSpace,
    SharedSpaceConfig,
    contrastive_loss,
    encode_captions,
    recall_at_one,
)
from generative.language.telephone import tones
from generative.registry import shipped
from generative.training import Training


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_with_one_partner_each_the_loss_is_clips() -> None:
    one, other = unit(5, 8), unit(5, 8, seed=1)
    logits, places = 10 * one @ other.T, torch.arange(5)
    expected = (functional.cross_entropy(logits, places) + functional.cross_entropy(logits.T, places)) / 2
    torch.testing.assert_close(contrastive_loss(one, other, places), expected)


def test_all_of_the_same_digit_are_partners() -> None:
    one, other = unit(4, 8), unit(4, 8, seed=1)
    digits = torch.tensor([3, 3, 7, 7])
    logs = (10 * one @ other.T).log_softmax(1)
    there = -torch.stack([logs[0, :2].mean(), logs[1, :2].mean(), logs[2, 2:].mean(), logs[3, 2:].mean()]).mean()
    logs = (10 * other @ one.T).log_softmax(1)
    back = -torch.stack([logs[0, :2].mean(), logs[1, :2].mean(), logs[2, 2:].mean(), logs[3, 2:].mean()]).mean()
    torch.testing.assert_close(contrastive_loss(one, other, digits), (there + back) / 2)


def test_recall_counts_the_nearest_only() -> None:
    found = torch.eye(3)
    queries = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.2, 0.8]])
    assert recall_at_one(queries, torch.tensor([5, 6]), found, torch.tensor([5, 6, 7])) == 0.5


@pytest.mark.parametrize("digit", range(10))
def test_a_sound_is_the_two_tones_of_its_key(digit: int) -> None:
    sound = tones(torch.tensor([digit]), 0.0, torch.Generator().manual_seed(0))[0]
    strongest = torch.fft.rfft(sound, 8000).abs().topk(400).indices  # in Hz
    telephone = {1: (697, 1209), 5: (770, 1336), 9: (852, 1477), 0: (941, 1336)}
    if digit in telephone:
        assert all(bool((strongest == frequency).any()) for frequency in telephone[digit])


def test_captions_of_three_languages_fit() -> None:
    texts = [text for group in captions(tuple("0123456789")) for text in group]
    assert {"siete", "seven", "sete"} <= set(texts)
    assert len(encode_captions(texts).unique(dim=0)) == len(set(texts))
    with pytest.raises(ConfigError, match="at most 32"):
        encode_captions(["siete" * 7])


def test_learns_to_find_each_kind_by_each_other(tmp_path: Path) -> None:
    training = Training(steps=150, batch_size=64, lr=5e-3, warmup_steps=5, log_every=20)
    family = SharedSpace(SharedSpaceConfig(training, width=48, space=16), device="cpu")
    data = family.open_data("digits")
    before = family.evaluate(data)
    family.fit(data.train)
    after = family.evaluate(data)
    assert max(before.values()) < 0.5
    assert min(after.values()) > 0.8
    family.save(tmp_path / "space.safetensors")
    again = SharedSpace.load(tmp_path / "space.safetensors", device="cpu")
    assert again.evaluate(data) == after
    images = data.test[torch.arange(8)][0]
    assert float(family.score(images).mean()) < float(family.score(torch.rand(8, 1, 8, 8)).mean())


def test_the_one_that_comes_with_fuente_finds_them_all() -> None:
    path = shipped("shared-space", "digits")
    assert path is not None
    family = SharedSpace.load(path, device="cpu")
    assert min(family.evaluate(family.open_data("digits")).values()) > 0.97


def test_it_draws_nothing_and_knows_digits_only() -> None:
    with pytest.raises(UnsupportedError):
        SharedSpace(SharedSpaceConfig(), device="cpu").sample(1)
    with pytest.raises(ConfigError, match="digits only"):
        SharedSpace.open_data("fashion")
