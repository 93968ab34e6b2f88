"""Per-question records as JSON lines: an interrupted evaluation goes on where it stopped.

The first line says what the records belong to; every further line is one question with what was measured.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rag.confidence import Signals
from rag.evaluation.errors import EvaluationRecordsError
from rag.evaluation.questions import QuestionSet
from rag.evaluation.reading import read_json_lines

_FORMAT = "fuente-evaluation-records"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What a system made of one question.

    `text` is without citation markers: "[1]" would stand between the words of a gold answer.
    `short_text` is the bare answer if the system gives one; exact match and F1 then judge it instead of
    `text`. A higher `confidence` means more trust in the answer; any finite scale will do.
    """

    text: str
    short_text: str | None
    abstained: bool
    confidence: float
    retrieved_paragraph_ids: tuple[str, ...]
    cited_paragraph_ids: tuple[str, ...]
    seconds: float
    generated_tokens: int
    time_to_first_token_s: float | None

    def __post_init__(self) -> None:
        if not -float("inf") < self.confidence < float("inf"):
            raise ValueError(f"confidence is {self.confidence}; it must be finite to be ranked")


@dataclass(frozen=True, slots=True)
class RankingRecord:
    """The paragraphs that a search returned for one question, best first."""

    paragraph_ids: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """The signals of one question, None where nothing was found for it."""

    signals: Signals | None
    seconds: float


class RecordFile:
    """The records on disk, by key. Opened on an existing file it offers what is done and continues behind it.

    Raises: EvaluationRecordsError for a file of another kind or about something else, or a damaged line. A line that
    was cut off at the end, as when the process is killed, is dropped.
    """

    def __init__(self, path: Path, kind: str, about: Mapping[str, Any]) -> None:
        """`about` is what the records belong to, as JSON values; on going on it must be the same."""
        self._path = path
        self._header = {"format": _FORMAT, "version": _VERSION, "kind": kind, **about}
        self.done: dict[str, Any] = {}
        self._file = self._opened()

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, key: str, record: dict[str, Any]) -> None:
        """Writes one line, at once, so that a killed process loses no finished record."""
        self._write({"id": key, "record": record})
        self.done[key] = record

    def invalid(self, key: str, reason: str) -> EvaluationRecordsError:
        return EvaluationRecordsError(self._path, f'record "{key}"', reason, "Remove that line, and it is made again")

    def _opened(self) -> IO[bytes]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._load() if self._path.exists() else 0
        file = self._path.open("r+b" if self._path.exists() else "wb")
        file.truncate(whole)
        file.seek(whole)
        if not whole:
            self._file = file
            self._write(self._header)
        return file

    def _load(self) -> int:
        """Reads the whole lines into `done`; returns their size in bytes."""
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if not whole and not content.startswith(b'{"format": "' + _FORMAT.encode()) and content:
            raise self._error("line 1", "it holds no evaluation records")
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            entry = self._entry(f"line {number}", line)
            if number == 1:
                self._check_header(entry)
            elif isinstance(entry.get("id"), str) and isinstance(entry.get("record"), dict):
                self.done[entry["id"]] = entry["record"]
            else:
                raise self._error(f"line {number}", "it is no record")
        return whole

    def _entry(self, place: str, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._error(place, "it is no JSON") from error
        if not isinstance(entry, dict):
            raise self._error(place, "it is no record")
        return entry

    def _check_header(self, found: dict[str, Any]) -> None:
        for key, expected in self._header.items():
            if found.get(key) != expected:
                raise self._error("line 1", f'its "{key}" is {found.get(key)!r}, this evaluation has {expected!r}')

    def _error(self, place: str, rule: str) -> EvaluationRecordsError:
        return EvaluationRecordsError(self._path, place, rule, "Give another file for the records, or remove this one")

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False, allow_nan=False)
        # A lone surrogate has no UTF-8 form; its backslash form is what JSON writes for it.
        self._file.write(line.encode("utf-8", errors="backslashreplace") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def kept_answers(path: Path) -> dict[str, AnswerRecord]:
    """The answers that an evaluation kept, by question.

    Raises: EvaluationDataError or EvaluationRecordsError for anything else.
    """
    header = next(read_json_lines(path), None)
    about = header.value if header is not None and isinstance(header.value, dict) else {}
    if about.get("kind") != "answers":
        mend = "Give the file of `fuente eval run … --records`, without --retrieval-only"
        raise EvaluationRecordsError(path, "line 1", "it holds no answers", mend)
    fixed = ("format", "version", "kind")
    with RecordFile(path, "answers", {key: value for key, value in about.items() if key not in fixed}) as file:
        answers = {}
        for key, record in file.done.items():
            try:
                answers[key] = answer_record(record)
            except (KeyError, TypeError, ValueError) as error:
                raise file.invalid(key, f"its record cannot be read ({error})") from error
    return answers


def about_set(question_set: QuestionSet, settings: Mapping[str, str]) -> dict[str, Any]:
    """What the records of an evaluation belong to."""
    return {"set": question_set.name, "fingerprint": _fingerprint(question_set), "settings": dict(settings)}


def answer_record(record: Mapping[str, Any]) -> AnswerRecord:
    """The record of one line. Raises: KeyError, TypeError or ValueError for one of another shape."""
    return AnswerRecord(
        text=_text(record["text"]),
        short_text=None if record["short_text"] is None else _text(record["short_text"]),
        abstained=bool(record["abstained"]),
        confidence=float(record["confidence"]),
        retrieved_paragraph_ids=_texts(record["retrieved_paragraph_ids"]),
        cited_paragraph_ids=_texts(record["cited_paragraph_ids"]),
        seconds=float(record["seconds"]),
        generated_tokens=int(record["generated_tokens"]),
        time_to_first_token_s=(
            None if record["time_to_first_token_s"] is None else float(record["time_to_first_token_s"])
        ),
    )


def signal_record(record: Mapping[str, Any]) -> SignalRecord:
    """The record of one line. Raises: KeyError, TypeError or ValueError for one of another shape."""
    signals = record["signals"]
    return SignalRecord(None if signals is None else Signals(**signals), float(record["seconds"]))


def ranking_record(record: Mapping[str, Any]) -> RankingRecord:
    """The record of one line. Raises: KeyError, TypeError or ValueError for one of another shape."""
    return RankingRecord(paragraph_ids=_texts(record["paragraph_ids"]), seconds=float(record["seconds"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(_text(entry) for entry in value)


def _fingerprint(question_set: QuestionSet) -> str:
    """A digest of every question and paragraph, so that an edited set does not go on with old records."""
    digest = hashlib.sha256()
    for question in question_set.questions:
        digest.update(f"{question.id}\0{question.text}\0{question.paragraph_id}\n".encode(errors="replace"))
    for paragraph in question_set.paragraphs:
        digest.update(f"{paragraph.id}\0{paragraph.text}\n".encode(errors="replace"))
    return digest.hexdigest()[:16]
