"""The masked model: what is asked of it, what it fills in, and that a run goes on where it stopped."""

from pathlib import Path

import pytest
import torch

from generative import load
from generative.errors import ConfigError, DataError
from generative.family import Split
from generative.language.masked import MASK, Masked, MaskedConfig, Passages, encode_all, open_passages
from generative.language.transformer import TransformerShape
from generative.training import Training

TEXT = "uno dos tres cuatro cinco seis siete ocho nueve diez\n" * 60
SHAPE = TransformerShape(32, 2, 4, 2)


@pytest.fixture(scope="module")
def split() -> Split:
    return open_passages(TEXT, "numbers", context=16)


def masked(split: Split, steps: int = 8) -> Masked:
    training = Training(steps=steps, batch_size=16, lr=1e-2, warmup_steps=5, log_every=4)
    return Masked(MaskedConfig(training, split.about["merges"], 16, f"uno {MASK} tres", 0.3, SHAPE), device="cpu")


@pytest.fixture(scope="module")
def learnt(split: Split) -> Masked:
    return masked(split, 200).fit(split.train)


def test_it_learns_to_fill_in_what_is_covered(learnt: Masked, split: Split) -> None:
    first, second = learnt.fill_in(f"dos tres {MASK} cinco seis siete {MASK} nueve diez")
    assert (first[0][0].strip(), second[0][0].strip()) == ("cuatro", "ocho")
    assert first[0][1] > 0.5
    found = learnt.evaluate(split)
    assert found["accuracy"] > 0.7 > 0.4 > found["accuracy_of_commonest"]
    assert found["among_five"] >= found["accuracy"]


def test_what_is_in_order_is_less_of_a_surprise(learnt: Masked) -> None:
    usual, odd = encode_all(["uno dos tres cuatro cinco", "uno cinco dos tres cuatro"], learnt.tokeniser, 16)
    right, wrong = learnt.score(torch.stack([usual, odd]))
    assert right < wrong / 2


def test_padding_changes_nothing_and_both_sides_are_read(learnt: Masked) -> None:
    short = encode_all(["uno dos tres"], learnt.tokeniser, 6)
    long = encode_all(["uno dos tres"], learnt.tokeniser, 16)
    with torch.no_grad():
        states = learnt.encoder.eval()(long)[:, :4]
        torch.testing.assert_close(states, learnt.encoder(short)[:, :4], atol=1e-5, rtol=0)
        changed = short.clone()
        changed[0, 3] = changed[0, 1]
        assert (learnt.encoder(changed)[:, 1] - states[:, 1]).abs().max() > 1e-3


def test_of_ten_that_are_asked_eight_are_covered_and_specials_are_not_asked(learnt: Masked) -> None:
    ids = encode_all([TEXT[:50]] * 2000, learnt.tokeniser, 16)
    read, asked = learnt.encoder.corrupt(ids, 0.15, torch.Generator().manual_seed(0))
    special = ids >= learnt.encoder.cls
    assert not asked[special].any()
    assert torch.equal(read[~asked], ids[~asked])
    assert float(asked[~special].float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((read[asked] == learnt.encoder.mask).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((read[asked] == ids[asked]).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_going_on_from_a_checkpoint_is_the_same_run(split: Split, tmp_path: Path) -> None:
    whole, second = masked(split).fit(split.train), masked(split)
    masked(split).fit(split.train, max_steps=4, checkpoint=tmp_path / "half.safetensors")
    second.fit(split.train, resume=tmp_path / "half.safetensors")
    for one, other in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_saved_and_loaded_it_draws_embeds_and_scores_the_same(learnt: Masked, split: Split, tmp_path: Path) -> None:
    again = load(learnt.save(tmp_path / "model.safetensors", training=False), device="cpu")
    assert isinstance(again, Masked)
    assert again.config == learnt.config
    one, other = (each.sample(3, generator=torch.Generator().manual_seed(0)) for each in (learnt, again))
    assert torch.equal(one, other)
    assert all(text.startswith("uno") for text in again.decode(one))
    vectors = again.embed(["uno dos tres", "uno dos tres", "nueve diez"])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert float(vectors[0] @ vectors[1]) == pytest.approx(1, abs=1e-5)
    assert float(vectors[0] @ vectors[2]) < 0.99
    texts = split.test[torch.arange(2)][0]
    assert torch.equal(again.score(texts), learnt.score(texts))


def test_passages_follow_one_another_and_begin_anew() -> None:
    rows = Passages(torch.arange(20), 6, 99)[torch.tensor([0, 1])][0]
    assert rows.tolist() == [[99, 0, 1, 2, 3, 4], [99, 5, 6, 7, 8, 9]]


def test_what_cannot_be_filled_in_is_told(learnt: Masked) -> None:
    with pytest.raises(DataError, match="has no"):
        learnt.fill_in("uno dos tres")
    with pytest.raises(DataError, match="this model reads 16"):
        learnt.fill_in(f"{MASK} " + "uno dos " * 20)
    with pytest.raises(ConfigError, match="learns from texts"):
        Masked.preset("cpu", {})
    with pytest.raises(DataError, match="characters"):
        open_passages("uno dos", "short")
