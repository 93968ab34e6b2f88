"""Checkpoints: one safetensors file with the tensors, and in its metadata the configuration and how far training is.

No pickle anywhere: reading a checkpoint of a stranger runs no code of theirs. A digest over every tensor is in the
metadata, since safetensors itself does not notice a flipped bit.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from generative.errors import CheckpointError

FORMAT = "fuente-generative-1"
_KEYS = {"format", "family", "config", "state", "sha256"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds: the family's name, its configuration as JSON, tensors by name, and plain training state."""

    family: str
    config: str
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below `prefix.`, by the rest of their names."""
        start = f"{prefix}."
        return {name.removeprefix(start): one for name, one in self.tensors.items() if name.startswith(start)}


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> Path:
    """Writes the file whole or not at all; the path."""
    tensors = {name: one.detach().cpu().contiguous().clone() for name, one in checkpoint.tensors.items()}
    metadata = {
        "format": FORMAT,
        "family": checkpoint.family,
        "config": checkpoint.config,
        "state": json.dumps(dict(checkpoint.state), sort_keys=True),
    }
    metadata["sha256"] = _digest(tensors, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, unfinished, metadata)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """What the file holds, after its format and digest are checked. Raises: CheckpointError."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors ({error}). Name a checkpoint file.") from error
    if set(metadata) != _KEYS or metadata["format"] != FORMAT:
        raise CheckpointError(
            f"{path} is safetensors, but not a checkpoint of format {FORMAT}. Train or fetch it anew."
        )
    if metadata["sha256"] != _digest(tensors, metadata):
        raise CheckpointError(f"{path} is damaged: its SHA-256 differs from the one written. Train or fetch it anew.")
    return Checkpoint(metadata["family"], metadata["config"], tensors, json.loads(metadata["state"]))


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for key in sorted(_KEYS - {"sha256"}):
        total.update(f"{key}={metadata[key]}\n".encode())
    for name in sorted(tensors):
        one = tensors[name]
        total.update(f"{name}:{one.dtype}:{tuple(one.shape)}\n".encode())
        total.update(one.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
