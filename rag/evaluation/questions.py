"""Questions with their gold answers, and the paragraphs that answer them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_LANGUAGE_PART = re.compile(r"(?:^|[._-])(es|pt|en)(?=[._-]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A passage that can be retrieved; `id` is unique within its set."""

    id: str
    document_title: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what counts as right.

    `answer_starts[i]` is where `answers[i]` stands in the text of paragraph `paragraph_id`, in characters,
    or None when it does not stand there. `impossible` means that its paragraph does not answer it; then
    `answers` is empty. A set that only judges retrieval has neither answers nor impossible questions.
    `further_relevant_ids` are other paragraphs that count as found, in sets that judge several.
    """

    id: str
    text: str
    answers: tuple[str, ...]
    answer_starts: tuple[int | None, ...]
    paragraph_id: str
    impossible: bool
    language: str | None = None
    further_relevant_ids: tuple[str, ...] = ()

    @property
    def relevant_ids(self) -> tuple[str, ...]:
        """Every paragraph that counts as found."""
        return (self.paragraph_id, *self.further_relevant_ids)


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions over a collection of paragraphs. `language` is that of the paragraphs, None when unknown or mixed."""

    name: str
    language: str | None
    paragraphs: tuple[Paragraph, ...]
    questions: tuple[Question, ...]


def language_of_name(name: str) -> str | None:
    """The language that a file name states (`xquad.es.json`, `squad-pt-v2.json`), or None."""
    found = _LANGUAGE_PART.search(name)
    return found.group(1).lower() if found else None


def sampled(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """`limit` questions drawn at random (all when None), in random order.

    The order depends on the ids and the seed alone, so the sample of 50 is the beginning of the sample of
    100, and the questions already done when a run is interrupted are themselves a fair sample.

    Raises: ValueError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1, or None for every question")
    return sorted(questions, key=lambda question: (_lot(question.id, seed), question.id))[:limit]


def merged(name: str, sets: Sequence[QuestionSet]) -> QuestionSet:
    """One collection of all `sets`; ids are prefixed with the name of their set.

    Paragraphs are not compared across sets, so each keeps its own copies.

    Raises: ValueError when two sets have the same name.
    """
    names = [part.name for part in sets]
    if len(set(names)) < len(names):
        raise ValueError(f"the sets are named {names}; merged sets need different names, since they prefix the ids")
    languages = {part.language for part in sets}
    return QuestionSet(
        name=name,
        language=languages.pop() if len(languages) == 1 else None,
        paragraphs=tuple(replace(p, id=f"{part.name}:{p.id}") for part in sets for p in part.paragraphs),
        questions=tuple(_prefixed(question, part.name) for part in sets for question in part.questions),
    )


def _prefixed(question: Question, name: str) -> Question:
    return replace(
        question,
        id=f"{name}:{question.id}",
        paragraph_id=f"{name}:{question.paragraph_id}",
        further_relevant_ids=tuple(f"{name}:{key}" for key in question.further_relevant_ids),
    )


def _lot(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()
