"""The 4-bit file of multilingual-e5-small, rewritten as an ordinary sentence-transformers folder.

Layout, little-endian: magic `E5S1`, u32 version; seven i32 sizes, f32 layer-norm epsilon, i32 block size; a
tokenizer section, skipped because the published tokenizer.json is used instead; a directory of tensors, each
u16 name length, name, u8 type, u32 elements, u64 absolute offset, u64 bytes. A tensor of 4 bytes an element
is float32, any other is Q4_0.
"""

import json
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import ConversionError, MissingDependencyError

MAGIC = b"E5S1"
VERSION = 1
BLOCK_WEIGHTS = 32
BLOCK_BYTES = 2 + BLOCK_WEIGHTS // 2
MAX_TENSORS = 10_000
MAX_SIZE = 10_000_000
MAX_LAYERS = 1_000

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class E5Shape:
    """The sizes that the file states about its network."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    layer_norm_eps: float


@dataclass(frozen=True, slots=True)
class _Entry:
    elements: int
    offset: int
    size_bytes: int


class _Reader:
    """Reads little-endian fields in order and refuses to run past the end of the file."""

    def __init__(self, path: Path, data: npt.NDArray[np.uint8]) -> None:
        self.path = path
        self.data = data
        self.offset = 0

    def take(self, size: int) -> bytes:
        end = self.offset + size
        if size < 0 or end > self.data.size:
            raise ConversionError(
                self.path, f"the file ends at byte {self.data.size}, inside a field that ends at {end}"
            )
        taken = self.data[self.offset : end].tobytes()
        self.offset = end
        return taken

    def skip(self, size: int) -> None:
        if size < 0 or self.offset + size > self.data.size:
            raise ConversionError(self.path, f"a section of {size} bytes does not fit the file")
        self.offset += size

    def unpack(self, fields: str) -> tuple[Any, ...]:
        layout = struct.Struct("<" + fields)
        return layout.unpack(self.take(layout.size))

    def count(self, limit: int) -> int:
        (value,) = self.unpack("i")
        if not 0 <= value <= limit:
            raise ConversionError(self.path, f"a count of {value} is outside 0–{limit}")
        return int(value)


def read_e5(path: Path) -> tuple[E5Shape, dict[str, FloatArray]]:
    """The sizes and the dequantised tensors, float32, under the names of transformers' BertModel.

    Raises:
        ConversionError: the file is truncated, corrupt, of another version, or lacks a tensor.
    """
    if path.stat().st_size == 0:
        raise ConversionError(path, "the file is empty")
    data: npt.NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
    reader = _Reader(path, data)
    shape = _read_header(reader)
    _skip_tokenizer(reader)
    directory = _read_directory(reader)
    expected = _expected_tensors(shape)
    missing = sorted(set(expected) - set(directory))
    if missing:
        raise ConversionError(path, f"{len(missing)} tensors are missing, the first is {missing[0]!r}")
    return shape, {
        target: _tensor(reader, source, directory[source], dimensions)
        for source, (target, dimensions) in expected.items()
    }


def _read_header(reader: _Reader) -> E5Shape:
    magic, version = reader.take(4), reader.unpack("I")[0]
    if magic != MAGIC or version != VERSION:
        raise ConversionError(reader.path, f"magic {magic!r} and version {version}; {MAGIC!r} and {VERSION} are read")
    fields = reader.unpack("7ifi")
    hidden, layers, heads, feed_forward, vocabulary, positions, types, epsilon, block = fields
    sizes = (hidden, heads, feed_forward, vocabulary, positions, types)
    if any(not 0 < size <= MAX_SIZE for size in sizes) or not 0 < layers <= MAX_LAYERS:
        raise ConversionError(reader.path, f"the sizes {fields[:7]} are out of range")
    if hidden % heads or not 0 < epsilon < 1:
        raise ConversionError(reader.path, f"{hidden} dimensions, {heads} heads, epsilon {epsilon} do not fit")
    if block != BLOCK_WEIGHTS:
        raise ConversionError(reader.path, f"blocks of {block} weights; only {BLOCK_WEIGHTS} is read")
    # The file holds float32; its shortest decimal form (1e-12) is what the network was trained with.
    exact_epsilon = float(str(np.float32(epsilon)))
    return E5Shape(hidden, layers, heads, feed_forward, vocabulary, positions, types, exact_epsilon)


def _skip_tokenizer(reader: _Reader) -> None:
    pieces = reader.count(MAX_SIZE)
    reader.unpack("4i")
    (blob_bytes,) = reader.unpack("Q")
    reader.skip(4 * (pieces + 1) + 4 * pieces + blob_bytes)
    _entries, map_bytes = reader.unpack("iI")
    reader.skip(map_bytes)


def _read_directory(reader: _Reader) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for _ in range(reader.count(MAX_TENSORS)):
        (name_bytes,) = reader.unpack("H")
        name = reader.take(name_bytes).decode("utf-8", "replace")
        _type, elements, offset, size_bytes = reader.unpack("BIQQ")
        if offset + size_bytes > reader.data.size:
            raise ConversionError(reader.path, f"tensor {name!r} ends past the end of the file")
        if name in entries:
            raise ConversionError(reader.path, f"tensor {name!r} is listed twice")
        entries[name] = _Entry(elements, offset, size_bytes)
    return entries


def _tensor(reader: _Reader, name: str, entry: _Entry, dimensions: tuple[int, ...]) -> FloatArray:
    elements = int(np.prod(dimensions, dtype=np.int64))
    if entry.elements != elements:
        raise ConversionError(
            reader.path, f"tensor {name!r} has {entry.elements} elements where the sizes ask for {elements}"
        )
    raw = reader.data[entry.offset : entry.offset + entry.size_bytes]
    if entry.size_bytes == 4 * elements:
        values: FloatArray = np.frombuffer(raw.tobytes(), dtype="<f4").astype(np.float32)
    elif elements % BLOCK_WEIGHTS == 0 and entry.size_bytes == elements // BLOCK_WEIGHTS * BLOCK_BYTES:
        values = dequantise_q4_0(raw)
    else:
        raise ConversionError(reader.path, f"tensor {name!r} takes {entry.size_bytes} bytes, neither float32 nor Q4_0")
    if not np.isfinite(values).all():
        raise ConversionError(reader.path, f"tensor {name!r} holds values that are not finite")
    return values.reshape(dimensions)


def dequantise_q4_0(raw: npt.NDArray[np.uint8]) -> FloatArray:
    """Weights `(32 · blocks,)` of Q4_0 blocks: byte j holds weight j low and weight j + 16 high."""
    blocks = raw.reshape(-1, BLOCK_BYTES)  # (B, 18)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)  # (B, 1)
    packed = blocks[:, 2:]  # (B, 16)
    weights = np.empty((len(blocks), BLOCK_WEIGHTS), dtype=np.float32)
    half = BLOCK_WEIGHTS // 2
    weights[:, :half] = packed & 0x0F
    weights[:, half:] = packed >> 4
    weights -= 8
    with np.errstate(invalid="ignore"):  # an infinite scale gives NaN, which the caller refuses
        weights *= scales
    return weights.reshape(-1)


def _expected_tensors(shape: E5Shape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name in the file → name in BertModel and dimensions."""
    hidden = shape.hidden
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (shape.vocabulary, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (shape.positions, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (shape.types, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    layer_tensors = _layer_tensors(hidden, shape.feed_forward)
    for layer in range(shape.layers):
        for source, (target, dimensions) in layer_tensors.items():
            tensors[f"l{layer}.{source}"] = (f"encoder.layer.{layer}.{target}", dimensions)
    return tensors


def _layer_tensors(hidden: int, feed_forward: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    linear = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", feed_forward, hidden),
        "fo": ("output.dense", hidden, feed_forward),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for source, (target, rows, columns) in linear.items():
        tensors[f"{source}.w"] = (f"{target}.weight", (rows, columns))
        tensors[f"{source}.b"] = (f"{target}.bias", (rows,))
    for source, target in norms.items():
        tensors[f"{source}.w"] = (f"{target}.weight", (hidden,))
        tensors[f"{source}.b"] = (f"{target}.bias", (hidden,))
    return tensors


def convert_e5(weights: Path, tokenizer: Path, folder: Path) -> None:
    """Writes a sentence-transformers folder: mean pooling, then unit length; no prompts inside.

    Raises:
        ConversionError: the weight file is malformed.
        MissingDependencyError: safetensors is not installed.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingDependencyError("safetensors", "Converting a model") from error

    shape, tensors = read_e5(weights)
    # The pooler is never used, but a BertModel without it would warn and draw random weights at every load.
    tensors["pooler.dense.weight"] = np.zeros((shape.hidden, shape.hidden), dtype=np.float32)
    tensors["pooler.dense.bias"] = np.zeros(shape.hidden, dtype=np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_halved(weights, tensors), folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    for name, content in _folder_files(shape).items():
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _halved(path: Path, tensors: Mapping[str, FloatArray]) -> dict[str, npt.NDArray[np.float16]]:
    """float16 for the disk: half the size, and the embeddings stay at cosine 0.9999998 or more."""
    largest = float(np.finfo(np.float16).max)
    for name, values in tensors.items():
        if values.size and np.abs(values).max() > largest:
            raise ConversionError(path, f"{name} holds a weight beyond {largest}")
    return {name: values.astype(np.float16) for name, values in tensors.items()}


def _folder_files(shape: E5Shape) -> Mapping[str, object]:
    return {
        "config.json": _network_config(shape),
        "tokenizer_config.json": _tokenizer_config(shape),
        "modules.json": [
            _module(0, "", "Transformer"),
            _module(1, "1_Pooling", "Pooling"),
            _module(2, "2_Normalize", "Normalize"),
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": shape.hidden,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_cls_token": False,
            "pooling_mode_max_tokens": False,
        },
        "2_Normalize/config.json": {},
        "sentence_bert_config.json": {"max_seq_length": shape.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
    }


def _module(number: int, path: str, kind: str) -> dict[str, object]:
    return {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}


def _network_config(shape: E5Shape) -> dict[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        "layer_norm_eps": shape.layer_norm_eps,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "pad_token_id": 1,
        # The type to compute in, not the one on disk: float16 is slow on a CPU and coarse for an index.
        "torch_dtype": "float32",
    }


def _tokenizer_config(shape: E5Shape) -> dict[str, object]:
    return {
        # The generic class takes tokenizer.json as it is; a model's own class would rebuild parts of it.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.positions,
        "model_input_names": ["input_ids", "attention_mask"],
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "clean_up_tokenization_spaces": False,
    }
