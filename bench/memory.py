"""Whether ingestion needs more memory for a longer corpus.

python -m bench.memory [--documents 500 1000 2000 4000]
"""

import argparse
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from bench.corpus import embedder, texts
from bench.measuring import machine, resident_mb
from index.types import SyncProgress
from rag import Fuente, load_config

_CHUNKS_PER_DOCUMENT = 20


def main() -> None:
    """Prints the most memory that a process of its own has had for each number of documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        _measure(arguments.documents[0])
        return
    print(machine(), flush=True)
    for count in arguments.documents:
        subprocess.run([sys.executable, "-m", "bench.memory", "--alone", "--documents", str(count)], check=True)


def _measure(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fuente-bench-") as name:
        folder = Path(name) / "files"
        folder.mkdir()
        passages = texts(count * _CHUNKS_PER_DOCUMENT)
        for number in range(count):
            own = [next(passages) for _ in range(_CHUNKS_PER_DOCUMENT)]
            (folder / f"{number:05d}.txt").write_text("\n\n".join(own), encoding="utf-8")
        fuente = Fuente(load_config(index=Path(name) / "index"), embedder=embedder())
        with _Peak() as peak:
            report = fuente.ingest([folder], progress=peak.look)
    memory = f"{peak.before:.0f} MiB before, {peak.highest:.0f} MiB at most"
    print(f"{count:>6} documents, {report.chunks:>7} chunks: {memory}", flush=True)


class _Peak:
    """The most memory seen between `with` and its end, every 20 ms."""

    def __enter__(self) -> "_Peak":
        self.before = self.highest = resident_mb()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def look(self, _: SyncProgress) -> None:
        """Takes the memory of this moment into account."""
        self.highest = max(self.highest, resident_mb())

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.highest = max(self.highest, resident_mb())


if __name__ == "__main__":
    main()
