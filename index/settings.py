"""How a search is done."""

from dataclasses import dataclass
from typing import Literal, get_args

from index.selection import Selection
from index.types import Channel

Fusion = Literal["mix", "rrf"]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How channels are combined: `channel` to use, `fusion` of the two, weight of the dense one.

    `candidates` of each channel are fused. Where there is a second stage, the `rerank_candidates` most promising go to
    it, unless the first leads by `rerank_margin` deviations of the cosine.
    Of what is ranked then, `collapse`, `diversity`, `per_source` and `pool` say what is taken, as in `Selection`.

    Raises: ValueError for an unknown mode or a value out of range.
    """

    channel: Channel = "fused"
    fusion: Fusion = "mix"
    dense_weight: float = 0.7
    candidates: int = 100
    rerank_candidates: int = 20
    rerank_margin: float = 1.5
    collapse: bool = True
    diversity: float = 0.0
    per_source: int = 0
    pool: int = 20

    @property
    def selection(self) -> Selection:
        """What is taken of a ranking."""
        return Selection(self.collapse, self.diversity, self.per_source, self.pool)

    def __post_init__(self) -> None:
        for name, known in (("channel", get_args(Channel)), ("fusion", get_args(Fusion))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {', '.join(known)}")
        if not 0.0 <= self.dense_weight <= 1.0:
            raise ValueError(f"dense_weight={self.dense_weight} must lie in [0, 1]")
        for name in ("candidates", "rerank_candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not self.rerank_margin > 0.0:
            raise ValueError(f"rerank_margin={self.rerank_margin} must be above 0")
        _ = self.selection  # it checks its own
