"""Commands about models and hardware."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import models
from index.errors import StoreError
from rag.cli.options import IndexOption, JsonOption, app, configured
from rag.cli.progress import model_progress
from rag.cli.rendering import notes, out, plain, print_json, size
from rag.compose import Fuente
from rag.pictures import examined

_models = typer.Typer(help="List and prepare the packaged models.", no_args_is_help=True)
app.add_typer(_models, name="models")


@_models.command("list", epilog="Example: fuente models list")
def list_models(json: JsonOption = False) -> None:
    """List the models that can be prepared without a model hub."""
    cache = configured(None).config.models.cache
    rows = [
        {
            "name": spec.name,
            "role": spec.role,
            "prepared": models.is_prepared(spec.name, cache),
            "download_bytes": spec.download_bytes,
            "size_bytes": spec.size_bytes,
            "languages": list(spec.languages),
            "license": spec.license,
            "upstream": spec.upstream,
        }
        for spec in models.CATALOG.values()
    ]
    if json:
        print_json({"cache": str(cache), "models": rows})
        return
    for row in rows:
        state = "ready" if row["prepared"] else f"{size(int(str(row['download_bytes'])))} to download"
        out.print(f"{row['name']:<30} {row['role']:<10} {state:<22} {row['license']}")


@_models.command(epilog="Example: fuente models prepare multilingual-e5-small")
def prepare(
    names: Annotated[list[str] | None, typer.Argument(help="Names of `models list`; by default those in use.")] = None,
) -> None:
    """Fetch models from the package index, check them and convert them once."""
    fuente = configured(None)
    prepare_models(names or fuente.required_models(), fuente.config.models.cache)


@app.command(epilog="Example: fuente doctor --json")
def doctor(index: IndexOption = None, json: JsonOption = False) -> None:
    """Say what this machine offers, what was chosen for it, and whether models and index are sound."""
    fuente = configured(index)
    report = {
        "hardware": _hardware(),
        "choices": _choices(fuente),
        "memory": _memory(fuente),
        "models": _model_states(fuente),
    }
    problem, report["index"] = _index_health(fuente)
    if json:
        print_json(report)
    else:
        for section, values in report.items():
            out.print(section)
            for name, value in values.items():
                out.print(f"  {name:<18} {value}")
    if problem:
        raise typer.Exit(1)


def prepare_models(names: Sequence[str], cache: Path) -> None:
    """Prepares each model, drawing the progress."""
    for name in names:
        spec = models.get(name)
        if not models.is_prepared(name, cache):
            notes.print(f"preparing {name}: {size(spec.download_bytes)} from the package index, once, into {cache}")
        with model_progress(name) as progress:
            models.prepare(name, cache, progress=progress)
        notes.print(f"{name} is ready")


def _hardware() -> dict[str, Any]:
    found = models.hardware_report()
    return {
        "system": found.system,
        "python": found.python_version,
        "torch": found.torch_version or "not installed: pip install 'fuente[local]'",
        "processors": found.cpu_count,
        "memory": size(found.memory_bytes) if found.memory_bytes else "unknown",
        "memory free": size(found.available_bytes) if found.available_bytes else "unknown",
        "gpus": ", ".join(f"{gpu.name} ({size(gpu.memory_bytes)})" for gpu in found.gpus) or "none",
    }


def _choices(fuente: Fuente) -> dict[str, Any]:
    section = fuente.config.models
    embedder = models.plan_device(section.device, role="embedder")
    choices = {"embedder": f"{section.embedder} on {embedder.device}, {embedder.dtype_name} ({embedder.reason})"}
    if fuente.config.server.url:
        choices["generator"] = f"{fuente.config.server.model} at {fuente.config.server.url}"
    else:
        plan = models.plan_device(section.device, section.dtype, role="generator")
        choices["generator"] = f"{section.generator} on {plan.device}, {plan.dtype_name} ({plan.reason})"
    return choices


def _memory(fuente: Fuente) -> dict[str, Any]:
    """What one answer takes at most, and whether that fits; only what is prepared is known."""
    try:
        plan = fuente.memory_plan()
    except models.ModelError as error:
        return {"plan": f"not known yet: {error}"}
    taken = {name: size(value) for name, value in asdict(plan.memory).items() if value}
    free = size(plan.free_bytes) if plan.free_bytes is not None else "unknown"
    fits = {True: "fits", False: "does not fit", None: "may fit"}[plan.fits]
    return {
        "plan": plan.told(),
        "needed": f"{size(plan.memory.total)} of {free} free: {fits}",
        **taken,
    }


def _model_states(fuente: Fuente) -> dict[str, Any]:
    cache = fuente.config.models.cache
    states: dict[str, Any] = {"cache": str(cache)}
    for name in fuente.required_models():
        ready = models.is_prepared(name, cache)
        states[name] = "ready" if ready else f"would download {size(models.get(name).download_bytes)}"
    return states


def _index_health(fuente: Fuente) -> tuple[bool, dict[str, Any]]:
    """Whether something is wrong, and what is known; an index that does not exist yet is not wrong."""
    folder = fuente.config.index
    if not (folder / "fuente.db").exists():
        return False, {"folder": str(folder), "state": "none yet"}
    try:
        found = examined(folder)
    except StoreError as error:
        return True, {"folder": str(folder), "state": str(error)}
    told = "; ".join(plain(f"{finding.path}: {finding.what}. {finding.mend}") for finding in found.findings)
    state = told if found.damage else f"sound; {told}".removesuffix("; ")
    return bool(found.damage), {"folder": str(folder), "state": state}
