"""What all language families share: a text is scored token by token, and continued by drawing the next one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional

from generative.errors import ConfigError
from generative.family import Family, FamilyConfig, Split
from generative.language.characters import Characters
from generative.language.ngram import KneserNey, longest_order
from generative.language.sampling import Sampling, TokenModel, generate
from generative.language.texts import CONTEXT, Windows, open_text
from generative.training import Batch, Logs

_SAMPLED_TOKENS = 400
_COUNTED = 7  # of the orders 3 to 8 the best on the Reina-Valera


@dataclass(frozen=True, slots=True)
class LanguageConfig(FamilyConfig):
    """A language model over characters."""

    alphabet: str = "\n "
    context: int = CONTEXT
    """Characters of one example; a transformer looks no further back."""

    def __post_init__(self) -> None:
        if self.alphabet != "".join(sorted(set(self.alphabet))) or not self.alphabet or self.context < 2:
            raise ValueError("alphabet must be different characters in order, context 2 or more")


C = TypeVar("C", bound=LanguageConfig)


class LanguageFamily(Family[C]):
    """A network that reads token numbers (B, T) and gives logits (B, T, size) of what comes next."""

    score_unit: ClassVar[str] = "nats per character (exact)"
    sampling = Sampling(temperature=0.8)
    """How `sample` draws; set another on the instance."""

    @property
    def characters(self) -> Characters:
        return Characters(self.config.alphabet)

    @property
    def model(self) -> TokenModel:
        """The network, as the sampler knows it."""
        return cast(TokenModel, self.network)

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Logs]:  # noqa: ARG002
        """The mean surprise in nats at every next token of the texts (B, T + 1)."""
        return functional.cross_entropy(*self._predictions(batch[0])), {}

    def score(self, x: Tensor) -> Tensor:
        """Nats per token (N,) of texts (N, T + 1), after the first of each."""
        with self.evaluating():
            surprise = functional.cross_entropy(*self._predictions(x.to(self.device)), reduction="none")
        return surprise.view(len(x), -1).mean(1)

    def sample(
        self,
        n: int,
        *,
        condition: Any = None,
        generator: torch.Generator | None = None,
        length: int = _SAMPLED_TOKENS,
    ) -> Tensor:
        """`n` texts (n, T) of token numbers; `condition` is the beginning, a string, by default a new line."""
        prompt = self.characters.encode(condition or "\n").to(self.device).repeat(n, 1)
        with self.evaluating():
            return generate(self.model, prompt, length, self.sampling, self.generator(generator))

    def parse_condition(self, text: str) -> str:
        """What the samples begin with."""
        return text

    def write_samples(self, samples: Tensor, folder: Path) -> list[Path]:
        """Writes the texts to one file."""
        path = folder / "samples.txt"
        texts = (self.characters.decode(row).strip() for row in samples.tolist())
        path.write_text("\n\n---\n\n".join(texts) + "\n", encoding="utf-8")
        return [path]

    @classmethod
    def open_data(cls, name: str, *, seed: int = 0) -> Split:  # noqa: ARG003
        """The text of that name (reina-valera, king-james) or of a .txt file."""
        return open_text(name)

    def evaluate(self, data: Split, *, seed: int = 0) -> dict[str, float]:  # noqa: ARG002
        """Nats per character of the whole held-out text, every character after at least half a context.

        Beside it what counting gives: n-grams of up to seven characters, counted on what was trained on.
        """
        train, test = data.train, data.test
        if not isinstance(train, Windows) or not isinstance(test, Windows):
            raise ConfigError(f"{data.name} is no text.")
        size = self.characters.size
        counted = KneserNey.fit(train.ids.numpy(), size=size, order=min(_COUNTED, longest_order(size)))
        baseline = -float(counted.log_probabilities(test.ids.numpy()).mean())
        return {"nats_per_character": self.surprise(test.ids), "ngram_nats_per_character": baseline}

    def surprise(self, ids: Tensor, batch_size: int = 64) -> float:
        """Mean nats per token of one text (N,), read in windows that overlap by half."""
        step = self.config.context // 2
        starts = torch.arange(0, len(ids) - 2 * step, step)
        windows = ids[starts[:, None] + torch.arange(2 * step + 1)]
        total, count = 0.0, 0
        with self.evaluating():
            for number, batch in enumerate(torch.split(windows, batch_size)):
                logits, wanted = self._predictions(batch.to(self.device))
                surprise = functional.cross_entropy(logits, wanted, reduction="none").view(len(batch), -1)
                scored = surprise[:, step:]  # the first half was scored by the window before
                total, count = total + float(scored.double().sum()), count + scored.numel()
                if number == 0:
                    total, count = total + float(surprise[0, :step].double().sum()), count + step
        return total / count

    @classmethod
    def alphabet_of(cls, about: Mapping[str, Any]) -> str:
        """The alphabet of the data that a preset is for. Raises: ConfigError."""
        alphabet = about.get("alphabet")
        if not isinstance(alphabet, str):
            raise ConfigError(f"{cls.name} learns from texts. Use --data reina-valera or a .txt file.")
        return alphabet

    def _predictions(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B·T, size) and the tokens (B·T,) that came."""
        logits: Tensor = self.network(texts[:, :-1])
        return logits.flatten(0, 1), texts[:, 1:].flatten()
