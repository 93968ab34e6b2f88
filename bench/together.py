"""How many tokens a second are written when several questions are answered at a time, beside one after another.

python -m bench.together --together 1 4 8 --index fuente-index "¿Quién inventó las GAN?" …
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import torch

from bench.measuring import machine
from rag.compose import Fuente
from rag.prompt import build_prompt
from rag.transformers_generator import TransformersGenerator
from rag.types import Message, Sampling

_REPEATS = 3


def main() -> None:
    """Prints for each number the texts that differ from those of one at a time, and how much sooner all were done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--index", type=Path, default=Path("fuente-index"))
    parser.add_argument("--together", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--tokens", type=int, default=100)
    arguments = parser.parse_args()
    fuente = Fuente.configured(index=arguments.index)
    generator = fuente.generator
    if not isinstance(generator, TransformersGenerator):
        raise TypeError(f"{generator.name} is no model on this machine. Unset server.url")
    prompts = [_prompt(question, fuente) for question in arguments.questions]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{machine()}, {device}, {len(prompts)} questions, up to {arguments.tokens} tokens each")
    for together in arguments.together:
        _compare(generator, prompts, together, Sampling(temperature=0.0, max_tokens=arguments.tokens))


def _compare(
    alone: TransformersGenerator, prompts: Sequence[Sequence[Message]], together: int, sampling: Sampling
) -> None:
    """One at a time and so many at a time, in turn, over the same weights."""
    beside = TransformersGenerator(alone._model, alone._tokenizer, name=alone.name, together=together)
    ratios, rates = [], []
    for _ in range(_REPEATS):
        before, one_by_one = _write(alone, prompts, 1, sampling)
        after, at_once = _write(beside, prompts, together, sampling)
        ratios.append(one_by_one / at_once)
        rates.append(sum(map(len, after)) / at_once)
    different = sum(a != b for a, b in zip(before, after, strict=True))
    spread = f"from {min(ratios):.2f} to {max(ratios):.2f}, n = {len(ratios)}"
    rate = f"{median(rates):.0f} pieces a second, prompts included"
    print(f"{together} at a time: {median(ratios):.2f} times as fast ({spread}), {rate}, {different} texts differ")


def _prompt(question: str, fuente: Fuente) -> Sequence[Message]:
    count, tokens = fuente.generator.count_tokens, fuente.config.generation.prompt_tokens
    return build_prompt(question, fuente.retriever.search(question), "es", max_tokens=tokens, count_tokens=count).answer


def _write(
    generator: TransformersGenerator, prompts: Sequence[Sequence[Message]], at_once: int, sampling: Sampling
) -> tuple[list[list[str]], float]:
    """The pieces of every reply, and the seconds for all."""
    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        replies = list(pool.map(lambda prompt: list(generator.stream(prompt, sampling)), prompts))
    return replies, time.perf_counter() - started


if __name__ == "__main__":
    main()
