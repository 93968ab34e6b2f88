"""Telling spam by which of two language models finds a message likelier: one of spam, one of all other messages.

    log P(spam | text) − log P(other | text) = log P(text | spam) − log P(text | other) + log P(spam) − log P(other)

A generative classifier: what it counts are letters, so words that were never seen still say something. The usual
yardstick, TF-IDF with logistic regression, is printed beside it.

Source: Peng & Schuurmans 2003, "Combining naive Bayes and n-gram language models for text classification".
"""

import argparse
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from generative.language.messages import LICENCE, Message, fetch_messages
from generative.language.ngram import Ids, KneserNey

_ORDERS = (2, 3, 4, 5)
_FOLDS = 4
_TESTED = 5  # a fifth is held out


@dataclass(frozen=True, slots=True)
class SpamClassifier:
    """A language model of spam, one of other messages, and the log-odds of spam before anything is read."""

    spam: KneserNey
    other: KneserNey
    prior: float

    @classmethod
    def fit(cls, messages: Sequence[Message], order: int) -> "SpamClassifier":
        """Counts the letters of both kinds of messages."""
        counted = {
            kind: KneserNey.fit(
                np.concatenate([_bytes(one.text) for one in messages if one.spam is kind]), size=256, order=order
            )
            for kind in (True, False)
        }
        share = sum(one.spam for one in messages) / len(messages)
        return cls(counted[True], counted[False], math.log(share / (1 - share)))

    @classmethod
    def choose(cls, messages: Sequence[Message]) -> "SpamClassifier":
        """The classifier of the order that does best in cross-validation, counted anew on all of the messages."""

        def score(order: int) -> float:
            predicted: list[bool] = []
            for fold in range(_FOLDS):
                rest = [one for number, one in enumerate(messages) if number % _FOLDS != fold]
                predicted += cls.fit(rest, order).predict(messages[fold::_FOLDS])
            return f1(predicted, [one for fold in range(_FOLDS) for one in messages[fold::_FOLDS]])

        return cls.fit(messages, max(_ORDERS, key=score))

    @property
    def order(self) -> int:
        """How many letters are counted together."""
        return len(self.spam.orders)

    def log_odds(self, text: str) -> float:
        """Nats by which spam is likelier; above 0 it is."""
        ids = _bytes(text)
        spam, other = (model.log_probabilities(ids)[1:].sum() for model in (self.spam, self.other))
        return float(spam - other) + self.prior

    def predict(self, messages: Sequence[Message]) -> list[bool]:
        """Whether each is spam."""
        return [self.log_odds(one.text) > 0 for one in messages]


def f1(predicted: Sequence[bool], messages: Sequence[Message]) -> float:
    """F1 of spam."""
    return float(f1_score([one.spam for one in messages], predicted))


def baseline(train: Sequence[Message], test: Sequence[Message]) -> float:
    """F1 of TF-IDF with logistic regression, its strength of regularisation chosen by cross-validation."""
    pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(max_iter=1000))
    grid = GridSearchCV(pipeline, {"logisticregression__C": [1, 10, 100, 1000]}, scoring="f1", cv=5)
    grid.fit([one.text for one in train], [one.spam for one in train])
    return f1([bool(one) for one in grid.predict([one.text for one in test])], test)


def split(messages: Sequence[Message], seed: int) -> tuple[list[Message], list[Message]]:
    """What is learnt from and what is tested on, a fifth."""
    shuffled = list(messages)
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    cut = len(shuffled) // _TESTED
    return shuffled[cut:], shuffled[:cut]


def main() -> None:
    """Prints F1 of both on three splits: python -m generative.language.spam"""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    messages = fetch_messages()
    print(f"{len(messages)} different messages, {sum(one.spam for one in messages)} of them spam. {LICENCE}")
    scores = []
    for seed in range(arguments.seeds):
        train, test = split(messages, seed)
        classifier = SpamClassifier.choose(train)
        scores.append((f1(classifier.predict(test), test), baseline(train, test)))
        print(f"seed {seed}: {classifier.order}-grams {scores[-1][0]:.3f}, TF-IDF + LR {scores[-1][1]:.3f}")
    print("mean: n-grams {:.3f}, TF-IDF + LR {:.3f}".format(*np.mean(scores, axis=0)))


def _bytes(text: str) -> Ids:
    """The letters in lower case as bytes, between two line ends."""
    return np.frombuffer(f"\n{text.lower()}\n".encode(), np.uint8).astype(np.int64)


if __name__ == "__main__":
    main()
