"""The configuration: defaults < file < environment < flags. Unknown keys are errors."""

import os
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rag.errors import ConfigurationError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ModelsConfig(_Section):
    """Which models are used and where they live."""

    cache: Path = Field(default_factory=lambda: user_cache_path("fuente"))
    """Folder for prepared models."""
    embedder: str = "multilingual-e5-small"
    """Catalogue name, hub name or local folder of a sentence-transformers model."""
    generator: str = "qwen2.5-coder-1.5b-instruct"
    """Catalogue name, hub name, local folder or GGUF file of a causal model."""
    query_prefix: str | None = None
    """Put before questions; by default what the embedder's family was trained with."""
    passage_prefix: str | None = None
    """Put before passages; by default what the embedder's family was trained with."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the generator's weights."""
    network: bool = False
    """Whether hub names may be downloaded at run time."""


class ServerConfig(_Section):
    """An OpenAI-compatible server that writes the answers instead of a local model."""

    url: str = ""
    """Base address, such as http://127.0.0.1:8000/v1; empty means the local model."""
    model: str = ""
    """Model name that the server knows."""
    api_key: str = Field(default="", repr=False)
    """Key, if the server wants one; better given as FUENTE_SERVER__API_KEY."""
    context_tokens: int = Field(default=8192, ge=512)
    """Context length of the server's model."""


class IngestConfig(_Section):
    """How files become chunks."""

    max_file_mb: int = Field(default=100, ge=1)
    """Larger files are reported and left out."""
    timeout_s: float = Field(default=60.0, gt=0)
    """A file that takes longer to read is reported and left out."""
    chunk_tokens: int = Field(default=256, ge=32, le=480)
    """Most tokens in a chunk, counted by the embedder's tokenizer."""
    min_chunk_tokens: int = Field(default=48, ge=0)
    """Shorter sections are joined with the next one."""


class RetrievalConfig(_Section):
    """How passages are found."""

    k: int = Field(default=5, ge=1, le=100)
    """Passages given to the generator."""
    channel: Literal["fused", "dense", "lexical"] = "fused"
    fusion: Literal["mix", "rrf"] = "mix"
    dense_weight: float = Field(default=0.7, ge=0, le=1)
    """Weight of dense against lexical scores in the mix."""
    candidates: int = Field(default=100, ge=1)
    """Chunks that each channel puts forward."""


class GenerationConfig(_Section):
    """How answers are written."""

    temperature: float = Field(default=0.2, ge=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=300, ge=1)
    seed: int | None = 0
    prompt_tokens: int = Field(default=3000, ge=256)
    """Most tokens of a prompt; the least relevant passages are dropped first."""
    abstain_below: float = Field(default=0.5, ge=0, le=1)
    """Confidence under which Fuente says that the documents do not hold the answer."""


class Config(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="FUENTE_", env_nested_delimiter="__", validate_default=True
    )

    index: Path = Path("fuente-index")
    """Folder of the index."""
    language: Literal["auto", "es", "pt", "en"] = "auto"
    """Language of answers; auto follows the question."""
    models: ModelsConfig = ModelsConfig()
    server: ServerConfig = ServerConfig()
    ingest: IngestConfig = IngestConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    generation: GenerationConfig = GenerationConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before environment before file; no .env file is read."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return init_settings, env_settings, file


def load_config(**flags: Any) -> Config:
    """The configuration; `flags` are nested dicts of what was given on the command line.

    Raises: ConfigurationError naming the key, the rule and where values come from.
    """
    path = _config_file()
    if path is not None and not path.is_file():
        raise ConfigurationError(f"{path}: no such configuration file. Correct FUENTE_CONFIG or --config")
    try:
        return Config(**flags)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (given: {e['input']!r})" for e in error.errors()]
        where = f" in {path}, the environment (FUENTE_…) or flags" if path else " in the environment or flags"
        raise ConfigurationError("; ".join(lines) + f". Correct it{where}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}. Correct the file's TOML") from error


def _config_file() -> Path | None:
    named = os.environ.get("FUENTE_CONFIG")
    if named:
        return Path(named)
    local = Path("fuente.toml")
    return local if local.is_file() else None
