"""How much memory the models of an answer take, and where and how they are run so that it is enough."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from models.errors import ConversionError

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
FEWEST_TOKENS = 1024
"""A shorter context holds no passage besides its instructions."""
EVERYTHING_FITS = "everything fits"
"""The reason of a plan that leaves nothing out."""
# Prompts are run in pieces of so many tokens.
_PIECE_TOKENS = 512
# Texts of a batch times the longest, in tokens.
_EMBEDDED_TOKENS = 32 * 512
# Python, libraries, the index and what else is there.
_RUNTIME_BYTES = 700 * 2**20
# Copies in 4 or 8 bits are kept beside the weights, for writing alone.
_COPY_BYTES = 1
# Of each of several answers at a time: its two kinds of prompt, and behind a third copy what is written.
_CACHES = 3
# A compiled step writes over buffers, besides the cache of the prompt.
_BUFFERS = 2


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that decide memory. `kv_width` is the number of keys of a token in a layer: heads times their width."""

    name: str
    parameters: int
    layers: int
    hidden: int
    intermediate: int
    kv_width: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Room:
    """A device, preferred before those after it; `free_bytes` is None where it does not tell.

    `dtypes` are what it computes in, fastest first.
    """

    device: str
    free_bytes: int | None
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that answering takes, by what takes them."""

    weights: int
    copies: int
    kv_cache: int
    activations: int
    embedder: int
    runtime: int = _RUNTIME_BYTES

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.copies + self.kv_cache + self.activations + self.embedder + self.runtime


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How the models are to be run. `fits` is None where the device does not tell what is free."""

    device: str
    dtype: str
    context_tokens: int
    quantised: bool
    memory: Memory
    free_bytes: int | None
    fits: bool | None
    reason: str

    def told(self) -> str:
        """The plan in words."""
        copies = ", with quantised copies" if self.quantised else ""
        return f"{self.device}, {self.dtype}{copies}, a context of {self.context_tokens} tokens: {self.reason}"


def memory_of(
    generator: ModelShape | None,
    embedder: ModelShape,
    dtype: str,
    context_tokens: int,
    *,
    quantised: bool = False,
    together: int = 1,
    compiled: bool = False,
) -> Memory:
    """What answers take at most with so long a context, `together` at a time; without a generator the embedder is all.

    Weights and cache follow from the sizes alone. Activations are those of one piece of a prompt: hidden states of a
    layer and the two wide ones of its feed-forward. An answer among several has its prompts and what is written apart;
    the buffers of a compiled step are up to twice as long as what they hold.
    """
    embedded = 4 * (embedder.parameters + _EMBEDDED_TOKENS * (4 * embedder.hidden + embedder.intermediate))
    if generator is None:
        return Memory(0, 0, 0, 0, embedded)
    size = BYTES[dtype]
    caches = _CACHES * together if together > 1 else 1 + (_BUFFERS if compiled else 0)
    return Memory(
        weights=generator.parameters * size,
        copies=generator.parameters * _COPY_BYTES if quantised else 0,
        kv_cache=2 * generator.layers * generator.kv_width * size * context_tokens * caches,
        activations=_PIECE_TOKENS * (6 * generator.hidden + 3 * generator.intermediate) * size,
        embedder=embedded,
    )


def plan_memory(
    generator: ModelShape | None,
    embedder: ModelShape,
    rooms: Sequence[Room],
    *,
    context_tokens: int,
    quantised: bool = False,
    together: int = 1,
    compiled: bool = False,
) -> MemoryPlan:
    """The first device that has room, with its fastest number format that fits and the context asked for, for so many
    answers at a time.

    Where none has room for the whole context, it is halved until one has; quantised copies go before that. Where not
    even the shortest context fits, the last device is named and `fits` is False.
    """
    needed = partial(memory_of, generator, embedder, together=together)
    longest = min(context_tokens, generator.context_tokens) if generator else context_tokens
    for tokens in _halved(longest):
        for copies in dict.fromkeys((quantised, False)):
            for room in rooms:
                for dtype in room.dtypes:
                    quantise = copies and room.device == "cpu"
                    memory = needed(dtype, tokens, quantised=quantise, compiled=compiled and room.device != "cpu")
                    if room.free_bytes is None or memory.total <= room.free_bytes:
                        return _plan(room, dtype, tokens, memory, longest, quantised)
    room = rooms[-1]
    dtype = min(room.dtypes, key=BYTES.__getitem__)
    shortest = list(_halved(longest))[-1]
    memory = needed(dtype, shortest, compiled=compiled and room.device != "cpu")
    reason = "not even the shortest context fits; choose a smaller generator, or a server"
    return MemoryPlan(room.device, dtype, shortest, False, memory, room.free_bytes, False, reason)


def shape_of(folder: Path, name: str) -> ModelShape:
    """The sizes of a transformers model in a folder, from its configuration and the headers of its weights.

    Raises: ConversionError for a folder that does not tell them.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return _shape(config, name, sum(_parameters(file) for file in sorted(folder.glob("*.safetensors"))))
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ConversionError(folder, f"its sizes cannot be read ({error})") from error


def _shape(config: dict[str, Any], name: str, parameters: int) -> ModelShape:
    config = config.get("text_config", config)
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    width = int(config.get("head_dim") or hidden // heads)
    return ModelShape(
        name,
        parameters,
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        intermediate=int(config["intermediate_size"]),
        kv_width=width * int(config.get("num_key_value_heads") or heads),
        context_tokens=int(config["max_position_embeddings"]),
    )


def _parameters(file: Path) -> int:
    """Numbers in a safetensors file, from its header."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > file.stat().st_size:
            raise ValueError(f"{file.name} is cut off")
        header = json.loads(opened.read(length))
    return sum(prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__")


def _halved(tokens: int) -> Sequence[int]:
    """The context and its halves, down to the fewest tokens that are of use."""
    found = [tokens]
    while found[-1] // 2 >= FEWEST_TOKENS:
        found.append(found[-1] // 2)
    return found


def _plan(room: Room, dtype: str, tokens: int, memory: Memory, longest: int, quantised: bool) -> MemoryPlan:
    reasons = []
    if dtype != room.dtypes[0]:
        reasons.append(f"{room.dtypes[0]} does not fit")
    if tokens < longest:
        reasons.append(f"the context is cut from {longest} tokens")
    if quantised and not memory.copies:
        reasons.append("no room for quantised copies" if room.device == "cpu" else "quantised copies are for a CPU")
    reason = "; ".join(reasons) or EVERYTHING_FITS
    fits = None if room.free_bytes is None else True
    return MemoryPlan(room.device, dtype, tokens, bool(memory.copies), memory, room.free_bytes, fits, reason)
