"""What a model makes of passages and, as far as no adapter changes it, of questions: worked out once, and kept."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import DynamicCache

from bench.probe.tasks import Task
from index.types import Hit
from ingest.types import Chunk
from rag.prompt import Prompt, build_prompt
from rag.prompt_caches import common_prefix
from rag.transformers_generator import TransformersGenerator


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values (layers, 2, heads, H, E) of all before the questions, from layer `first` on, and states (N, T, D)
    of the questions with the request behind them, before that layer. `last` (N,) is the place of each one's last token,
    `end` (N,) the place behind the question.
    """

    kept: Tensor
    states: Tensor
    last: Tensor
    end: Tensor


class Prefixes:
    """Reads tasks with the first layers of a model; what was read is kept in a folder."""

    def __init__(self, generator: TransformersGenerator, first: int, last: int, folder: Path) -> None:
        """The adapter is to change layers from `first` on, and layer `last` is the one that is read."""
        self.decoder: Any = generator._model.get_decoder()  # type: ignore[no-untyped-call]
        self.decoder.layers = self.decoder.layers[:last]
        self.decoder.config.num_hidden_layers = last
        self.decoder.norm = torch.nn.Identity()
        for parameter in self.decoder.parameters():
            parameter.requires_grad_(False)
        self._tokens = generator._tokens
        self.first, self.last = first, last
        self._folder = folder
        self._instructions: dict[str, tuple[list[int], DynamicCache]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, task: Task) -> Prefix:
        """The prefix of a task."""
        path = self._folder / f"{task.key}.safetensors"
        if not path.exists():
            made = self._made(task)
            unfinished = path.with_suffix(".new")
            save_file({"kept": made.kept, "states": made.states, "last": made.last, "end": made.end}, unfinished)
            unfinished.replace(path)
        return Prefix(**load_file(path))

    @torch.inference_mode()
    def _made(self, task: Task) -> Prefix:
        prompt = prompt_of(task)
        blank = self._tokens.prompt(prompt.blank)
        prompts = [self._tokens.prompt(prompt.showing(question).check) for question in task.questions]
        behind = [common_prefix(one[::-1], blank[::-1]) for one in prompts]
        shared = min(common_prefix(one, blank) for one in prompts)
        cache = self._cache(prompt, prompts[0][:shared])
        layers: list[Any] = cache.layers[self.first :]
        kept = torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in layers])
        tails = [one[shared:] for one in prompts]
        longest = max(map(len, tails))
        ids = torch.tensor([tail + [0] * (longest - len(tail)) for tail in tails])
        cache.batch_repeat_interleave(len(tails))
        with self._only_first():
            states = self.decoder(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
        ends = torch.tensor([len(tail) - n for tail, n in zip(tails, behind, strict=True)])
        last = torch.tensor([len(tail) - 1 for tail in tails])
        return Prefix(kept.contiguous(), states.contiguous(), last, ends)

    def _cache(self, prompt: Prompt, ids: list[int]) -> DynamicCache:
        """Of the passages, behind the instructions that all prompts of a language begin with."""
        if prompt.language not in self._instructions:
            system = self._tokens.prompt(prompt.check[:1])
            known = ids[: common_prefix(system, ids)]
            cache = DynamicCache(config=self.decoder.config)
            self.decoder(input_ids=torch.tensor([known]), past_key_values=cache, use_cache=True)
            self._instructions[prompt.language] = known, cache
        known, instructions = self._instructions[prompt.language]
        if ids[: len(known)] != known:
            raise ValueError(f"the instructions in {prompt.language} differ between prompts")
        cache = copy.deepcopy(instructions)
        self.decoder(input_ids=torch.tensor([ids[len(known) :]]), past_key_values=cache, use_cache=True)
        return cache

    @contextmanager
    def _only_first(self) -> Iterator[None]:
        layers = self.decoder.layers
        self.decoder.layers = layers[: self.first]
        try:
            yield
        finally:
            self.decoder.layers = layers


def prompt_of(task: Task) -> Prompt:
    """Its messages, as the program writes them."""
    hits = [_hit(text, task.language, number) for number, text in enumerate(task.passages, 1)]
    return build_prompt(task.questions[0], hits, task.language, max_tokens=10**9, count_tokens=lambda _: 1)


def _hit(text: str, language: str, number: int) -> Hit:
    chunk = Chunk(id=number, document_id="", text=text, start=0, end=len(text), page=None, headings=())
    return Hit(
        chunk=chunk, score=1.0, rank=number, channel="fused", source="", language=language, dense=0.0, lexical=0.0
    )
