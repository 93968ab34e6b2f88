"""The plan follows what the machine has, and a wrong wish is refused."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models import devices
from models.devices import cpu_has_bfloat16, hardware_report, plan_device
from models.errors import DeviceError, MissingDependencyError

torch = pytest.importorskip("torch")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7, 8))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)


def set_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(devices, "CPUINFO", cpuinfo)


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("avx512_bf16 sse", "bfloat16"),
        ("amx_bf16", "bfloat16"),
        ("avx512f avx2", "float32"),
        ("xavx512_bf16", "float32"),
    ],
)
def test_bfloat16_on_a_cpu_only_where_it_has_it(
    no_gpu: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, dtype: str
) -> None:
    set_flags(monkeypatch, tmp_path, flags)
    plan = plan_device(role="generator")
    assert (plan.device, plan.dtype_name) == ("cpu", dtype)
    assert plan_device(role="embedder").dtype_name == "float32"


def test_without_cpuinfo_torch_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "none")
    for supported in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda s=supported: s, raising=False)
        assert cpu_has_bfloat16() is supported


def test_cuda_comes_first(two_gpus: None) -> None:
    plan = plan_device(role="generator")
    assert (plan.device, plan.dtype_name, plan.memory_bytes) == ("cuda:0", "bfloat16", 7)
    assert plan_device("cuda:1", role="generator").device == "cuda:1"
    assert plan_device("cuda", role="embedder").dtype_name == "float32"


def test_an_older_gpu_gets_float16(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert plan_device(role="generator").dtype_name == "float16"


def test_an_apple_gpu_comes_before_the_cpu(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    plan = plan_device(role="generator")
    assert (plan.device, plan.dtype_name) == ("mps", "float16")
    assert plan_device("cpu", role="generator").device == "cpu"


def test_an_explicit_type_is_kept(no_gpu: None) -> None:
    assert plan_device("cpu", "float16", role="embedder").dtype_name == "float16"


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "cuda:", "CPU", "", "mps:0", "cuda:9", "mps"])
def test_a_device_that_is_unknown_or_absent_is_refused(no_gpu: None, device: str) -> None:
    with pytest.raises(DeviceError, match=f"'{device}'"):
        plan_device(device, role="generator")


def test_a_gpu_beyond_the_last_is_refused(two_gpus: None) -> None:
    with pytest.raises(DeviceError, match="sees 2 CUDA GPUs"):
        plan_device("cuda:2", role="generator")


def test_unknown_types_and_roles_are_refused(no_gpu: None) -> None:
    with pytest.raises(DeviceError, match="bf16"):
        plan_device("cpu", "bf16", role="generator")
    with pytest.raises(DeviceError, match="judge"):
        plan_device("cpu", role="judge")


def test_the_report_tells_about_this_machine() -> None:
    report = hardware_report()
    assert report.cpu_count >= 1
    assert report.torch_version == torch.__version__
    if sys.platform == "linux":
        assert 0 < report.available_bytes <= report.memory_bytes
        assert report.memory_bytes == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.01)


def test_without_torch_the_report_still_comes_and_a_plan_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert hardware_report().torch_version is None
    with pytest.raises(MissingDependencyError, match=r"pip install 'fuente\[local\]'"):
        plan_device(role="generator")


def test_importing_the_package_loads_no_heavy_library() -> None:
    heavy = "{'torch', 'transformers', 'sentence_transformers', 'safetensors', 'gguf'}"
    program = f"import sys, models; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    root = Path(devices.__file__).parents[1]
    finished = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
