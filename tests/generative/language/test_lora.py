import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from generative.errors import ConfigError
from generative.language.lora import LoraLinear, add_lora, merge_lora
from generative.language.transformer import Transformer, TransformerShape

IDS = torch.randint(0, 20, (2, 8), generator=torch.Generator().manual_seed(0))
LAYERS = ("query", "key_value")


def network() -> Transformer:
    torch.manual_seed(0)
    made = Transformer(20, 8, TransformerShape(32, 2, 4, 2))
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.2)
    return made


def trained(made: nn.Module) -> nn.Module:
    """After a few steps of the adapters alone."""
    learnt = [one for one in made.parameters() if one.requires_grad]
    optimiser = torch.optim.SGD(learnt, lr=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        nn.functional.cross_entropy(made(IDS[:, :-1]).flatten(0, 1), IDS[:, 1:].flatten()).backward()
        optimiser.step()
    return made


def test_at_the_start_nothing_changes() -> None:
    made = network()
    before = made(IDS)
    add_lora(made, rank=4, alpha=8, layers=LAYERS)
    assert torch.equal(made(IDS), before)


def test_only_the_adapters_are_trained() -> None:
    made, plain = network(), network()
    learnt = add_lora(made, rank=4, alpha=8, layers=LAYERS)
    trained(made)
    assert sum(one.numel() for one in learnt) == 2 * (4 * (32 + 32) + 4 * (32 + 32))  # 2 layers of 32 → 32 and 32 → 32
    for name, weight in plain.named_parameters():
        kept = dict(made.named_parameters())
        assert torch.equal(kept.get(name, kept.get(name.replace(".weight", ".base.weight"))), weight)
    assert (made(IDS) - plain(IDS)).abs().max() > 0.1


def test_merged_it_does_the_same() -> None:
    made = network()
    add_lora(made, rank=4, alpha=8, layers=LAYERS)
    before = trained(made)(IDS)
    merge_lora(made)
    assert not any(isinstance(one, LoraLinear) for one in made.modules())
    assert all(one.requires_grad for one in made.parameters())
    torch.testing.assert_close(made(IDS), before, atol=1e-5, rtol=1e-5)


def test_it_is_pefts() -> None:
    ours = network()
    add_lora(ours, rank=4, alpha=8, layers=LAYERS)
    trained(ours)
    theirs = get_peft_model(network(), LoraConfig(r=4, lora_alpha=8, target_modules=list(LAYERS)))
    with torch.no_grad():
        for name, one in ours.named_modules():
            if isinstance(one, LoraLinear):
                layer = theirs.get_submodule(f"base_model.model.{name}")
                layer.lora_A["default"].weight.copy_(one.down)
                layer.lora_B["default"].weight.copy_(one.up)
    torch.testing.assert_close(theirs(IDS), ours(IDS), atol=1e-5, rtol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="Name some of back, head, key_value, out, query, wide"):
        add_lora(network(), rank=4, alpha=8, layers=("q_proj",))
    with pytest.raises(ConfigError, match="Rank 33"):
        add_lora(network(), rank=33, alpha=8, layers=LAYERS)
