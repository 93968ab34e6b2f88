"""Runs the application itself over a question set: every paragraph is one passage of a temporary index."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from index.search import Index
from index.writer import IndexWriter
from ingest.chunking import whole_document
from ingest.language import detect_language
from ingest.types import Document
from rag.answerer import Answerer
from rag.compose import Fuente
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from rag.evaluation.records import AnswerRecord
from rag.retriever import Retriever

_MARKER = re.compile(r"\s*\[\d+\]")


class Harness:
    """The passages of a question set, indexed once per embedder under `folder`."""

    def __init__(self, fuente: Fuente, question_set: QuestionSet, folder: Path) -> None:
        self._fuente = fuente
        identity = fuente.identity()
        texts = [[paragraph.id, paragraph.text] for paragraph in question_set.paragraphs]
        key = json.dumps([identity.as_dict(), question_set.language, texts])
        place = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
        with IndexWriter(place, fuente.embedder, whole_document, identity) as writer:
            writer.add(_document(paragraph, question_set.language) for paragraph in question_set.paragraphs)
        self._index = Index(place, fuente.embedder, fuente.search_settings())

    def search(self, questions: Sequence[str], depth: int = 10) -> list[list[str]]:
        """Paragraph ids for each question, best first."""
        found = self._index.search_many(questions, depth)
        return [[hit.source for hit in hits] for hits in found]

    def answering(self) -> Callable[[Question], AnswerRecord]:
        """Answers from the whole set, as a person's question would be answered."""
        section = self._fuente.config.retrieval
        answerer = self._fuente.answerer_over(Retriever(index=self._index, k=section.k))
        return lambda question: _record(answerer, question)


def _document(paragraph: Paragraph, language: str | None) -> Document:
    return Document(
        id=hashlib.sha256(f"{paragraph.id}\0{paragraph.text}".encode()).hexdigest()[:16],
        source=paragraph.id,
        text=paragraph.text,
        pages=(),
        language=language or detect_language(paragraph.text),
        metadata={},
        sha256=hashlib.sha256(paragraph.text.encode()).hexdigest(),
    )


def _record(answerer: Answerer, question: Question) -> AnswerRecord:
    started = time.perf_counter()
    answer = answerer.answer(question.text)
    return AnswerRecord(
        text="" if answer.abstained else _MARKER.sub("", answer.text),
        short_text=None,
        abstained=answer.abstained,
        confidence=answer.confidence,
        retrieved_paragraph_ids=tuple(hit.source for hit in answer.hits),
        cited_paragraph_ids=tuple(dict.fromkeys(citation.source for citation in answer.citations)),
        seconds=time.perf_counter() - started,
        generated_tokens=answer.usage.answer_tokens,
        time_to_first_token_s=answer.timings_s.get("first_token"),
    )
