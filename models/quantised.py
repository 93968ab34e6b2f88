"""A model on the CPU that reads its weights in 4 or 8 bits when it writes, and as they are when it reads.

A prompt is bound by arithmetic, for which bfloat16 weights are fastest; a written token is bound by the memory that its
weights are read from. So both are kept, and the number of rows decides.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from models import cache
from models.devices import hardware_report
from models.errors import ChecksumError, DiskSpaceError
from models.progress import Progress, Report, no_report
from models.quantise import BLOCK, Int4, Int8, quantise, unpacked
from models.resolve import ResolvedModel
from models.revision import revision_of

# Up to so many rows the quantised kernels were faster than bfloat16: 0.6 ms against 1.4 ms for 4 rows of 8960 × 1536
# on one thread, level at 8, and three times slower at 32.
_FEW_ROWS = 4
# A copy takes at most one byte a weight; the second is for what answering needs besides.
_ROOM_BYTES = 2
_FORMAT = "quantised-2"
_FILE = "quantised.safetensors"

_log = logging.getLogger(__name__)


class QuantisedLinear(torch.nn.Module):
    """A linear layer with a second, quantised copy of its weights for inputs of few rows."""

    codes: torch.Tensor
    scales: torch.Tensor

    def __init__(self, linear: torch.nn.Linear, quantised: Int4 | Int8) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bits = 4 if isinstance(quantised, Int4) else 8
        codes, scales = _for_kernels(quantised, linear.weight.dtype)
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in_features) → (…, out_features)."""
        if x.numel() > _FEW_ROWS * self.in_features:
            return torch.nn.functional.linear(x, self.weight, self.bias)
        rows = x.reshape(-1, self.in_features)
        out: torch.Tensor
        if self.bits == 4:
            out = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, self.codes, BLOCK, self.scales)
        else:
            out = torch.ops.aten._weight_int8pack_mm(rows, self.codes, self.scales)
        out = out.view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias


def reason_against(model: Any) -> str | None:
    """Why the copies should not be added to a loaded model here; None where nothing speaks against it."""
    device = str(model.device)
    if device != "cpu":
        return f"the weights are on {device}, and the copies are for a CPU"
    # Weights are mapped from their file, so the system still counts their memory as free.
    weights = sum(parameter.nbytes for parameter in model.parameters())
    needed = weights + _ROOM_BYTES * _count(model)
    available = hardware_report().available_bytes
    if available is None:
        return "this system does not tell how much memory is free"
    if available < needed:
        free = f"{available / 1e9:.1f} GB of memory are free"
        return f"{free}, and the weights and their copies need {needed / 1e9:.1f} GB. Use a smaller model or free some"
    return None


def add_quantised(model: Any, resolved: ResolvedModel, cache_dir: Path, report: Report = no_report) -> None:
    """Gives every linear layer of a loaded model its quantised copy, in place.

    The copies are computed once, which takes about a minute for 1.5 billion weights, and kept in the cache. They are
    checked before each use, and computed again when they are damaged.

    Raises: DiskSpaceError.
    """
    origin = _origin(model, resolved)
    name = str(origin["name"])
    target = cache.models_folder(cache_dir).resolve() / name
    with cache.locked(cache_dir, name, report):
        if not _is_sound(target, origin):
            _check_space(model, target.parent)
            cache.build_folder(target, origin, lambda folder: _write(model, folder, report), report)
        with safe_open(target / _FILE, framework="pt") as file:
            for layer, linear in list(_linear_layers(model)):
                parent, _, child = layer.rpartition(".")
                setattr(model.get_submodule(parent), child, QuantisedLinear(linear, _read(file, layer)))


def _origin(model: Any, resolved: ResolvedModel) -> dict[str, object]:
    """What the copies are made from: these weights, in this number format, in layers of these names and sizes."""
    layers = {name: list(linear.weight.shape) for name, linear in _linear_layers(model)}
    dtype = str(model.dtype).removeprefix("torch.")
    revision = _revision(model, resolved)
    name = f"quantised-{revision}-{dtype}"
    return {"name": name, "format": _FORMAT, "revision": revision, "dtype": dtype, "layers": layers}


def _revision(model: Any, resolved: ResolvedModel) -> str:
    """Hexadecimal digits that change with the weights.

    What was prepared here is known by the hash of its source. Whatever else may change under its name, so the
    loaded weights themselves are hashed: 4 seconds for 1.5 billion in bfloat16.
    """
    if resolved.kind in ("packaged", "gguf"):
        return revision_of(resolved)
    digest = hashlib.sha256()
    for name, linear in _linear_layers(model):
        digest.update(name.encode())
        digest.update(linear.weight.detach().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _is_sound(target: Path, origin: cache.Origin) -> bool:
    if not cache.is_complete(target, origin):
        return False
    try:
        cache.check_hashes(target)
    except ChecksumError as error:
        _log.warning("%s: expected %s, found %s. It is made again", error.path, error.expected, error.found)
        return False
    return True


def _check_space(model: Any, folder: Path) -> None:
    needed, free = _count(model), shutil.disk_usage(folder).free
    if free < needed:
        raise DiskSpaceError(folder, needed, free)


def _write(model: Any, folder: Path, report: Report) -> None:
    tensors: dict[str, torch.Tensor] = {}
    done, total = 0, sum(linear.weight.nbytes for _, linear in _linear_layers(model))
    for name, linear in _linear_layers(model):
        report(Progress("convert", done, total, "bytes", "quantising for the CPU, once"))
        copy = quantise(linear.weight.detach())
        tensors[f"{name}.codes"], tensors[f"{name}.scales"] = copy.codes, copy.scales
        if isinstance(copy, Int4):
            tensors[f"{name}.minima"] = copy.minima
        done += linear.weight.nbytes
    report(Progress("convert", done, total, "bytes", "quantising for the CPU, once"))
    save_file(tensors, folder / _FILE)


def _read(file: Any, name: str) -> Int4 | Int8:
    codes, scales = file.get_tensor(f"{name}.codes"), file.get_tensor(f"{name}.scales")
    return Int8(codes, scales) if codes.dtype == torch.int8 else Int4(codes, scales, file.get_tensor(f"{name}.minima"))


def _linear_layers(model: Any) -> Iterator[tuple[str, torch.nn.Linear]]:
    """Those that the kernels take: sizes are multiples of 32 there."""
    for name, module in model.named_modules():
        if type(module) is torch.nn.Linear and not (module.in_features % BLOCK or module.out_features % BLOCK):
            yield name, module


def _count(model: Any) -> int:
    """Weights that get a copy."""
    return sum(linear.weight.numel() for _, linear in _linear_layers(model))


def _for_kernels(quantised: Int4 | Int8, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and scales in the layout of torch's kernels, for activations of `dtype`."""
    if isinstance(quantised, Int8):
        return quantised.codes, quantised.scales.to(dtype)
    codes = torch.ops.aten._convert_weight_to_int4pack_for_cpu(unpacked(quantised.codes).int(), 1)
    # The kernel reads levels as −8 to 7.
    zeros = quantised.minima + 8 * quantised.scales
    return codes, torch.stack((quantised.scales, zeros), dim=-1).transpose(0, 1).contiguous().to(dtype)
