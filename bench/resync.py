"""How many unchanged files a sync looks at in a second, and that it embeds none.

python -m bench.resync [--files 10000] [--repeats 5]
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from bench.corpus import embedder, texts
from bench.measuring import machine, percentile, seconds
from rag import Fuente, load_config


def main() -> None:
    """Ingests a tree of small files, then looks at it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuente-bench-") as name:
        folder = Path(name) / "files"
        for number, text in enumerate(texts(arguments.files)):
            path = folder / f"{number // 100:03d}" / f"{number:05d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        fuente = Fuente(load_config(index=Path(name) / "index"), embedder=embedder())
        print(f"{arguments.files} files, {machine()}")
        print(f"first sync: {seconds(lambda: fuente.ingest([folder])):.1f} s", flush=True)
        again = partial(_again, fuente, folder, arguments.files)
        rates = [arguments.files / seconds(again) for _ in range(arguments.repeats)]
        print(f"unchanged files a second: median {percentile(rates, 0.5):.0f}, least {min(rates):.0f}")


def _again(fuente: Fuente, folder: Path, files: int) -> None:
    report = fuente.ingest([folder])
    assert (len(report.unchanged), report.embedded) == (files, 0)


if __name__ == "__main__":
    main()
