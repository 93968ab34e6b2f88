"""Trains a LoRA adapter of a causal model on prompts and replies, through peft.

Only the reply's tokens are learnt, and the end of the turn behind them. What LoRA is shows generative.language.lora.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.quiet import quiet_peft
from rag.chat_tokens import ChatTokens
from rag.evaluation.errors import ExtraMissingError
from rag.finetuning.examples import Example
from rag.finetuning.kept import KeptTraining, about_training

KEPT_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """How the adapter is trained. `batch` examples make one step; they are run one after the other."""

    rank: int = 16
    learning_rate: float = 2e-4
    epochs: int = 2
    batch: int = 8
    dropout: float = 0.05
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises; afterwards it falls to 0."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.rank, self.epochs, self.batch) < 1 or self.learning_rate <= 0:
            raise ValueError("rank, epochs and batch must be 1 or more, learning_rate above 0")


@dataclass(frozen=True, slots=True)
class Trained:
    """What the training was: numbers that were learnt, mean nats per token of the first and the last epoch, seconds."""

    parameters: int
    first_loss: float
    last_loss: float
    seconds: float


def require_peft() -> None:
    """Raises: ExtraMissingError: peft is not installed."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ExtraMissingError("fuente finetune", "peft", "finetune") from error


def train_adapter(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    settings: AdapterSettings,
    folder: Path,
    *,
    progress: Callable[[int, int], None],
    name: str = "",
) -> Trained:
    """Trains the adapter and writes it to `folder` as safetensors; the model is then no longer as it was.

    Every minute the state is written there too, and the same call goes on from it; a training that is done is not
    repeated. `name` is the model's: with another one, other examples or settings the folder is refused.

    Raises:
        ExtraMissingError: peft is not installed.
        ValueError: there are no examples, or the folder holds another training.
    """
    if not examples:
        raise ValueError("there are no examples to learn from. Ask questions that the documents answer")
    require_peft()
    kept = KeptTraining(folder, about_training(examples, settings, name))
    if (done := kept.finished()) is not None:
        return Trained(**done)
    adapted = _adapted(model, settings)
    run = _Run(adapted, [encode(example, tokenizer) for example in examples], settings, kept)
    began = time.monotonic()
    losses = run.train(progress)
    adapted.eval()
    folder.mkdir(parents=True, exist_ok=True)
    adapted.save_pretrained(folder, safe_serialization=True)
    parameters = sum(one.numel() for one in run.learnt.values())
    trained = Trained(parameters, losses[0], losses[-1], time.monotonic() - began)
    kept.finish(asdict(trained))
    return trained


def _adapted(model: Any, settings: AdapterSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(settings.seed)
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=2 * settings.rank,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with quiet_peft():
        adapted: Any = get_peft_model(model, lora)
    return adapted.train()


def encode(example: Example, tokenizer: Any) -> tuple[Tensor, int]:
    """The ids (T,) of prompt, reply and end of turn, and how many at the end are to be learnt."""
    tokens = ChatTokens(tokenizer)
    reply = [*tokens.plain(example.reply), tokenizer.eos_token_id]
    return torch.tensor(tokens.prompt(example.messages) + reply), len(reply)


def reply_loss(model: Any, ids: Tensor, learnt: int) -> Tensor:
    """Mean nats per token of the last `learnt` of the ids (T,)."""
    ids = ids.to(model.device)
    logits = model(input_ids=ids[None], logits_to_keep=learnt + 1).logits[0, :-1]  # (learnt, V)
    return functional.cross_entropy(logits.float(), ids[-learnt:])


class _Run:
    """The steps of one training. What a step draws follows from the seed and its number, so it can be gone on with."""

    def __init__(
        self, model: Any, encoded: Sequence[tuple[Tensor, int]], settings: AdapterSettings, kept: KeptTraining
    ) -> None:
        self.model, self.encoded, self.settings, self.kept = model, encoded, settings, kept
        self.learnt = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self.optimiser = torch.optim.AdamW(self.learnt.values(), lr=settings.learning_rate, weight_decay=0.0)

    def train(self, progress: Callable[[int, int], None]) -> list[float]:
        """The mean loss of every epoch."""
        count, size = len(self.encoded), self.settings.batch
        a_epoch = -(-count // size)
        steps = self.settings.epochs * a_epoch
        made, losses = self.kept.restore(self.learnt, self.optimiser)
        written = time.monotonic()
        for step in range(made, steps):
            epoch, place = divmod(step, a_epoch)
            if place == 0:
                losses.append(0.0)
            order = random.Random(f"{self.settings.seed}:{epoch}").sample(range(count), count)  # noqa: S311
            batch = [self.encoded[number] for number in order[place * size : (place + 1) * size]]
            losses[-1] += self._step(step, steps, batch) / count
            done = epoch * count + min((place + 1) * size, count)
            progress(done, self.settings.epochs * count)
            if time.monotonic() - written > KEPT_EVERY_S:
                self.kept.write(step + 1, losses, self.learnt, self.optimiser)
                written = time.monotonic()
        return losses

    def _step(self, step: int, steps: int, batch: Sequence[tuple[Tensor, int]]) -> float:
        """One step down the gradient; the sum of the losses of its examples."""
        torch.manual_seed(self.settings.seed + 1_000_003 * step)  # dropout draws from it
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * _rate(step, steps, self.settings.warmup)
        total = 0.0
        for ids, count in batch:
            loss = reply_loss(self.model, ids, count)
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.learnt.values(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return total


def _rate(step: int, steps: int, warmup: float) -> float:
    """Share of the highest learning rate: up over the warm-up, then down in a line."""
    rising = max(1, round(warmup * steps))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)
