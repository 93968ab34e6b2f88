"""A reply written by a step that is compiled once: a token through the model, over buffers that keep place and size.

A GPU computes a token of a small model faster than the processor can ask for it, kernel by kernel; compiled, a step is
asked for as a whole (a CUDA graph).

Source: Nguyen et al. 2021, "Accelerating PyTorch with CUDA Graphs" (pytorch.org); the static cache of transformers.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from transformers import DynamicCache, PreTrainedModel, StaticCache

from rag.drawing import draw, penalised
from rag.types import Sampling

# Buffers double in length when a reply needs longer ones, so that a step is compiled a few times only.
_SHORTEST = 1024

_log = logging.getLogger(__name__)


class CompiledDecoder:
    """Writes one reply at a time; `mode` is one of torch.compile's."""

    def __init__(self, model: PreTrainedModel, end_ids: Collection[int], *, mode: str = "reduce-overhead") -> None:
        self._model = model
        self._end_ids = end_ids
        self._step: Callable[..., torch.Tensor] = torch.compile(self._forward, mode=mode, fullgraph=True, dynamic=False)
        self._length = _SHORTEST
        self._cache: Any = None
        # CUDA graphs belong to the thread that recorded them, and replies are asked for by any thread.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fuente-compiled")

    def write(
        self,
        prompt: DynamicCache,
        logits: torch.Tensor,
        sampling: Sampling,
        random: torch.Generator,
        limit: int,
        cancel: Event | None = None,
    ) -> Iterator[int]:
        """Ids of a reply of at most `limit` tokens behind a prompt, whose cache stays as it is; its logits are (V,)."""
        length = prompt.get_seq_length()
        self._thread.submit(self._fill, prompt, length + limit).result()
        written: list[int] = []
        while len(written) < limit and not (cancel is not None and cancel.is_set()):
            if written:
                logits = self._thread.submit(self._after, written[-1], length + len(written) - 1).result()
            token = draw(penalised(logits, written, sampling.repetition_penalty), sampling, random)
            if token in self._end_ids:
                return
            yield token
            written.append(token)

    @torch.inference_mode()
    def _fill(self, prompt: DynamicCache, tokens: int) -> None:
        """Puts the prompt's keys and values into buffers with room for so many tokens."""
        while self._length < tokens:
            self._length, self._cache = 2 * self._length, None
        if self._cache is None:
            self._cache = StaticCache(config=self._model.config, max_cache_len=self._length)
        self._cache.reset()
        layers: Any = zip(self._cache.layers, prompt.layers, strict=True)
        for layer, known in layers:
            layer.update(known.keys, known.values)

    @torch.inference_mode()
    def _after(self, token: int, place: int) -> torch.Tensor:
        """Logits (V,) float32 on the CPU after one more token."""
        device = self._model.device
        ids, positions = (torch.tensor([[value]], device=device) for value in (token, place))  # (1, 1)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        try:
            logits = self._step(ids, positions, self._cache)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            _log.warning("the step of a token cannot be compiled here (%s). It is run as it is", error)
            self._step = self._forward
            logits = self._step(ids, positions, self._cache)
        return logits[0].float().cpu()

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, cache: Any) -> torch.Tensor:
        output = self._model(
            input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        logits: torch.Tensor = output.logits[:, -1]  # (1, V)
        return logits
