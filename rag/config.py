"""The configuration: defaults < file < environment < flags. Unknown keys are errors."""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from models.fetch import WHEELS_VARIABLE
from rag.errors import ConfigurationError
from rag.types import MOST_CANDIDATES, Options, Sampling

_PREFIX = "FUENTE_"
_FILE_VARIABLE = "FUENTE_CONFIG"
# No shell expands ~ in a configuration file.
_Folder = Annotated[Path, AfterValidator(Path.expanduser)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ModelsConfig(_Section):
    """Which models are used and where they live."""

    cache: _Folder = Field(default_factory=lambda: user_cache_path("fuente"))
    """Folder for prepared models."""
    embedder: str = "multilingual-e5-small"
    """Catalogue name, hub name or local folder of a sentence-transformers model."""
    generator: str = "qwen2.5-coder-1.5b-instruct"
    """Catalogue name, hub name, local folder or GGUF file of a causal model."""
    reranker: str = ""
    """The causal model that `retrieval.rerank = "likelihood"` asks, named like a generator; empty for the generator."""
    entailment: str = ""
    """Hub name or local folder of a model for natural language inference that judges whether passages entail the
    sentences of an answer; empty judges by words and vectors."""
    adapter: _Folder | None = None
    """Folder of a LoRA adapter of the generator, as `fuente finetune` writes it, or none; it is not quantised."""
    query_prefix: str | None = None
    """Put before questions; by default what the embedder's family was trained with."""
    passage_prefix: str | None = None
    """Put before passages; by default what the embedder's family was trained with."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the generator's weights."""
    quantisation: Literal["none", "auto"] = "none"
    """auto: on a CPU whose memory holds both, a copy of the weights in 4 or 8 bits is made once and used to write."""
    together: int = Field(default=1, ge=1, le=64)
    """Questions that are answered at a time, of visitors or of an evaluation; each needs memory."""
    compiled: bool = False
    """Whether a generator on a GPU writes by a step that is compiled with its first reply; not with `together`."""
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
    settle_s: float = Field(default=0.5, gt=0, le=60)
    """Folders under watch are read when nothing has changed in them for so long."""


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
    rerank: str = "auto"
    """How the best are compared anew: late (tokens of the embedder), likelihood (late, and where it is close the model
    `models.reranker`), none, or hub name or folder of a cross-encoder; auto is late where the embedder has tokens."""
    rerank_candidates: int = Field(default=20, ge=1, le=100)
    """How many of them."""
    rerank_margin: float = Field(default=1.5, gt=0)
    """The most promising passage that leads by so many deviations of the cosine is not compared again."""
    collapse: bool = True
    """Whether near-duplicates of a better passage are left out; it names their sources."""
    diversity: float = Field(default=0.0, ge=0, le=1)
    """How much being unlike the passages before it counts against the rank (MMR); 0 is off."""
    per_source: int = Field(default=0, ge=0)
    """Most passages of one document; 0 is no limit."""
    hypothetical: bool = False
    """Whether the generator first writes a passage that might answer, and this is searched as well (HyDE)."""
    decompose: bool = False
    """Whether the generator divides a question that asks for several things, and each part is searched."""
    surroundings_tokens: int = Field(default=0, ge=0, le=4096)
    """Passages are read with whole sentences around them, up to so many tokens together; 0 reads them as they are."""


class GenerationConfig(_Section):
    """How answers are written."""

    temperature: float = Field(default=0.2, ge=0, le=2)
    """0 writes the likeliest words, always the same; higher is more varied."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Only the likeliest tokens that together reach this probability are drawn."""
    min_p: float = Field(default=0.0, ge=0, lt=1)
    """Only tokens at least so likely as this share of the likeliest are drawn."""
    repetition_penalty: float = Field(default=1.0, ge=0.5, le=2)
    """Above 1, what was written is less likely to come again."""
    max_tokens: int = Field(default=300, ge=1)
    """Most tokens of a reply, reasoning included."""
    seed: int | None = 0
    """Equal seeds give equal answers; none draws anew every time."""
    prompt_tokens: int = Field(default=3000, ge=256)
    """Most tokens of a prompt; the least relevant passages are dropped first."""
    passage_margin: float = Field(default=2.0, ge=0)
    """Passages that score so many standard deviations below the best stay out of the prompt; inf keeps them all."""
    style: Literal["full", "short"] = "full"
    """full: sentences; short: the fewest words of a passage that answer, word for word."""
    words_first: bool = True
    """Look for the bare words that answer before writing sentences: better answers, the first word a little later."""
    examples: str = ""
    """Examples of answers that the model is shown: neutral for those of Fuente, or a TOML file; empty for none."""
    reasoning: bool = False
    """Whether the model first thinks step by step, apart from the answer, in up to half of max_tokens."""
    candidates: int = Field(default=1, ge=1, le=MOST_CANDIDATES)
    """How many replies are written, of which the one that the passages support best is shown."""
    caution: float = Field(default=0.5, ge=0, le=1)
    """From 0, bold, to 1: the confidence under which Fuente says that the documents do not hold the answer."""
    unsupported: Literal["remove", "flag"] = "remove"
    """What becomes of a sentence that no passage supports: removed, or shown with [!] behind it."""

    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        return Sampling(**{field.name: getattr(self, field.name) for field in fields(Sampling) if field.name != "stop"})

    def options(self) -> Options:
        """How questions are answered, beyond that."""
        return Options(**{field.name: getattr(self, field.name) for field in fields(Options)})


class PicturesConfig(_Section):
    """Pictures and figures of the documents, found by what they show; docs/media.md."""

    model: str = ""
    """Hub name or local folder of a CLIP-style model, such as sentence-transformers/clip-ViT-B-32; empty for none."""
    text_model: str = ""
    """A model of texts that was trained to meet that one in its space, such as
    sentence-transformers/clip-ViT-B-32-multilingual-v1; empty where the model itself understands the questions."""


class SpeechConfig(_Section):
    """Answers read aloud and questions dictated, on this machine; docs/media.md."""

    voice: str = ""
    """What reads answers aloud: espeak, or a folder of Piper voices; empty for nothing."""
    recognizer: str = ""
    """Hub name or local folder of the speech recognition model that writes down what is dictated, such as
    openai/whisper-small; empty for none."""


class Config(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=_PREFIX, env_nested_delimiter="__", validate_default=True
    )

    index: _Folder = Path("fuente-index")
    """Folder of the index."""
    language: Literal["auto", "es", "pt", "en"] = "auto"
    """Language of answers; auto follows the question."""
    models: ModelsConfig = ModelsConfig()
    server: ServerConfig = ServerConfig()
    ingest: IngestConfig = IngestConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    generation: GenerationConfig = GenerationConfig()
    speech: SpeechConfig = SpeechConfig()
    pictures: PicturesConfig = PicturesConfig()

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

    Raises: ConfigurationError naming the key, the rule and the place of the value.
    """
    path = _config_file()
    if path is not None and not path.is_file():
        raise ConfigurationError(f"{path}: no such configuration file. Correct {_FILE_VARIABLE} or --config")
    _check_variables()
    try:
        return Config(**flags)
    except ValidationError as error:
        lines = [_explained(details, path, flags) for details in error.errors()]
        raise ConfigurationError("; ".join(lines)) from error
    except SettingsError as error:
        raise ConfigurationError(f"{error}. Correct the environment variable") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}. Correct the file's TOML") from error


def _config_file() -> Path | None:
    named = os.environ.get(_FILE_VARIABLE)
    if named:
        return Path(named).expanduser()
    local = Path("fuente.toml")
    return local if local.is_file() else None


def _check_variables() -> None:
    """Raises: ConfigurationError for a variable that names no key; pydantic only looks up the keys it knows."""
    known = {_PREFIX + name.upper() for name in Config.model_fields} | {_FILE_VARIABLE, WHEELS_VARIABLE}
    for name in os.environ:
        if name.upper().startswith(_PREFIX) and name.upper().partition("__")[0] not in known:
            keys = ", ".join(sorted(known))
            raise ConfigurationError(f"environment variable {name}: no such key. It must begin with one of {keys}")


def _explained(details: ErrorDetails, path: Path | None, flags: Mapping[str, Any]) -> str:
    """What is wrong with one key, and where it was given."""
    key = [str(part) for part in details["loc"]]
    rule = "no such key" if details["type"] == "extra_forbidden" else details["msg"]
    # An api_key, also a misspelt one, must not end up in logs.
    given = "" if "key" in key[-1].lower() else f" (given: {details['input']!r})"
    return f"{'.'.join(key)}: {rule}{given}. Correct it in {_place(key, path, flags)}"


def _place(key: list[str], path: Path | None, flags: Mapping[str, Any]) -> str:
    """The source that decided a key: the first of flags, environment and file that has it."""
    value: Any = flags
    for part in key:
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is not None:
        return "what was given on the command line"
    set_variables = {name.upper() for name in os.environ}
    for length in range(len(key), 0, -1):
        variable = _PREFIX + "__".join(key[:length]).upper()
        if variable in set_variables:
            return f"the environment variable {variable}"
    return str(path) if path else "the environment"
