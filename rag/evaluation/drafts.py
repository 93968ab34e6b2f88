"""Generated questions, and the file of them that a person reviews; `rag.evaluation.own` reads it."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.evaluation.own import FORMAT


@dataclass(frozen=True, slots=True)
class Draft:
    """A question about a passage: `text[answer_start:answer_start + len(answer)] == answer`.

    `text` stands in the document at `start`. `hard` is a question whose passage is not among the ten best. With
    `exchanged`, a name or number and what it was replaced by, no document answers the question any more.
    """

    question: str
    answer: str
    answer_start: int
    language: str
    source: str
    document_id: str
    page: int | None
    start: int
    text: str
    hard: bool
    exchanged: tuple[str, str] | None = None

    @property
    def passage(self) -> str:
        """A key of the passage, which has one question and at most one variant of it."""
        return f"{self.document_id}:{self.start}"


def write_drafts(path: Path, drafts: Iterable[Draft], made_with: Mapping[str, Any]) -> None:
    """Writes the drafts, all with the status "generated", in SQuAD format; the file is there whole or not at all."""
    content = {"version": "v2.0", "fuente": {"format": FORMAT, **made_with}, "data": _articles(drafts)}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _articles(drafts: Iterable[Draft]) -> list[dict[str, Any]]:
    articles: dict[str, dict[str, Any]] = {}
    passages: dict[str, dict[str, Any]] = {}
    for draft in drafts:
        article = articles.setdefault(draft.document_id, _article(draft))
        if draft.passage not in passages:
            passages[draft.passage] = _paragraph(draft)
            article["paragraphs"].append(passages[draft.passage])
        passages[draft.passage]["qas"].append(_question(draft))
    return list(articles.values())


def _article(draft: Draft) -> dict[str, Any]:
    title = Path(draft.source).name
    return {"title": title, "source": draft.source, "document_id": draft.document_id, "paragraphs": []}


def _paragraph(draft: Draft) -> dict[str, Any]:
    end = draft.start + len(draft.text)
    return {"context": draft.text, "page": draft.page, "start": draft.start, "end": end, "qas": []}


def _question(draft: Draft) -> dict[str, Any]:
    answer = {"text": draft.answer, "answer_start": draft.answer_start}
    number = f"{draft.document_id}-{draft.start}"
    shared = {"question": draft.question, "language": draft.language, "status": "generated"}
    if draft.exchanged is None:
        return {"id": number, **shared, "answers": [answer], "is_impossible": False, "hard": draft.hard}
    impossible = {"answers": [], "is_impossible": True, "plausible_answers": [answer], "exchanged": draft.exchanged}
    return {"id": f"{number}-x", **shared, **impossible}
