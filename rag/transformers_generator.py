"""A local transformer as generator: explicit decoding over a KV cache whose prompt prefix is kept."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models import context_tokens
from rag.batched_decoding import BatchedDecoder, Reply
from rag.chat_tokens import ChatTokens
from rag.drawing import draw, penalised
from rag.errors import OutOfMemoryError, PromptTooLongError
from rag.generator import States
from rag.low_rank import LowRank, applied
from rag.prompt_caches import PromptCaches, common_prefix, is_plain
from rag.reply_text import definite, until_stop
from rag.spans import Piece, PieceSearch
from rag.turns import Turns
from rag.types import Message, Sampling

if TYPE_CHECKING:
    from rag.compiled_decoding import CompiledDecoder

# Prompts are run through the model in pieces, which bounds the memory of activations.
_PREFILL_TOKENS = 512


class _Stopped(Exception):
    """The reader stopped the answer while the model was running."""


class TransformersGenerator:
    """Any transformers causal model with a chat template. Callers wait for each other, unless replies are written
    `together`, so many at a time. `compiled` writes a reply by a compiled step where none is written beside it.

    The KV caches of the last prompts are kept. The next prompt runs only from where it differs from one of them, so the
    instructions, and passages asked about twice, are paid for once.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        together: int = 1,
        compiled: bool = False,
    ) -> None:
        self.name = name
        self.context_tokens = context_tokens(model.config)
        self._model = model
        self._tokenizer = tokenizer
        self._turns = Turns()
        self._caches = PromptCaches(model.config, together)
        self._end_ids = _end_ids(model, tokenizer)
        # Layers that forget cannot stand beside each other with gaps in front, nor in buffers of fixed size.
        plain = is_plain(self._caches.cache)
        batched = together > 1 and plain
        self._batched = BatchedDecoder(model, self._end_ids, self._turns, together) if batched else None
        self._compiled = _compiled_decoder(model, self._end_ids) if compiled and plain and not batched else None
        self._tokens = ChatTokens(tokenizer)
        self._cancel: Event | None = None
        decoder: Any = model.get_decoder()  # type: ignore[no-untyped-call]
        for layer in getattr(decoder, "layers", ()):
            layer.register_forward_pre_hook(self._stop_between_layers)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt, chat template included."""
        return self._tokens.count(messages)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        """Pieces of the reply; temperature 0 is greedy, otherwise equal seeds give equal replies.

        Raises: PromptTooLongError.
        """
        prompt = self._tokens.prompt(messages)
        limit = min(self._room(prompt), sampling.max_tokens)
        if self._batched:
            ids = self._beside_others(self._batched, prompt, sampling, limit, cancel)
            yield from until_stop(definite(ids, self._text), sampling.stop)
            return
        with self._turns, self._stoppable(cancel):
            write = self._decode if self._compiled is None else partial(self._decode_compiled, self._compiled)
            ids = write(prompt, sampling, limit)
            yield from until_stop(definite(ids, self._text), sampling.stop)

    def log_odds(self, messages: Sequence[Message], first: str, second: str, *, cancel: Event | None = None) -> float:
        """ln P(first) − ln P(second) of the reply's first token; 0 once `cancel` is set.

        Raises: PromptTooLongError.
        """
        prompt = self._tokens.prompt(messages)
        self._room(prompt)
        with self._turns, self._stoppable(cancel):
            logits = self._prefill(prompt)
        if cancel is not None and cancel.is_set():
            return 0.0
        a, b = (self._tokenizer.encode(text, add_special_tokens=False)[0] for text in (first, second))
        return float(logits[a] - logits[b])

    def read(
        self,
        messages: Sequence[Message],
        without: Sequence[Message],
        layer: int,
        *,
        adapter: LowRank | None = None,
        cancel: Event | None = None,
    ) -> States | None:
        """The states of a prompt after so many layers; the part is where it differs from `without`, a like prompt.

        From there on an adapter is on, and off again afterwards. None once `cancel` is set.

        Raises: PromptTooLongError.
        """
        prompt, other = self._tokens.prompt(messages), self._tokens.prompt(without)
        self._room(prompt)
        start = min(common_prefix(prompt, other), len(prompt) - 1)
        end = max(start + 1, len(prompt) - common_prefix(prompt[::-1], other[::-1]))
        with self._turns, self._stoppable(cancel):
            # What is cached already has no states left to see.
            self._prefill(prompt[:start] or prompt[:1])
            self._caches.shorten(min(start, len(self._caches.ids)))
            with self._adapted(adapter or {}):
                states = self._states(prompt, layer)  # (T, D)
            return States(states[-1], states[: end - start].mean(axis=0))
        return None

    def extract(self, messages: Sequence[Message], texts: Sequence[str], *, cancel: Event | None = None) -> list[Piece]:
        """Likely replies among the pieces of some texts, the likeliest first; none once `cancel` is set.

        Raises: PromptTooLongError.
        """
        prompt = self._tokens.prompt(messages)
        self._room(prompt)
        search = PieceSearch(texts, self._text, self._end_ids)
        with self._turns, self._stoppable(cancel):
            self._search(prompt, search)
            return search.found
        return []

    def log_likelihoods(self, texts: Sequence[str], continuation: str) -> list[float]:
        """The mean ln P of the continuation's tokens after each text, which no chat template surrounds.

        All are run at once, and the cache stays that of the last prompt. Of a text too long for the context the
        beginning is left out.

        Raises: PromptTooLongError for a continuation that fills the context alone.
        """
        end = self._tokens.plain(continuation)
        room = self.context_tokens - len(end)
        if not texts or not end:
            return [0.0] * len(texts)
        if room < 1:
            reason = f"the continuation has {len(end)} tokens, {self.name} takes {self.context_tokens}"
            raise PromptTooLongError(f"{reason}. Ask a shorter question")
        starts = [self._tokens.plain(text)[-room:] or [self._tokenizer.eos_token_id or 0] for text in texts]
        with self._turns:
            return self._mean_log_likelihoods(starts, end)

    @contextmanager
    def _stoppable(self, cancel: Event | None) -> Iterator[None]:
        """Ends its block early, and without an error, once `cancel` is set and the model runs."""
        self._cancel = cancel
        try:
            yield
        except _Stopped:
            pass
        finally:
            self._cancel = None

    @torch.inference_mode()
    def _mean_log_likelihoods(self, starts: Sequence[list[int]], end: list[int]) -> list[float]:
        longest = max(map(len, starts))
        gaps = [longest - len(start) for start in starts]
        device = self._model.device
        # Padding comes first, so that the logits wanted are the last ones of every row.
        ids = torch.tensor(
            [[end[-1]] * gap + start + end for gap, start in zip(gaps, starts, strict=True)], device=device
        )
        mask = torch.tensor([[0] * gap + [1] * (ids.shape[1] - gap) for gap in gaps], device=device)
        logits = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            use_cache=False,
            logits_to_keep=len(end) + 1,
        ).logits[:, :-1]  # (N, len(end), V)
        logs = torch.log_softmax(logits.float(), dim=-1).gather(-1, ids[:, -len(end) :, None])  # (N, len(end), 1)
        return [float(mean) for mean in logs.mean(dim=(1, 2))]

    def _room(self, prompt: list[int]) -> int:
        """Tokens that the context has left for the reply."""
        room = self.context_tokens - len(prompt)
        if room < 1:
            reason = f"the prompt has {len(prompt)} tokens, {self.name} takes {self.context_tokens}"
            raise PromptTooLongError(f"{reason}. Ask with fewer passages (-k) or a smaller generation.prompt_tokens")
        return room

    def _decode(self, prompt: list[int], sampling: Sampling, limit: int) -> Iterator[int]:
        """Ids of the reply, up to its end token."""
        random = _random(sampling)
        logits = self._prefill(prompt)
        written: list[int] = []
        for _ in range(limit):
            if written:
                logits = self._forward(written[-1:])
            token = draw(penalised(logits, written, sampling.repetition_penalty), sampling, random)
            if token in self._end_ids:
                return
            yield token
            written.append(token)

    def _decode_compiled(
        self, compiled: "CompiledDecoder", prompt: list[int], sampling: Sampling, limit: int
    ) -> Iterator[int]:
        """Ids of the reply, up to its end token, by the compiled step."""
        logits = self._prefill(prompt)
        # What looks at it between the layers would be compiled, too.
        cancel, self._cancel = self._cancel, None
        ids = compiled.write(self._caches.cache, logits, sampling, _random(sampling), limit, cancel)
        while True:
            with self._restoring(limit):
                token = next(ids, None)
            if token is None:
                return
            yield token

    def _beside_others(
        self, batched: BatchedDecoder, prompt: list[int], sampling: Sampling, limit: int, cancel: Event | None
    ) -> Iterator[int]:
        """Ids of the reply, up to its end token, while others are written, too."""
        reply = None
        with self._turns, self._stoppable(cancel):
            logits = self._prefill(prompt)
            with self._restoring(0):
                cache = copy.deepcopy(self._caches.cache)
            reply = Reply(cache, logits, sampling, _random(sampling), limit, cancel)
        if reply is not None:
            yield from batched.write(reply)

    def _states(self, prompt: list[int], layer: int) -> NDArray[np.float32]:
        """The states (T, D) of the tokens that are not cached, after so many layers."""
        decoder: Any = self._model.get_decoder()  # type: ignore[no-untyped-call]
        seen: list[torch.Tensor] = []
        hook = decoder.layers[layer - 1].register_forward_hook(lambda *done: seen.append(_tensor(done[-1])))
        try:
            self._run_rest(prompt)
        finally:
            hook.remove()
        return np.asarray(torch.cat(seen)[-len(prompt) :].numpy(), np.float32)

    @contextmanager
    def _adapted(self, adapter: LowRank) -> Iterator[None]:
        """With an adapter in the block, which leaves nothing of what it made in the cache."""
        known = len(self._caches.ids)
        decoder: Any = self._model.get_decoder()  # type: ignore[no-untyped-call]
        try:
            with applied(adapter, decoder):
                yield
        finally:
            if adapter:
                self._caches.shorten(min(known, len(self._caches.ids)))

    @torch.inference_mode()
    def _search(self, prompt: list[int], search: PieceSearch) -> None:
        """Runs a beam search behind the prompt, on copies of its cache, which stays as it is."""
        logits = self._prefill(prompt)[None]  # (1, V)
        with self._restoring(0):
            cache = copy.deepcopy(self._caches.cache)
            while True:
                rows, tokens = search.step(torch.log_softmax(logits, dim=-1))
                if not tokens:
                    return
                device = self._model.device
                cache.batch_select_indices(torch.tensor(rows, device=device))
                batch = torch.tensor(tokens, device=device)[:, None]  # (paths, 1)
                output = self._model(input_ids=batch, past_key_values=cache, use_cache=True)
                logits = output.logits[:, -1].float().cpu()  # (paths, V)

    def _prefill(self, prompt: list[int]) -> torch.Tensor:
        """Logits (V,) after the prompt; runs only what follows the part that is cached already."""
        self._caches.turn_to_like(prompt)
        return self._run_rest(prompt)

    def _run_rest(self, prompt: list[int]) -> torch.Tensor:
        shared = common_prefix(prompt[:-1], self._caches.ids)
        if shared < len(self._caches.ids):
            self._caches.shorten(shared)
        logits = torch.empty(0)
        for start in range(len(self._caches.ids), len(prompt), _PREFILL_TOKENS):
            logits = self._forward(prompt[start : start + _PREFILL_TOKENS])
        return logits

    def _stop_between_layers(self, *_: object) -> None:
        """A piece of a prompt takes seconds on a CPU, one layer of it some hundredths."""
        if self._cancel is not None and self._cancel.is_set():
            raise _Stopped

    @contextmanager
    def _restoring(self, tokens: int) -> Iterator[None]:
        """Makes the caches what they were, or empties them, when running so many tokens more fails.

        Raises: OutOfMemoryError.
        """
        try:
            yield
        except torch.OutOfMemoryError as error:
            tokens += len(self._caches.ids)
            self._caches.clear()
            mend = "Ask with fewer passages (-k), or choose a smaller generator"
            raise OutOfMemoryError(f"{self.name}: out of memory with {tokens} tokens. {mend}") from error
        except _Stopped:
            self._caches.forget_unfinished()
            raise
        except BaseException:
            self._caches.shorten(0)
            raise

    @torch.inference_mode()
    def _forward(self, ids: list[int]) -> torch.Tensor:
        """Next-token logits (V,) float32 on the CPU after `ids`, which join the cache.

        Raises: _Stopped when the reader stopped it, and the cache is then as it was before.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise _Stopped
        batch = torch.tensor([ids], device=self._model.device)  # (1, T)
        with self._restoring(len(ids)):
            output = self._model(input_ids=batch, past_key_values=self._caches.cache, use_cache=True, logits_to_keep=1)
        self._caches.grow(ids)
        logits: torch.Tensor = output.logits[0, -1].float().cpu()  # (V,)
        return logits

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _tensor(output: Any) -> torch.Tensor:
    """What a layer gives out (T, D) float32 on the CPU; some layers give it first of several things."""
    hidden = output[0] if isinstance(output, tuple) else output
    states: torch.Tensor = hidden[0].float().cpu()
    return states


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    configured: Any = getattr(model.generation_config, "eos_token_id", None)
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset(end for end in (*ends, tokenizer.eos_token_id) if end is not None)


def _compiled_decoder(model: PreTrainedModel, end_ids: frozenset[int]) -> "CompiledDecoder":
    from rag.compiled_decoding import CompiledDecoder  # imported here: the compiler takes seconds to load

    return CompiledDecoder(model, end_ids)


def _random(sampling: Sampling) -> torch.Generator:
    random = torch.Generator()
    if sampling.seed is None:
        random.seed()
    else:
        random.manual_seed(sampling.seed)
    return random
