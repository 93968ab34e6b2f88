"""Writes the files of pins anew from pyproject.toml. Needs uv and the package index; see docs/setup.md.

    python constraints/refresh.py                          follows pyproject.toml, changes no other pin
    python constraints/refresh.py --upgrade                takes the newest versions that fit
    python constraints/refresh.py --upgrade-package NAME   takes the newest version of one package
    python constraints/refresh.py --torch-wheel FILE       allows this CPU build of the pinned torch too

One resolution holds for every supported Python and platform, so all files agree with one another.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST_PYTHON = "3.11"
CUDA = re.compile(r"(nvidia|cuda)-|triton$")
BUILD = ("pip", "setuptools")
EXTRAS = ("local", "server", "tune", "plots", "finetune")
FILES = ("build.txt", "torch.txt", "torch-cuda.txt", "runtime.txt", "dev.txt")
Pins = dict[str, str]  # name → its block: `name==version ; marker`, then one hash a line


def resolve(uv: str, source: Path, extras: Iterable[str], preferred: str, options: list[str]) -> Pins:
    """Pins of everything that the source and its extras need, the preferred versions where they still fit."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "pins.txt"
        output.write_text(preferred, encoding="utf-8")  # uv prefers the versions of an output that exists
        command = [uv, "pip", "compile", str(source), "-o", str(output), "--quiet", "--universal"]
        command += ["--generate-hashes", "--python-version", OLDEST_PYTHON, "--fork-strategy", "fewest"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--unsafe-package", "fuente", *options, *(f"--extra={extra}" for extra in extras)]
        subprocess.run(command, check=True, cwd=HERE.parent)
        return parse(output.read_text(encoding="utf-8"))


def parse(text: str) -> Pins:
    """Blocks of a file of pins, by name; comments are left out, as is what only a browser's Python needs."""
    pins: Pins = {}
    for name, rest in re.findall(r"^([A-Za-z0-9._-]+)(==.*(?:\n    .*)*)", text, flags=re.MULTILINE):
        if "sys_platform == 'emscripten'" not in rest:
            # A package has several blocks where one version does not suit every Python.
            pins[name] = f"{pins[name]}\n{name}{rest}" if name in pins else f"{name}{rest}"
    return pins


def allow_cpu_build(version: str, wheel: Path | None) -> None:
    """Writes torch-cpu.txt: hashes of CPU builds of this version, the known ones and the wheel's, if any."""
    path = HERE / "torch-cpu.txt"
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    hashes = set()
    if f"torch=={version}+cpu" in known:
        hashes |= set(re.findall(r"--hash=sha256:[0-9a-f]{64}", known))
    if wheel:
        if f"-{version}+cpu-" not in wheel.name:
            raise SystemExit(f"{wheel} is no CPU build of torch {version}: its name lacks {version}+cpu.")
        hashes.add(f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    if hashes:
        write(path.name, {"torch": " \\\n    ".join([f"torch=={version}+cpu", *sorted(hashes)])}, ["torch"])
    else:
        path.unlink(missing_ok=True)


def write(file_name: str, pins: Pins, names: Iterable[str]) -> None:
    """Writes one file of pins, sorted by name."""
    header = "# Written by constraints/refresh.py; docs/setup.md says how to change it.\n"
    (HERE / file_name).write_text(header + "".join(f"{pins[name]}\n" for name in sorted(names)), encoding="utf-8")


def main() -> None:
    """Resolves twice, with and without the tools of the tests, and deals the pins out to the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uv", default="uv", help="where uv is")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--upgrade-package", action="append", default=[], metavar="NAME")
    parser.add_argument("--torch-wheel", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    known = "".join((HERE / name).read_text(encoding="utf-8") for name in FILES if (HERE / name).exists())
    options = ["--upgrade"] * arguments.upgrade + [f"--upgrade-package={name}" for name in arguments.upgrade_package]
    source = HERE.parent / "pyproject.toml"

    everything = resolve(arguments.uv, source, [*EXTRAS, "test"], known, options)
    settled = "".join(f"{block}\n" for block in everything.values())
    product = resolve(arguments.uv, source, EXTRAS, settled, []).keys()
    with tempfile.TemporaryDirectory() as folder:
        tools = Path(folder) / "build.in"
        tools.write_text("\n".join(BUILD), encoding="utf-8")
        everything |= resolve(arguments.uv, tools, [], known + settled, [*options, "--allow-unsafe"])

    cuda = {name for name in everything if CUDA.match(name)}
    runtime = set(product) - cuda - {"torch", *BUILD}
    dev = everything.keys() - runtime - cuda - {"torch", *BUILD}
    for file_name, names in zip(FILES, (set(BUILD), {"torch"}, cuda, runtime, dev), strict=True):
        write(file_name, everything, names)
    allow_cpu_build(everything["torch"].split("==")[1].split()[0], arguments.torch_wheel)


if __name__ == "__main__":
    main()
