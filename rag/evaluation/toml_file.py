"""Changes keys of a configuration file and leaves the rest, comments included, as it is."""

import difflib
from collections.abc import Mapping, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rag.errors import ConfigurationError
from rag.evaluation.errors import ExtraMissingError


def with_keys(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """The text of a file, empty where there is none, before and after the keys of some sections are set.

    Raises: ConfigurationError for a file that is not TOML, ExtraMissingError.
    """
    toml = toml_editor()
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        content = toml.parse(before)
    except (toml.exceptions.ParseError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}. Correct the file's TOML") from error
    for section, values in sections.items():
        table = content.setdefault(section, toml.table())
        if not isinstance(table, MutableMapping):
            raise ConfigurationError(f"{path}: {section} is no section. Write [{section}] and its keys below")
        for key, value in values.items():
            table[key] = value
    return before, toml.dumps(content)


def difference(path: Path, before: str, after: str) -> str:
    """The lines that change, as a unified diff."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, fromfile=str(path), tofile=str(path)))


def replace_text(path: Path, text: str) -> None:
    """Puts the text in the place of the file; it is there whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def toml_editor() -> Any:
    """The module tomlkit. Raises: ExtraMissingError."""
    try:
        return import_module("tomlkit")
    except ImportError as error:
        raise ExtraMissingError("writing the configuration", "tomlkit", "tune") from error
