"""Reading a prompt and writing a reply: Fuente's generator, plain `model.generate`, and on a CPU llama.cpp.

The same weights, prompt and number of tokens, in one process and in turns. llama-cpp-python is not among Fuente's
packages: pip install llama-cpp-python, which compiles it.

python -m bench.replies --gguf model.gguf --generator qwen2.5-coder-1.5b-instruct
python -m bench.replies --gguf model.gguf --threads 1 --clock processor   # other work changes it least
python -m bench.replies --device cuda                                           # and by the compiled step
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import models
from bench.measuring import machine, ratios
from rag.chat_tokens import ChatTokens
from rag.compose import Fuente
from rag.generator import Generator
from rag.transformers_generator import TransformersGenerator
from rag.types import Message, Sampling

_TEXT = Path(__file__).parents[1] / "docs" / "retrieval.md"
_CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
_REQUEST = "Copy the text below, word for word, from its beginning.\n\n"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to read the prompt, up to the first token, and to write each token after it."""

    read_s: float
    token_s: float

    def whole_s(self, written: int) -> float:
        """Seconds of a reply of so many tokens."""
        return self.read_s + self.token_s * (written - 1)


def main() -> None:
    """Prints every run and, at the end, the ratios of whole replies, of reading and of writing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, help="the weights that --generator was made from, for llama.cpp")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--generator", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument("--read", type=int, default=1000, help="tokens of the prompt")
    parser.add_argument("--written", type=int, default=100, help="tokens of the reply")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=_CLOCKS, default="wall", help="what seconds are counted")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    runs, tokens = _runs(arguments)
    size = f"{arguments.read} tokens in, {arguments.written} out"
    device = torch.cuda.get_device_name(arguments.device) if arguments.device != "cpu" else "CPU"
    print(f"{machine()}, {device}, {arguments.threads} threads, {size}, {arguments.clock} seconds")
    if arguments.device != "cpu":  # where the first run compiles, and waits for the device
        for run in runs.values():
            run(_prompt(tokens, arguments.read, arguments.repeats))
    paces: dict[str, list[Pace]] = {name: [] for name in runs}
    for number in range(arguments.repeats):
        prompt = _prompt(tokens, arguments.read, number)
        for name in sorted(runs, reverse=bool(number % 2)):
            pace = runs[name](prompt)
            paces[name].append(pace)
            whole = pace.whole_s(arguments.written)
            told = f"read {pace.read_s:6.2f} s, {1 / pace.token_s:6.2f} tokens/s, whole {whole:6.2f} s"
            print(f"{name:<9} {told}", flush=True)
    _compare(paces, arguments.written)


def _compare(paces: Mapping[str, list[Pace]], written: int) -> None:
    parts: dict[str, Callable[[Pace], float]] = {
        "whole": lambda pace: pace.whole_s(written),
        "reading": lambda pace: pace.read_s,
        "writing": lambda pace: pace.token_s,
    }
    for part, seconds in parts.items():
        told = {name: [seconds(pace) for pace in found] for name, found in paces.items()}
        for name in sorted(paces.keys() - {"Fuente"}):
            print(f"{part}: {name} / Fuente {ratios(told[name], told['Fuente'])}")


def _runs(arguments: argparse.Namespace) -> tuple[dict[str, Callable[[list[Message]], Pace]], ChatTokens]:
    """What times each way of replying to messages, and the tokens of these."""
    written, clock, device = arguments.written, _CLOCKS[arguments.clock], arguments.device
    options = {"generator": arguments.generator, "device": device}
    ours = Fuente.configured(models={**options, "quantisation": "auto" if device == "cpu" else "none"}).generator
    section = Fuente.configured(models=options).config.models
    plan = models.plan_device(device, section.dtype, role="generator")
    plain, tokenizer = models.load_causal_lm(models.resolve(section.generator, section.cache), plan)
    plain.set_attn_implementation("sdpa")  # as transformers loads it
    tokens = ChatTokens(tokenizer)
    runs = {
        "Fuente": lambda messages: _of_pieces(ours, messages, written, clock),
        "generate": lambda messages: _of_generate(plain, tokens.prompt(messages), written, clock),
    }
    if arguments.gguf:
        llama = _llama(arguments.gguf)
        runs["llama.cpp"] = lambda messages: _of_llama(llama, tokens.prompt(messages), written, clock)
    if device != "cpu":
        compiled = TransformersGenerator(plain, tokenizer, name="compiled", compiled=True)
        runs["compiled"] = lambda messages: _of_pieces(compiled, messages, written, clock)
        weights = sum(weight.nbytes for weight in plain.parameters())
        print(f"reading the weights once a token allows {_bytes_a_second(plain.device) / weights:.0f} tokens/s")
    return runs, tokens


def _bytes_a_second(device: torch.device) -> float:
    """How fast memory is read and written at once, by the fastest of some copies."""
    source = torch.empty(2**28, dtype=torch.uint8, device=device)
    target, found = torch.empty_like(source), []
    for _ in range(10):
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize(device)
        found.append(time.perf_counter() - started)
    return 2 * source.nbytes / min(found)


def _llama(gguf: Path) -> Any:
    try:
        from llama_cpp import Llama
    except ImportError:
        sys.exit("llama-cpp-python is not installed. Run: pip install llama-cpp-python")
    threads = torch.get_num_threads()
    return Llama(str(gguf), n_ctx=4096, n_threads=threads, n_threads_batch=threads, n_batch=512, verbose=False)


def _prompt(tokens: ChatTokens, most: int, number: int) -> list[Message]:
    """A prompt of about so many tokens that no earlier one begins like, so that nothing of it is cached."""
    text = f"{number}. {_TEXT.read_text(encoding='utf-8')}"
    while (size := tokens.count([Message("user", _REQUEST + text)])) > most:
        text = text[: int(len(text) * most / size) - 1]
    return [Message("system", f"Reply {number}."), Message("user", _REQUEST + text)]


def _of_pieces(generator: Generator, messages: list[Message], written: int, clock: Clock) -> Pace:
    started = clock()
    moments = [clock() for _ in generator.stream(messages, Sampling(temperature=0.0, max_tokens=written))]
    return Pace(moments[0] - started, (moments[-1] - moments[0]) / (len(moments) - 1))


def _of_generate(model: Any, ids: list[int], written: int, clock: Clock) -> Pace:
    moments = _Moments(clock)
    inputs = torch.tensor([ids], device=model.device)
    started = clock()
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "repetition_penalty": 1.0}
    model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        min_new_tokens=written,
        max_new_tokens=written,
        streamer=moments,
        **greedy,
    )
    return moments.pace(started)


class _Moments:
    """A streamer of transformers that notes when each token comes; the prompt is put first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moments: list[float] = []

    def put(self, _: object) -> None:
        self._moments.append(self._clock())

    def end(self) -> None:
        """Nothing is held back."""

    def pace(self, started: float) -> Pace:
        """What they tell of a reply that was asked for at `started`."""
        _, first, *_, last = self._moments
        return Pace(first - started, (last - first) / (len(self._moments) - 2))


def _of_llama(llama: Any, ids: list[int], written: int, clock: Clock) -> Pace:
    started = clock()
    llama.reset()
    llama.eval(ids)
    token = llama.sample(temp=0.0)
    first = clock()
    for _ in range(written - 1):
        llama.eval([token])
        token = llama.sample(temp=0.0)
    return Pace(first - started, (clock() - first) / (written - 1))


if __name__ == "__main__":
    main()
