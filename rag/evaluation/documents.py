"""Question sets over whole documents, cut as the application cuts a person's files."""

from pathlib import Path

from ingest.chunking import CUTTING
from ingest.sentences import trimmed
from ingest.types import Document, Span
from rag.compose import Fuente
from rag.evaluation.gold import Gold, Golds
from rag.evaluation.harness import Harness, key_of, over_golds, text_document, write_kept
from rag.evaluation.questions import Paragraph, Question, QuestionSet

_BETWEEN = "\n\n"


def over_documents(fuente: Fuente, question_set: QuestionSet, folder: Path) -> Harness:
    """The set's articles as documents of an index that is kept under `folder`.

    A chunk is a hit when it holds an answer whole, in the paragraph that the question is about. Where a set has no
    answers, as for retrieval alone, every paragraph is a document and each of its chunks is a hit.
    """
    documents, places = whole_documents(question_set)
    moved = moved_to(fuente, folder / key_of(fuente.identity(), f"documents {CUTTING}", documents))
    write_kept(moved.config.index, moved.writer, documents)
    paragraphs = {paragraph.id: paragraph for paragraph in question_set.paragraphs}
    golds: Golds = {
        question.id: {key: _gold(question, paragraphs[key], *places[key]) for key in question.relevant_ids}
        for question in question_set.questions
        if not question.impossible
    }
    return over_golds(moved, golds)


def moved_to(fuente: Fuente, index: Path, *, chunk_tokens: int | None = None, rerank: str | None = None) -> Fuente:
    """The application over another index, with another size of chunks or another second stage where that is given."""
    ingest, retrieval = fuente.config.ingest, fuente.config.retrieval
    if chunk_tokens is not None:
        ingest = ingest.model_copy(update={"chunk_tokens": chunk_tokens})
    if rerank is not None:
        retrieval = retrieval.model_copy(update={"rerank": rerank})
    config = fuente.config.model_copy(update={"index": index, "ingest": ingest, "retrieval": retrieval})
    return Fuente(config, embedder=fuente.embedder)


def whole_documents(question_set: QuestionSet) -> tuple[list[Document], dict[str, tuple[str, int]]]:
    """The paragraphs of each title joined by a blank line; and of each paragraph its document's id and its offset."""
    answers = any(question.answers for question in question_set.questions)
    articles: dict[str, list[Paragraph]] = {}
    for paragraph in question_set.paragraphs:
        title = paragraph.document_title if answers and paragraph.document_title else paragraph.id
        articles.setdefault(title, []).append(paragraph)
    documents, places = [], {}
    for title, paragraphs in articles.items():
        text = _BETWEEN.join(paragraph.text for paragraph in paragraphs)
        document = text_document(title, text, question_set.language)
        documents.append(document)
        start = 0
        for paragraph in paragraphs:
            places[paragraph.id] = (document.id, start)
            start += len(paragraph.text) + len(_BETWEEN)
    return documents, places


def _gold(question: Question, paragraph: Paragraph, document_id: str, offset: int) -> Gold:
    starts = question.answer_starts if paragraph.id == question.paragraph_id else ()
    spans = [
        trimmed(paragraph.text, start, start + len(answer))
        for answer, start in zip(question.answers, starts, strict=False)
        if start is not None
    ]
    ranges = tuple(Span(offset + span.start, offset + span.end) for span in spans if span is not None)
    if ranges:
        return Gold(document_id, ranges, entire=True)
    # The answer is nowhere in these words: any part of the paragraph will do.
    return Gold(document_id, (Span(offset, offset + len(paragraph.text)),))
