"""Trains a LoRA adapter of a causal model on prompts and replies, through peft.

Only the reply's tokens are learnt, and the end of the turn behind them. What LoRA is shows generative.language.lora.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.quiet import quiet_peft
from rag.chat_tokens import ChatTokens
from rag.evaluation.errors import ExtraMissingError
from rag.finetuning.examples import Example


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
) -> Trained:
    """Trains the adapter and writes it to `folder` as safetensors; the model is then no longer as it was.

    Raises:
        ExtraMissingError: peft is not installed.
        ValueError: there are no examples.
    """
    if not examples:
        raise ValueError("there are no examples to learn from. Ask questions that the documents answer")
    require_peft()
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
    adapted.train()
    encoded = [encode(example, tokenizer) for example in examples]
    began = time.monotonic()
    losses = _epochs(adapted, encoded, settings, progress)
    adapted.eval()
    folder.mkdir(parents=True, exist_ok=True)
    adapted.save_pretrained(folder, safe_serialization=True)
    learnt = sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    return Trained(learnt, losses[0], losses[-1], time.monotonic() - began)


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


def _epochs(
    model: Any, encoded: Sequence[tuple[Tensor, int]], settings: AdapterSettings, progress: Callable[[int, int], None]
) -> list[float]:
    """The mean loss of every epoch."""
    learnt = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=settings.learning_rate, weight_decay=0.0)
    batches = [start for _ in range(settings.epochs) for start in range(0, len(encoded), settings.batch)]
    draw, losses, done = random.Random(settings.seed), [], 0  # noqa: S311
    total = settings.epochs * len(encoded)
    order: list[tuple[Tensor, int]] = []
    for step, start in enumerate(batches):
        if start == 0:
            order = draw.sample(list(encoded), len(encoded))
            losses.append(0.0)
        batch = order[start : start + settings.batch]
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _rate(step, len(batches), settings.warmup)
        for ids, count in batch:
            loss = reply_loss(model, ids, count)
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            losses[-1] += float(loss.detach()) / len(encoded)
            done += 1
            progress(done, total)
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return losses


def _rate(step: int, steps: int, warmup: float) -> float:
    """Share of the highest learning rate: up over the warm-up, then down in a line."""
    rising = max(1, round(warmup * steps))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)
