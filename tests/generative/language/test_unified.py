"""One sequence of text, pictures and sound: exact tokens, and a model that continues any of them."""

from itertools import permutations
from pathlib import Path

import pytest
import torch

from generative import load
from generative.errors import ConfigError
from generative.family import Split
from generative.image_data import Images
from generative.language.mixed_tokens import KINDS, MixedTokeniser, common_patches
from generative.language.telephone import dialled, tones
from generative.language.transformer import TransformerShape
from generative.language.unified import Unified, UnifiedConfig, digit_words
from generative.training import Training

DIGITS = torch.arange(10)


@pytest.fixture(scope="module")
def patches(digits: Split) -> tuple[tuple[float, ...], ...]:
    assert isinstance(digits.train, Images)
    return common_patches(digits.train.x[:200], 16)


def unified(patches: tuple[tuple[float, ...], ...], steps: int) -> Unified:
    training = Training(steps=steps, batch_size=16, lr=1e-2, warmup_steps=5, log_every=4)
    return Unified(UnifiedConfig(training, patches, TransformerShape(32, 1, 4, 2)), device="cpu")


def test_pictures_of_known_patches_come_back_exactly(patches: tuple[tuple[float, ...], ...], digits: Split) -> None:
    tokens = MixedTokeniser(patches)
    drawn = tokens.decode_images(tokens.encode_images(digits.test[torch.arange(20)][0]))
    assert torch.equal(tokens.decode_images(tokens.encode_images(drawn)), drawn)
    assert float((drawn - digits.test[torch.arange(20)][0]).abs().mean()) < 0.1
    one = torch.zeros(1, 1, 8, 8)
    one[0, 0, 2:4, 4:6] = 1.0  # second row of patches, third column
    black_and_white = MixedTokeniser(((0.0,) * 4, (1.0,) * 4))
    assert (black_and_white.encode_images(one)[0] - 256).nonzero()[:, 0].tolist() == [6]


def test_sounds_in_noise_are_tokens_that_ring_the_same_digit(patches: tuple[tuple[float, ...], ...]) -> None:
    tokens = MixedTokeniser(patches)
    sounds = tones(DIGITS.repeat(20), 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(dialled(sounds), DIGITS.repeat(20))
    again = tokens.decode_sounds(tokens.encode_sounds(sounds))
    assert float((dialled(again) == DIGITS.repeat(20)).float().mean()) > 0.95
    assert dialled(torch.sin(torch.arange(400) / 8000 * 2 * torch.pi * 941)[None]).item() in (-1, 0)


def test_kinds_share_no_token(patches: tuple[tuple[float, ...], ...], digits: Split) -> None:
    tokens = MixedTokeniser(patches)
    text = set(tokens.encode_text("três"))
    pictures = set(tokens.encode_images(digits.test[torch.arange(50)][0]).flatten().tolist())
    steps = tokens.encode_sounds(tones(DIGITS, 3.0, torch.Generator().manual_seed(0)))
    low, high = set(steps[:, ::2].flatten().tolist()), set(steps[:, 1::2].flatten().tolist())
    kinds = [text, pictures, low, high, set(tokens.begins), {tokens.end}]
    assert sum(map(len, kinds)) == len(set().union(*kinds))
    assert max(set().union(*kinds)) == tokens.size - 1
    assert tokens.decode_text([*tokens.encode_text("três"), tokens.end, 65]) == "três"


def test_a_sequence_holds_each_kind_once_and_all_are_of_one_digit(
    patches: tuple[tuple[float, ...], ...], digits: Split
) -> None:
    family = unified(patches, 1)
    tokens, batch = family.tokeniser, digits.train[torch.arange(30)]
    firsts = set()
    for row, digit in zip(family.sequences(*batch, torch.Generator().manual_seed(0)).tolist(), batch[1], strict=True):
        assert [row.count(begin) for begin in tokens.begins] == [1, 1, 1]
        word = tokens.decode_text(row[row.index(tokens.begin("text")) + 1 :])
        assert word in digit_words()[int(digit)]
        firsts.add(row[0])
    assert firsts == set(tokens.begins)


def test_it_learns_to_continue_each_kind_with_each(patches: tuple[tuple[float, ...], ...], digits: Split) -> None:
    few = Images(*digits.train[torch.isin(digits.train.y, torch.tensor([0, 1])).nonzero()[:, 0]])  # type: ignore[attr-defined]
    family = unified(patches, 150).fit(few)
    found = family.evaluate(Split("digits", few, Images(few.x[:40], few.y[:40]), digits.about))
    assert set(found) == {f"{one}_to_{other}" for one, other in permutations(KINDS, 2)}
    told = [value for name, value in found.items() if not name.endswith("to_image")]
    assert min(told) > 0.7
    assert float(family.score(few.x[:40]).mean()) < float(family.score(few.x[:40].flip(1, 2)).mean())
    assert family.sample(3, condition="uno").shape == (3, 1, 8, 8)


def test_going_on_from_a_checkpoint_is_the_same_run(
    patches: tuple[tuple[float, ...], ...], digits: Split, tmp_path: Path
) -> None:
    whole, second = unified(patches, 6).fit(digits.train), unified(patches, 6)
    unified(patches, 6).fit(digits.train, max_steps=3, checkpoint=tmp_path / "half.safetensors")
    second.fit(digits.train, resume=tmp_path / "half.safetensors")
    for one, other in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)
    again = load(second.save(tmp_path / "model.safetensors", training=False), device="cpu")
    one, other = (each.sample(2, generator=torch.Generator().manual_seed(0)) for each in (second, again))
    assert torch.equal(one, other)


def test_what_it_cannot_take_is_told(patches: tuple[tuple[float, ...], ...]) -> None:
    family = unified(patches, 1)
    with pytest.raises(ConfigError, match="no word"):
        family.parse_condition("ochocientos")
    with pytest.raises(ConfigError, match="digits only"):
        Unified.open_data("fashion")
