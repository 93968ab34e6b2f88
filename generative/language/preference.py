"""Learning from what is preferred: a reward model, DPO and policy gradient, on a toy whose true reward is known.

The model writes short rows of letters. What a person would prefer is stood in for by a rule, the gold reward, that
no model is shown: how often a letter is followed by the next of the alphabet. From pairs "this rather than that" a
reward model learns the rule, and two ways make a model write what is preferred without leaving its language:

- DPO, straight from the pairs;
- policy gradient, by drawing rows and making those likelier that the reward model scores above the mean.

Both are paid for in KL, how far the model moved from where it began; a reward without it says little.

Source: Christiano et al. 2017, "Deep reinforcement learning from human preferences", equation 1 (Bradley–Terry);
Rafailov et al. 2023, "Direct preference optimization", equation 7; Williams 1992, "Simple statistical
gradient-following algorithms", with the KL penalty of Ziegler et al. 2019.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from generative.language.sampling import Sampling, generate
from generative.language.transformer import Transformer, TransformerShape

LETTERS = 12
LENGTH = 16
_SHAPE = TransformerShape(32, 2, 4, 2)
Reward = Callable[[Tensor], Tensor]


def gold_reward(texts: Tensor) -> Tensor:
    """How many letters (N,) of the rows (N, T) are followed by the next of the alphabet; what is to be found out."""
    return (texts[:, 1:] == texts[:, :-1] + 1).sum(1).float()


def log_probability(model: nn.Module, texts: Tensor) -> Tensor:
    """Log-probability in nats (N,) of the tokens of the texts (N, T) after their first."""
    logits = model(texts[:, :-1])
    return -functional.cross_entropy(logits.transpose(1, 2), texts[:, 1:], reduction="none").sum(1)


def bradley_terry_loss(better: Tensor, worse: Tensor) -> Tensor:
    """−log σ(r_better − r_worse), the mean over pairs (N,) of rewards."""
    return -functional.logsigmoid(better - worse).mean()


def dpo_loss(policy: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], beta: float) -> Tensor:
    """−log σ(β ((log π − log π₀)(better) − (log π − log π₀)(worse))), the mean over pairs.

    Each of `policy` and `reference` are the log-probabilities (N,) of the better and of the worse text.
    """
    return -functional.logsigmoid(beta * ((policy[0] - reference[0]) - (policy[1] - reference[1]))).mean()


def policy_gradient_loss(policy: Tensor, reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Minus the log-probabilities (N,) of drawn texts, weighted by how far each reward less its KL is above the mean.

    `policy` carries the gradient; `reference` are the log-probabilities before training, `rewards` (N,) as given.
    """
    worth = rewards - beta * (policy.detach() - reference)
    return -((worth - worth.mean()) * policy).mean()


class RewardModel(nn.Module):
    """A language model that gives a text (N, T) one number (N,) instead, the sum over its tokens.

    Beginning with the language model's weights (a copy), it need not find out anew what the pairs are made of.
    """

    def __init__(self, language_model: Transformer) -> None:
        super().__init__()
        self.body, self.value = copy.deepcopy(language_model), nn.Linear(language_model.shape.width, 1)

    def forward(self, texts: Tensor) -> Tensor:
        rewards: Tensor = self.value(self.body.hidden(texts)).sum((1, 2))
        return rewards


@dataclass(frozen=True, slots=True)
class Pairs:
    """Texts of which the first were preferred to the second, (N, T) each."""

    better: Tensor
    worse: Tensor

    def batch(self, size: int, generator: torch.Generator) -> "Pairs":
        rows = torch.randint(len(self.better), (size,), generator=generator)
        return Pairs(self.better[rows], self.worse[rows])


def draw(model: nn.Module, n: int, generator: torch.Generator) -> Tensor:
    """Rows (n, 1 + LENGTH) that the model writes; each begins with the token that means so."""
    prompt = torch.full((n, 1), LETTERS)
    return generate(model, prompt, LENGTH, Sampling(), generator)  # type: ignore[arg-type]


def preferred(texts: Tensor, generator: torch.Generator) -> Pairs:
    """Pairs of neighbours of the texts, the one with the higher gold reward first; equals are left out."""
    texts = texts[torch.randperm(len(texts), generator=generator)]
    one, other = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    first, second = gold_reward(one), gold_reward(other)
    keep, swap = first != second, (first < second)[:, None]
    return Pairs(torch.where(swap, other, one)[keep], torch.where(swap, one, other)[keep])


