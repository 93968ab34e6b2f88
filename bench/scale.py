"""Many chunks: how long opening, asking and a small change take, and how much memory ingestion has.

python -m bench.scale 100000 [--folder DIR] [--embed]      --embed needs the packaged embedder
"""

import argparse
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.corpus import DIMENSION, embedder, entries, questions
from bench.measuring import machine, peak_mb, percentile, resident_mb, seconds
from index.search import Index
from index.settings import SearchSettings
from index.store_writer import StoreWriter
from index.types import DEFAULT_COLLECTION, Identity
from index.writer import IndexWriter
from ingest.types import Chunk, Document
from rag import Fuente

_QUESTIONS = 300
_DOCUMENTS_PER_TRANSACTION = 200


def main() -> None:
    """Builds an index of made-up chunks and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chunks", type=int)
    parser.add_argument("--folder", type=Path, help="where the index is built and kept; by default it is deleted")
    parser.add_argument(
        "--embed", action="store_true", help="also time whole searches, the embedding of the question included"
    )
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fuente-bench-"))
    try:
        measure(folder, arguments.chunks)
        if arguments.embed:
            _ask_in_full(folder)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder)


def measure(folder: Path, chunks: int) -> None:
    """Prints one figure a line."""
    model = embedder()
    print(f"{chunks} chunks, {machine()}")
    if not (folder / "CURRENT").exists():
        _say("store", seconds(lambda: _fill(folder, chunks)), "s")
        with _writer(folder) as writer:
            before = resident_mb()
            _say("publish everything", seconds(writer.publish), "s")
            _say("memory gained by publishing", resident_mb() - before, "MiB")
    with _writer(folder) as writer:
        changed = [_document(time.time_ns())]
        _say("publish one new document", seconds(lambda: writer.add(changed)), "s")
        _say("nothing new", seconds(writer.publish), "s")
        writer.remove([changed[0].source])
    _say("open", seconds(lambda: Index(folder, model).close()), "s")
    index = Index(folder, model)
    print(f"dense: {index.generation.manifest.dense}")
    _ask(index)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    _say("on disk", size / 2**20, "MiB")
    _say("most memory", peak_mb(), "MiB")


def _ask(index: Index) -> None:
    asked = questions(_QUESTIONS)
    for channel in ("fused", "dense", "lexical"):
        settings = SearchSettings(channel=channel)
        index.search(asked[0], 10, settings=settings)
        net = [
            seconds(partial(index.search, text, 10, settings=settings))
            - seconds(partial(index.embedder.encode_queries, [text]))
            for text in asked
        ]
        _say(f"ask, {channel}: median", percentile(net, 0.5) * 1e3, "ms")
        _say(f"ask, {channel}: p95", percentile(net, 0.95) * 1e3, "ms")


def _ask_in_full(folder: Path) -> None:
    """Searches from words to hits, with the packaged embedder for the questions."""
    index = Index(folder, embedder(Fuente.configured().embedder))
    asked = questions(_QUESTIONS)
    for text in asked[:20]:
        index.search(text, 10)
    times = [seconds(partial(index.search, text, 10)) for text in asked]
    _say("ask in full: median", percentile(times, 0.5) * 1e3, "ms")
    _say("ask in full: p95", percentile(times, 0.95) * 1e3, "ms")


def _fill(folder: Path, chunks: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    store = StoreWriter.create(folder / "fuente.db", _IDENTITY)
    batch, vectors = [], {}
    for entry, own in entries(chunks, embedder()):
        batch.append(entry)
        vectors.update(own)
        if len(batch) == _DOCUMENTS_PER_TRANSACTION:
            store.add_vectors(vectors)
            store.put(batch, DEFAULT_COLLECTION, 1)
            batch, vectors = [], {}
    store.add_vectors(vectors)
    store.put(batch, DEFAULT_COLLECTION, 1)


def _writer(folder: Path) -> IndexWriter:
    return IndexWriter(folder, embedder(), _whole, _IDENTITY)


def _whole(document: Document) -> list[Chunk]:
    return [Chunk(int(document.id[:15], 16), document.id, document.text, 0, len(document.text), None, ())]


def _document(number: int) -> Document:
    name = f"{number:x}".rjust(16, "0")
    return Document(name, f"/new/{name}.txt", f"una nota nueva {number}", (), "es", {}, name)


def _say(what: str, value: float, unit: str) -> None:
    print(f"{what:<32} {value:10.3f} {unit}", flush=True)


_IDENTITY = Identity("topics", "", DIMENSION, "", "", 256, 48)

if __name__ == "__main__":
    main()
