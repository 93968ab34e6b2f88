"""Replies learnt by the transformer that comes with Fuente, over a few turns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from generative.errors import ConfigError, DataError
from generative.family import Split
from generative.language import dialogues, instruction
from generative.language.dialogues import Turn, fetch_dialogues, parse_turns, split_turns
from generative.language.instruction import Instructed, Replies, base, compare, counted, in_reply, open_turns, written
from generative.language.ngram import KneserNey

TURNS = [
    Turn(f"{said} {number}", f"{reply} {number}.")
    for number in ("uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "100 %")
    for said, reply in (("¿Sabes contar?", "Sí: sé contar"), ("¿Quién és?", "Não sei, talvez"))
]
CONVERSATIONS = "categories:\n- a\nconversations:\n- - Hola\n  - '1963'\n  - ¿Qué  tal?\n- - solo\n"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def opened(seed: int = 0) -> Split:
    return open_turns(TURNS, "turns", seed)


def made(data: Split, **changes: object) -> Instructed:
    return Instructed(Instructed.preset("cpu", data.about).changed({"training.steps": 20, **changes}), device="cpu")


def test_a_talk_goes_from_sentence_to_sentence_and_other_replies_are_all_to_the_first() -> None:
    assert parse_turns(CONVERSATIONS, talk=True) == [Turn("Hola", "1963"), Turn("1963", "¿Qué tal?")]
    assert parse_turns(CONVERSATIONS, talk=False) == [Turn("Hola", "1963"), Turn("Hola", "¿Qué tal?")]


@pytest.mark.parametrize("content", ["", "a: [", "conversations: 3", "!!python/object/apply:os.getcwd []"])
def test_other_files_are_refused(content: str) -> None:
    with pytest.raises(DataError, match="no file of conversations"):
        parse_turns(content, talk=False)


def test_what_was_fetched_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogues, "PackageFile", lambda package, version, member, _: _part(package, version, member))
    names = list(dialogues._FILES["pt"][1])
    folder = tmp_path / "texts" / "dialogues" / "pt"
    folder.mkdir(parents=True)
    for number in range(len(names)):
        (folder / f"part-{number + 1:03}").write_text(CONVERSATIONS, encoding="utf-8")
    assert fetch_dialogues("pt", tmp_path) == [
        Turn("Hola", "1963"),
        Turn("Hola", "¿Qué tal?"),
        Turn("1963", "¿Qué tal?"),
    ]
    with pytest.raises(DataError, match="es or pt"):
        fetch_dialogues("fr", tmp_path)


def _part(package: str, version: str, member: str) -> object:
    from models.catalog import PackageFile

    return PackageFile(package, version, member, None)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_question_and_no_reply_is_in_two_parts(seed: int) -> None:
    turns = [Turn(f"¿{number % 30}?", f"Es {number if number % 6 else 1}") for number in range(90)]
    turns += [Turn(f"{number % 30}", f"es  {number}!") for number in range(0, 90, 7)]
    parts = split_turns(turns, seed)
    assert len(parts.train) > len(parts.test) > 0
    every = (parts.train, parts.watched, parts.test)
    for said in ("question", "reply"):
        seen = [{dialogues._bare(getattr(turn, said)) for turn in part} for part in every]
        assert not seen[0] & seen[1]
        assert not seen[0] & seen[2]
        assert not seen[1] & seen[2]


def test_the_reply_and_its_end_are_asked_for() -> None:
    row = torch.tensor([[0, 5, 6, 0, 7, 8, 0, 0, 0]])
    assert in_reply(row, 0).int().tolist() == [[0, 0, 0, 0, 1, 1, 1, 0, 0]]


def test_letters_that_were_known_say_what_they_said() -> None:
    data = opened()
    tuned, theirs = made(data), base()
    assert set("ã1%") <= set(tuned.config.alphabet) - set(theirs.config.alphabet)
    text = "\nY dijo Dios: Sea la luz"
    places = torch.tensor([tuned.config.alphabet.index(letter) for letter in theirs.config.alphabet])
    with torch.no_grad():
        ours = tuned.network(tuned.characters.encode(text)[None])[..., places]
        expected = theirs.network(theirs.characters.encode(text)[None])
    torch.testing.assert_close(ours, expected)
    with pytest.raises(ConfigError, match="another shape or letters"):
        made(data, alphabet="ab")


def test_the_loss_is_the_surprise_at_the_letters_of_the_replies() -> None:
    data = opened()
    family = made(data)
    assert isinstance(data.test, Replies)
    nats, letters = 0.0, 0
    for turn in data.test.turns[:3]:
        ids = family.characters.encode(written(turn))
        with torch.no_grad():
            said = family.network(ids[None])[0].log_softmax(-1)
        first = len(turn.question) + 2
        nats -= sum(float(said[place - 1, ids[place]]) for place in range(first, len(ids)))
        letters += len(turn.reply) + 1
    batch = data.test[torch.arange(3)]
    loss, _ = family.loss(batch, torch.Generator())
    assert float(loss.detach()) == pytest.approx(nats / letters, rel=1e-4)
    assert family.score(data.test.ids[:3]).shape == (3,)
    some = Replies(data.test.turns[:3], data.test.ids[:3])
    assert family.nats(some) == pytest.approx(nats / letters, rel=1e-4)


def test_counting_is_asked_for_the_same_letters() -> None:
    data = opened()
    assert isinstance(data.train, Replies)
    assert isinstance(data.test, Replies)
    size = len(data.about["alphabet"])
    characters = made(data).characters
    seen = np.concatenate([characters.encode(written(turn)).numpy() for turn in data.train.turns])
    model = KneserNey.fit(seen, size=size, order=3)
    nats, letters = 0.0, 0
    for turn in data.test.turns:
        ids = characters.encode(written(turn)).numpy()
        first = len(turn.question) + 2
        nats -= sum(float(np.log(model.next(ids[:place])[ids[place]])) for place in range(first, len(ids)))
        letters += len(turn.reply) + 1
    assert counted(data.train, data.test, size)[3] == pytest.approx(nats / letters)


def test_tuning_teaches_to_reply_and_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened()
    shorter = Instructed.preset("cpu", data.about).changed({"training.steps": 20})
    monkeypatch.setattr(Instructed, "preset", classmethod(lambda cls, name, about: shorter))
    found, points, tuned = compare(data, 0)
    assert found["tuned"] < found["before tuning"] - 0.5
    assert found["tuned"] < found["from nothing"]
    assert [point["step"] for point in points] == [0, 10, 20]
    assert tuned.evaluate(data)["nats_before_tuning"] == pytest.approx(found["before tuning"])
    said = tuned.reply("¿Sabes contar? dos", torch.Generator().manual_seed(0))
    assert 0 < len(said) < 120
    assert "\n" not in said
    rows = tuned.sample(3, condition="¿Sabes contar? dos", generator=torch.Generator().manual_seed(0)).tolist()
    texts = [tuned.characters.decode(row).strip() for row in rows]
    assert all(text.count("\n") <= 1 for text in texts)  # nothing behind a reply
    with pytest.raises(DataError, match="too long to reply"):
        tuned.reply("a" * 200, torch.Generator())


def test_turns_that_do_not_fit_are_left_out() -> None:
    characters = made(opened()).characters
    assert len(Replies.of([*TURNS, Turn("a" * 100, "b" * 100)], characters)) == len(TURNS)
    with pytest.raises(DataError, match="None of 1"):
        Replies.of([Turn("a" * 100, "b" * 100)], characters)
    with pytest.raises(DataError, match="dialogues-es or dialogues-pt"):
        Instructed.open_data("reina-valera")
    with pytest.raises(ConfigError, match="cpu or gpu"):
        instruction.Instructed.preset("tpu", opened().about)
