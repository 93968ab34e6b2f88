"""Configurations: frozen dataclasses that round-trip JSON and refuse what they do not know."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from generative.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Config:
    """A base for configurations; fields are plain values, tuples of them or other configurations.

    `from_json(config.to_json()) == config`; unknown keys and values of another type raise. A `__post_init__` that
    raises ValueError is reported the same way.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    def to_json(self) -> str:
        """The configuration as one line of JSON, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The configuration of that JSON; keys that are missing take their defaults. Raises: ConfigError."""
        try:
            made: Self = TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise ConfigError(f"{cls.__name__}: {_explain(error)}") from error
        return made

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same with other values; `training.lr` names a field of a nested configuration. Raises: ConfigError."""
        tree = asdict(self)
        for path, value in changes.items():
            *parents, last = path.split(".")
            node = tree
            for parent in parents:
                node = node[parent] if isinstance(node.get(parent), dict) else {}
            if last not in node:
                raise ConfigError(f"{type(self).__name__} has no field {path!r}. Its fields: {', '.join(tree)}.")
            node[last] = value
        return self.from_json(json.dumps(tree))


def _explain(error: ValidationError) -> str:
    found = [
        f"{'.'.join(map(str, one['loc'])) or 'the whole'} is {one['input']!r}: {one['msg']}" for one in error.errors()
    ]
    return "; ".join(found) + ". Change or leave out these values."
