"""n-grams with interpolated Kneser–Ney smoothing: what counting alone gives, which a network has to beat.

A token's probability after a context is its count with a discount taken off, plus what the discounts freed
times its probability after a shorter context. Below the longest order a token counts by after how many
*different* tokens it was seen: "Francisco" is frequent, but only after "San".

Source: Kneser & Ney 1995, "Improved backing-off for m-gram language modeling"; in the interpolated form and
with the discount n1 / (n1 + 2 n2) of Chen & Goodman 1999, section 3.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

_LARGEST_CODE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Order:
    """Counts of one order; a gram is the number that its tokens make in base `size`, its first token counting most.

    `grams` (G,) are in order with their `counts`; `contexts` (C,) are the grams without their last token, with
    the sum of their `totals` and the number of their `kinds` of next tokens.
    """

    grams: Ids
    counts: Ids
    contexts: Ids
    totals: Ids
    kinds: Ids
    discount: float


@dataclass(frozen=True, slots=True)
class KneserNey:
    """Probabilities of the next token from counts of up to `order` tokens."""

    size: int
    orders: tuple[_Order, ...]

    @classmethod
    def fit(cls, ids: Ids, *, size: int, order: int) -> Self:
        """Counts the tokens `ids` (N,), each from 0 to size − 1.

        Raises:
            ValueError: `order` is below 1, or grams of this order cannot be told apart in 63 bits, or there are
                too few tokens or some out of range.
        """
        if order < 1 or size**order > _LARGEST_CODE:
            raise ValueError(f"Order {order} of {size} tokens: from 1 on, and size to that power must be below 2**63.")
        if len(ids) < order or ids.min() < 0 or ids.max() >= size:
            raise ValueError(f"{len(ids)} tokens: at least {order} are needed, each from 0 to {size - 1}.")
        grams, counts = np.unique(_codes(ids, order, size), return_counts=True)
        orders = [_order(grams, counts.astype(np.int64), size)]
        for shorter in range(order - 1, 0, -1):
            # Continuation counts: each different longer gram counts once for the gram without its first token.
            grams, counts = np.unique(orders[0].grams % size**shorter, return_counts=True)
            orders.insert(0, _order(grams, counts.astype(np.int64), size))
        return cls(size, tuple(orders))

    def next(self, context: Ids) -> Floats:
        """Probabilities (size,) of every token after the context, which sum to 1."""
        rows = np.tile(np.append(context, 0), (self.size, 1))
        rows[:, -1] = np.arange(self.size)
        return self._interpolate(rows)

    def log_probabilities(self, ids: Ids) -> Floats:
        """Log-probability in nats (N,) of every token after all that come before it."""
        longest = len(self.orders)
        found = [self._interpolate(ids[None, : place + 1]) for place in range(min(longest - 1, len(ids)))]
        if len(ids) >= longest:
            found.append(self._interpolate(np.lib.stride_tricks.sliding_window_view(ids, longest)))
        probabilities: Floats = np.concatenate(found) if found else np.empty(0)
        return np.log(probabilities)

    def _interpolate(self, rows: Ids) -> Floats:
        """Probability (B,) of the last token of every row (B, T) after the tokens before it; 0 where T is 0."""
        probability = np.full(len(rows), 1 / self.size)
        for length, order in enumerate(self.orders[: rows.shape[1]], start=1):
            codes = rows[:, -length:] @ self.size ** np.arange(length - 1, -1, -1)
            count = _look_up(order.grams, order.counts, codes)
            total = _look_up(order.contexts, order.totals, codes // self.size)
            kinds = _look_up(order.contexts, order.kinds, codes // self.size)
            kept = np.maximum(count - order.discount, 0)
            freed = order.discount * kinds
            # A context that was never seen says nothing: the shorter one keeps all the weight.
            probability = np.where(total > 0, (kept + freed * probability) / np.maximum(total, 1), probability)
        return probability


def longest_order(size: int) -> int:
    """The longest grams of so many different tokens that can be told apart in 63 bits."""
    return next(order for order in range(63, 0, -1) if size**order <= _LARGEST_CODE)


def _codes(ids: Ids, order: int, size: int) -> Ids:
    codes = np.zeros(len(ids) - order + 1, np.int64)
    for shift in range(order):
        codes = codes * size + ids[shift : len(ids) - order + 1 + shift]
    return codes


def _order(grams: Ids, counts: Ids, size: int) -> _Order:
    contexts, first = np.unique(grams // size, return_index=True)
    totals, kinds = np.add.reduceat(counts, first), np.diff(np.append(first, len(grams)))
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    # Where no gram is rare, as on tiny texts, half a count is taken off: the formula would take 0 or all.
    discount = once / (once + 2 * twice) if once and twice else 0.5
    return _Order(grams, counts, contexts, totals, kinds.astype(np.int64), discount)


def _look_up(keys: Ids, values: Ids, wanted: Ids) -> Ids:
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
