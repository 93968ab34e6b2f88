"""One space for pictures, words and sounds: a digit, its word in three languages and its tones lie close together.

Three encoders give unit vectors. A contrastive loss draws together what means the same digit and pushes apart what does
not, for every pair of kinds; then whatever one has finds the others: a word finds pictures, a picture its word, a tone
both.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", figure 3; with
several right answers a batch as in Khosla et al. 2020, "Supervised contrastive learning", equation 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.captions import captions
from generative.errors import ConfigError, UnsupportedError
from generative.family import Family, FamilyConfig, Split
from generative.image_data import Images, open_images
from generative.language.telephone import SAMPLES, tones
from generative.training import Batch, Logs, Training

KINDS = ("image", "word", "sound")
_DIGITS = tuple("0123456789")
_LETTERS = 32
"""Characters of a caption, padded with 0."""


@dataclass(frozen=True, slots=True)
class SharedSpaceConfig(FamilyConfig):
    """Encoders of 8×8 images, captions and tones into one space."""

    width: int = 128
    space: int = 32
    """Numbers of a vector."""
    noise: float = 0.5
    """Of the sounds: its standard deviation where each tone's amplitude is 1."""

    def __post_init__(self) -> None:
        if min(self.width, self.space) < 1 or self.noise < 0:
            raise ValueError("width and space must be 1 or more, noise 0 or more")


