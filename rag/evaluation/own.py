"""Question sets over the documents of a person's own index, in SQuAD format with what Fuente adds to it.

    {"version": "v2.0", "fuente": {"format": 1, …},
     "data": [{"title", "source", "document_id", "language",
               "paragraphs": [{"context", "start", "end", "page",
                               "qas": [{"id", "question", "answers", "is_impossible", "status", …}]}]}]}

`context` is the document's text from `start` to `end`. A person reviews by changing `status`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from index.search import Index
from ingest.types import Document, Span
from rag.evaluation.errors import EvaluationDataError
from rag.evaluation.gold import Gold, Golds
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from rag.evaluation.reading import JsonPlace, read_json
from rag.evaluation.squad import read_question

FORMAT = 1
STATUSES = ("generated", "accepted", "rejected")


@dataclass(frozen=True, slots=True)
class Passage:
    """Where a paragraph of the set stands: `document.text[start:start + len(text)]` is its text."""

    source: str
    document_id: str
    start: int


@dataclass(frozen=True, slots=True)
class OwnSet:
    """The questions that nobody rejected, and by paragraph where it stands."""

    question_set: QuestionSet
    passages: Mapping[str, Passage]


def is_own(path: Path) -> bool:
    """Whether a file is a question set over a person's own documents.

    Raises: EvaluationDataError for a file that is no JSON.
    """
    return read_json(path).has("fuente")


def read_own(path: Path) -> OwnSet:
    """The set of a file.

    Raises: EvaluationDataError for a wrong shape, an unknown status, or a question id that comes twice.
    """
    root = read_json(path)
    form = root.get("fuente").get("format")
    if form.value != FORMAT:
        raise form.error(f"the format is {form.value!r}, this program reads {FORMAT}", "Update Fuente")
    passages: dict[str, Passage] = {}
    paragraphs: list[Paragraph] = []
    questions: dict[str, Question] = {}
    for article in root.get("data").items():
        source, document_id = article.get("source").text(), article.get("document_id").key()
        language = article.get("language").text() if article.has("language") else None
        for entry in article.get("paragraphs").items():
            paragraph = Paragraph(f"p{len(paragraphs):05d}", source, entry.get("context").text())
            paragraphs.append(paragraph)
            passages[paragraph.id] = Passage(source, document_id, _offset(entry.get("start")))
            for one in entry.get("qas").items():
                _add(questions, one, paragraph, language)
    if not questions:
        raise EvaluationDataError(path, "", "no question is left", 'Set the "status" of some to "accepted"')
    languages = {question.language for question in questions.values()}
    language = languages.pop() if len(languages) == 1 else None
    return OwnSet(QuestionSet(path.stem, language, tuple(paragraphs), tuple(questions.values())), passages)


def placed(own: OwnSet, index: Index, path: Path) -> tuple[QuestionSet, Golds]:
    """The questions whose passage is in the index, and where their answers stand in it.

    A passage that moved within its file is found by its text.

    Raises: EvaluationDataError when no passage is there.
    """
    found = {
        paragraph.id: _in_index(own.passages[paragraph.id], paragraph.text, index)
        for paragraph in own.question_set.paragraphs
    }
    questions = tuple(question for question in own.question_set.questions if found[question.paragraph_id])
    if not questions:
        mend = "Give the index that it was made from (--index), or ingest its documents"
        raise EvaluationDataError(path, "", f"none of its passages is in the index {index.folder}", mend)
    golds: dict[str, dict[str, Gold]] = {}
    for question in questions:
        place = found[question.paragraph_id]
        if place and not question.impossible:
            golds[question.id] = {question.paragraph_id: _gold(question, *place)}
    return replace(own.question_set, questions=questions), golds


def _add(questions: dict[str, Question], entry: JsonPlace, paragraph: Paragraph, language: str | None) -> None:
    status = entry.get("status").text() if entry.has("status") else "accepted"
    if status not in STATUSES:
        raise entry.error(f'the status "{status}" is unknown', f"Use one of {', '.join(STATUSES)}")
    if status == "rejected":
        return
    language = entry.get("language").text() if entry.has("language") else language
    question = replace(read_question(entry, paragraph.text, language), paragraph_id=paragraph.id)
    if None in question.answer_starts:
        raise entry.error("an answer does not stand in the context", "Copy it from there, letter by letter")
    if question.id in questions:
        raise entry.error(f'question id "{question.id}" occurs twice', "Give each question its own id")
    questions[question.id] = question


def _offset(place: JsonPlace) -> int:
    if not isinstance(place.value, int) or isinstance(place.value, bool) or place.value < 0:
        raise place.error("a character offset was expected", "Write a whole number, 0 or more")
    return place.value


def _in_index(passage: Passage, text: str, index: Index) -> tuple[str, int] | None:
    """The document that holds the passage now, and the offset of the passage in it."""
    document = index.document(passage.document_id) or index.documents_of([passage.source]).get(passage.source)
    start = -1 if document is None else _nearest(document, text, passage.start)
    return None if document is None or start < 0 else (document.id, start)


def _nearest(document: Document, text: str, stated: int) -> int:
    if document.text.startswith(text, stated):
        return stated
    after, before = document.text.find(text, stated), document.text.rfind(text, 0, stated + len(text))
    return min((place for place in (after, before) if place >= 0), key=lambda place: abs(place - stated), default=-1)


def _gold(question: Question, document_id: str, offset: int) -> Gold:
    pairs = zip(question.answers, question.answer_starts, strict=True)
    spans = [Span(offset + start, offset + start + len(text)) for text, start in pairs if start is not None]
    return Gold(document_id, tuple(spans))
