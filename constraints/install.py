"""Installs the pinned dependencies and the project into the environment of the Python that runs this file.

Only the standard library is used, since nothing else is there yet. Every pin carries the hashes of its files,
so pip refuses a download that differs. Only wheels are taken: building from source would bring in tools that
no pin covers. The pins are complete, so pip resolves nothing (`--no-deps`) and `pip check` proves the result.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRESS_INTERVAL_S = 10.0
KEPT_LINES = 40
SETTINGS = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PYTHONUNBUFFERED": "1",  # else the progress lines of pip arrive in blocks
}


class Progress:
    """Turns the output of pip into one line every few seconds, and keeps it for the case that pip fails."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.name = ""
        self.kept: deque[str] = deque(maxlen=KEPT_LINES)
        self.last_shown_s = time.monotonic()

    def feed(self, line: str) -> None:
        """Takes one line that pip printed; shows where it stands when the last time was long ago."""
        collecting = re.match(r"Collecting ([^ ;]+)|Requirement already satisfied: ([^ ;]+)", line)
        size = re.match(r"Progress (\d+) of (\d+)", line)
        part = f", {int(size[1]) / 1e6:.0f} of {int(size[2]) / 1e6:.0f} MB" if size else ""
        if collecting:
            self.done += 1
            self.name = collecting[1] or collecting[2]
        if not size:
            self.kept.append(line)
        if line.startswith("Installing collected packages"):
            print("   unpacking", flush=True)
        elif line.startswith("WARNING: Retrying"):
            print(f"   {line.strip()}", flush=True)
        elif (collecting or size) and time.monotonic() - self.last_shown_s >= PROGRESS_INTERVAL_S:
            self.last_shown_s = time.monotonic()
            print(f"   {self.done} of about {self.total}: {self.name}{part}", flush=True)


def run_pip(arguments: list[str], total: int = 0) -> None:
    """Runs pip in this environment. Raises: SystemExit where pip fails, after the end of what it said."""
    progress = Progress(total)
    command = [sys.executable, "-m", "pip", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | SETTINGS
    ) as process:
        assert process.stdout is not None  # noqa: S101 - narrows the type: PIPE was asked for
        for line in process.stdout:
            progress.feed(line)
    if process.returncode:
        sys.stderr.write("".join(progress.kept))
        raise SystemExit(f"Stopped: pip {arguments[0]} failed with exit status {process.returncode}, see above.")


def pinned_names(file_name: str) -> set[str]:
    """Names that a file of pins holds, normalised."""
    text = (HERE / file_name).read_text(encoding="utf-8")
    return {normalise(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, flags=re.MULTILINE)}


def normalise(name: str) -> str:
    """Package name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def install_pins(file_name: str, title: str, *, show_bytes: bool = True) -> None:
    """Installs one file of pins, each download checked against its hashes."""
    print(f"-- {title}", flush=True)
    bar = "raw" if show_bytes else "off"  # the pip that came with an older Python does not know `raw`
    options = [
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-compile",
        f"--progress-bar={bar}",
    ]
    run_pip(["install", *options, "-r", str(HERE / file_name)], total=len(pinned_names(file_name)))


def torch_needs_cuda() -> bool:
    """Whether the installed torch names CUDA packages, as the index's builds for Linux do."""
    importlib.invalidate_caches()
    required = importlib.metadata.requires("torch") or []
    names = {normalise(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]) for requirement in required}
    return bool(names & pinned_names("torch-cuda.txt"))


def cpu_build_offered() -> bool:
    """Whether pip's sources offer the CPU build that torch-cpu.txt allows.

    It is asked for by its full version: pip prefers files whose hash the index states, so `torch==2.13.0`
    alone would pass over a CPU build that lies in a folder, and download gigabytes of CUDA.
    """
    pin = HERE / "torch-cpu.txt"
    if not pin.exists():
        return False
    version = re.findall(r"^torch==(\S+)", pin.read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "torch", "--json", "--only-binary=:all:"],
        capture_output=True,
        text=True,
        env=os.environ | SETTINGS,
    )
    # Where pip finds no torch at all, the installation that follows says so.
    return listing.returncode == 0 and version in json.loads(listing.stdout)["versions"]


def install_torch() -> None:
    """Installs the CPU build where it is offered, else the index's build and what it needs of CUDA."""
    if cpu_build_offered():
        install_pins("torch-cpu.txt", "PyTorch, CPU build (about 200 MB)")
        return
    install_pins("torch.txt", "PyTorch (200 MB to 1 GB)")
    if torch_needs_cuda():
        install_pins("torch-cuda.txt", "CUDA libraries of this PyTorch (a few GB)")


def check_system_torch() -> None:
    """Raises: SystemExit where the machine's own torch cannot be imported."""
    probe = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True
    )
    if probe.returncode:
        raise SystemExit(
            "TORCH=system keeps the machine's own torch, but this Python cannot import one:\n"
            f"{probe.stderr.strip()}\nName the Python that has it (PYTHON=…), or leave TORCH=system out."
        )
    print(f"-- PyTorch: keeping {probe.stdout.strip()}", flush=True)


def install_product(*, system_torch: bool) -> None:
    """Installs what `fuente` needs to run, and the project itself as an editable install."""
    install_pins("build.txt", "Installer", show_bytes=False)
    if system_torch:
        check_system_torch()
    else:
        install_torch()
    install_pins("runtime.txt", "Libraries (about 300 MB)")
    print("-- Fuente", flush=True)
    run_pip(["install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(HERE.parent)])


def check_environment(*, system_torch: bool) -> None:
    """Raises: SystemExit where a dependency is missing or has the wrong version."""
    check = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, env=os.environ | SETTINGS
    )
    if not check.returncode:
        return
    if not system_torch:
        raise SystemExit(f"Stopped: the pins do not fit together.\n{check.stdout.strip()}")
    # The packages of the machine are checked too, and those that clash may have nothing to do with Fuente.
    print(f"   Worth a look, on this machine's own packages:\n{check.stdout.strip()}", flush=True)


def main() -> None:
    """Installs the part named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["product", "test"], help="`test` adds to an environment that has the product")
    parser.add_argument(
        "--torch", choices=["pinned", "system"], default="pinned", help="`system` keeps the machine's own"
    )
    arguments = parser.parse_args()
    if sys.prefix == sys.base_prefix:
        raise SystemExit(
            "Run this with the Python of a virtual environment, so that your other programs stay as they are."
        )
    started_s = time.monotonic()
    system_torch = arguments.torch == "system"
    if arguments.part == "product":
        install_product(system_torch=system_torch)
    else:
        install_pins("dev.txt", "Tools for the tests")
    check_environment(system_torch=system_torch)
    print(f"-- Installed in {time.monotonic() - started_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
