from pathlib import Path

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from generative.language.preference import (
    LENGTH,
    LETTERS,
    Pairs,
    best_of,
    bradley_terry_loss,
    dpo_loss,
    draw,
    gold_reward,
    language,
    log_probability,
    measure,
    pair_accuracy,
    policy_gradient_loss,
    preferred,
    train_dpo,
    train_language,
    train_policy_gradient,
    train_reward,
)
from generative.language.transformer import Transformer, TransformerShape


def seeded(seed: int = 0) -> torch.Generator:
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def fresh() -> Transformer:
    """A model to whom every letter is as likely."""
    torch.manual_seed(0)
    return Transformer(LETTERS + 1, LENGTH + 1, TransformerShape(32, 1, 4, 2))


def test_gold_counts_letters_followed_by_their_next() -> None:
    assert gold_reward(torch.tensor([[12, 0, 1, 2, 5, 6], [12, 3, 3, 2, 1, 0]])).tolist() == [3, 0]


def test_dpo_is_the_paper_written_out() -> None:
    generator = seeded()
    chosen, rejected, before_chosen, before_rejected = (torch.randn(5, generator=generator) for _ in range(4))
    ratio = (chosen.exp() / before_chosen.exp()) ** 0.3 / (rejected.exp() / before_rejected.exp()) ** 0.3
    expected = -(ratio / (1 + ratio)).log().mean()  # σ(log x) = x / (1 + x)
    torch.testing.assert_close(dpo_loss((chosen, rejected), (before_chosen, before_rejected), 0.3), expected)


def small_llama(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=LETTERS + 1, initializer_range=0.5, pad_token_id=0, **shape))


def of_trl(policy: LlamaForCausalLM, reference: LlamaForCausalLM, pairs: Pairs, beta: float, folder: Path) -> Tensor:
    """The loss that trl's trainer descends on: its own reading of the pairs, batch and log-probabilities."""
    words = Tokenizer(WordLevel({str(number): number for number in range(LETTERS + 1)}, unk_token="0"))
    words.pre_tokenizer = WhitespaceSplit()
    named = {"chosen": pairs.better.tolist(), "rejected": pairs.worse.tolist()}
    columns = {name: [" " + " ".join(map(str, text[1:])) for text in texts] for name, texts in named.items()}
    columns["prompt"] = [str(text[0]) for text in pairs.better.tolist()]
    quiet = {"report_to": "none", "save_strategy": "no", "activation_checkpointing": False, "bf16": False}
    trainer = DPOTrainer(
        policy,
        reference,
        DPOConfig(str(folder), beta=beta, use_cpu=True, per_device_train_batch_size=len(pairs.better), **quiet),
        train_dataset=Dataset.from_dict(columns),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=words, pad_token="0", eos_token=str(LETTERS)),
    )
    return trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))


# trl 1.16 still calls what transformers renamed.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
def test_dpo_is_trls(tmp_path: Path) -> None:
    """The same loss and the same gradient, from the weights of two models up to the number."""
    policy, reference = small_llama(0), small_llama(1)
    begun = torch.tensor([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]]), torch.tensor([[3, 2, 2, 3, 6], [2, 9, 9, 0, 1]])
    end = torch.full((2, 1), LETTERS)  # trl's trainer puts one after every text
    better, worse = (torch.cat([text, end], 1) for text in begun)

    def logits(model: LlamaForCausalLM) -> torch.nn.Module:
        return lambda texts: model(texts).logits  # type: ignore[return-value]

    ours, before = (
        tuple(log_probability(logits(model), texts) for texts in (better, worse)) for model in (policy, reference)
    )
    loss = dpo_loss(ours, before, 0.3)
    gradient = torch.autograd.grad(loss, policy.lm_head.weight)[0]
    theirs = of_trl(policy, reference, Pairs(*begun), 0.3, tmp_path)
    torch.testing.assert_close(loss, theirs)
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs, policy.lm_head.weight)[0])


