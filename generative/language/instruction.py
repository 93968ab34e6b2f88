"""Instruction tuning: a transformer that writes on learns to reply instead.

    ⏎ question ⏎ reply ⏎

It goes on from the small transformer that comes with Fuente, which has read the Reina-Valera and nothing else. The
loss is that of writing on, but only where the reply stands: what is asked need not be learnt. Letters that the
transformer never saw are added to its alphabet, with weights of their own.

Source: Wei et al. 2022, "Finetuned language models are zero-shot learners"; Ouyang et al. 2022, "Training language
models to follow instructions with human feedback", section 3.5.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.errors import ConfigError, DataError
from generative.family import Split
from generative.language.characters import Characters
from generative.language.dialogues import LICENCE, Turn, fetch_dialogues, split_turns
from generative.language.model import LanguageConfig, LanguageFamily
from generative.language.ngram import KneserNey
from generative.language.sampling import Sampling, generate
from generative.language.texts import CONTEXT
from generative.language.transformer import Transformer, TransformerFamily, TransformerShape
from generative.pictures import save_curve
from generative.registry import load, shipped
from generative.training import Batch, Logs, Training

_ORDERS = range(2, 8)
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class InstructedConfig(LanguageConfig):
    """A transformer that replies."""

    shape: TransformerShape = field(default_factory=TransformerShape)
    pretrained: bool = True
    """Whether it goes on from the transformer that comes with Fuente, whose shape it then has."""


@dataclass(frozen=True, slots=True)
class Replies:
    """Turns in characters: for indices (B,), rows (B, T) as long as the longest of them, line ends behind the end."""

    turns: list[Turn]
    ids: Tensor

    def __len__(self) -> int:
        return len(self.turns)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor]:
        longest = max(len(written(self.turns[number])) for number in indices.tolist())
        return (self.ids[indices, :longest],)

    @classmethod
    def of(cls, turns: Sequence[Turn], characters: Characters) -> "Replies":
        """The turns that fit into the context. Raises: DataError: none does."""
        fitting = [turn for turn in turns if len(written(turn)) <= CONTEXT + 1]
        if not fitting:
            raise DataError(f"None of {len(turns)} turns has {CONTEXT + 1} characters or fewer. Shorten them.")
        rows = [written(turn).ljust(CONTEXT + 1, "\n") for turn in fitting]
        return cls(fitting, torch.stack([characters.encode(row) for row in rows]))


class Instructed(LanguageFamily[InstructedConfig]):
    """Replies to what is said."""

    name = "instructed"
    config_class = InstructedConfig
    score_unit = "nats per character of the reply (exact)"
    sampling = Sampling(temperature=0.5)

    def build(self) -> nn.Module:
        """The network, with what the shipped one has learnt where it is to go on from it."""
        network = Transformer(self.characters.size, self.config.context, self.config.shape)
        if self.config.pretrained:
            _take_over(network, self.characters, base())
        return network

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:  # noqa: ARG002
        """The mean surprise in nats at the characters of the replies, their ends included, in rows (B, T)."""
        surprise, asked = self._surprise(batch[0])
        return surprise.sum() / asked.sum(), {}

    def score(self, x: Tensor) -> Tensor:
        """Nats per character (N,) of the replies in rows (N, T)."""
        with self.evaluating():
            surprise, asked = self._surprise(x.to(self.device))
        return surprise.sum(1) / asked.sum(1)

    def sample(
        self, n: int, *, condition: Any = None, generator: torch.Generator | None = None, length: int = CONTEXT
    ) -> Tensor:
        """`n` rows (n, T) of token numbers: the question `condition`, a string, a reply, and line ends behind it."""
        prompt = self.characters.encode(f"\n{condition or 'Hola'}\n").to(self.device).repeat(n, 1)
        room = min(length, self.config.context - prompt.shape[1])
        if room < 1:
            raise DataError(f"The question is {prompt.shape[1]} characters long, too long to reply to. Shorten it.")
        stop = int(self.characters.encode("\n"))
        with self.evaluating():
            ids = generate(self.model, prompt, room, self.sampling, self.generator(generator), stop=stop)
        return ids.masked_fill((ids == stop).cumsum(1) > 2, stop)

    def reply(self, question: str, generator: torch.Generator) -> str:
        """A reply to a question."""
        ids = self.sample(1, condition=question, generator=generator)[0].tolist()
        return self.characters.decode(ids).split("\n")[2]

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:
        """`dialogues-es` or `dialogues-pt`; questions are held out by the seed. Raises: DataError."""
        kind, _, language = name.partition("-")
        if kind != "dialogues":
            raise DataError(f"{cls.name} learns from dialogues, not {name!r}. Use dialogues-es or dialogues-pt.")
        return open_turns(fetch_dialogues(language), name, seed)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> InstructedConfig:
        """`cpu`, and the same for `gpu`, which so few turns do not need: after 150 steps it learns them by heart."""
        if name not in ("cpu", "gpu"):
            raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")
        training = Training(steps=120, batch_size=16, lr=3e-3, warmup_steps=20, weight_decay=0.1, log_every=10)
        return InstructedConfig(training, cls.alphabet_of(about), shape=base().config.shape)

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """Nats per character of replies to questions never seen, and the same before tuning and by counting."""
        train, test = data.train, data.test
        assert isinstance(train, Replies)  # noqa: S101
        assert isinstance(test, Replies)  # noqa: S101
        return {
            "nats_per_character": self.nats(test),
            "nats_before_tuning": Instructed(self.config, device=str(self.device)).nats(test),
            "ngram_nats_per_character": min(counted(train, test, self.characters.size).values()),
        }

    def nats(self, replies: Replies) -> float:
        """Mean nats per character of all these replies."""
        with self.evaluating():
            surprise, asked = self._surprise(replies.ids.to(self.device))
        return float(surprise.double().sum() / asked.sum())

    def _surprise(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Nats (B, T − 1) at every next character that belongs to a reply, else 0; and where that is so."""
        asked = in_reply(rows, int(self.characters.encode("\n")))[:, 1:]
        logits = self.network(rows[:, :-1])
        surprise = functional.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none")
        return surprise * asked, asked


