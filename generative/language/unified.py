"""One model for text, pictures and sound: all of them are tokens of one sequence, and it continues any with any.

    <text> siete <image> 16 patches <sound> 8 steps <end>        in whatever order

Text is bytes; a picture is its patches of 2×2 pixels, each the nearest of a few that are common; a sound is the
strongest frequencies of each moment. To draw a word is to continue "<text> siete <image>", to read a picture is to
continue "<image> … <text>": nothing but predicting the next token was learnt.

Source: Chameleon Team 2024, "Chameleon: mixed-modal early-fusion foundation models", section 2; pictures as numbers of
patches as in van den Oord et al. 2017, "Neural discrete representation learning", section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.captions import captions
from generative.errors import ConfigError, DataError
from generative.family import Family, FamilyConfig, Split
from generative.image_data import Images, open_images
from generative.language.mixed_tokens import IMAGE_TOKENS, LONGEST_WORD, MixedTokeniser, common_patches
from generative.language.sampling import Sampling, generate
from generative.language.shared_space import moved
from generative.language.telephone import SOUND_TOKENS, dialled, tones
from generative.language.transformer import Transformer, TransformerShape
from generative.pictures import save_grid
from generative.training import Batch, Logs, Training

Kind = Literal["text", "image", "sound"]
LENGTHS: dict[Kind, int] = {"text": LONGEST_WORD + 1, "image": IMAGE_TOKENS, "sound": SOUND_TOKENS}
"""Tokens behind the beginning of each kind; a word's are followed by a beginning or the end."""
_CONTEXT = 3 + LONGEST_WORD + IMAGE_TOKENS + SOUND_TOKENS + 1
_DIGITS = tuple("0123456789")
_GREEDY = Sampling(temperature=0.0)
_NOISE = 0.5


@dataclass(frozen=True, slots=True)
class UnifiedConfig(FamilyConfig):
    """A decoder-only transformer over tokens of three kinds."""

    patches: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0))
    """The patches of 2×2 pixels that a picture is made of."""
    shape: TransformerShape = field(default_factory=lambda: TransformerShape(96, 3, 4, 4))
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7))
    """How pictures and sounds are drawn; words are the likeliest."""


