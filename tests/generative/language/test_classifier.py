"""Texts classified by a masked encoder: learnt, begun from one that has read, resumed, kept."""

from pathlib import Path

import pytest
import torch

from generative import load
from generative.errors import ConfigError, DataError, UnsupportedError
from generative.family import Split
from generative.language.classifier import Classifier, ClassifierConfig, open_messages, pretrained
from generative.language.masked import MaskedConfig
from generative.language.messages import Message
from generative.language.transformer import TransformerShape
from generative.training import Training

GIFTS, FRIENDS = ["win a free prize now", "claim your free cash prize"], ["see you at home", "are you coming to lunch"]
MESSAGES = [Message(f"{text} {number}", text in GIFTS) for number in range(40) for text in (*GIFTS, *FRIENDS, *FRIENDS)]


@pytest.fixture(scope="module")
def split() -> Split:
    return open_messages(MESSAGES, 0)


def classifier(split: Split, steps: int, **fields: object) -> Classifier:
    training = Training(steps=steps, batch_size=16, lr=3e-3, warmup_steps=5, log_every=4)
    config = ClassifierConfig(training, split.about["merges"], 24, shape=TransformerShape(32, 1, 4, 4, dropout=0.1))
    return Classifier(config.changed(fields), device="cpu")


@pytest.fixture(scope="module")
def learnt(split: Split) -> Classifier:
    return classifier(split, 60).fit(split.train)


def test_it_learns_which_messages_are_spam(learnt: Classifier, split: Split) -> None:
    found = learnt.evaluate(split)
    assert found["f1"] > 0.9
    assert 0 <= found["f1_of_tf_idf"] <= 1
    chances = learnt.classify(["win a free prize", "see you at lunch"])
    assert chances.argmax(1).tolist() == [1, 0]
    torch.testing.assert_close(chances.sum(1), torch.ones(2))


def test_filling_in_is_part_of_the_loss_only_where_it_is_asked(split: Split) -> None:
    batch = split.train[torch.arange(8)]
    alone, both = (classifier(split, 1, masked_weight=weight) for weight in (0.0, 0.5))
    losses = []
    for family in (alone, both):
        family.network.eval()
        loss, logs = family.loss(batch, torch.Generator().manual_seed(0))
        losses.append((float(loss.detach()), logs["class_loss"]))
    assert losses[0][0] == pytest.approx(losses[0][1]) == pytest.approx(losses[1][1])
    assert losses[1][0] > losses[1][1] + 0.5


def test_it_begins_from_an_encoder_that_has_read(split: Split) -> None:
    family = classifier(split, 4)
    masked = pretrained(split, family.config, 10)
    family.start_from(masked)
    ids = split.train[torch.arange(3)][0]
    with torch.no_grad():
        assert torch.equal(family.encoder.eval()(ids), masked.encoder.eval()(ids))
    other = type(masked)(MaskedConfig(merges=split.about["merges"]), device="cpu")
    with pytest.raises(ConfigError, match="another shape"):
        family.start_from(other)


def test_going_on_from_a_checkpoint_is_the_same_run(split: Split, tmp_path: Path) -> None:
    whole, second = classifier(split, 6).fit(split.train), classifier(split, 6)
    classifier(split, 6).fit(split.train, max_steps=3, checkpoint=tmp_path / "half.safetensors")
    second.fit(split.train, resume=tmp_path / "half.safetensors")
    for one, other in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_saved_and_loaded_it_tells_the_same(learnt: Classifier, split: Split, tmp_path: Path) -> None:
    again = load(learnt.save(tmp_path / "model.safetensors", training=False), device="cpu")
    assert again.config == learnt.config
    ids = split.test[torch.arange(5)][0]
    assert torch.equal(again.score(ids), learnt.score(ids))


def test_what_it_cannot_do_is_told(learnt: Classifier) -> None:
    with pytest.raises(UnsupportedError, match="draws nothing"):
        learnt.sample(1)
    with pytest.raises(DataError, match="--data spam"):
        Classifier.open_data("digits")
    with pytest.raises(ConfigError, match="with classes"):
        Classifier.preset("cpu", {})
