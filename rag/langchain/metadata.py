"""LangChain's metadata: kept with a document, given back as they were, and filtered by."""

import json
from collections.abc import Mapping
from typing import Any

from index.filters import Filter

# The entry of a document's metadata that holds what LangChain gave, as JSON; files have none.
_GIVEN = "langchain"
# Keys that stand for what the index itself knows of a document.
_RESERVED = frozenset({"source", "language", "collection"})


def stored(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Metadata as a document keeps them: all in one entry, and each plain value in its own, to be filtered by.

    Raises: TypeError, ValueError for what is no JSON.
    """
    whole = json.dumps(dict(metadata))
    entries = dict(_entry(key, value) for key, value in json.loads(whole).items() if _is_plain(value))
    return {**entries, _GIVEN: whole}


def given(kept: Mapping[str, str], source: str) -> dict[str, Any]:
    """What was given with a text, or what a reader found out about a file."""
    if _GIVEN not in kept:
        return {"source": source, **kept}
    metadata: dict[str, Any] = json.loads(kept[_GIVEN])
    return metadata


def is_given(kept: Mapping[str, str]) -> bool:
    """Whether a document's metadata came from LangChain."""
    return _GIVEN in kept


def filter_of(conditions: Mapping[str, Any] | Filter | None) -> Filter:
    """The filter that a dict of metadata, or a filter itself, stands for; None stands for everything.

    Raises: TypeError for anything else, such as a function; ValueError for a value that is not compared for equality.
    """
    if conditions is None or isinstance(conditions, Filter):
        return conditions or Filter()
    if not isinstance(conditions, Mapping):
        kind = type(conditions).__name__
        raise TypeError(f"filter is a {kind}; give a dict of metadata values, or an index.filters.Filter")
    others = {key: value for key, value in conditions.items() if key not in _RESERVED}
    for key, value in others.items():
        if not _is_plain(value):
            raise ValueError(f"filter: {key}={value!r} must be a text, a number, a truth value or None, to be equal to")
    return Filter(
        collections=_names("collection", conditions),
        languages=_names("language", conditions),
        sources=_names("source", conditions),
        metadata=tuple(_entry(key, value) for key, value in others.items()),
    )


def _names(key: str, conditions: Mapping[str, Any]) -> tuple[str, ...]:
    if key not in conditions:
        return ()
    value = conditions[key]
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"filter: {key}={value!r} must be a text, or several in a list")
    return tuple(names)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _entry(key: str, value: Any) -> tuple[str, str]:
    """A text as a file's metadata have it; another value, or what would pass for ours, under a key of its own."""
    if isinstance(value, str) and not key.startswith(_GIVEN):
        return key, value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # they are equal
    return f"{_GIVEN}.{key}", json.dumps(value)
