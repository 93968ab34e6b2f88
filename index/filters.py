"""Which documents a question may be answered from."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_NS_PER_S = 10**9
_MOST_NS = 2**63 - 1
# SQLite reads a pattern up to its first NUL, and surrogates cannot be sent to it.
_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Filter:
    """A document takes part when one of its sources meets every condition that is given.

    `collections` and `languages` (ISO 639-1): it is of one of these. `sources`: its path equals one of these, lies in
    the folder, has the file name, or matches the pattern (`*`, `?`, `[a-z]`; `*` crosses folders), or its metadata
    tell one of these as "source". The file's time of last change lies in [`modified_from`, `modified_until`).
    `metadata`: it has every one of these keys and values.

    Raises: TypeError for anything but tuples of texts; ValueError for a time without a time zone, an empty name, or a
    text that nothing stored can have.
    """

    collections: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    modified_from: datetime | None = None
    modified_until: datetime | None = None
    metadata: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("modified_from", "modified_until"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name}={moment} must have a time zone")
        for name in ("collections", "languages", "sources"):
            _check_texts(name, getattr(self, name))
            if "" in getattr(self, name):
                raise ValueError(f"{name} must not hold an empty name")
        for pair in self.metadata:
            _check_texts("metadata", pair)
        if not isinstance(self.metadata, tuple) or any(len(pair) != 2 for pair in self.metadata):
            raise TypeError(f"metadata={self.metadata!r} must be a tuple of pairs of key and value")

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return self != Filter()


def condition(where: Filter | None) -> tuple[str, Mapping[str, Any]]:
    """The filter as an SQL condition on `s`, a source, and `d`, its document, with its parameters."""
    clauses: list[str] = []
    parameters: dict[str, Any] = {}

    def bound(value: Any) -> str:
        name = f"filter_{len(parameters)}"
        parameters[name] = value
        return f":{name}"

    where = where or Filter()
    for column, names in (("s.collection", where.collections), ("d.language", where.languages)):
        if names:
            clauses.append(f"{column} IN ({', '.join(bound(name) for name in names)})")
    if where.sources:
        clauses.append(_is_one_of(bound(json.dumps([name.rstrip("/") for name in where.sources]))))
    if where.modified_from is not None:
        clauses.append(f"s.modified_ns >= {bound(_ns(where.modified_from))}")
    if where.modified_until is not None:
        clauses.append(f"s.modified_ns < {bound(_ns(where.modified_until))}")
    for key, value in where.metadata:
        found = f"SELECT 1 FROM json_each(d.metadata) m WHERE m.key = {bound(key)} AND m.value = {bound(value)}"
        clauses.append(f"EXISTS ({found})")
    return " AND ".join(clauses) or "1", parameters


def _check_texts(name: str, texts: Any) -> None:
    # A single text would be taken for a tuple of its letters.
    if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} holds {texts!r}, which must be a tuple of texts")
    for text in texts:
        if _UNSTORABLE.search(text):
            raise ValueError(f"{name} holds {text!r}, which is not valid text; leave out what is no character")


def _is_one_of(names: str) -> str:
    """Whether the source is meant by one of the names, a JSON list; each in a row of a table, however many they are."""
    in_folder = "substr(s.path, 1, length(n.value) + 1) IN (n.value || '/', n.value || '\\')"
    # Besides the pattern, because a file's own name may look like one.
    has_name = "substr(s.path, -length(n.value) - 1) IN ('/' || n.value, '\\' || n.value)"
    matches = "s.path GLOB n.value OR s.path GLOB '*[/\\]' || n.value"
    tells = "json_extract(d.metadata, '$.source') = n.value"
    return (
        f"EXISTS (WITH n AS MATERIALIZED (SELECT value FROM json_each({names})) SELECT 1 FROM n"
        f" WHERE s.path = n.value OR {in_folder} OR {has_name} OR {matches} OR {tells})"
    )


def _ns(moment: datetime) -> int:
    # In whole microseconds: a float of seconds cannot hold them. SQLite's integers end in the year 2262.
    seconds = int(moment.timestamp() // 1)
    return max(-_MOST_NS, min(seconds * _NS_PER_S + moment.microsecond * 1000, _MOST_NS))
