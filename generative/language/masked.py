"""A masked model: reads a text both ways and says what stands at the places that were covered.

    [CLS] En el principio [MASK] Dios los cielos  →  "crió" .8, "hizo" .1, …

Of every seventh token or so it is asked what it was: mostly the token is covered, sometimes it is another one or left
as it is, so that the model may not trust what it reads. What it has read, the states, then serve to compare and to
classify texts (generative.language.classifier).

Source: Devlin et al. 2019, "BERT", section 3.1; without its second task, as Liu et al. 2019, "RoBERTa", section 4.2;
`score` of Salazar et al. 2020, "Masked language model scoring", equation 1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.errors import ConfigError, DataError
from generative.family import Family, FamilyConfig, Split
from generative.language.attention import RMSNorm, rotation
from generative.language.bpe import BytePairTokeniser, train_bpe
from generative.language.texts import read_text
from generative.language.transformer import Block, TransformerShape, initialise
from generative.training import Batch, Logs, Training

CLS, PAD, MASK = SPECIAL = ("[CLS]", "[PAD]", "[MASK]")
CONTEXT = 64
_TOKENS = 2000
_TRAINED_ON = 0.9
_WATCHED, _EVALUATED_AT_ONCE = 200, 128
_COVERED = re.compile(r" ?\[MASK\]")  # tokens of words hold the space before them


@dataclass(frozen=True, slots=True)
class MaskedConfig(FamilyConfig):
    """An encoder over byte pairs."""

    merges: tuple[tuple[int, int], ...] = ()
    context: int = CONTEXT
    """Tokens of a text, [CLS] included."""
    example: str = ""
    """A text with [MASK] in it, to show what the model does where none is given."""
    asked: float = 0.15
    """Share of the tokens that are to be told."""
    shape: TransformerShape = field(default_factory=lambda: TransformerShape(128, 3, 4, 4))

    def __post_init__(self) -> None:
        if self.context < 2 or not 0 < self.asked < 1:
            raise ValueError("context must be 2 or more, asked between 0 and 1")


@dataclass(frozen=True, slots=True)
class Passages:
    """Stretches of a text in tokens, one behind the other: for indices (B,), [CLS] and what follows (B, context)."""

    ids: Tensor
    context: int
    first: int
    """The number of [CLS]."""

    def __len__(self) -> int:
        return len(self.ids) // (self.context - 1)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor]:
        step = self.context - 1
        rows = self.ids[indices[:, None] * step + torch.arange(step)]
        return (torch.cat([torch.full((len(rows), 1), self.first), rows], 1),)


class Masked(Family[MaskedConfig]):
    """Fills in, embeds and scores texts."""

    name = "masked"
    config_class = MaskedConfig
    score_unit = "nats per token, each covered in turn (pseudo-likelihood)"

    def build(self) -> nn.Module:
        """The encoder."""
        return Encoder(self.tokeniser, self.config.context, self.config.shape)

    @property
    def tokeniser(self) -> BytePairTokeniser:
        return BytePairTokeniser(self.config.merges, SPECIAL)

    @property
    def encoder(self) -> "Encoder":
        """The network."""
        assert isinstance(self.network, Encoder)  # noqa: S101
        return self.network

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """The mean surprise in nats at the tokens that were asked for in texts (B, T)."""
        ids = batch[0]
        read, asked = self.encoder.corrupt(ids, self.config.asked, generator)
        logits = self.encoder.tell(self.encoder(read)[asked])  # (asked, size)
        right = (logits.argmax(-1) == ids[asked]).float().mean()
        return functional.cross_entropy(logits, ids[asked]), {"accuracy": float(right)}

    def score(self, x: Tensor) -> Tensor:
        """Mean surprise (N,) at the tokens of texts (N, T), each covered in turn, in nats."""
        return torch.stack([self._surprise(row) for row in x.to(self.device)])

    def fill_in(self, text: str, top: int = 5) -> list[list[tuple[str, float]]]:
        """For every [MASK] of the text its likeliest tokens and their probabilities.

        Raises: DataError: it holds no [MASK], or is too long.
        """
        ids = self._read(text)
        with self.evaluating():
            states = self.encoder(ids[None])[0, ids == self.encoder.mask]
            found = self.encoder.tell(states).softmax(-1).topk(top)
        return [
            [(self.tokeniser.decode([token]), value) for token, value in zip(tokens, values, strict=True)]
            for tokens, values in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Vectors (N, W) of unit length: the mean of what the encoder makes of a text's tokens."""
        ids = encode_all(texts, self.tokeniser, self.config.context).to(self.device)
        with self.evaluating():
            states = self.encoder(ids)  # (N, T, W)
        read = (ids != self.encoder.pad)[..., None]
        return functional.normalize((states * read).sum(1), dim=-1)

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` times the text `condition`, a string, in tokens (n, T), each [MASK] drawn by its probability."""
        ids = self._read(condition or self.config.example)
        with self.evaluating():
            chances = self.encoder.tell(self.encoder(ids[None])[0, ids == self.encoder.mask]).softmax(-1)
        drawn = torch.multinomial(chances, n, replacement=True, generator=self.generator(generator))  # (masks, n)
        made = ids.repeat(n, 1)
        made[:, ids == self.encoder.mask] = drawn.T
        return made

    def parse_condition(self, text: str) -> str:
        """The text to fill in."""
        return text

    def decode(self, ids: Tensor) -> list[str]:
        """The texts of tokens (N, T), without [CLS] and [PAD]."""
        dropped = {self.encoder.cls, self.encoder.pad}
        return [self.tokeniser.decode(token for token in row if token not in dropped) for row in ids.tolist()]

    def write_samples(self, samples: Tensor, folder: Path) -> list[Path]:
        """Writes the texts to one file."""
        path = folder / "samples.txt"
        path.write_text("\n".join(self.decode(samples)) + "\n", encoding="utf-8")
        return [path]

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:  # noqa: ARG003
        """The text of that name (reina-valera, king-james) or of a .txt file, in tokens."""
        return open_passages(read_text(name), name)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> MaskedConfig:
        """`cpu`: three layers of 128; `gpu`: six of 384, with dropout and longer."""
        if "merges" not in about:
            raise ConfigError("A masked model learns from texts. Use --data reina-valera or a .txt file.")
        training = Training(steps=3000, batch_size=32, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05, log_every=100)
        made = MaskedConfig(training, about["merges"], example=about["example"])
        if name == "cpu":
            return made
        if name == "gpu":
            larger = {"width": 384, "layers": 6, "heads": 6, "kv_heads": 6, "dropout": 0.1}
            longer = {"training.steps": 20_000, "training.batch_size": 256, "training.lr": 1e-3}
            return made.changed({f"shape.{key}": value for key, value in larger.items()} | longer)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """How often the covered tokens of the held-out text are told, at once and among five.

        Beside it what always telling the most frequent token of the training text gives.
        """
        train, test = data.train, data.test
        assert isinstance(train, Passages)  # noqa: S101
        commonest = int(train.ids.bincount().argmax())
        generator = torch.Generator(self.device).manual_seed(seed)
        first = five = common = asked_in_all = 0
        with self.evaluating():
            for indices in torch.split(torch.arange(len(test)), _EVALUATED_AT_ONCE):
                ids = test[indices][0].to(self.device)
                asked = self.encoder.choose(ids, self.config.asked, generator)
                told = self.encoder.tell(self.encoder(ids.masked_fill(asked, self.encoder.mask))[asked])
                right = told.topk(5).indices == ids[asked][:, None]  # (asked, 5)
                first, five = first + int(right[:, 0].sum()), five + int(right.sum())
                common, asked_in_all = common + int((ids[asked] == commonest).sum()), asked_in_all + len(right)
        counts = {"accuracy": first, "among_five": five, "accuracy_of_commonest": common}
        return {key: value / asked_in_all for key, value in counts.items()}

    def _read(self, text: str) -> Tensor:
        parts = [self.tokeniser.encode(part) for part in _COVERED.split(text)]
        if len(parts) < 2:
            raise DataError(f"{text[:60]!r} has no {MASK}. Write it where something is to be filled in.")
        ids = [self.encoder.cls, *parts[0]]
        for part in parts[1:]:
            ids += [self.encoder.mask, *part]
        if len(ids) > self.config.context:
            raise DataError(f"The text is {len(ids)} tokens long; this model reads {self.config.context}. Shorten it.")
        return torch.tensor(ids, device=self.device)

    def _surprise(self, row: Tensor) -> Tensor:
        places = (row < self.encoder.cls).nonzero()[:, 0]
        covered = row.repeat(len(places), 1)
        covered[torch.arange(len(places)), places] = self.encoder.mask
        with self.evaluating():
            states = self.encoder(covered)[torch.arange(len(places)), places]
            return functional.cross_entropy(self.encoder.tell(states), row[places])


class Encoder(nn.Module):
    """Token numbers (B, T) → states (B, T, W); every token looks at every other that is no padding."""

    def __init__(self, tokeniser: BytePairTokeniser, context: int, shape: TransformerShape) -> None:
        super().__init__()
        self.cls, self.pad, self.mask = (tokeniser.token(name) for name in SPECIAL)
        self.context, self.head_width = context, shape.width // shape.heads
        self.embedding = nn.Embedding(tokeniser.size, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm, self.bias = RMSNorm(shape.width), nn.Parameter(torch.zeros(tokeniser.size))
        self.apply(initialise)

    def forward(self, ids: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """States (B, T, W); `maps` takes the attention (B, heads, T, T) of every layer."""
        turns = rotation(torch.arange(ids.shape[1], device=ids.device), self.head_width)
        mask = (ids != self.pad)[:, None, None, :]  # (B, 1, 1, T)
        states = self.embedding(ids)
        for block in self.blocks:
            states = block(states, turns, mask, maps=maps)
        normed: Tensor = self.norm(states)
        return normed

    def tell(self, states: Tensor) -> Tensor:
        """Logits (…, size), float32, of the tokens at these states (…, W)."""
        return functional.linear(states, self.embedding.weight, self.bias).float()

    def choose(self, ids: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Where (B, T) a token is asked for: that share of all but the special ones, by lot."""
        drawn = torch.rand(ids.shape, generator=generator, device=ids.device)
        return (drawn < share) & (ids < self.cls)

    def corrupt(self, ids: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What is read (B, T) and where it is asked for: of ten asked, 8 are covered, 1 is another, 1 is as it was."""
        asked = self.choose(ids, share, generator)
        lot = torch.rand(ids.shape, generator=generator, device=ids.device)
        others = torch.randint(self.cls, ids.shape, generator=generator, device=ids.device)
        read = torch.where(asked & (lot < 0.8), self.mask, ids)
        return torch.where(asked & (lot >= 0.9), others, read), asked


def encode_all(texts: Sequence[str], tokeniser: BytePairTokeniser, length: int) -> Tensor:
    """[CLS] and the first tokens of each text, padded: (N, length)."""
    rows = torch.full((len(texts), length), tokeniser.token(PAD))
    for row, text in zip(rows, texts, strict=True):
        ids = [tokeniser.token(CLS), *tokeniser.encode(text)][:length]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def open_passages(text: str, name: str, context: int = CONTEXT) -> Split:
    """A text in tokens that were learnt from its first nine tenths, the rest held out. Raises: DataError."""
    cut = text.rfind("\n", 0, int(len(text) * _TRAINED_ON)) + 1 or int(len(text) * _TRAINED_ON)
    tokeniser = train_bpe([text[:cut]], _TOKENS, special=SPECIAL)
    train, test = (torch.tensor(tokeniser.encode(part)) for part in (text[:cut], text[cut:]))
    if min(len(train), len(test)) < context:
        raise DataError(f"{name} has {len(text)} characters; at least {40 * context} are needed.")
    parts = [Passages(part, context, tokeniser.token(CLS)) for part in (train, test)]
    watched = Passages(test[: _WATCHED * context], context, tokeniser.token(CLS))
    return Split(name, parts[0], parts[1], {"merges": tokeniser.merges, "example": _example(text[cut:])}, watched)


def _example(text: str) -> str:
    """The first words of a text, one of them covered."""
    words = text.split()[:12]
    return " ".join([*words[:5], MASK, *words[6:]])
