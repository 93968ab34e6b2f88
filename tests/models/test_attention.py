"""Writing a token with grouped products gives what the library's fused attention gives."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

from models import attention
from models.attention import use_grouped_attention


def causal_lm(groups: int, **settings: Any) -> Any:
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=50,
        hidden_size=48,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=groups,
        **settings,
    )
    return Qwen2ForCausalLM(config).eval()


@torch.inference_mode()
def written(model: Any, rows: int, steps: int = 6) -> torch.Tensor:
    """The logits (steps, rows, V) of tokens written after a prompt."""
    random = torch.Generator().manual_seed(5)
    ids = torch.randint(0, 50, (rows, 9 + steps), generator=random)
    cache = DynamicCache(config=model.config)
    model(input_ids=ids[:, :9], past_key_values=cache, use_cache=True)
    return torch.stack(
        [
            model(input_ids=ids[:, [9 + step]], past_key_values=cache, use_cache=True).logits[:, -1]
            for step in range(steps)
        ]
    )


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_written_tokens_have_the_logits_of_the_fused_attention(groups: int, rows: int) -> None:
    model = causal_lm(groups)
    expected = written(model, rows)
    use_grouped_attention(model)
    assert model.config._attn_implementation == "sdpa_grouped"
    assert_close(written(model, rows), expected, atol=1e-5, rtol=1e-5)


def test_a_sliding_window_is_kept() -> None:
    model = causal_lm(2, use_sliding_window=True, sliding_window=4, max_window_layers=1)
    expected = written(model, 1)
    use_grouped_attention(model)
    assert_close(written(model, 1), expected, atol=1e-5, rtol=1e-5)


def test_only_shared_heads_and_single_queries_leave_the_fused_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    fused = attention.sdpa_attention_forward

    def seen(module: Any, query: torch.Tensor, *rest: Any, **options: Any) -> Any:
        lengths.append(query.shape[2])
        return fused(module, query, *rest, **options)

    monkeypatch.setattr(attention, "sdpa_attention_forward", seen)
    shared, single = causal_lm(2), causal_lm(6)
    use_grouped_attention(shared)
    use_grouped_attention(single)
    written(shared, 1, steps=2)
    assert lengths == [9, 9]
    written(single, 1, steps=2)
    assert lengths[2:] == [9, 9, 1, 1, 1, 1]


def test_another_attention_is_left_as_it_is() -> None:
    model = causal_lm(2, attn_implementation="eager")
    use_grouped_attention(model)
    assert model.config._attn_implementation == "eager"
