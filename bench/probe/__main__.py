"""Trains a probe with its adapter and says how well it does on articles that it has not seen.

    python -m bench.probe squad-es-v2.dev-a.json xquad.en.json faquad.pt-a.json --held-out Rin --held-out Rhine … \
        --work work --output rag/probes/qwen2.5-coder-1.5b-instruct.safetensors

Ctrl-C stops it, and the same command goes on.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.measuring import machine
from bench.probe.prefixes import Prefixes
from bench.probe.tasks import Task, tasks_of
from bench.probe.training import Learner, Settings, scores
from rag.compose import Fuente
from rag.evaluation import auroc, bootstrap_statistic, read_squad, threshold_for_refusal_rate
from rag.evaluation.abstention import BoolArray
from rag.evaluation.bootstrap import FloatArray, IndexArray
from rag.finetuning.kept import KeptTraining, about_training
from rag.transformers_generator import TransformersGenerator

_NEEDLESS = 0.15
_TELL_EVERY = 10


def main() -> None:
    """Fits, trains, judges and saves."""
    arguments = _arguments()
    learnt, held = _tasks(arguments)
    print(f"{machine()}\n{len(learnt)} tasks to learn from, {len(held)} held out", flush=True)
    generator = Fuente.configured().generator
    if not isinstance(generator, TransformersGenerator):
        raise TypeError(f"{generator.name} is no model on this machine. Unset server.url")
    settings = Settings(steps=arguments.steps, seed=arguments.seed)
    prefixes = Prefixes(generator, settings.first, settings.layer, arguments.work / "prefixes")
    _read(prefixes, [*learnt, *held])
    learner = Learner(prefixes, settings)
    learner.fit_line(learnt)
    kept = KeptTraining(arguments.work, about_training(learnt, settings, generator.name))
    started = time.monotonic()

    def tell(step: int, loss: float) -> None:
        if step % _TELL_EVERY == 0:
            print(f"step {step} of {settings.steps}: {loss:.3f} nats, {time.monotonic() - started:.0f} s", flush=True)

    learner.train(learnt, kept, tell)
    learner.save(arguments.output)
    _judge(learner, held)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", help="in SQuAD format")
    parser.add_argument("--held-out", action="append", default=[], help="title of an article to judge by")
    parser.add_argument("--only", action="append", default=[], help="of a set with such titles use only these articles")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is kept between runs")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--seed", type=int, default=Settings().seed)
    return parser.parse_args()


def _tasks(arguments: argparse.Namespace) -> tuple[list[Task], list[Task]]:
    """Those to learn from and those held out."""
    found = [
        task for path in arguments.sets for task in tasks_of(read_squad(path), only=arguments.only, seed=arguments.seed)
    ]
    held = [task for task in found if task.article in arguments.held_out]
    return [task for task in found if task.article not in arguments.held_out], held


def _read(prefixes: Prefixes, tasks: Sequence[Task]) -> None:
    """Reads what was not read yet, telling how far it is."""
    started = time.monotonic()
    for count, task in enumerate(tasks):
        if count % 50 == 0:
            print(f"read {count} of {len(tasks)} in {time.monotonic() - started:.0f} s", flush=True)
        prefixes.of(task)


def _judge(learner: Learner, tasks: Sequence[Task]) -> None:
    """Prints AUROC and the share wrongly answered, of each language and kind apart."""
    for language, kind in sorted({(task.language, task.kind) for task in tasks}):
        part = [task for task in tasks if (task.language, task.kind) == (language, kind)]
        odds, answerable = scores(learner, part)
        about = f"{language}, {kind}, {len(odds)} questions"
        if not answerable.any():
            print(f"{about}, none answered: taken for answered {np.mean(odds >= 0):.3f}", flush=True)
            continue
        clusters = [str(n) for n, task in enumerate(part) for _ in task.questions]
        ranked = bootstrap_statistic(partial(_auroc, odds, answerable), len(odds), seed=0, clusters=clusters)
        threshold = threshold_for_refusal_rate(odds[answerable], _NEEDLESS)
        wrongly = float(np.mean(odds[~answerable] >= threshold))
        print(f"{about}: AUROC {ranked.value:.3f} [{ranked.low:.3f}, {ranked.high:.3f}]")
        print(f"    wrongly answered at {_NEEDLESS:.0%} needless refusals: {wrongly:.3f}", flush=True)


def _auroc(odds: FloatArray, answerable: BoolArray, draw: IndexArray) -> float:
    return auroc(odds[draw], answerable[draw])


if __name__ == "__main__":
    main()
