"""Weights in 4 and 8 bits, the layer that picks between them and the whole ones, and their copies in the cache."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from models import quantised
from models.devices import HardwareReport, hardware_report
from models.errors import DiskSpaceError
from models.progress import Progress
from models.quantise import Int4, Int8, int4, int8, quantise, unpacked
from models.quantised import QuantisedLinear, add_quantised, reason_against
from models.resolve import ResolvedModel

HUB = ResolvedModel("org/model", "org/model", "hub")


def even_levels(rows: int, columns: int, levels: int = 16) -> torch.Tensor:
    """Weights (rows, columns) bfloat16 that were dequantised from 4 bits by blocks of 32."""
    random = torch.Generator().manual_seed(0)
    codes = torch.randint(0, levels, (rows * columns // 32, 32), generator=random)
    codes[:, 0], codes[:, 1] = 0, levels - 1
    scale = torch.rand(len(codes), 1, generator=random) * 0.01 + 0.001
    return ((codes - 7) * scale).reshape(rows, columns).bfloat16()


def dense(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(1)).bfloat16()


@pytest.mark.parametrize("levels", [14, 15, 16])
def test_weights_published_in_four_bits_are_found_again(levels: int) -> None:
    weight = even_levels(64, 128, levels)
    found = quantise(weight)
    assert isinstance(found, Int4)
    blocks = unpacked(found.codes).float().reshape(64, -1, 32) * found.scales[..., None] + found.minima[..., None]
    assert_close(blocks.reshape(64, 128), weight.float(), rtol=0.0, atol=2.0**-7.5 * float(weight.abs().max()))


def test_other_weights_are_kept_in_eight_bits() -> None:
    weight = dense(64, 128)
    found = quantise(weight)
    assert isinstance(found, Int8)
    error = (found.codes.float() * found.scales[:, None] - weight.float()).abs()
    assert bool((error <= found.scales[:, None] * 0.501).all())


def test_a_row_of_zeros_stays_zero() -> None:
    assert not int8(torch.zeros(2, 32)).codes.any()
    assert not int4(torch.zeros(2, 32)).minima.any()


@pytest.mark.parametrize("copy", [int4, int8])
@pytest.mark.parametrize("rows", [1, 4, 5])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_few_rows_and_many_agree_with_the_layer(copy: type, rows: int, dtype: torch.dtype) -> None:
    linear = torch.nn.Linear(128, 64, dtype=dtype)
    linear.weight.data = even_levels(64, 128).to(dtype)
    x = dense(rows, 128).to(dtype)
    with torch.inference_mode():
        wanted, found = linear(x), QuantisedLinear(linear, copy(linear.weight.detach()))(x)
    assert found.shape == wanted.shape
    assert_close(found.float(), wanted.float(), rtol=0.0, atol=0.03 * float(wanted.float().abs().max()))
    if rows > 4:
        assert torch.equal(found, wanted)


def tiny_model(seed: int = 0) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    return Qwen2ForCausalLM(config).to(torch.bfloat16).eval()  # type: ignore[arg-type]


def copies(model: Any) -> dict[str, torch.Tensor]:
    return {name: part.codes for name, part in model.named_modules() if isinstance(part, QuantisedLinear)}


def folders(cache_dir: Path) -> list[Path]:
    return sorted(path for path in (cache_dir / "models").iterdir() if path.is_dir())


def test_copies_are_made_once_and_told_of(tmp_path: Path) -> None:
    first, second = tiny_model(), tiny_model()
    events: list[Progress] = []
    add_quantised(first, HUB, tmp_path, events.append)
    converted = [event for event in events if event.stage == "convert"]
    assert [event.done for event in converted] == sorted(event.done for event in converted)
    assert (converted[0].done, converted[-1].done) == (0, converted[-1].total)
    events.clear()
    add_quantised(second, HUB, tmp_path, events.append)
    assert events == []
    assert len(copies(first)) == 8  # seven of the layer and the output
    for name, codes in copies(first).items():
        assert torch.equal(codes, copies(second)[name])


def test_other_weights_of_the_same_name_get_copies_of_their_own(tmp_path: Path) -> None:
    first, second = tiny_model(0), tiny_model(1)
    add_quantised(first, HUB, tmp_path)
    add_quantised(second, HUB, tmp_path)
    assert len(folders(tmp_path)) == 2
    ids = torch.tensor([[3]])
    with torch.inference_mode():
        wanted, found = tiny_model(1)(ids).logits, second(ids).logits
        assert_close(found, wanted, rtol=0.0, atol=0.03 * float(wanted.abs().max()))
        assert not torch.equal(found, first(ids).logits)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_copies_are_made_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    sound = tiny_model()
    add_quantised(sound, HUB, tmp_path)
    file = folders(tmp_path)[0] / "quantised.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()
    if damage != "gone":
        file.write_bytes(content if damage == "flipped" else content[:-1])
    mended = tiny_model()
    with caplog.at_level(logging.WARNING):
        add_quantised(mended, HUB, tmp_path)
    assert ("made again" in caplog.text) == (damage == "flipped")
    for name, codes in copies(sound).items():
        assert torch.equal(codes, copies(mended)[name])


def test_an_interrupted_copy_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(event: Progress) -> None:
        if event.done:
            raise KeyboardInterrupt

    model = tiny_model()
    with pytest.raises(KeyboardInterrupt):
        add_quantised(model, HUB, tmp_path, interrupt)
    assert folders(tmp_path) == []
    assert copies(model) == {}


def test_a_full_disk_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = quantised.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(quantised.shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(DiskSpaceError, match="GB free"):
        add_quantised(tiny_model(), HUB, tmp_path)


def test_memory_must_hold_the_weights_and_their_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    weights = sum(parameter.nbytes for parameter in model.parameters())

    def reason(available: int | None) -> str | None:
        report: HardwareReport = dataclasses.replace(hardware_report(), available_bytes=available)
        monkeypatch.setattr(quantised, "hardware_report", lambda: report)
        return reason_against(model)

    assert reason(10 * weights) is None
    assert "of memory are free" in str(reason(weights))
    assert "does not tell" in str(reason(None))
    assert "on meta" in str(reason_against(model.to("meta")))
