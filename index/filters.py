"""Which documents a question may be answered from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_NS_PER_S = 10**9


@dataclass(frozen=True, slots=True)
class Filter:
    """A document takes part when one of its sources meets every condition that is given.

    `collections` and `languages` (ISO 639-1): it is of one of these. `sources`: its path equals one of these, lies in
    the folder, has the file name, or matches the pattern (`*`, `?`, `[a-z]`; `*` crosses folders). The file's time of
    last change lies in [`modified_from`, `modified_until`). `metadata`: it has every one of these keys and values.

    Raises: ValueError for a time without a time zone or an empty name.
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
            if "" in getattr(self, name):
                raise ValueError(f"{name} must not hold an empty name")

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
        clauses.append(f"({' OR '.join(_path(bound(name.rstrip('/'))) for name in where.sources)})")
    if where.modified_from is not None:
        clauses.append(f"s.modified_ns >= {bound(_ns(where.modified_from))}")
    if where.modified_until is not None:
        clauses.append(f"s.modified_ns < {bound(_ns(where.modified_until))}")
    for key, value in where.metadata:
        found = f"SELECT 1 FROM json_each(d.metadata) m WHERE m.key = {bound(key)} AND m.value = {bound(value)}"
        clauses.append(f"EXISTS ({found})")
    return " AND ".join(clauses) or "1", parameters


def _path(name: str) -> str:
    in_folder = f"substr(s.path, 1, length({name}) + 1) IN ({name} || '/', {name} || '\\')"
    return f"s.path = {name} OR {in_folder} OR s.path GLOB {name} OR s.path GLOB '*[/\\]' || {name}"


def _ns(moment: datetime) -> int:
    # In whole microseconds: a float of seconds cannot hold them.
    seconds = int(moment.timestamp() // 1)
    return seconds * _NS_PER_S + moment.microsecond * 1000