def best_of(model: nn.Module, reward: Reward, candidates: int, n: int, generator: torch.Generator) -> Tensor:
    """`n` rows, each the one of so many drawn that the reward prefers."""
    texts = draw(model, n * candidates, generator)
    with torch.no_grad():
        chosen = reward(texts).view(n, candidates).argmax(1)
    return texts.view(n, candidates, -1)[torch.arange(n), chosen]


def train_language(steps: int, generator: torch.Generator) -> Transformer:
    """A model of a language in which a letter is followed by its next one in three of ten cases, else by any."""
    model = Transformer(LETTERS + 1, LENGTH + 1, _SHAPE)

    def loss() -> Tensor:
        return -log_probability(model, language(64, generator)).mean() / LENGTH

    _descend(model, loss, steps, lr=3e-3)
    return model


def language(n: int, generator: torch.Generator) -> Tensor:
    """Rows (n, 1 + LENGTH) of the language."""
    texts = torch.full((n, LENGTH + 1), LETTERS)
    for place in range(1, LENGTH + 1):
        anything = torch.randint(LETTERS, (n,), generator=generator)
        goes_on = (torch.rand(n, generator=generator) < 0.3) & (texts[:, place - 1] < LETTERS - 1)
        texts[:, place] = torch.where(goes_on, texts[:, place - 1] + 1, anything)
    return texts


def train_reward(reference: Transformer, pairs: Pairs, steps: int, generator: torch.Generator) -> RewardModel:
    """A reward model of the pairs."""
    model = RewardModel(reference)

    def loss() -> Tensor:
        batch = pairs.batch(64, generator)
        return bradley_terry_loss(model(batch.better), model(batch.worse))

    _descend(model, loss, steps, lr=1e-2)
    return model


def train_dpo(reference: Transformer, pairs: Pairs, steps: int, beta: float, generator: torch.Generator) -> Transformer:
    """A copy of the reference that was moved towards the preferred texts."""
    policy = copy.deepcopy(reference)

    def loss() -> Tensor:
        batch = pairs.batch(64, generator)
        with torch.no_grad():
            before = log_probability(reference, batch.better), log_probability(reference, batch.worse)
        return dpo_loss((log_probability(policy, batch.better), log_probability(policy, batch.worse)), before, beta)

    _descend(policy, loss, steps, lr=3e-3)
    return policy


def train_policy_gradient(
    reference: Transformer, reward: Reward, steps: int, beta: float, generator: torch.Generator
) -> Transformer:
    """A copy of the reference that was moved towards texts of a higher reward."""
    policy = copy.deepcopy(reference)

    def loss() -> Tensor:
        texts = draw(policy, 64, generator)
        with torch.no_grad():
            rewards, before = reward(texts), log_probability(reference, texts)
        return policy_gradient_loss(log_probability(policy, texts), before, rewards, beta)

    _descend(policy, loss, steps, lr=3e-3)
    return policy


@torch.no_grad()
def measure(policy: nn.Module, reference: nn.Module, n: int, generator: torch.Generator) -> dict[str, float]:
    """The mean gold reward of drawn texts, and KL(policy ‖ reference) in nats a text, estimated on them."""
    texts = draw(policy, n, generator)
    kl = (log_probability(policy, texts) - log_probability(reference, texts)).mean()
    return {"gold": float(gold_reward(texts).mean()), "kl": float(kl)}


def pair_accuracy(reward: Reward, pairs: Pairs) -> float:
    """The share of pairs whose preferred text has the higher reward."""
    with torch.no_grad():
        return float((reward(pairs.better) > reward(pairs.worse)).float().mean())


def _descend(model: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * (1 - step / steps)
        optimiser.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


def main() -> None:
    """Prints what each way reaches: python -m generative.language.preference"""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    reference = train_language(arguments.steps, generator)
    print("reference      ", measure(reference, reference, 2000, generator))
    pairs, held_out = (preferred(draw(reference, 8000, generator), generator) for _ in range(2))
    reward = train_reward(reference, pairs, 2 * arguments.steps, generator)
    print("reward model   ", {"pair_accuracy": pair_accuracy(reward, held_out)})
    for candidates in (4, 16):
        chosen = best_of(reference, reward, candidates, 500, generator)
        print(f"best of {candidates:<7}", {"gold": float(gold_reward(chosen).mean())})
    for beta in (0.5, 0.1):
        policy = train_dpo(reference, pairs, arguments.steps, beta, generator)
        print(f"DPO β {beta:<9}", measure(policy, reference, 2000, generator))
    for beta in (1.0, 0.3):
        policy = train_policy_gradient(reference, reward, arguments.steps // 3, beta, generator)
        print(f"gradient β {beta:<4}", measure(policy, reference, 2000, generator))


if __name__ == "__main__":
    main()
