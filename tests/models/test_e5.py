"""The 4-bit file is read exactly, and anything malformed is refused."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from models.e5 import convert_e5, read_e5
from models.errors import ConversionError
from tests.models.conftest import HIDDEN, POSITIONS, VOCABULARY, e5_bytes, e5_tensors


def test_dequantised_values_are_exact(e5_file: Path) -> None:
    shape, tensors = read_e5(e5_file)
    stored = e5_tensors()

    assert (shape.hidden, shape.vocabulary, shape.positions) == (HIDDEN, VOCABULARY, POSITIONS)
    assert shape.layer_norm_eps == 1e-12
    assert tensors["embeddings.word_embeddings.weight"].shape == (VOCABULARY, HIDDEN)
    named = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "l0.q.w": "encoder.layer.0.attention.self.query.weight",
        "l0.fo.w": "encoder.layer.0.output.dense.weight",
        "l0.oln.b": "encoder.layer.0.output.LayerNorm.bias",
    }
    for source, target in named.items():
        expected = np.array(stored[source][2], dtype=np.float32)
        np.testing.assert_array_equal(tensors[target].reshape(-1), expected)


def test_the_file_cut_anywhere_is_refused(e5_file: Path, tmp_path: Path) -> None:
    whole = e5_file.read_bytes()
    cut = tmp_path / "cut.bin"
    for size in (0, 3, 20, 50, 75, 90, 150, 400, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(ConversionError) as raised:
            read_e5(cut)
        assert raised.value.path == cut


def field(offset: int, layout: str, value: float) -> tuple[int, bytes]:
    return offset, struct.pack(layout, value)


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ((0, b"GGUF"), "magic"),
        (field(4, "<I", 2), "version"),
        (field(8, "<i", -32), "out of range"),
        (field(12, "<i", 2_000_000_000), "out of range"),
        (field(16, "<i", 3), "do not fit"),
        (field(24, "<i", VOCABULARY + 1), "where the sizes ask for"),
        (field(36, "<f", float("nan")), "do not fit"),
        (field(40, "<i", 64), "blocks of 64"),
        (field(44, "<i", -1), "count of -1"),
        (field(64, "<Q", 1 << 63), "does not fit the file"),
    ],
)
def test_a_wrong_header_is_refused(e5_file: Path, patch: tuple[int, bytes], reason: str) -> None:
    offset, value = patch
    content = bytearray(e5_file.read_bytes())
    content[offset : offset + len(value)] = value
    e5_file.write_bytes(content)
    with pytest.raises(ConversionError, match=reason):
        read_e5(e5_file)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = e5_tensors()
    del tensors["l0.ao.w"]
    path = tmp_path / "e5.bin"
    path.write_bytes(e5_bytes(tensors))
    with pytest.raises(ConversionError, match=r"1 tensors are missing, the first is 'l0\.ao\.w'"):
        read_e5(path)


def test_a_tensor_of_another_type_is_refused(tmp_path: Path) -> None:
    tensors = e5_tensors()
    elements, stored, values = tensors["l0.q.w"]
    tensors["l0.q.w"] = (elements, stored + b"\0\0", values)
    path = tmp_path / "e5.bin"
    path.write_bytes(e5_bytes(tensors))
    with pytest.raises(ConversionError, match="neither float32 nor Q4_0"):
        read_e5(path)


def test_infinite_scales_are_refused(tmp_path: Path) -> None:
    tensors = e5_tensors()
    elements, stored, values = tensors["l0.q.w"]
    tensors["l0.q.w"] = (elements, struct.pack("<e", float("inf")) + stored[2:], values)
    path = tmp_path / "e5.bin"
    path.write_bytes(e5_bytes(tensors))
    with pytest.raises(ConversionError, match="not finite"):
        read_e5(path)


def test_a_weight_that_float16_cannot_hold_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    tensors = e5_tensors()
    elements, stored, values = tensors["emb.ln.w"]
    tensors["emb.ln.w"] = (elements, struct.pack("<f", 1e6) + stored[4:], values)
    path = tmp_path / "e5.bin"
    path.write_bytes(e5_bytes(tensors))
    with pytest.raises(ConversionError, match="holds a weight beyond 65504"):
        convert_e5(path, tokenizer_file, tmp_path / "folder")


def test_the_folder_holds_no_prompts_and_keeps_the_limits(e5_file: Path, tokenizer_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    convert_e5(e5_file, tokenizer_file, folder)
    assert (folder / "tokenizer.json").read_bytes() == tokenizer_file.read_bytes()
    assert "prompts" not in json.loads((folder / "config_sentence_transformers.json").read_text())
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == POSITIONS
    assert [module["path"] for module in json.loads((folder / "modules.json").read_text())] == [
        "",
        "1_Pooling",
        "2_Normalize",
    ]