class SharedSpace(Family[SharedSpaceConfig]):
    """Embeds images of digits, captions and sounds."""

    name = "shared-space"
    config_class = SharedSpaceConfig
    score_unit = "1 − cosine to the nearest digit's word (a proxy)"
    draws = False

    def build(self) -> nn.Module:
        """The three encoders and the sharpness of the comparison."""
        width, space = self.config.width, self.config.space
        return nn.ModuleDict(
            {
                "image": _image_encoder(width, space),
                "word": WordEncoder(width, space),
                "sound": ToneEncoder(width, space),
            }
        )

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:
        """The mean of the contrastive losses of all pairs of kinds."""
        images, digits = batch
        sounds = tones(digits, self.config.noise, generator)
        found = {
            "image": self.embed("image", moved(images, generator)),
            "word": self.embed("word", _drawn_captions(digits, generator)),
            "sound": self.embed("sound", sounds),
        }
        losses = [contrastive_loss(found[one], found[other], digits) for one, other in combinations(KINDS, 2)]
        return torch.stack(losses).mean(), {}

    def embed(self, kind: str, x: Tensor) -> Tensor:
        """Unit vectors (N, space) of images (N, 1, 8, 8), of captions (N, 32) or of sounds (N, 400)."""
        vectors: Tensor = self.network.get_submodule(kind)(x.to(self.device))
        return functional.normalize(vectors, dim=-1)

    def sample(self, n: int, *, condition: Any = None, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """Raises: UnsupportedError: it finds what there is, and draws nothing."""
        raise UnsupportedError(f"{self.name} draws nothing. It embeds: see evaluate.")

    def score(self, x: Tensor) -> Tensor:
        """1 − cosine (N,) of images and the nearest digit's Spanish word."""
        with self.evaluating():
            words = self.embed("word", encode_captions([group[1] for group in captions(_DIGITS)]))
            return 1 - (self.embed("image", x) @ words.T).amax(1)

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:  # noqa: ARG003
        """The digits. Raises: ConfigError for other images, which have no tones."""
        if name != "digits":
            raise ConfigError(f"{cls.name} knows digits only, not {name!r}. Use --data digits.")
        return open_images(name)

    @classmethod
    def preset(cls, name: str, about: Mapping[str, Any]) -> SharedSpaceConfig:  # noqa: ARG003
        """`cpu`, and the same for `gpu`, which it does not need."""
        if name not in ("cpu", "gpu"):
            raise ConfigError(f"There is no preset {name!r}. Use cpu or gpu.")
        return SharedSpaceConfig(Training(steps=600, batch_size=128, lr=2e-3, weight_decay=0.05, log_every=50))

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:
        """R@1 for every pair of kinds: how often the nearest of the other kind is of the same digit."""
        test = data.test
        assert isinstance(test, Images)  # noqa: S101
        generator = torch.Generator(self.device).manual_seed(seed)
        names = [(text, digit) for digit, group in enumerate(captions(_DIGITS)) for text in group[1:]]
        with self.evaluating():
            found = {
                "image": (self.embed("image", test.x), test.y),
                "word": (self.embed("word", encode_captions([text for text, _ in names])), _numbers(names)),
                "sound": (self.embed("sound", tones(test.y, self.config.noise, generator)), test.y),
            }
        return {f"{one}_to_{other}": recall_at_one(*found[one], *found[other]) for one, other in permutations(KINDS, 2)}


class WordEncoder(nn.Module):
    """Captions (N, 32) of character numbers → vectors (N, space): runs of three letters, the strongest of each."""

    def __init__(self, width: int, space: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(256, width, padding_idx=0)
        self.runs = nn.Conv1d(width, width, 3, padding=1)
        self.out = nn.Linear(width, space)

    def forward(self, x: Tensor) -> Tensor:
        runs = functional.silu(self.runs(self.letters(x).transpose(1, 2)))  # (N, width, 32)
        vectors: Tensor = self.out(runs.amax(2))
        return vectors


class ToneEncoder(nn.Module):
    """Sounds (N, 400) → vectors (N, space), from how strong each frequency is."""

    def __init__(self, width: int, space: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(SAMPLES // 2 + 1, width), nn.SiLU(), nn.Linear(width, space))

    def forward(self, x: Tensor) -> Tensor:
        vectors: Tensor = self.layers(torch.fft.rfft(x).abs().log1p())
        return vectors


def contrastive_loss(one: Tensor, other: Tensor, digits: Tensor, sharpness: float = 10.0) -> Tensor:
    """Mean surprise, both ways, at the partners of each of the unit vectors (N, D): all that are of the same digit."""
    logits = sharpness * one @ other.T  # (N, N)
    same = (digits[:, None] == digits[None, :]).float()
    wanted = same / same.sum(1, keepdim=True)
    return (functional.cross_entropy(logits, wanted) + functional.cross_entropy(logits.T, wanted)) / 2


def recall_at_one(queries: Tensor, asked: Tensor, found: Tensor, digits: Tensor) -> float:
    """How often the nearest of `found` (M, D) to a query (N, D) is of the digit that was asked for."""
    nearest = (queries @ found.T).argmax(1).cpu()
    return float((digits[nearest] == asked).float().mean())


def encode_captions(texts: list[str]) -> Tensor:
    """The captions' UTF-8 bytes (N, 32) int64, padded with 0. Raises: ConfigError: one is too long."""
    rows = torch.zeros(len(texts), _LETTERS, dtype=torch.int64)
    for row, text in zip(rows, texts, strict=True):
        data = text.casefold().encode()
        if len(data) > _LETTERS:
            raise ConfigError(f"The caption {text!r} has {len(data)} bytes; at most {_LETTERS} are read. Shorten it.")
        row[: len(data)] = torch.tensor(list(data))
    return rows


def _drawn_captions(digits: Tensor, generator: torch.Generator) -> Tensor:
    """A caption (N, 32) of each digit, in any of the three languages."""
    table = _caption_table().to(digits.device)
    drawn = torch.randint(table.shape[1], (len(digits),), generator=generator, device=digits.device)
    return table[digits, drawn]


@cache
def _caption_table() -> Tensor:
    """Every caption of every digit, (10, captions, 32)."""
    return torch.stack([encode_captions(group[1:]) for group in captions(_DIGITS)])


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """The images, each moved by up to a pixel, with a little noise."""
    shift = torch.randint(-1, 2, (2, len(images)), generator=generator, device=images.device).tolist()
    moved = [torch.roll(image, shift, (1, 2)) for image, shift in zip(images, zip(*shift, strict=True), strict=True)]
    stacked = torch.stack(moved)
    return stacked + 0.05 * torch.randn(stacked.shape, generator=generator, device=images.device)


def _numbers(names: list[tuple[str, int]]) -> Tensor:
    return torch.tensor([digit for _, digit in names])


def _image_encoder(width: int, space: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width // 2, 3, padding=1),  # (N, width / 2, 8, 8)
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width // 2, width, 3, padding=1),  # (N, width, 4, 4)
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, space),
    )
