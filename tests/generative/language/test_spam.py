from pathlib import Path

import numpy as np
import pytest

from generative.errors import DataError
from generative.language.messages import Message, parse_messages
from generative.language.ngram import KneserNey
from generative.language.spam import SpamClassifier, baseline, f1, split

MESSAGES = [
    message
    for number in range(40)
    for message in (
        Message(f"WIN a prize of {number * 37 % 900} pounds, call 0906{number:03} now!", True),
        Message(f"see you at {number % 12} o'clock, bring the {('book', 'bread', 'keys')[number % 3]} {number}", False),
        Message(f"ok, I will be home by {number} then", False),
    )
]


def test_messages_come_once_and_with_their_kind() -> None:
    content = "ham\thola, ¿qué tal?\nspam\tFREE\tentry\nham\thola, ¿qué tal? \n"
    assert parse_messages(content) == [Message("hola, ¿qué tal?", False), Message("FREE\tentry", True)]


@pytest.mark.parametrize("line", ["hola", "other\thola", "ham hola"])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(DataError, match="Line 1"):
        parse_messages(line)


def test_spam_is_told_from_the_rest() -> None:
    train, test = split(MESSAGES, 0)
    assert not set(train) & set(test)
    classifier = SpamClassifier.choose(train)
    assert f1(classifier.predict(test), test) > 0.95
    assert classifier.log_odds("win pounds, call now") > 3
    assert classifier.log_odds("I will bring the bread") < -3


def test_odds_are_bayes_rule() -> None:
    classifier = SpamClassifier.fit(MESSAGES, 2)
    text = np.frombuffer(b"\ncall\n", np.uint8).astype(np.int64)
    ratio = 1.0
    for model, sign in ((classifier.spam, 1), (classifier.other, -1)):
        for place in range(1, len(text)):
            ratio *= float(model.next(text[:place])[text[place]]) ** sign
    share = sum(one.spam for one in MESSAGES) / len(MESSAGES)
    assert classifier.log_odds("CALL") == pytest.approx(np.log(ratio * share / (1 - share)))


def test_the_baseline_is_scored_on_the_same_messages() -> None:
    train, test = split(MESSAGES, 0)
    assert 0.9 < baseline(train, test) <= 1


def test_a_text_that_is_shorter_than_the_order_is_scored() -> None:
    model = KneserNey.fit(np.array([0, 1, 0, 1, 1]), size=2, order=4)
    assert len(model.log_probabilities(np.array([0, 1]))) == 2
    assert len(model.log_probabilities(np.array([], dtype=np.int64))) == 0


def test_what_was_fetched_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from generative.language import messages

    monkeypatch.setattr(messages, "_PART", messages.PackageFile("none", "1", "a.csv", None))
    folder = tmp_path / "texts" / "spam"
    folder.mkdir(parents=True)
    (folder / "part-001").write_text("ham\thola\n", encoding="utf-8")
    assert messages.fetch_messages(tmp_path) == [Message("hola", False)]
