"""Changes keys of a configuration file and leaves the rest, comments included, as it is."""

from collections.abc import Mapping, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rag.errors import ConfigurationError
from rag.evaluation.errors import ExtraMissingError


def write_keys(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> None:
    """Sets the keys of some sections; a file that does not exist is made.

    Raises: ConfigurationError for a file that is not TOML, ExtraMissingError.
    """
    toml = toml_editor()
    try:
        content = toml.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    except (toml.exceptions.ParseError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}. Correct the file's TOML") from error
    for section, values in sections.items():
        table = content.setdefault(section, toml.table())
        if not isinstance(table, MutableMapping):
            raise ConfigurationError(f"{path}: {section} is no section. Write [{section}] and its keys below")
        for key, value in values.items():
            table[key] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(toml.dumps(content), encoding="utf-8")
    new.replace(path)


def toml_editor() -> Any:
    """The module tomlkit. Raises: ExtraMissingError."""
    try:
        return import_module("tomlkit")
    except ImportError as error:
        raise ExtraMissingError("writing the configuration", "tomlkit", "tune") from error
