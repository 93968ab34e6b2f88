import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from generative.language.attention import Attention, KeyValueCache, RMSNorm, attend, causal_mask, rotate, rotation


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 7), st.integers(1, 9), st.booleans())
def test_attention_is_torchs(length: int, width: int, causal: bool) -> None:
    queries, keys, values = (random(2, 3, length, width, seed=seed) for seed in range(3))
    mask = causal_mask(length, length, torch.device("cpu")) if causal else None
    gathered, weights = attend(queries, keys, values, mask)
    expected = functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    torch.testing.assert_close(gathered, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, length))


def test_in_half_the_bits_attention_and_its_way_back_are_nearly_the_same() -> None:
    torch.manual_seed(0)
    attention, states = Attention(16, 4, 2), random(2, 5, 16)
    mask = causal_mask(5, 5, torch.device("cpu"))
    found = []
    for enabled in (False, True):
        attention.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            gathered = attention(states, mask=mask)
        gathered.float().square().sum().backward()
        found.append((gathered, attention.key_value.weight.grad.clone()))
    assert found[1][0].dtype == torch.bfloat16
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 0.03 * one.norm()


@pytest.mark.parametrize("start", [0, 5])
def test_rotation_is_that_of_transformers(start: int) -> None:
    config = LlamaConfig(hidden_size=32, num_attention_heads=4, max_position_embeddings=64)
    places = torch.arange(start, start + 7)
    queries, keys = random(2, 4, 7, 8), random(2, 4, 7, 8, seed=1)
    cosines, sines = LlamaRotaryEmbedding(config)(queries, places[None])
    theirs = apply_rotary_pos_emb(queries, keys, cosines, sines)
    ours = [rotate(heads, *rotation(places, 8)) for heads in (queries, keys)]
    torch.testing.assert_close(ours, list(theirs), atol=1e-6, rtol=1e-5)


def test_after_rotation_only_the_distance_counts() -> None:
    one, other = random(8), random(8, seed=1)

    def product(place: int, other_place: int) -> torch.Tensor:
        cosines, sines = rotation(torch.tensor([place, other_place]), 8)
        return rotate(one, cosines[0], sines[0]) @ rotate(other, cosines[1], sines[1])

    torch.testing.assert_close(product(3, 1), product(103, 101), atol=1e-4, rtol=1e-4)
    assert abs(product(3, 1) - product(3, 2)) > 1e-3


def test_norm_is_torchs() -> None:
    ours, theirs = RMSNorm(6), torch.nn.RMSNorm(6)
    with torch.no_grad():
        ours.weight.copy_(random(6))
        theirs.weight.copy_(ours.weight)
    torch.testing.assert_close(ours(random(2, 3, 6)), theirs(random(2, 3, 6)))


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_grouped_heads_are_full_heads_that_share(kv_heads: int) -> None:
    torch.manual_seed(0)
    grouped, full = Attention(16, 4, kv_heads), Attention(16, 4, 4)
    shared = grouped.key_value.weight.unflatten(0, (2, kv_heads, 4)).repeat_interleave(4 // kv_heads, 1)
    with torch.no_grad():
        full.load_state_dict(grouped.state_dict() | {"key_value.weight": shared.flatten(0, 2)})
    states = random(2, 5, 16)
    torch.testing.assert_close(grouped(states), full(states), atol=1e-6, rtol=1e-5)


def test_the_slow_way_with_maps_gathers_the_same() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 4, 2)
    maps: list[torch.Tensor] = []
    mask = causal_mask(5, 5, torch.device("cpu"))
    states = random(2, 5, 16)
    torch.testing.assert_close(attention(states, mask=mask, maps=maps), attention(states, mask=mask), atol=1e-6, rtol=0)
    assert maps[0].shape == (2, 4, 5, 5)
    assert maps[0].triu(1).abs().max() == 0


def test_a_full_cache_is_told() -> None:
    cache = KeyValueCache(torch.zeros(1, 1, 2, 4, 8), torch.zeros(1, 1, 2, 4, 8), length=3)
    assert cache.room == 1
    with pytest.raises(ValueError, match="this cache has 4"):
        cache.extend(0, torch.zeros(1, 2, 2, 8), torch.zeros(1, 2, 2, 8))


@pytest.mark.parametrize(("heads", "kv_heads"), [(3, 1), (4, 3), (16, 1)])
def test_sizes_that_do_not_fit_are_refused(heads: int, kv_heads: int) -> None:
    with pytest.raises(ValueError, match="must divide"):
        Attention(16, heads, kv_heads)
