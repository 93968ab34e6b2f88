"""An embedder that is loaded when it is first needed; until then, what its files say is enough.

Loading takes seconds, most of them for importing torch and transformers, and a sync that finds nothing new
needs none of it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from models.devices import plan_device
from models.errors import ConversionError
from models.loading import load_sentence_transformer
from models.resolve import ResolvedModel

_LIBRARY = "sentence_transformers."
_SAME_DIMENSION = frozenset({"Normalize", "Dropout"})
# How pooling modes were saved before they had names; the vectors of several modes are joined end to end.
_MODE_FLAG = "pooling_mode_"


@dataclass(frozen=True, slots=True)
class DeferredEmbedder:
    """How to load a sentence-transformers model, and what is known of it before.

    `dimension` and `load_tokenizer` are None where only the loaded model can tell.
    """

    load: Callable[[], Any]
    dimension: int | None = None
    load_tokenizer: Callable[[], Tokenizer] | None = None


def defer_sentence_transformer(resolved: ResolvedModel, device: str) -> DeferredEmbedder:
    """The embedder, not loaded. `device` is auto, cpu, cuda, cuda:N or mps.

    Its `load` raises what `plan_device` and `load_sentence_transformer` raise, its `load_tokenizer` ConversionError.
    """

    def load() -> Any:
        return load_sentence_transformer(resolved, plan_device(device, role="embedder"))

    folder = resolved.folder
    if folder is None:
        return DeferredEmbedder(load)
    path = folder / "tokenizer.json"
    return DeferredEmbedder(
        load, embedding_dimension(folder), (lambda: _read_tokenizer(path)) if path.is_file() else None
    )


def embedding_dimension(folder: Path) -> int | None:
    """The dimension that the model in a folder will state, or None where its files do not tell plainly.

    As sentence-transformers does, it asks the last module that has a dimension of its own. A folder without
    modules becomes a transformer with one pooling over it.
    """
    modules = _read_json(folder / "modules.json")
    try:
        if modules is None:
            return _transformer_dimension(folder)
        return _last_dimension(folder, modules)
    except (KeyError, TypeError, AttributeError):
        return None  # not what sentence-transformers writes, so loading has the last word


def _last_dimension(folder: Path, modules: Sequence[Any]) -> int | None:
    for module in reversed(modules):
        library, _, kind = module["type"].rpartition(".")
        if not library.startswith(_LIBRARY):
            return None  # code of its own
        if kind not in _SAME_DIMENSION:
            config = _read_json(folder / module["path"] / "config.json")
            return _positive(_module_dimension(kind, config))
    return None


def _module_dimension(kind: str, config: Any) -> Any:
    if kind == "Pooling":
        size = config["embedding_dimension"] if "embedding_dimension" in config else config["word_embedding_dimension"]
        return size * _pooling_modes(config)
    if kind == "CLIPModel":
        return config["projection_dim"]
    if kind == "Dense":
        return config["out_features"]
    return config["dimension"] if kind == "LayerNorm" else None


def _pooling_modes(config: Any) -> int:
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        return 1 if isinstance(modes, str) else len(modes)
    return sum(value is True for key, value in config.items() if key.startswith(_MODE_FLAG)) or 1


def _transformer_dimension(folder: Path) -> int | None:
    config = _read_json(folder / "config.json")
    if config.get("model_type") == "clip":
        return _positive(config["projection_dim"])
    # Of other models, a projection or a part for pictures decides instead where there is one.
    if not {"projection_dim", "embedding_dim", "vision_config"}.isdisjoint(config):
        return None
    return _positive(config["hidden_size"])


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _read_json(path: Path) -> Any:
    """The content of a JSON file; None when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # it raises nothing narrower
        raise ConversionError(path, f"the tokenizer cannot be read ({error})") from error
