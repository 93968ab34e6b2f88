"""An encoder–decoder: reads one text whole, writes another from it; translates, corrects, puts numbers into words.

The encoder's tokens look at each other both ways. The decoder's look at those before them and, by cross-attention,
at all of what the encoder made of the source.

Source: Vaswani et al. 2017, "Attention is all you need", section 3.1, with the parts of generative.language.attention.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.errors import ConfigError
from generative.family import Family, FamilyConfig, Split
from generative.language.alignment import trimmed
from generative.language.attention import Attention, KeyValueCache, RMSNorm, causal_mask, rotation
from generative.language.beam import search
from generative.language.bpe import BytePairTokeniser
from generative.language.chrf import chrf
from generative.language.error_rate import character_error_rate
from generative.language.hints import closest_known
from generative.language.pairs import BEGIN, END, PAD, SPECIAL, Pairs, open_pairs
from generative.language.pointer import Pointer, Source, Stands
from generative.language.sampling import Sampling, generate
from generative.language.transformer import FeedForward, TransformerShape, initialise
from generative.language.word_lexicon import WordLexicon
from generative.training import Batch, Data, Logs, Training

_EVALUATED = 1000
_PARTS = 4
_DRAWN = Sampling(temperature=0.7)


@dataclass(frozen=True, slots=True)
class TranslatorConfig(FamilyConfig):
    """An encoder–decoder over byte pairs."""

    merges: tuple[tuple[int, int], ...] = ()
    source_length: int = 32
    """Tokens of a source, its end included."""
    target_length: int = 32
    example: str = ""
    """A source to show what the model does where none is given."""
    shape: TransformerShape = field(default_factory=lambda: TransformerShape(128, 2, 4, 4))
    """Of the encoder and of the decoder; positions are always rotary."""
    pointer: Stands | None = None
    """What a token of the source stands for where the decoder may point at it; None is a decoder without a pointer."""


class Translator(Family[TranslatorConfig]):
    """An encoder–decoder trained on pairs of texts."""

    name = "translator"
    config_class = TranslatorConfig
    score_unit = "nats per token of the target (exact)"

    def build(self) -> nn.Module:
        """The network."""
        return EncoderDecoder(self.tokeniser.size, self.config.target_length, self.config.shape, self.config.pointer)

    def prepare(self, data: Data) -> None:
        """Counts translations where the pointer is to give them."""
        if self.config.pointer == "translations":
            assert isinstance(data, Pairs) and self.model.pointer is not None  # noqa: S101, PT018
            self.model.pointer.learn(data.source_ids, data.target_ids[:, 1:], self.model.pad)

    @property
    def model(self) -> "EncoderDecoder":
        """The network, by its type."""
        return cast(EncoderDecoder, self.network)

    @property
    def tokeniser(self) -> BytePairTokeniser:
        return BytePairTokeniser(self.config.merges, SPECIAL)

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:  # noqa: ARG002
        """The mean surprise in nats at the tokens of the targets, their ends included."""
        nats, pad = torch.zeros((), device=self.device), self.model.pad
        for source, target in _by_length(batch[0], batch[1], pad):
            nats = nats + self.model.surprise(source, target).sum()
        return nats / (batch[1][:, 1:] != pad).sum(), {}

    def score(self, x: Tensor) -> Tensor:
        """Nats per token (N,) of pairs (N, source_length + target_length), source and target side by side."""
        source, target = torch.split(x.to(self.device), [self.config.source_length, self.config.target_length], 1)
        with self.evaluating():
            surprise = self.model.surprise(source, target)
        nats: Tensor = surprise.sum(1) / (target[:, 1:] != self.model.pad).sum(1)
        return nats

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` drawn targets (n, T) for the source `condition`, a string, by default the configuration's example."""
        source = self._read([condition or self.config.example]).repeat(n, 1)
        begin, end = self.tokeniser.token(BEGIN), self.tokeniser.token(END)
        prompt, length = torch.full((n, 1), begin, device=self.device), self.config.target_length - 1
        with self.evaluating():
            return generate(self.model.given(source), prompt, length, _DRAWN, self.generator(generator), stop=end)

    def translate(self, texts: Sequence[str], batch_size: int = 100, beams: int = 3) -> list[str]:
        """The likeliest target of each text that a beam search finds."""
        source, order = self._read(texts), sorted(range(len(texts)), key=lambda number: len(texts[number]))
        begin, end, pad = (self.tokeniser.token(name) for name in (BEGIN, END, PAD))
        made: dict[int, str] = {}
        with self.evaluating():
            for start in range(0, len(texts), batch_size):
                rows = order[start : start + batch_size]  # alike in length, so that little is padding
                given = self.model.given(trimmed(source[rows], pad)).repeated(beams)
                prompt = torch.full((len(given.source.ids), 1), begin, device=self.device)
                found = self.decode(search(given, prompt, self.config.target_length - 1, beams, end))
                made |= dict(zip(rows, found, strict=True))
        return [made[number] for number in range(len(texts))]

    def decode(self, ids: Tensor) -> list[str]:
        """The texts of drawn targets (N, T), up to their ends."""
        end, begin = self.tokeniser.token(END), self.tokeniser.token(BEGIN)
        rows = ([token for token in row if token != begin] for row in ids.tolist())
        return [self.tokeniser.decode(row[: row.index(end)] if end in row else row) for row in rows]

    def parse_condition(self, text: str) -> str:
        """The text to translate."""
        return text

    def write_samples(self, samples: Tensor, folder: Path) -> list[Path]:
        """Writes the texts to one file."""
        path = folder / "samples.txt"
        path.write_text("\n".join(self.decode(samples)) + "\n", encoding="utf-8")
        return [path]

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:
        """Pairs by name: numbers-en-es, numbers-es-en, verses-en-es, verses-es-en, typos-es, summaries-es."""
        return open_pairs(name, seed=seed)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> TranslatorConfig:
        """`cpu`: two layers of 128 each, or of 192 for verses; `gpu`: six of 384 each, with dropout and longer."""
        if "merges" not in about:
            raise ConfigError("A translator learns from pairs of texts. Use --data numbers-en-es.")
        made = TranslatorConfig(
            Training(steps=800, batch_size=64, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01, log_every=100),
            about["merges"],
            about["source_length"],
            about["target_length"],
            about["example"],
            pointer=about["pointer"],
        )
        if name == "cpu":
            return made.changed(about["changes"])
        if name == "gpu":
            larger = {"width": 384, "layers": 6, "heads": 6, "kv_heads": 6, "dropout": 0.1}
            training = {"training.steps": 20_000, "training.batch_size": 256, "training.lr": 1e-3}
            return made.changed({f"shape.{key}": value for key, value in larger.items()} | training)
        raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """Exact matches, chrF and character error rate on held-out pairs, 1,000 at most.

        Beside them the same of copying the source, of a dictionary learnt from the same pairs, word by word, and, of
        texts that are read with hints, of what the closest known text became.
        """
        assert isinstance(data.train, Pairs) and isinstance(data.test, Pairs)  # noqa: S101, PT018
        order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(seed))[:_EVALUATED].tolist()
        sources, targets, read = (
            [texts[number] for number in order] for texts in (data.test.sources, data.test.targets, data.test.read)
        )
        lexicon = WordLexicon.fit(data.train.sources, data.train.targets)
        others = {"copying": sources, "dictionary": [lexicon.translate(text) for text in sources]}
        if read != sources:
            others["closest_known"] = [closest_known(text) for text in read]
        figures = _figures(self.translate(read), targets)
        for name, texts in others.items():
            figures |= {f"{key}_of_{name}": value for key, value in _figures(texts, targets).items()}
        return figures

    def encode(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokens (N, S) and (N, T) of pairs of texts. Raises: DataError: a text is too long."""
        written = Pairs.encode_all(targets, self.tokeniser, self.config.target_length, begin=True)
        return self._read(sources), written.to(self.device)

    def _read(self, texts: Sequence[str]) -> Tensor:
        return Pairs.encode_all(texts, self.tokeniser, self.config.source_length, begin=False).to(self.device)


def _by_length(source: Tensor, target: Tensor, pad: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The pairs (B, S), (B, T) in quarters, alike in length and without the padding that none of a quarter needs."""
    lengths = (source != pad).sum(1) + (target != pad).sum(1)
    for rows in lengths.argsort(stable=True).chunk(_PARTS):
        yield trimmed(source[rows], pad), trimmed(target[rows], pad)


def _figures(made: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    return {
        "exact_match": sum(one == other for one, other in zip(made, targets, strict=True)) / len(targets),
        "chrf": chrf(made, targets),
        "character_error_rate": character_error_rate(made, targets),
    }


class CrossBlock(nn.Module):
    """Attention within a text, attention to a source if there is one, then feed-forward."""

    def __init__(self, shape: TransformerShape, *, cross: bool) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = RMSNorm(shape.width), RMSNorm(shape.width)
        self.attention = Attention(shape.width, shape.heads, shape.kv_heads)
        self.cross_norm = RMSNorm(shape.width) if cross else None
        self.cross = Attention(shape.width, shape.heads, shape.kv_heads) if cross else None
        self.feed, self.dropout = FeedForward(shape.width), nn.Dropout(shape.dropout)

    def forward(
        self,
        states: Tensor,
        turns: tuple[Tensor, Tensor],
        mask: Tensor,
        source: Source | None = None,
        cache: tuple[KeyValueCache, int] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """(B, T, W). `maps` takes the weights of the cross-attention.

        Also there positions are rotary: where both texts go the same way, as in most pairs, a head that looks
        straight across finds what it needs before anything is learnt.
        """
        attended = self.attention(self.attention_norm(states), turns=turns, mask=mask, cache=cache)
        states = states + self.dropout(attended)
        if self.cross is not None and self.cross_norm is not None and source is not None:
            across = {"source": source.states, "turns": turns, "source_turns": source.turns, "mask": source.mask}
            states = states + self.dropout(self.cross(self.cross_norm(states), **across, maps=maps))
        states = states + self.dropout(self.feed(self.feed_norm(states)))
        return states


class EncoderDecoder(nn.Module):
    """Source (B, S) and the start of a target (B, T) → logits (B, T, size) of the target's next tokens."""

    def __init__(self, size: int, target_length: int, shape: TransformerShape, stands: Stands | None = None) -> None:
        super().__init__()
        self.shape, self.target_length, self.pad = shape, target_length, size - len(SPECIAL) + SPECIAL.index(PAD)
        self.embedding = nn.Embedding(size, shape.width)
        self.encoder = nn.ModuleList(CrossBlock(shape, cross=False) for _ in range(shape.layers))
        self.decoder = nn.ModuleList(CrossBlock(shape, cross=True) for _ in range(shape.layers))
        self.encoded_norm, self.norm = RMSNorm(shape.width), RMSNorm(shape.width)
        self.pointer = None if stands is None else Pointer(size, shape.width, shape.width // shape.heads, stands)
        self.apply(initialise)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits (B, T, size), float32."""
        return self.given(source)(target)

    def given(self, source: Tensor) -> "Given":
        """The decoder with a source (B, S) that is read once, as the sampler wants a model."""
        mask = (source != self.pad)[:, None, None, :]  # no token looks at padding
        states, turns = self.embedding(source), self._turns(0, source.shape[1], source.device)
        if self.pointer is not None:
            states = states + self.pointer.meaning(source, self.embedding)
        for block in self.encoder:
            states = block(states, turns, mask)
        return Given(self, Source(source, self.encoded_norm(states), mask, turns))

    def decode(
        self,
        target: Tensor,
        source: Source,
        memory: KeyValueCache | None = None,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """Logits (B, T, size), float32, of the target's tokens after those that `memory` holds."""
        states, turns = self.hidden(target, source, memory, maps)
        logits = self._logits(states)
        return logits if self.pointer is None else self.pointer(logits, states, source, turns)

    def surprise(self, source: Tensor, target: Tensor) -> Tensor:
        """Nats (B, T - 1) of every token of a target (B, T) after its first; 0 for padding.

        What `forward` says of these tokens, without the probabilities of all others.
        """
        read, wanted = self.given(source).source, target[:, 1:]
        states, turns = self.hidden(target[:, :-1], read)
        nats = functional.cross_entropy(self._logits(states).flatten(0, 1), wanted.flatten(), reduction="none")
        nats = nats.view_as(wanted)
        if self.pointer is not None:
            nats = self.pointer.surprise(nats, states, read, turns, wanted)
        return nats.masked_fill(wanted == self.pad, 0.0)

    def _logits(self, states: Tensor) -> Tensor:
        # One table for what is read and what is written (Press & Wolf 2017): names and numbers are alike in both.
        return functional.linear(states, self.embedding.weight).float()

    def hidden(
        self,
        target: Tensor,
        source: Source,
        memory: KeyValueCache | None = None,
        maps: list[Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """States (B, T, W) after the last block, and RoPE's turns of their places."""
        start, new = (0 if memory is None else memory.length), target.shape[1]
        states, turns = self.embedding(target), self._turns(start, start + new, target.device)
        mask = causal_mask(new, start + new, target.device)
        for number, block in enumerate(self.decoder):
            states = block(states, turns, mask, source, None if memory is None else (memory, number), maps)
        if memory is not None:
            memory.length += new
        return self.norm(states), turns

    def _turns(self, start: int, end: int, device: torch.device) -> tuple[Tensor, Tensor]:
        return rotation(torch.arange(start, end, device=device), self.shape.width // self.shape.heads)


@dataclass(frozen=True, slots=True)
class Given:
    """A decoder and the source that it writes from."""

    network: EncoderDecoder
    source: Source

    def __call__(self, ids: Tensor, memory: Any = None) -> Tensor:
        return self.network.decode(ids, self.source, memory)

    def repeated(self, times: int) -> "Given":
        """With each source so often, side by side."""
        return Given(self.network, self.source.repeated(times))

    def memory(self, batch: int) -> KeyValueCache:
        shape = self.network.shape
        sizes = (shape.layers, batch, shape.kv_heads, self.network.target_length, shape.width // shape.heads)
        return KeyValueCache(self.source.states.new_zeros(sizes), self.source.states.new_zeros(sizes))

    def cross_attention(self, ids: Tensor) -> Tensor:
        """How the target's tokens (rows) look at the source's (columns): (layers, B, heads, T, S)."""
        maps: list[Tensor] = []
        with torch.no_grad():
            self.network.hidden(ids, self.source, maps=maps)
        return torch.stack(maps)

    @torch.no_grad()
    def looked_at(self, ids: Tensor) -> Tensor:
        """Where the pointer points at each token of the target (B, T, S); without one, the last block's mean look."""
        if self.network.pointer is None:
            return self.cross_attention(ids)[-1].mean(1)
        states, turns = self.network.hidden(ids, self.source)
        return self.network.pointer.weights(states, self.source, turns)
