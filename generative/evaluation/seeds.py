"""One training with several seeds, each judged: the mean of every figure and how far the seeds lie apart.

Each seed has a folder of its own with its checkpoint and, once judged, figures.json; what is there is not made again,
so a run that was stopped goes on where it was.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generative.errors import CheckpointError
from generative.family import AnyFamily, FamilyConfig, Split
from generative.training import Report, no_report

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over several seeds."""

    name: str
    mean: float
    low: float
    high: float

    def row(self) -> str:
        """A row of a Markdown table: figure, mean, range."""
        return f"| {self.name} | {self.mean:.4g} | {self.low:.4g}–{self.high:.4g} |"


def figures_of_seeds(
    kind: type[AnyFamily],
    config: FamilyConfig,
    split: Split,
    folder: Path,
    seeds: Sequence[int],
    *,
    max_seconds: float = math.inf,
    report: Report = no_report,
) -> Iterator[tuple[int, Figures]]:
    """Each seed and its figures, as they are made; fewer than `seeds` where `max_seconds` of training were over before.

    Raises: CheckpointError where the folder holds another configuration.
    """
    end = time.monotonic() + max_seconds
    for seed in seeds:
        seeded = replace(config, training=replace(config.training, seed=seed))
        place = folder / f"seed-{seed}"
        known = _known(place / "figures.json", seeded)
        if known is None:
            family = _trained(kind, seeded, split, place / "checkpoint.safetensors", end, report)
            if family is None:
                return
            known = family.evaluate(split, seed=seed)
            _keep(place / "figures.json", seeded, known)
        yield seed, known


def spreads(figures: Sequence[Figures]) -> list[Spread]:
    """What several seeds have in common, figure by figure."""
    shared = [name for name in figures[0] if all(name in one for one in figures)]
    columns = {name: [one[name] for one in figures] for name in shared}
    return [Spread(name, math.fsum(all_) / len(all_), min(all_), max(all_)) for name, all_ in columns.items()]


def _trained(
    kind: type[AnyFamily], config: FamilyConfig, split: Split, checkpoint: Path, end: float, report: Report
) -> AnyFamily | None:
    """The family, trained to its end; None where there was no time for that, and then the checkpoint goes on."""
    family = kind(config)
    family.fit(
        split.train,
        val=split.test if split.watched is None else split.watched,
        max_seconds=end - time.monotonic(),
        resume=checkpoint if checkpoint.is_file() else None,
        checkpoint=checkpoint,
        report=report,
    )
    return None if time.monotonic() >= end else family


def _known(path: Path, config: FamilyConfig) -> dict[str, float] | None:
    if not path.is_file():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if kept["config"] != config.to_json():
        raise CheckpointError(f"{path} holds the figures of another configuration. Name another folder with --out.")
    figures: dict[str, float] = kept["figures"]
    return figures


def _keep(path: Path, config: FamilyConfig, figures: Figures) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps({"config": config.to_json(), "figures": dict(figures)}), encoding="utf-8")
    unfinished.replace(path)
