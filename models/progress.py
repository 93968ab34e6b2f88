"""How preparation tells what it is doing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["wait", "download", "assemble", "convert", "seal", "done"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of one stage: `done` of `total` in `unit` (bytes, parts, tensors); `total` 0 is unknown."""

    stage: Stage
    done: int
    total: int
    unit: str
    message: str


Report = Callable[[Progress], None]


def no_report(_: Progress) -> None:
    """Drops the report, for callers that do not ask for one."""
