"""What each stage of a search costs beside the first one, in processor time of one thread, which other work on the
machine changes little.

python -m bench.stages xquad.es.json [--questions 12] [--generator]      needs the packaged models
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.measuring import machine
from index.late_interaction import LateInteraction
from index.rerank import Candidate
from index.search import Index
from index.settings import SearchSettings
from index.types import Hit
from rag import Fuente
from rag.evaluation import read_squad, sampled
from rag.evaluation.harness import over_paragraphs
from rag.generator import Likelihood

_DEPTH = 100
_RERANKED = 20
_CLOSE = 2


def main() -> None:
    """Prints the median of each stage and its ratio to a search without a second stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path)
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--generator", action="store_true", help="also the likelihood of the question")
    arguments = parser.parse_args()
    fuente = Fuente.configured(retrieval={"rerank": "none"})
    question_set = read_squad(arguments.set)
    index = over_paragraphs(fuente, question_set, fuente.config.models.cache / "evaluation").index
    asked = [question.text for question in sampled(question_set.questions, arguments.questions, 0)]
    stages = _stages(index, fuente.generator if arguments.generator else None)
    seconds = {name: [_processor_seconds(partial(run, text)) for text in asked] for name, run in stages.items()}
    print(f"{len(index.generation.ids)} passages, {len(asked)} questions, {machine()}")
    whole = statistics.median(seconds["first stage, whole"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<44} {median * 1e3:9.1f} ms   {median / whole:8.2f}")


def _stages(index: Index, generator: object | None) -> dict[str, Callable[[str], object]]:
    generation, embedder = index.generation, index.embedder
    vectors = embedder.encode_queries(["¿Qué es esto?"])
    found: dict[str, Sequence[Hit]] = {}

    def first(text: str) -> object:
        found[text] = index.search(text, _RERANKED, settings=SearchSettings(collapse=False))
        return found[text]

    def late(text: str) -> object:
        # A new one each time: what it remembers would be for nothing here.
        candidates = [Candidate(hit.chunk.text, hit.dense, 0.5) for hit in found[text]]
        return LateInteraction(embedder).scores(text, candidates)

    stages: dict[str, Callable[[str], object]] = {
        "embedding the question": lambda text: embedder.encode_queries([text]),
        "dense": lambda _: generation.dense.search(vectors, _DEPTH),
        "BM25": generation.lexical.scores,
        "first stage, whole": first,
        f"late interaction, {_RERANKED} passages": late,
    }
    if isinstance(generator, Likelihood):
        stages[f"likelihood, {_CLOSE} passages"] = lambda text: generator.log_likelihoods(
            [hit.chunk.text for hit in found[text][:_CLOSE]], f" {text}"
        )
    return stages


def _processor_seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


if __name__ == "__main__":
    main()
