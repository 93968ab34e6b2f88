"""Classifying texts with the encoder of a masked model: one more layer reads the state at [CLS].

While it learns the classes it goes on filling in, which keeps a small encoder from learning its few examples by heart:

    loss = surprise at the class + λ · surprise at covered tokens

Source: Devlin et al. 2019, "BERT", section 4.1; the second term as in Radford et al. 2018, "Improving language
understanding by generative pre-training", equation 5.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.errors import ConfigError, DataError, UnsupportedError
from generative.family import Family, FamilyConfig, Split
from generative.language.bpe import BytePairTokeniser, train_bpe
from generative.language.masked import CONTEXT, SPECIAL, Encoder, Masked, MaskedConfig, encode_all
from generative.language.messages import Message, fetch_messages
from generative.language.spam import baseline, f1, split
from generative.language.transformer import TransformerShape
from generative.training import Batch, Logs, Training

_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class ClassifierConfig(FamilyConfig):
    """An encoder, as `MaskedConfig` has it, and the classes."""

    merges: tuple[tuple[int, int], ...] = ()
    context: int = CONTEXT
    """Tokens that are read of a text, [CLS] included."""
    class_names: tuple[str, ...] = ("other", "spam")
    masked_weight: float = 0.5
    """λ; 0 learns the classes alone."""
    asked: float = 0.15
    shape: TransformerShape = field(default_factory=lambda: TransformerShape(128, 2, 4, 4, dropout=0.1))

    def __post_init__(self) -> None:
        if self.context < 2 or len(self.class_names) < 2 or self.masked_weight < 0 or not 0 < self.asked < 1:
            raise ValueError(
                "context must be 2 or more, class_names two or more, masked_weight 0 or more, asked in (0, 1)"
            )


@dataclass(frozen=True, slots=True)
class Labelled:
    """Messages, their tokens (N, T) and classes (N,)."""

    messages: list[Message]
    ids: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.messages)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.ids[indices], self.classes[indices]

    @classmethod
    def of(cls, messages: Sequence[Message], tokeniser: BytePairTokeniser, length: int) -> "Labelled":
        """The messages in tokens."""
        ids = encode_all([one.text for one in messages], tokeniser, length)
        return cls(list(messages), ids, torch.tensor([int(one.spam) for one in messages]))


class Classifier(Family[ClassifierConfig]):
    """Tells the class of a text."""

    name = "classifier"
    config_class = ClassifierConfig
    score_unit = "nats of surprise at the likeliest class (0 is certain)"
    draws = False

    def build(self) -> nn.Module:
        """The encoder and the layer over it."""
        config = self.config
        encoder = Encoder(self.tokeniser, config.context, config.shape)
        return nn.ModuleDict({"encoder": encoder, "head": nn.Linear(config.shape.width, len(config.class_names))})

    @property
    def tokeniser(self) -> BytePairTokeniser:
        return BytePairTokeniser(self.config.merges, SPECIAL)

    @property
    def encoder(self) -> Encoder:
        """What reads."""
        encoder = self.network.get_submodule("encoder")
        assert isinstance(encoder, Encoder)  # noqa: S101
        return encoder

    def start_from(self, masked: Masked) -> "Classifier":
        """The encoder of a masked model in place of random weights.

        Raises: ConfigError: it has another vocabulary or size.
        """
        theirs, ours = masked.config, self.config
        sizes = [replace(one.shape, dropout=0.0) for one in (theirs, ours)]
        if theirs.merges != ours.merges or sizes[0] != sizes[1]:
            raise ConfigError("The masked model has other merges or another shape. Give the classifier the same.")
        self.encoder.load_state_dict(masked.network.state_dict())
        return self

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """Mean nats at the classes of texts (B, T) and, weighted, at tokens that are covered for that."""
        ids, classes = batch
        logits = self._logits(ids)
        surprise = functional.cross_entropy(logits, classes)
        logs = {"class_loss": float(surprise.detach()), "accuracy": float((logits.argmax(1) == classes).float().mean())}
        if not self.config.masked_weight:
            return surprise, logs
        read, asked = self.encoder.corrupt(ids, self.config.asked, generator)
        told = functional.cross_entropy(self.encoder.tell(self.encoder(read)[asked]), ids[asked])
        return surprise + self.config.masked_weight * told, logs

    def score(self, x: Tensor) -> Tensor:
        """Nats (N,) of surprise at the likeliest class of texts (N, T)."""
        with self.evaluating():
            return -self._logits(x.to(self.device)).log_softmax(1).amax(1)

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """Raises: UnsupportedError: it tells classes, and draws nothing."""
        raise UnsupportedError(f"{self.name} draws nothing. It classifies: see evaluate.")

    def classify(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Probabilities of the classes (N, classes)."""
        ids = encode_all(texts, self.tokeniser, self.config.context).to(self.device)
        with self.evaluating():
            return torch.cat([self._logits(part).softmax(1) for part in torch.split(ids, batch_size)])

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:
        """`spam`: messages, a fifth held out by the seed. Raises: DataError."""
        if name != "spam":
            raise DataError(f"{cls.name} knows the messages only, not {name!r}. Use --data spam.")
        return open_messages(fetch_messages(), seed)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> ClassifierConfig:
        """`cpu`, and the same for `gpu`, which so few messages do not need."""
        if name not in ("cpu", "gpu"):
            raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")
        if "merges" not in about:
            raise ConfigError(f"{cls.name} learns from texts with classes. Use --data spam.")
        training = Training(steps=600, batch_size=32, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05)
        return ClassifierConfig(training, about["merges"])

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """F1 of spam on the held-out messages, beside TF-IDF with logistic regression learnt from the same."""
        train, test = data.train, data.test
        assert isinstance(train, Labelled)  # noqa: S101
        assert isinstance(test, Labelled)  # noqa: S101
        told = self.classify([one.text for one in test.messages]).argmax(1).bool().tolist()
        return {"f1": f1(told, test.messages), "f1_of_tf_idf": baseline(train.messages, test.messages)}

    def _logits(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.network.get_submodule("head")(self.encoder(ids)[:, 0])  # (B, classes), of [CLS]
        return logits.float()


def open_messages(messages: Sequence[Message], seed: int) -> Split:
    """Messages to learn from and a fifth to test on; the vocabulary is learnt from the former."""
    train, test = split(messages, seed)
    tokeniser = train_bpe((one.text for one in train), _TOKENS, special=SPECIAL)
    parts = [Labelled.of(part, tokeniser, CONTEXT) for part in (train, test)]
    return Split("spam", parts[0], parts[1], {"merges": tokeniser.merges})


def pretrained(data: Split, config: ClassifierConfig, steps: int) -> Masked:
    """A masked model of the messages to learn from, without their classes."""
    training = replace(config.training, steps=steps, lr=3e-3)
    shape = replace(config.shape, dropout=0.0)
    masked = Masked(MaskedConfig(training, config.merges, config.context, asked=config.asked, shape=shape))
    return masked.fit(data.train)


def main() -> None:
    """Prints F1 of encoders that have read the messages before, on some splits."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with, where earlier ones are done")
    parser.add_argument("--pretraining", type=int, default=1000, help="steps of filling in; 0 leaves it out")
    arguments = parser.parse_args()
    for seed in range(arguments.first, arguments.seeds):
        data = Classifier.open_data("spam", seed=seed)
        config = Classifier.preset("cpu", data.about).changed({"training.seed": seed})
        classifier = Classifier(config)
        if arguments.pretraining:
            classifier.start_from(pretrained(data, config, arguments.pretraining))
        found = classifier.fit(data.train).evaluate(data)
        print(
            f"seed {seed}: F1 {found['f1']:.3f}, TF-IDF + logistic regression {found['f1_of_tf_idf']:.3f}", flush=True
        )


if __name__ == "__main__":
    main()
