"""KV caches of the last prompts, so that the next one runs only from where it differs from one of them."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

# Prompts that begin with so many equal tokens are of one kind; fewer are those that every chat begins with.
_ONE_KIND = 32
# A question is put in prompts of two kinds.
_KINDS = 2


@dataclass(slots=True)
class _Kept:
    cache: DynamicCache
    ids: list[int]


class PromptCaches:
    """As many caches as there are kinds of prompt, for each of so many questions at a time; one is the current one."""

    def __init__(self, config: Any, questions: int = 1) -> None:
        self._config = config
        # The one used last comes first, and is the current one.
        self._kept = [_Kept(DynamicCache(config=config), []) for _ in range(_KINDS * questions)]

    @property
    def cache(self) -> DynamicCache:
        """Of the current prompt."""
        return self._kept[0].cache

    @property
    def ids(self) -> list[int]:
        """The tokens that the current cache knows."""
        return self._kept[0].ids

    def turn_to_like(self, prompt: Sequence[int]) -> None:
        """Makes the cache of a prompt of the same kind the current one; without any, the one unused for longest.

        Where several questions are asked at a time, a cache that has little more than the instructions in common with
        the prompt belongs to another question: it stays, and what is in common is copied.
        """
        shared = [common_prefix(prompt, one.ids) for one in self._kept]
        best = max(range(len(shared)), key=shared.__getitem__)
        nearest, last = self._kept[best], self._kept[-1]
        if shared[best] < min(_ONE_KIND, len(nearest.ids)):
            nearest = last
        elif len(self._kept) > _KINDS and 2 * shared[best] < len(nearest.ids) and nearest is not last:
            last.cache, last.ids = copy.deepcopy(nearest.cache), list(nearest.ids)
            nearest = last
        self._kept.remove(nearest)
        self._kept.insert(0, nearest)

    def grow(self, ids: Sequence[int]) -> None:
        """The current cache has seen these tokens, too."""
        self._kept[0].ids += ids

    def shorten(self, length: int) -> None:
        """Leaves so many tokens in the current cache, or none in one that cannot be shortened."""
        if length and self._can_be_shortened():
            self.cache.crop(length - len(self.ids))
            self._kept[0].ids = self.ids[:length]
        else:
            self._kept[0].cache, self._kept[0].ids = DynamicCache(config=self._config), []

    def forget_unfinished(self) -> None:
        """Takes out of each layer what it saw of tokens that the last layer has not seen."""
        known = len(self.ids)
        if not known or not self._can_be_shortened():
            self.shorten(0)
            return
        for layer in self.cache.layers:
            if isinstance(layer, DynamicLayer):
                layer.crop(known - layer.get_seq_length())

    def clear(self) -> None:
        """Empties all of them."""
        for one in self._kept:
            one.cache, one.ids = DynamicCache(config=self._config), []

    def _can_be_shortened(self) -> bool:
        return is_plain(self.cache)


def is_plain(cache: DynamicCache) -> bool:
    """Whether all layers remember everything; others (sliding window, recurrent) forget what a prefix would need."""
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two prompts begin with in common."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return length