def test_dpo_begins_at_log_two_and_pulls_the_two_apart() -> None:
    better = torch.zeros(3, requires_grad=True)
    worse = torch.zeros(3, requires_grad=True)
    loss = dpo_loss((better, worse), (torch.zeros(3), torch.zeros(3)), 0.5)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.6931, abs=1e-4)
    assert better.grad is not None
    assert worse.grad is not None
    torch.testing.assert_close(better.grad, torch.full((3,), -0.5 / 2 / 3))
    torch.testing.assert_close(worse.grad, -better.grad)


def test_bradley_terry_is_the_chance_that_the_better_wins() -> None:
    better, worse = torch.tensor([2.0]), torch.tensor([0.5])
    chance = better.exp() / (better.exp() + worse.exp())
    torch.testing.assert_close(bradley_terry_loss(better, worse), -chance.log().mean())


def test_policy_gradient_is_the_gradient_of_the_expected_reward() -> None:
    """On one draw of three letters everything can be summed: the estimate's mean is the derivative."""
    logits = torch.tensor([0.2, -0.3, 0.5], requires_grad=True)
    rewards = torch.tensor([1.0, 3.0, 0.0])
    (exact,) = torch.autograd.grad((logits.softmax(0) * rewards).sum(), logits)
    generator = seeded()
    drawn = torch.multinomial(logits.detach().softmax(0), 200_000, replacement=True, generator=generator)
    policy = logits.log_softmax(0)[drawn]
    loss = policy_gradient_loss(policy, policy.detach(), rewards[drawn], beta=0.0)
    (estimate,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(-estimate, exact, atol=0.01, rtol=0)


def test_log_probability_of_a_model_that_knows_nothing() -> None:
    texts = language(3, seeded())
    expected = torch.full((3,), -LENGTH * torch.tensor(LETTERS + 1.0).log())
    torch.testing.assert_close(log_probability(fresh(), texts), expected)


def test_pairs_have_the_higher_gold_reward_first() -> None:
    pairs = preferred(language(200, seeded()), seeded())
    assert len(pairs.better) > 50
    assert bool((gold_reward(pairs.better) > gold_reward(pairs.worse)).all())
    assert pair_accuracy(gold_reward, pairs) == 1


def test_the_best_of_many_is_better_than_one() -> None:
    model, generator = fresh(), seeded()
    one = gold_reward(draw(model, 64, generator)).mean()
    best = gold_reward(best_of(model, gold_reward, 16, 64, generator)).mean()
    assert best > one + 1


def test_a_reward_model_learns_what_is_preferred() -> None:
    generator = seeded()
    pairs = preferred(language(4000, generator), generator)
    reward = train_reward(train_language(100, generator), pairs, 120, generator)
    assert pair_accuracy(reward, preferred(language(1000, generator), generator)) > 0.7


def ascending_pairs() -> Pairs:
    generator = seeded()
    return preferred(language(2000, generator), generator)


@pytest.mark.parametrize("way", ["dpo", "gradient"])
def test_both_ways_raise_the_gold_reward_at_a_cost_in_kl(way: str) -> None:
    reference, generator = fresh(), seeded()
    before = measure(reference, reference, 300, generator)
    if way == "dpo":
        policy = train_dpo(reference, ascending_pairs(), 60, 0.1, generator)
    else:
        policy = train_policy_gradient(reference, gold_reward, 40, 0.1, generator)
    after = measure(policy, reference, 300, generator)
    assert before["kl"] == 0
    assert after["gold"] > before["gold"] + 0.7
    assert after["kl"] > 0.1


def test_a_strong_pull_back_keeps_the_model_where_it_was() -> None:
    reference, generator = fresh(), seeded()
    policy = train_policy_gradient(reference, gold_reward, 40, 50.0, generator)
    free = train_policy_gradient(reference, gold_reward, 40, 0.1, seeded())
    assert measure(policy, reference, 300, generator)["kl"] < measure(free, reference, 300, generator)["kl"] / 2


def test_kl_is_estimated_on_what_the_policy_draws() -> None:
    reference = fresh()
    kl: Tensor = torch.tensor(measure(reference, reference, 8, seeded())["kl"])
    assert kl == 0
