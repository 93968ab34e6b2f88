"""Where a model runs and with which numbers, decided from what this machine has."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from models.catalog import Role
from models.errors import DeviceError, MissingDependencyError
from models.planning import Room

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """Where to load a model. `device` and `dtype_name` are torch's names; `reason` is for a person to read.

    `memory_bytes` is what is free there now, or None where the system does not tell.
    """

    device: str
    dtype_name: str
    reason: str
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that torch can use."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class HardwareReport:
    """What this machine offers; None where the system does not tell or torch is not installed."""

    system: str
    python_version: str
    torch_version: str | None
    cpu_count: int
    cpu_has_bfloat16: bool
    memory_bytes: int | None
    available_bytes: int | None
    gpus: tuple[Gpu, ...]


def plan_device(requested: str = "auto", dtype: str = "auto", *, role: Role) -> DevicePlan:
    """The device and the number type for a model of that role.

    `requested` is auto, cpu, cuda, cuda:N or mps, and auto prefers CUDA to MPS to the CPU. `dtype` is auto,
    float32, bfloat16 or float16.

    Raises:
        DeviceError: an unknown value, or a device that this machine does not have.
        MissingDependencyError: torch is not installed.
    """
    if role not in ("embedder", "generator"):
        raise DeviceError(f"Unknown role {role!r}. Use embedder or generator.")
    torch = _torch()
    device, device_reason = _choose_device(torch, requested)
    dtype_name, dtype_reason = _choose_dtype(torch, device, dtype, role)
    return DevicePlan(device, dtype_name, f"{device_reason}; {dtype_reason}", _free_bytes(torch, device))


def rooms(requested: str = "auto", dtype: str = "auto") -> list[Room]:
    """The devices that a generator may run on, preferred first, with what is free there and what they compute in.

    Only the one asked for, if one was. `auto` adds the CPU behind a GPU.

    Raises: what `plan_device` raises.
    """
    wanted = [requested] if requested != "auto" else list(dict.fromkeys((_choose_device(_torch(), "auto")[0], "cpu")))
    plans = [plan_device(device, dtype, role="generator") for device in wanted]
    return [Room(plan.device, plan.memory_bytes, _dtypes(plan, dtype)) for plan in plans]


def _dtypes(plan: DevicePlan, dtype: str) -> tuple[str, ...]:
    """What was asked for, or the fastest and then what takes less memory."""
    if dtype != "auto" or plan.dtype_name != "float32":
        return (plan.dtype_name,)
    return ("float32", "bfloat16")


def hardware_report() -> HardwareReport:
    """What this machine offers for running models. Works without torch, too."""
    total, available = _memory()
    try:
        torch: ModuleType | None = _torch()
    except MissingDependencyError:
        torch = None
    return HardwareReport(
        system=platform.platform(),
        python_version=platform.python_version(),
        torch_version=None if torch is None else str(torch.__version__),
        cpu_count=_cpu_count(),
        cpu_has_bfloat16=cpu_has_bfloat16(),
        memory_bytes=total,
        available_bytes=available,
        gpus=() if torch is None else _gpus(torch),
    )


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; where it does not, bfloat16 is far slower than float32."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return not BFLOAT16_FLAGS.isdisjoint(line.split())
        return False
    # Elsewhere than on Linux torch is the only one to ask, under a name that it does not promise to keep.
    try:
        torch = _torch()
    except MissingDependencyError:
        return False
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return supported is not None and bool(supported())


def _torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch", "Running a model on this machine") from error
    return torch


def _choose_device(torch: ModuleType, requested: str) -> tuple[str, str]:
    cuda, mps = bool(torch.cuda.is_available()), bool(torch.backends.mps.is_available())
    if requested == "auto":
        if cuda:
            return "cuda:0", "a CUDA GPU is present"
        return ("mps", "an Apple GPU is present") if mps else ("cpu", "no GPU is present")
    if requested == "cpu" or (requested == "mps" and mps):
        return requested, f"{requested} was asked for"
    kind, _, number = requested.partition(":")
    if kind == "cuda" and (number.isdecimal() or requested == "cuda"):
        index, count = int(number or 0), int(torch.cuda.device_count()) if cuda else 0
        if index < count:
            return f"cuda:{index}", f"{requested} was asked for"
        raise DeviceError(f"Device {requested!r}: torch sees {count} CUDA GPUs here. Use auto or cpu.")
    if requested == "mps":
        raise DeviceError("Device 'mps': torch sees no Apple GPU here. Use auto or cpu.")
    raise DeviceError(f"Unknown device {requested!r}. Use auto, cpu, cuda, cuda:N or mps.")


def _choose_dtype(torch: ModuleType, device: str, dtype: str, role: Role) -> tuple[str, str]:
    if dtype != "auto":
        if dtype not in DTYPES:
            raise DeviceError(f"Unknown number type {dtype!r}. Use auto, {', '.join(DTYPES)}.")
        return dtype, f"{dtype} was asked for"
    if role == "embedder":
        # bfloat16 cost multilingual-e5-small a point of recall@1 on xquad.es (.907 against .915), and an
        # index written on one machine should meet the same vectors on another.
        return "float32", "embeddings are kept exact"
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            native = bool(torch.cuda.is_bf16_supported(including_emulation=False))
        return ("bfloat16", "the GPU has bfloat16") if native else ("float16", "the GPU lacks bfloat16")
    if device == "mps":
        return "float16", "Apple GPUs are fastest with it"
    if cpu_has_bfloat16():
        return "bfloat16", "the CPU has bfloat16"
    return "float32", "the CPU lacks bfloat16"


def _free_bytes(torch: ModuleType, device: str) -> int | None:
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return _memory()[1]  # an Apple GPU shares the machine's memory


def _gpus(torch: ModuleType) -> tuple[Gpu, ...]:
    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        return (Gpu("Apple GPU", int(torch.mps.recommended_max_memory())),)
    return tuple(Gpu(str(gpu.name), int(gpu.total_memory)) for gpu in found)


def _cpu_count() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))  # what this process may use, which is less in a container
    return os.cpu_count() or 1


def _memory() -> tuple[int | None, int | None]:
    """Bytes of memory, total and available."""
    if MEMINFO.is_file():
        lines = MEMINFO.read_text(encoding="utf-8").splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return _kilobytes(fields.get("MemTotal")), _kilobytes(fields.get("MemAvailable"))
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    return None, None


def _kilobytes(field: str | None) -> int | None:
    return None if field is None else int(field.split()[0]) * 1024