def written(turn: Turn) -> str:
    """A turn as the model reads it."""
    return f"\n{turn.question}\n{turn.reply}\n"


def in_reply(rows: Tensor, line_end: int) -> Tensor:
    """Where (N, T) characters of rows are of the reply or its end: those that come after two line ends."""
    ends = (rows == line_end).cumsum(1)
    return torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], 1) == 2


def open_turns(turns: Sequence[Turn], name: str, seed: int) -> Split:
    """Turns by use; the alphabet is theirs and that of the shipped transformer. Raises: DataError."""
    parts = split_turns(turns, seed)
    known = base().config.alphabet
    characters = Characters.of(known + "".join(written(turn) for turn in turns))
    train, watched, test = (Replies.of(part, characters) for part in (parts.train, parts.watched, parts.test))
    return Split(name, train, test, {"alphabet": characters.alphabet}, watched)


def counted(train: Replies, test: Replies, size: int) -> dict[int, float]:
    """Nats per character of the replies to test on, by the order of n-grams counted on the turns to learn from."""
    found = {}
    for order in _ORDERS:
        model = KneserNey.fit(torch.cat(_rows(train)).numpy(), size=size, order=order)
        nats = [
            -model.log_probabilities(row.numpy())[in_reply(row[None], int(row[0]))[0].numpy()] for row in _rows(test)
        ]
        found[order] = sum(float(one.sum()) for one in nats) / sum(len(one) for one in nats)
    return found


def _rows(replies: Replies) -> list[Tensor]:
    return [ids[: len(written(turn))] for turn, ids in zip(replies.turns, replies.ids, strict=True)]


@cache
def base() -> TransformerFamily:
    """The transformer that comes with Fuente."""
    path = shipped("transformer", "reina-valera")
    assert path is not None  # noqa: S101
    family = load(path, device="cpu")
    assert isinstance(family, TransformerFamily)  # noqa: S101
    return family


def _take_over(network: Transformer, characters: Characters, earlier: TransformerFamily) -> None:
    """Weights of an earlier transformer; letters that it does not know keep their own. Raises: ConfigError."""
    known, theirs = earlier.config.alphabet, earlier.network.state_dict()
    places = torch.tensor([characters.alphabet.find(letter) for letter in known])
    if earlier.config.shape != network.shape or earlier.config.context != network.context or int(places.min()) < 0:
        raise ConfigError("The transformer to go on from has another shape or letters. Set pretrained=false.")
    weights = network.state_dict()
    for name in ("embedding.weight", "head.weight"):
        theirs[name] = weights[name].index_copy(0, places, theirs[name])
    network.load_state_dict(theirs)


def compare(data: Split, seed: int) -> tuple[dict[str, float], list[Logs], Instructed]:
    """Nats per character of held-out replies by how they were learnt, the curves of it, and the tuned model."""
    assert isinstance(data.train, Replies)  # noqa: S101
    assert isinstance(data.watched, Replies)  # noqa: S101
    assert isinstance(data.test, Replies)  # noqa: S101
    config = Instructed.preset("cpu", data.about).changed({"training.seed": seed})
    tuned, fresh = (Instructed(config.changed({"pretrained": one}), device="cpu") for one in (True, False))
    found = {"before tuning": tuned.nats(data.test)}
    begun: Logs = {"step": 0.0, "tuned": tuned.nats(data.watched)}
    for family in (tuned, fresh):
        family.fit(data.train, val=data.watched)
    found |= {"tuned": tuned.nats(data.test), "from nothing": fresh.nats(data.test)}
    # The best order is the one that does best on the very text, to the favour of counting.
    in_test, in_watched = (counted(data.train, one, tuned.characters.size) for one in (data.test, data.watched))
    found["n-grams"] = min(in_test.values())
    points = [
        {"step": one["step"], "tuned": one["val_loss"], "from nothing": other["val_loss"]}
        for one, other in zip(tuned.history, fresh.history, strict=True)
    ]
    return found, [{**point, "n-grams": min(in_watched.values())} for point in (begun, *points)], tuned


def main() -> None:
    """Prints how far tuning, learning from nothing and counting come on some splits, and draws the first of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--language", choices=("es", "pt"), default="es")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("instruction.png"))
    arguments = parser.parse_args()
    print(LICENCE)
    for seed in range(arguments.seeds):
        data = Instructed.open_data(f"dialogues-{arguments.language}", seed=seed)
        found, points, tuned = compare(data, seed)
        sizes = f"{len(data.train)} turns to learn from, {len(data.test)} held out"
        print(f"seed {seed}, {sizes}: " + ", ".join(f"{name} {nats:.3f}" for name, nats in found.items()), flush=True)
        if seed == 0:
            keys = [key for key in points[-1] if key != "step"]
            print(save_curve(points, arguments.out, title="nats per character of held-out replies", keys=keys))
            assert isinstance(data.test, Replies)  # noqa: S101
            for turn in data.test.turns[:: len(data.test) // _SHOWN]:
                print(f"    {turn.question} → {tuned.reply(turn.question, torch.Generator().manual_seed(0))}")


if __name__ == "__main__":
    main()
