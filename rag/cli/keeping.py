"""Commands that keep an index: verify, repair, backup and restore."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import models
from index.archive import backup as write_backup
from index.archive import restore as restore_backup
from index.archive_file import UPLOADS, Contents
from index.embedder import Embedder
from index.integrity import Examination
from index.repair import RepairReport, salvageable
from index.repair import repair as repair_index
from index.salvage import Salvage
from rag.cli.options import IndexOption, JsonOption, app, configured
from rag.cli.progress import count_progress
from rag.cli.rendering import notes, out, plain, print_json, size
from rag.compose import Fuente
from rag.pictures import examined


@app.command(epilog="Example: fuente verify --json")
def verify(index: IndexOption = None, json: JsonOption = False) -> None:
    """Check every file and every relation of the index; nothing is changed."""
    folder = configured(index).config.index
    with _stages() as progress:
        found = examined(folder, progress)
        is_store = any(finding.kind == "store" for finding in found.damage)
        saved = salvageable(folder, progress) if is_store else None
    if json:
        savable = {"savable": _saved_json(saved) if saved else None} if is_store else {}
        print_json({"index": str(folder), **_examination_json(found), **savable})
    else:
        _print_examination(found)
        if is_store:
            _print_savable(saved)
    if found.damage:
        raise typer.Exit(1)


@app.command(epilog="Example: fuente repair")
def repair(index: IndexOption = None, json: JsonOption = False) -> None:
    """Save what is whole in a damaged index, and keep the damaged file."""
    fuente = configured(index)
    with _stages() as progress:
        report = repair_index(fuente.config.index, embedder=_prepared_embedder(fuente), progress=progress)
    if json:
        print_json(_repair_json(report))
    else:
        _print_repair(report)


@app.command(epilog="Example: fuente backup ~/fuente.zip")
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, a zip.")],
    index: IndexOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it exists.")] = False,
    json: JsonOption = False,
) -> None:
    """Write the index and the uploaded files into one file."""
    with _stages() as progress:
        contents = write_backup(configured(index).config.index, file, force=force, progress=progress)
    size_bytes = file.stat().st_size
    if json:
        print_json({"file": str(file), **_contents_json(contents), "size_bytes": size_bytes})
    else:
        out.print(f"{_told(contents)} · {size(size_bytes)} in {plain(str(file))}")


@app.command(epilog="Example: fuente restore ~/fuente.zip --index restored-index")
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `fuente backup` wrote.")],
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Make a backup an index again, in a folder that is new or empty."""
    folder = configured(index).config.index
    with _stages() as progress:
        contents = restore_backup(file, folder, progress=progress)
    if json:
        print_json({"index": str(folder), **_contents_json(contents)})
    else:
        out.print(f"{_told(contents)} restored into {plain(str(folder))}")
        out.print(f"It is searched with the model {plain(str(contents.identity['embedder']))}")


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int], None]]:
    """Shows one stage of work after the other."""
    with ExitStack() as drawing:
        shown: dict[str, Callable[[int, int], None]] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in shown:
                drawing.close()  # the stage before is over
                shown.clear()
                shown[stage] = drawing.enter_context(count_progress(stage))
            shown[stage](done, total)

        yield show


def _prepared_embedder(fuente: Fuente) -> Embedder | None:
    """The configured embedder, when it can be had without fetching anything."""
    section = fuente.config.models
    if section.embedder in models.CATALOG and not models.is_prepared(section.embedder, section.cache):
        return None
    try:
        return fuente.embedder
    except models.ModelError as error:
        notes.print(f"without the embedder: {plain(str(error))}")
        return None


def _examination_json(found: Examination) -> dict[str, Any]:
    return {
        "sound": not found.damage,
        "documents": found.documents,
        "chunks": found.chunks,
        "vectors": found.vectors,
        "files": found.files,
        "size_bytes": found.size_bytes,
        "findings": [
            {"path": str(finding.path), "what": finding.what, "mend": finding.mend, "kind": finding.kind}
            for finding in found.findings
        ],
    }


def _print_examination(found: Examination) -> None:
    for finding in found.findings:
        note = "note: " if finding.kind == "information" else ""
        out.print(plain(f"{note}{finding.path}: {finding.what}. {finding.mend}"))
    counts = f"{found.documents} documents, {found.chunks} chunks, {found.files} files, {size(found.size_bytes)}"
    out.print(f"{counts} checked: {'damaged' if found.damage else 'sound'}")


def _print_savable(saved: Salvage | None) -> None:
    if saved is None:
        out.print("Nothing in the store is whole. Restore a backup, or ingest the documents into another folder")
        return
    whole = f"{saved.documents} documents, {saved.chunks} chunks and {saved.vectors} vectors are whole"
    out.print(f"{whole}: `fuente repair` saves them")
    _print_lost(saved)


def _print_repair(report: RepairReport) -> None:
    if report.action == "nothing":
        out.print("The index is sound: nothing was changed")
    elif report.action == "published":
        out.print(f"The search files were built again from the stored documents (generation {report.generation})")
    saved = report.saved
    if saved is not None:
        out.print(f"{saved.documents} documents, {saved.chunks} chunks saved ({saved.embedded} embedded)")
        out.print(f"The damaged store is kept as {plain(str(report.damaged))}")
        _print_lost(saved)
    if report.reindex_needed:
        out.print("Run `fuente reindex` to finish what was interrupted")


def _print_lost(saved: Salvage) -> None:
    for source in saved.lost:
        out.print(f"  ingest again: {plain(source)}")
    if saved.nameless:
        out.print(f"  {saved.nameless} more documents are lost with their names: ingest their folders again")


def _saved_json(saved: Salvage) -> dict[str, Any]:
    return {
        "documents": saved.documents,
        "chunks": saved.chunks,
        "vectors": saved.vectors,
        "embedded": saved.embedded,
        "kept": list(saved.kept),
        "lost": list(saved.lost),
        "nameless": saved.nameless,
    }


def _repair_json(report: RepairReport) -> dict[str, Any]:
    return {
        "action": report.action,
        "generation": report.generation,
        "damaged": None if report.damaged is None else str(report.damaged),
        "reindex_needed": report.reindex_needed,
        "saved": None if report.saved is None else _saved_json(report.saved),
    }


def _contents_json(contents: Contents) -> dict[str, Any]:
    return {
        "documents": contents.documents,
        "chunks": contents.chunks,
        "sources_count": contents.sources,
        "uploads": _uploads(contents),
        "model": contents.identity["embedder"],
        "generation": contents.generation,
        "fuente": contents.fuente,
    }


def _uploads(contents: Contents) -> int:
    return sum(name.startswith(f"{UPLOADS}/") for name in contents.members)


def _told(contents: Contents) -> str:
    return f"{contents.documents} documents, {contents.chunks} chunks, {_uploads(contents)} uploaded files"
