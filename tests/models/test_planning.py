"""What models take in memory is reckoned from their sizes, and the plan is the best that fits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConversionError
from models.planning import FEWEST_TOKENS, ModelShape, Room, memory_of, plan_memory, shape_of

QWEN = ModelShape("qwen", 1_543_714_304, 28, 1536, 8960, 256, 32768)
E5 = ModelShape("e5", 117_653_760, 12, 384, 1536, 384, 512)
GB = 2**30
ALL = ("bfloat16", "float32")


def test_the_cache_of_qwen_takes_28_kib_a_token_in_bfloat16() -> None:
    one, two = (memory_of(QWEN, E5, "bfloat16", tokens) for tokens in (1000, 2000))
    assert two.kv_cache - one.kv_cache == 1000 * 28 * 1024
    assert one.weights == 2 * QWEN.parameters
    assert memory_of(QWEN, E5, "float32", 1000).weights == 4 * QWEN.parameters
    assert one.total == sum((one.weights, one.copies, one.kv_cache, one.activations, one.embedder, one.runtime))


def test_answers_at_a_time_take_a_cache_each_and_shorten_the_context() -> None:
    one, eight = (memory_of(QWEN, E5, "bfloat16", 2000, together=n).kv_cache for n in (1, 8))
    assert eight >= 8 * one
    rooms = [Room("cuda:0", memory_of(QWEN, E5, "bfloat16", 4096).total, ALL)]
    plans = [plan_memory(QWEN, E5, rooms, context_tokens=4096, together=n) for n in (1, 8)]
    assert plans[0].context_tokens == 4096 > plans[1].context_tokens


def test_the_buffers_of_a_compiled_step_shorten_the_context_on_a_gpu_alone() -> None:
    plain, compiled = (memory_of(QWEN, E5, "bfloat16", 2000, compiled=step).kv_cache for step in (False, True))
    assert compiled == 3 * plain
    rooms = [Room(device, memory_of(QWEN, E5, "bfloat16", 4096).total, ALL) for device in ("cuda:0", "cpu")]
    gpu, cpu = (plan_memory(QWEN, E5, [room], context_tokens=4096, compiled=True).context_tokens for room in rooms)
    assert gpu < cpu == 4096


def test_without_a_generator_only_the_embedder_counts() -> None:
    memory = memory_of(None, E5, "float32", 4096, quantised=True)
    assert memory.total == memory.embedder + memory.runtime
    assert memory.embedder > 4 * E5.parameters


@given(
    st.integers(0, 30 * GB), st.integers(0, 30 * GB), st.integers(FEWEST_TOKENS, 40_000), st.booleans(),
    st.sampled_from([ALL, ALL[::-1], ("float16",)]),
)  # fmt: skip
def test_what_is_planned_fits_and_nothing_better_does(
    gpu: int, cpu: int, context: int, quantised: bool, dtypes: tuple[str, ...]
) -> None:
    rooms = [Room("cuda:0", gpu, dtypes), Room("cpu", cpu, ALL)]
    plan = plan_memory(QWEN, E5, rooms, context_tokens=context, quantised=quantised)
    longest = min(context, QWEN.context_tokens)
    least = memory_of(QWEN, E5, "bfloat16", plan.context_tokens).total
    if not plan.fits:
        assert plan.context_tokens < 2 * FEWEST_TOKENS
        assert least > max(gpu, cpu)
        return
    assert plan.memory.total <= (gpu if plan.device == "cuda:0" else cpu)
    assert plan.context_tokens <= longest
    assert not (plan.quantised and plan.device != "cpu")
    if plan.context_tokens < longest:
        assert memory_of(QWEN, E5, "bfloat16", 2 * plan.context_tokens).total > max(gpu, cpu)
    if plan.device == "cpu" and not quantised:
        assert least > gpu


@pytest.mark.parametrize(
    ("free", "dtypes", "expected", "reason"),
    [
        (20 * GB, ("float32", "bfloat16"), ("float32", 4096, True), "everything fits"),
        (5 * GB, ALL, ("bfloat16", 4096, False), "no room for quantised copies"),
        (8 * GB, ("float32", "bfloat16"), ("bfloat16", 4096, True), "float32 does not fit"),
        (2 * GB, ALL, ("bfloat16", 1024, False), "not even the shortest context"),
    ],
)
def test_the_reason_says_what_had_to_go(
    free: int, dtypes: tuple[str, ...], expected: tuple[str, int, bool], reason: str
) -> None:
    plan = plan_memory(QWEN, E5, [Room("cpu", free, dtypes)], context_tokens=4096, quantised=True)
    assert reason in plan.reason
    assert (plan.dtype, plan.context_tokens, plan.quantised) == expected


def test_a_device_that_does_not_tell_its_memory_is_taken_with_nothing_promised() -> None:
    plan = plan_memory(QWEN, E5, [Room("mps", None, ("float16",))], context_tokens=4096)
    assert (plan.device, plan.fits) == ("mps", None)


def _write(folder: Path, config: dict[str, Any]) -> None:
    import torch
    from safetensors.torch import save_file

    (folder / "config.json").write_text(json.dumps(config))
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7)}, folder / "model-1.safetensors")
    save_file({"c": torch.zeros(2)}, folder / "model-2.safetensors")


CONFIG = {
    "hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
    "intermediate_size": 16, "max_position_embeddings": 64,
}  # fmt: skip


def test_sizes_are_read_from_the_configuration_and_the_headers_of_the_weights(tmp_path: Path) -> None:
    _write(tmp_path, CONFIG)
    found = shape_of(tmp_path, "tiny")
    assert found == ModelShape("tiny", 24, 3, 8, 16, 4, 64)
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {**CONFIG, "head_dim": 5}}))
    assert shape_of(tmp_path, "tiny") == replace(found, kv_width=10)


@pytest.mark.parametrize("broken", ["config.json", "model-1.safetensors"])
def test_a_folder_that_does_not_tell_its_sizes_is_an_error(tmp_path: Path, broken: str) -> None:
    _write(tmp_path, CONFIG)
    (tmp_path / broken).write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x00{}")
    with pytest.raises(ConversionError, match="sizes cannot be read"):
        shape_of(tmp_path, "tiny")
