"""How fast answers are written with and without quantised copies of the weights, and whether they stay the same.

python -m bench.decoding --index fuente-index "¿Quién inventó las GAN?"
"""

import argparse
import time
from pathlib import Path

from bench.measuring import machine
from rag.compose import Fuente
from rag.prompt import build_prompt
from rag.types import Message, Sampling

_REPEATS = 2


def main() -> None:
    """Prints every text once, and the tokens per second of every run with the ratio of each pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--index", type=Path, default=Path("fuente-index"))
    arguments = parser.parse_args()
    plain = Fuente.configured(index=arguments.index, models={"quantisation": "none"})
    quantised = Fuente.configured(index=arguments.index, models={"quantisation": "auto"})
    print(machine())
    for question in arguments.questions:
        _compare(question, plain, quantised)


def _compare(question: str, plain: Fuente, quantised: Fuente) -> None:
    print(f"\n{question}")
    messages = _prompt(question, plain)
    for number in range(_REPEATS):
        order = (plain, quantised) if number % 2 == 0 else (quantised, plain)
        runs = {fuente.config.models.quantisation: _write(fuente, messages) for fuente in order}
        (before, none), (after, auto) = runs["none"], runs["auto"]
        print(f"none {none:.2f}, auto {auto:.2f} tokens per second: {auto / none:.2f} times as fast")
    print(f"none: {before}\nauto: {'the same' if after == before else after}")


def _prompt(question: str, fuente: Fuente) -> tuple[Message, ...]:
    hits = fuente.retriever.search(question)
    count = fuente.generator.count_tokens
    tokens = fuente.config.generation.prompt_tokens
    return build_prompt(question, hits, "es", max_tokens=tokens, count_tokens=count).answer


def _write(fuente: Fuente, messages: tuple[Message, ...]) -> tuple[str, float]:
    """The reply and its tokens per second after the first; a piece of text is a token, but for split characters."""
    moments, pieces = [], []
    for piece in fuente.generator.stream(messages, Sampling(temperature=0.0, max_tokens=80)):
        moments.append(time.perf_counter())
        pieces.append(piece)
    return "".join(pieces), (len(moments) - 1) / (moments[-1] - moments[0])


if __name__ == "__main__":
    main()
