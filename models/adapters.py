"""LoRA adapters of causal models: safetensors only, merged into the weights when the model is loaded."""

import hashlib
import json
from pathlib import Path
from typing import Any

from models.errors import ConversionError, MissingDependencyError, UnsafeModelError
from models.quiet import quiet_peft

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def merge_adapter(model: Any, folder: Path) -> Any:
    """The model with the adapter of the folder added to its weights; it then costs nothing.

    Raises:
        ConversionError: the folder holds no LoRA adapter, or one of another model.
        UnsafeModelError: its weights are pickled.
        MissingDependencyError: peft is not installed.
    """
    _check(folder)
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingDependencyError("peft", "Using an adapter", "finetune") from error
    try:
        with quiet_peft():
            adapted = PeftModel.from_pretrained(model, str(folder))
    except (ValueError, RuntimeError, KeyError) as error:
        raise ConversionError(folder, f"the adapter does not fit this model ({error})") from error
    return adapted.merge_and_unload().eval()


def adapter_revision(folder: Path) -> str:
    """The start of the SHA-256 of the adapter's weights. Raises: what `merge_adapter` raises."""
    _check(folder)
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _check(folder: Path) -> None:
    if not (folder / WEIGHTS).is_file():
        if list(folder.glob("*.bin")):
            raise UnsafeModelError(folder)
        raise ConversionError(folder, f"there is no {WEIGHTS}; `fuente finetune` writes one")
    try:
        kind = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["peft_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConversionError(folder, f"{CONFIG} cannot be read ({error})") from error
    if kind != "LORA":
        raise ConversionError(folder, f"{CONFIG} says {kind!r}, and only LORA is merged")
