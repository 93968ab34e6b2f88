"""Examples of answers that a model is shown before it answers: neutral ones, or those of a file."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingest.language import detect_language
from rag.errors import ConfigurationError
from rag.phrases import LANGUAGES, Example, phrases

NEUTRAL = "neutral"
"""Names the examples that come with Fuente."""

_KEYS = ("passage", "question", "answer")
# Each is read anew with every question.
_MOST = 4
_NEUTRAL: Mapping[str, tuple[Example, ...]] = {
    "es": (
        Example(
            "El faro de la isla se encendió en 1871. Tiene 24 metros de altura y su luz se ve a 30 kilómetros.",
            "¿Qué altura tiene el faro de la isla?",
            "El faro de la isla tiene 24 metros de altura.",
        ),
        Example(
            "La cooperativa vende miel y cera. Los socios se reúnen el primer lunes de mes para fijar los precios.",
            "¿Para qué se reúnen los socios de la cooperativa?",
            "Los socios de la cooperativa se reúnen para fijar los precios.",
        ),
    ),
    "pt": (
        Example(
            "O farol da ilha foi aceso em 1871. Tem 24 metros de altura e sua luz é vista a 30 quilômetros.",
            "Qual é a altura do farol da ilha?",
            "O farol da ilha tem 24 metros de altura.",
        ),
        Example(
            "A cooperativa vende mel e cera. Os sócios se reúnem na primeira segunda do mês para fixar os preços.",
            "Para que se reúnem os sócios da cooperativa?",
            "Os sócios da cooperativa se reúnem para fixar os preços.",
        ),
    ),
    "en": (
        Example(
            "The lighthouse of the island was lit in 1871. It is 24 metres high and is seen for 30 kilometres.",
            "How high is the lighthouse of the island?",
            "The lighthouse of the island is 24 metres high.",
        ),
        Example(
            "The cooperative sells honey and wax. Its members meet on the first Monday of the month to set the prices.",
            "What do the members of the cooperative meet for?",
            "The members of the cooperative meet to set the prices.",
        ),
    ),
}


def load_examples(named: str) -> Mapping[str, tuple[Example, ...]]:
    """The examples by language: none for "", those of Fuente for "neutral", else those of a TOML file.

    The file has tables [[example]] with `passage`, `question` and `answer`, four of a language at most; the question
    tells the language.

    Raises: ConfigurationError.
    """
    if not named:
        return {}
    if named == NEUTRAL:
        return _NEUTRAL
    path = Path(named).expanduser()
    try:
        found = [_example(table) for table in _tables(path)]
        return _by_language(found)
    except (OSError, ValueError) as error:
        mend = f"Correct it, or write {NEUTRAL} for the examples of Fuente"
        raise ConfigurationError(f"generation.examples: {path}: {error}. {mend}") from error


def examples_text(examples: Sequence[Example], language: str) -> list[str]:
    """What shows the examples, and comes back to the question; nothing without any."""
    if not examples:
        return []
    words = phrases(language)
    shown = (
        words.shown_example.format(passage=one.passage, question=one.question, answer=one.answer) for one in examples
    )
    return ["\n\n".join(("", words.shown, *shown, words.your_turn))]


def _tables(path: Path) -> Sequence[object]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    tables = content.get("example")
    if set(content) != {"example"} or not isinstance(tables, list):
        raise ValueError("the file has tables [[example]] and nothing else")
    return tables


def _example(table: object) -> Example:
    if not isinstance(table, dict) or set(table) != set(_KEYS):
        raise ValueError(f"an example has {', '.join(_KEYS)} and nothing else")
    texts = [table[key] for key in _KEYS]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"{', '.join(_KEYS)} of an example are texts that are not empty")
    return Example(*texts)


def _by_language(examples: Sequence[Example]) -> Mapping[str, tuple[Example, ...]]:
    found: dict[str, tuple[Example, ...]] = {}
    for example in examples:
        language = detect_language(example.question, candidates=LANGUAGES)
        found[language] = (*found.get(language, ()), example)
        if len(found[language]) > _MOST:
            raise ValueError(f"more than {_MOST} examples are in {language}, and each is read with every question")
    return found
