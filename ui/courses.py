"""What can be trained in the laboratory, and trainings under way: their curves and what their models make so far."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import torch
from PIL import Image
from torch.utils.data import TensorDataset

from generative import GenerativeError, Progress, Stop, family_class
from generative.errors import DataError
from generative.family import AnyFamily, Split
from generative.language.masked import Masked, open_passages
from generative.language.pairs import Pairs
from generative.language.texts import split_text
from generative.language.transformer import TransformerFamily
from generative.language.translator import Translator
from generative.language.unified import Unified, digit_words
from generative.training import Data
from ui.experiments import DATA, picture, seeded
from ui.jobs import Job
from ui.language_charts import visible_token

Made = Image.Image | str
OWN = "own"
"""The data that somebody brings."""
_POINTS = 60
_IMAGES, _LETTERS, _PAIRS, _GUESSES = 36, 240, 4, 5
# Every point of the curve reads so many held-out examples; a text is longer than an image.
_WATCHED_IMAGES, _WATCHED_TEXTS = 200, 32


@dataclass(frozen=True, slots=True)
class Course:
    """How a family is trained on the page: on which data, how long, with what changes, and what it then makes."""

    family: str
    data: tuple[str, ...]
    make: Callable[[Any, Split], Made]
    steps: int
    """As the slider begins."""
    watched: int = _WATCHED_TEXTS
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the preset, which is meant for more time than somebody who looks on has."""
    open_own: Callable[[str, str], Split] | None = None
    """Makes data of a text that somebody brings, and its name."""

    @property
    def choices(self) -> tuple[str, ...]:
        """The data to choose from."""
        return self.data if self.open_own is None else (*self.data, OWN)


def drawn(family: AnyFamily, _: Split) -> Image.Image:
    """Samples."""
    return picture(family.sample(_IMAGES, generator=seeded(0)), 12)


def drawn_from_words(family: Unified, _: Split) -> Image.Image:
    """Pictures of the ten digits, each continuing its Spanish word, a column a digit."""
    tokens = family.tokeniser
    prompts = [tokens.prompt("text", tokens.encode_text(words[0])) for words in digit_words()]
    return picture(family.draw(prompts * 3, seeded(0)), 10)


def written(family: TransformerFamily, _: Split) -> str:
    """A text out of nothing."""
    ids = family.sample(1, generator=seeded(0), length=_LETTERS)[0]
    return family.characters.decode(ids.tolist()).strip()


def filled_in(family: Masked, _: Split) -> str:
    """A held-out text with its gap, and the likeliest tokens of it."""
    gap = family.config.example
    guesses = (f"{visible_token(token)} {share:.0%}" for token, share in family.fill_in(gap, _GUESSES)[0])
    return f"{gap}\n→ {'   '.join(guesses)}"


def translated(family: Translator, split: Split) -> str:
    """Held-out sources and what becomes of them."""
    assert isinstance(split.test, Pairs)  # noqa: S101
    sources = split.test.sources[:_PAIRS]
    return "\n".join(f"{one}\n→ {other}" for one, other in zip(sources, family.translate(sources), strict=True))


_LONGER = ("autoencoder", "vae", "autoregressive")
_BIBLES = ("reina-valera", "king-james")
_SMALL = {"shape.width": 96, "shape.layers": 3, "shape.heads": 4, "shape.kv_heads": 2}
COURSES: dict[str, Course] = {
    name: Course(name, (data,), drawn, 1500 if name in _LONGER else 400, _WATCHED_IMAGES) for name, data in DATA.items()
} | {
    "transformer": Course("transformer", _BIBLES, written, 800, changes=_SMALL, open_own=split_text),
    "masked": Course("masked", _BIBLES, filled_in, 600, open_own=open_passages),
    "translator": Course("translator", ("numbers-en-es", "numbers-es-pt", "typos-es"), translated, 800),
    "unified": Course("unified", ("digits",), drawn_from_words, 600),
}


class TrainJob(Job):
    """A training under way, with its curve and what it makes so far."""

    def __init__(self, name: str, steps: int, seed: int, data: str | None = None, text: str | None = None) -> None:
        super().__init__()
        self.name = name
        self.course = COURSES[name]
        self.data = data or self.course.data[0]
        self.text = text
        self.steps = steps
        self.seed = seed
        self.progress: Progress | None = None
        self.seconds = 0.0
        self.made: Made | None = None
        self.history: Sequence[dict[str, float]] = ()
        self.problem: GenerativeError | None = None
        self._stop = Event()

    def begin(self) -> None:
        """Starts to train."""
        self.start(self._train)

    def stop(self) -> None:
        """Ends the training after the step that it is at."""
        self._stop.set()

    def _train(self) -> None:
        try:
            split = self._split()
            self._fit(self._untrained(split), split)
        except GenerativeError as error:
            self.problem = error

    def _split(self) -> Split:
        if self.text is not None and self.course.open_own is not None:
            return self.course.open_own(self.text, self.data)
        return family_class(self.course.family).open_data(self.data)

    def _untrained(self, split: Split) -> AnyFamily:
        kind = family_class(self.course.family)
        config = kind.preset("cpu", split.about).changed(dict(self.course.changes))
        every = max(1, self.steps // _POINTS)
        training = replace(config.training, steps=self.steps, seed=self.seed, log_every=every)
        # A short run has no time for a long warm-up, nor for an average over more steps than it has.
        training = replace(training, warmup_steps=min(training.warmup_steps, self.steps // 10), ema_decay=0.98)
        return kind(replace(config, training=training), device="cpu")

    def _fit(self, family: AnyFamily, split: Split) -> None:
        every, began = family.config.training.log_every, time.monotonic()

        def look() -> None:
            self.history = tuple(family.history)
            self.made = self.course.make(family, split)

        def report(progress: Progress) -> None:
            self.progress, self.seconds = progress, time.monotonic() - began
            if progress.step % every == 0:
                self.history = tuple(family.history)
            # The first look, before anything is learned, shows that something is under way.
            if progress.step % (every * 5) == 0 or progress.step == 1:
                look()
            if self._stop.is_set():
                raise Stop

        family.fit(split.train, val=first(split.watched or split.test, self.course.watched), report=report)
        look()


def text_of(content: bytes) -> str:
    """The text of a file that somebody brings. Raises: DataError: it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"The file is not UTF-8 ({error}). Save it as UTF-8.") from error


def first(data: Data, count: int) -> TensorDataset:
    """The first examples of some data."""
    return TensorDataset(*data[torch.arange(min(count, len(data)))])