class Unified(Family[UnifiedConfig]):
    """Continues words, pictures and sounds of digits with one another."""

    name = "unified"
    config_class = UnifiedConfig
    score_unit = "nats per picture, of its patches (exact)"

    def build(self) -> nn.Module:
        """The network."""
        return Transformer(self.tokeniser.size, _CONTEXT, self.config.shape)

    @property
    def tokeniser(self) -> MixedTokeniser:
        return MixedTokeniser(self.config.patches)

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """The mean surprise in nats at every next token of sequences made of pictures (B, 1, 8, 8) and digits (B,)."""
        rows = self.sequences(batch[0], batch[1], generator)
        logits = self.network(rows[:, :-1])
        wanted, end = rows[:, 1:], self.tokeniser.end
        padding = (rows[:, :-1] == end) & (wanted == end)  # behind the first end
        return functional.cross_entropy(logits.transpose(1, 2), wanted.masked_fill(padding, -100)), {}

    def sequences(self, images: Tensor, digits: Tensor, generator: torch.Generator) -> Tensor:
        """Tokens (B, T) of each digit's picture, one of its words and its tones in noise, in any order."""
        tokens = self.tokeniser
        drawn = tokens.encode_images(moved(images, generator)).tolist()
        heard = tokens.encode_sounds(tones(digits, _NOISE, generator)).tolist()
        order = torch.rand(len(digits), 3, generator=generator, device=self.device).argsort(1).tolist()
        words = digit_words()
        lots = torch.randint(3, (len(digits),), generator=generator, device=self.device).tolist()
        rows = torch.full((len(digits), _CONTEXT), tokens.end)
        for number, (row, digit) in enumerate(zip(rows, digits.tolist(), strict=True)):
            parts = {"text": tokens.encode_text(words[digit][lots[number]]), "image": drawn[number]}
            parts["sound"] = heard[number]
            made = [token for kind in order[number] for token in (tokens.begins[kind], *list(parts.values())[kind])]
            row[: len(made)] = torch.tensor(made)
        return rows.to(self.device)

    def score(self, x: Tensor) -> Tensor:
        """Nats (N,) of the patches of pictures (N, 1, 8, 8), begun with."""
        ids = self.tokeniser.encode_images(x.to(self.device))
        begin = torch.full((len(ids), 1), self.tokeniser.begin("image"), device=self.device)
        with self.evaluating():
            logits = self.network(torch.cat([begin, ids[:, :-1]], 1))
            return functional.cross_entropy(logits.transpose(1, 2), ids, reduction="none").sum(1)

    def complete(
        self, prompts: Sequence[Sequence[int]], kind: Kind, generator: torch.Generator | None = None
    ) -> Tensor:
        """What comes behind each prompt and the beginning of `kind`, in tokens (N, LENGTHS[kind])."""
        sampling = _GREEDY if kind == "text" else self.config.sampling
        begun = [[*prompt, self.tokeniser.begin(kind)] for prompt in prompts]
        made = torch.empty(len(begun), LENGTHS[kind], dtype=torch.int64)
        source = self.generator(generator)
        with self.evaluating():
            for length in sorted({len(prompt) for prompt in begun}):
                rows = [number for number, prompt in enumerate(begun) if len(prompt) == length]
                prompt = torch.tensor([begun[number] for number in rows], device=self.device)
                model: Any = self.network
                made[rows] = generate(model, prompt, LENGTHS[kind], sampling, source)[:, length:].cpu()
        return made

    def draw(self, prompts: Sequence[Sequence[int]], generator: torch.Generator | None = None) -> Tensor:
        """A picture (N, 1, 8, 8) to continue each prompt."""
        return self.tokeniser.decode_images(self.complete(prompts, "image", generator))

    def say(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        """The likeliest word to continue each prompt."""
        return [self.tokeniser.decode_text(row) for row in self.complete(prompts, "text").tolist()]

    def sing(self, prompts: Sequence[Sequence[int]], generator: torch.Generator | None = None) -> Tensor:
        """A sound (N, 400) to continue each prompt."""
        return self.tokeniser.decode_sounds(self.complete(prompts, "sound", generator))

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """`n` pictures (n, 1, 8, 8), of the word `condition` or of anything."""
        prompt = [] if condition is None else self.tokeniser.prompt("text", self.tokeniser.encode_text(condition))
        return self.draw([prompt] * n, generator)

    def parse_condition(self, text: str) -> str:
        """The word to draw. Raises: ConfigError: it is longer than any that was learnt."""
        word = text.strip().lower()
        if not 0 < len(word.encode()) <= LONGEST_WORD:
            raise ConfigError(f"{text!r} is no word of 1 to {LONGEST_WORD} bytes. Write a digit's, such as siete.")
        return word

    def write_samples(self, samples: Tensor, folder: Path) -> list[Path]:
        """One grid of all samples, samples.png."""
        return [save_grid(samples, folder / "samples.png")]

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:  # noqa: ARG003
        """The digits, with the patches that are common in them. Raises: ConfigError for other images."""
        if name != "digits":
            raise ConfigError(f"{cls.name} knows digits only, not {name!r}. Use --data digits.")
        split = open_images(name)
        assert isinstance(split.train, Images)  # noqa: S101
        about = {**split.about, "patches": common_patches(split.train.x)}
        return Split(split.name, split.train, split.test, about)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> UnifiedConfig:
        """`cpu`, and the same for `gpu`, which it does not need."""
        if name not in ("cpu", "gpu"):
            raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")
        if "patches" not in about:
            raise DataError(f"{cls.name} learns from digits. Use --data digits.")
        training = Training(steps=1500, batch_size=64, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05, log_every=100)
        return UnifiedConfig(training, about["patches"])

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """How often what continues a digit is that digit: from words, held-out pictures and fresh sounds, each to each.

        Pictures are judged by the judge of the image families, sounds by their tones, words by being one of its three.
        """
        from generative.evaluation.judge import judge_for

        assert isinstance(data.test, Images)  # noqa: S101
        generator = torch.Generator(self.device).manual_seed(seed)
        images, digits, tokens, judge = data.test.x, data.test.y, self.tokeniser, judge_for(data)
        words = digit_words()
        asked = [words[digit][number % 3] for number, digit in enumerate(digits.tolist())]
        heard = tokens.encode_sounds(tones(digits.to(self.device), _NOISE, generator)).tolist()
        given: dict[Kind, list[list[int]]] = {
            "text": [tokens.prompt("text", tokens.encode_text(word)) for word in asked],
            "image": [tokens.prompt("image", ids) for ids in tokens.encode_images(images).tolist()],
            "sound": [tokens.prompt("sound", ids) for ids in heard],
        }
        found: dict[str, float] = {}
        for kind, prompts in given.items():
            if kind != "text":
                said = zip(self.say(prompts), digits.tolist(), strict=True)
                found[f"{kind}_to_text"] = sum(word in words[digit] for word, digit in said) / len(prompts)
            if kind != "image":
                drawn = judge.classify(self.draw(prompts, generator))
                found[f"{kind}_to_image"] = float((drawn == digits).float().mean())
            if kind != "sound":
                sung = dialled(self.sing(prompts, generator))
                found[f"{kind}_to_sound"] = float((sung == digits).float().mean())
        return found


def digit_words() -> list[tuple[str, str, str]]:
    """The word of each digit in Spanish, English and Portuguese."""
    return [tuple(group[1 + 6 * language] for language in range(3)) for group in captions(_DIGITS)]  # type: ignore[misc]
