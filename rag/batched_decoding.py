"""Several replies written at a time: a token of each in one run of the model.

For a token all weights are read from memory, however many replies get one by it, so that replies which are written
together hardly take longer than one. They join and leave between two tokens.

Source: Yu et al. 2022, "Orca: A Distributed Serving System for Transformer-Based Generative Models" (iteration-level
scheduling).
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from rag.drawing import draw, penalised
from rag.errors import OutOfMemoryError
from rag.turns import Turns
from rag.types import Sampling


@dataclass(slots=True, eq=False)
class Reply:
    """One that is being written behind a prompt, whose KV cache and next-token logits (V,) it takes over.

    `random` draws its tokens; it ends after `limit` of them, or once `cancel` is set.
    """

    cache: DynamicCache
    logits: torch.Tensor
    sampling: Sampling
    random: torch.Generator
    limit: int
    cancel: Event | None = None
    written: list[int] = field(default_factory=list)
    _ready: SimpleQueue[int | BaseException | None] = field(default_factory=SimpleQueue)
    _given_up: bool = False

    def tokens(self) -> Iterator[int]:
        """The tokens as they come; a reader who stops early ends the reply."""
        try:
            while (token := self._ready.get()) is not None:
                if isinstance(token, BaseException):
                    raise token
                yield token
        finally:
            self._given_up = True

    def draw(self, ends: Collection[int]) -> int | None:
        """The next token where another one follows it; None when the reply has ended."""
        if self._given_up or (self.cancel is not None and self.cancel.is_set()):
            return None
        token = draw(penalised(self.logits, self.written, self.sampling.repetition_penalty), self.sampling, self.random)
        if token in ends:
            return None
        self.written.append(token)
        self._ready.put(token)
        return token if len(self.written) < self.limit else None

    def end(self, error: BaseException | None = None) -> None:
        """Tells the reader that nothing follows."""
        self._ready.put(error)


class BatchedDecoder:
    """Writes up to `most` replies of a causal model at a time, in a thread that runs while there are any.

    Each run of the model takes a turn of `turns`, which others take to run it for something else.
    """

    def __init__(self, model: Any, ends: Collection[int], turns: Turns, most: int) -> None:
        self._model = model
        self._ends = ends
        self._turns = turns
        self._most = most
        self._state = Lock()
        self._waiting: deque[Reply] = deque()
        self._worker: Thread | None = None

    def write(self, reply: Reply) -> Iterator[int]:
        """Tokens of the reply, up to its end token.

        Raises: OutOfMemoryError.
        """
        with self._state:
            self._waiting.append(reply)
            if self._worker is None:
                self._worker = Thread(target=self._work, name="replies")
                self._worker.start()
        return reply.tokens()

    def _work(self) -> None:
        replies: list[Reply] = []
        stacked = StackedCaches(self._model)
        while True:
            with self._state:
                come = [self._waiting.popleft() for _ in range(min(self._most - len(replies), len(self._waiting)))]
                if not replies and not come:
                    self._worker = None
                    return
            replies += come
            try:
                with self._turns:
                    stacked.add([reply.cache for reply in come])
                    replies = self._step(replies, stacked)
            except BaseException as error:  # noqa: BLE001 - those who wait for a reply are told, whatever it is
                for reply in replies:
                    reply.end(self._told(error, len(replies)))
                replies, stacked = [], StackedCaches(self._model)

    @torch.inference_mode()
    def _step(self, replies: Sequence[Reply], stacked: "StackedCaches") -> list[Reply]:
        """Gives each reply a token; those that go on."""
        drawn = [reply.draw(self._ends) for reply in replies]
        going = [(place, reply, token) for place, (reply, token) in enumerate(zip(replies, drawn, strict=True))
                 if token is not None]  # fmt: skip
        for reply, token in zip(replies, drawn, strict=True):
            if token is None:
                reply.end()
        stacked.keep([place for place, _, _ in going])
        if going:
            for (_, reply, _), logits in zip(going, stacked.run([token for *_, token in going]), strict=True):
                reply.logits = logits
        return [reply for _, reply, _ in going]

    def _told(self, error: BaseException, count: int) -> BaseException:
        if not isinstance(error, torch.OutOfMemoryError):
            return error
        mend = "Set models.together lower, or ask with fewer passages (-k)"
        return OutOfMemoryError(f"out of memory while {count} replies were written at a time. {mend}")


class StackedCaches:
    """KV caches of several lengths as one of B rows, the shorter ones with a gap in front that nothing attends to."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = DynamicCache(config=model.config)
        self._lengths: list[int] = []

    def add(self, caches: Sequence[DynamicCache]) -> None:
        """Puts caches of one row each below the others."""
        if not caches:
            return
        parts = [*([self._cache] if self._lengths else []), *caches]
        width = max(part.get_seq_length() for part in parts)
        self._lengths += [cache.get_seq_length() for cache in caches]
        stacked = DynamicCache(config=self._model.config)
        for number, layers in enumerate(zip(*(part.layers for part in parts), strict=True)):
            keys, values = (_rows([getattr(one, kind) for one in layers], width) for kind in ("keys", "values"))
            stacked.update(keys, values, number)
        self._cache = stacked

    def keep(self, rows: Sequence[int]) -> None:
        """Leaves these rows, and no more of the gap than the longest of them has."""
        if len(rows) == len(self._lengths):
            return
        self._lengths = [self._lengths[row] for row in rows]
        if not rows:
            self._cache = DynamicCache(config=self._model.config)
            return
        gap = self._cache.get_seq_length() - max(self._lengths)
        layers: list[Any] = self._cache.layers
        for layer in layers:
            chosen = torch.tensor(rows, device=layer.keys.device)
            layer.keys, layer.values = (one[chosen, :, gap:] for one in (layer.keys, layer.values))

    def run(self, tokens: Sequence[int]) -> list[torch.Tensor]:
        """Next-token logits (V,) float32 on the CPU of each row, once its token has joined its cache."""
        device = self._model.device
        lengths = torch.tensor(self._lengths, device=device)
        width = self._cache.get_seq_length() + 1
        seen = torch.arange(width, device=device) >= (width - 1 - lengths)[:, None]  # (B, S)
        output = self._model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            attention_mask=None if bool(seen.all()) else seen.long(),
            position_ids=lengths[:, None],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._lengths = [length + 1 for length in self._lengths]
        return list(output.logits[:, -1].float().cpu())


def _rows(parts: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Keys or values (b, G, s, D) of several caches as one (B, G, S, D), with zeros in front of the shorter ones."""
    return torch.cat([pad(part, (0, 0, width - part.shape[2], 0)) for part in parts])
