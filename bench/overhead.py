"""What ingestion costs beside bare encoding: reading, cutting, storing and publishing over the embedder's own work.

python -m bench.overhead [--documents 60] [--repeats 3]      needs the packaged embedder (`fuente models prepare`)
"""

import argparse
import random
import tempfile
from functools import partial
from pathlib import Path

import models
from bench.measuring import in_turns, machine, ratios
from index.store import Store, embedded_text
from rag import Fuente

_SAMPLES = Path(__file__).parents[1] / "samples"
_PARAGRAPHS = 24
_BATCH = 16


def main() -> None:
    """Prints the ratio of ingesting to encoding the very same texts, sorted by length as sentence-transformers does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuente-bench-") as name:
        folder = Path(name)
        write_documents(folder / "files", arguments.documents)
        fuente = Fuente.configured(index=folder / "first")
        section = fuente.config.models
        resolved = models.resolve(section.embedder, section.cache)
        model = models.load_sentence_transformer(resolved, models.plan_device(section.device, role="embedder"))
        fuente.ingest([folder / "files"])
        passages = _passages(folder / "first")
        numbers = iter(range(1000))

        def ingest() -> None:
            Fuente(
                fuente.config.model_copy(update={"index": folder / f"index{next(numbers)}"}), embedder=fuente.embedder
            ).ingest([folder / "files"])

        encode = partial(model.encode, passages, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
        spent = in_turns({"ingest": ingest, "encode": encode}, arguments.repeats)
    print(f"{arguments.documents} documents, {len(passages)} chunks, {machine()}")
    for clock in ("wall_s", "processor_s"):
        times = {name: [getattr(run, clock) for run in runs] for name, runs in spent.items()}
        print(f"ingesting over encoding, {clock}: {ratios(times['ingest'], times['encode'])}")


def write_documents(folder: Path, count: int) -> None:
    """Text files of shuffled paragraphs of the samples, none like another."""
    paragraphs = [
        paragraph.strip()
        for path in sorted(_SAMPLES.rglob("*"))
        if path.suffix in (".txt", ".md")
        for paragraph in path.read_text(encoding="utf-8").split("\n\n")
        if len(paragraph) > 200
    ]
    order = random.Random(0)  # noqa: S311 - not for secrets
    folder.mkdir(parents=True)
    for number in range(count):
        chosen = [f"{number}. {order.choice(paragraphs)}" for _ in range(_PARAGRAPHS)]
        (folder / f"{number:04d}.txt").write_text("\n\n".join(chosen), encoding="utf-8")


def _passages(index: Path) -> list[str]:
    store = Store.open(index / "fuente.db")
    prefix = store.identity().passage_prefix
    return [prefix + embedded_text(text, ()) for text, _ in store.passages(1)]


if __name__ == "__main__":
    main()
