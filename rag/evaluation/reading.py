"""Reads JSON of unknown quality: every wrong shape is an error that names its place."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.evaluation.errors import EvaluationDataError


@dataclass(frozen=True, slots=True)
class JsonPlace:
    """A value inside a JSON file, with the way to it (`data[3].paragraphs[0].context`)."""

    path: Path
    place: str
    value: Any

    def error(self, rule: str, mend: str) -> EvaluationDataError:
        return EvaluationDataError(self.path, self.place, rule, mend)

    def has(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def get(self, key: str) -> "JsonPlace":
        """The value under `key`. Raises: EvaluationDataError where there is none."""
        if not isinstance(self.value, dict):
            raise self.error(f"an object was expected, not {_kind(self.value)}", f'Write an object with "{key}"')
        if key not in self.value:
            raise self.error(f'"{key}" is missing', f'Add "{key}" to this object')
        dot = "." if self.place and not self.place.startswith("line ") else " " if self.place else ""
        return JsonPlace(self.path, f"{self.place}{dot}{key}", self.value[key])

    def items(self) -> Iterator["JsonPlace"]:
        """Each value of a list. Raises: EvaluationDataError where it is no list."""
        if not isinstance(self.value, list):
            raise self.error(f"a list was expected, not {_kind(self.value)}", "Write a list, [] when there are none")
        for number, value in enumerate(self.value):
            yield JsonPlace(self.path, f"{self.place}[{number}]", value)

    def text(self) -> str:
        """A string that is not blank. Raises: EvaluationDataError."""
        if not isinstance(self.value, str):
            raise self.error(f"a string was expected, not {_kind(self.value)}", "Write the text in quotes")
        if not self.value.strip():
            raise self.error("the text is empty", "Write the text or remove the entry")
        return self.value

    def text_or_empty(self) -> str:
        """Any string. Raises: EvaluationDataError where it is none."""
        return "" if self.value == "" else self.text()

    def key(self) -> str:
        """An identifier: text, or the digits of an integer. Raises: EvaluationDataError."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value)
        return self.text()

    def fraction(self) -> float:
        """A number in [0, 1]. Raises: EvaluationDataError."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not 0 <= self.value <= 1:
            raise self.error("a number from 0 to 1 was expected", "Write one, or remove the entry")
        return float(self.value)

    def truth(self) -> bool:
        """True or false. Raises: EvaluationDataError where it is neither."""
        if not isinstance(self.value, bool):
            raise self.error(f"true or false was expected, not {_kind(self.value)}", "Write true or false")
        return self.value


def read_json(path: Path) -> JsonPlace:
    """The whole file as JSON. Raises: EvaluationDataError."""
    return _parsed(path, "", read_text(path))


def read_json_lines(path: Path) -> Iterator[JsonPlace]:
    """Each non-blank line of the file as JSON. Raises: EvaluationDataError."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield _parsed(path, f"line {number}", line)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without byte order mark. Raises: EvaluationDataError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EvaluationDataError(
            path, "", f"the file cannot be read ({error.strerror})", "Check the path and its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise EvaluationDataError(
            path, f"byte {error.start}", "the file is not UTF-8", "Save it again as UTF-8"
        ) from error


def _parsed(path: Path, place: str, text: str) -> JsonPlace:
    try:
        return JsonPlace(path, place, json.loads(text))
    except json.JSONDecodeError as error:
        where = place or f"line {error.lineno}"
        raise EvaluationDataError(
            path,
            f"{where}, column {error.colno}",
            f"it is not valid JSON ({error.msg})",
            "Correct the JSON there",
        ) from error
    except RecursionError as error:
        raise EvaluationDataError(
            path, place, "the JSON is nested too deeply", "Give a file in SQuAD or BEIR format"
        ) from error


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
