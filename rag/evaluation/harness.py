"""Runs the application itself over a question set."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from index.errors import IndexDamagedError, IndexMismatchError
from index.filters import Filter
from index.search import Index
from index.types import Hit, Identity
from index.writer import IndexWriter
from ingest.chunking import whole_document
from ingest.language import detect_language
from ingest.types import Document
from rag.answerer import Answerer
from rag.compose import Fuente
from rag.evaluation.gold import Golds, name_of
from rag.evaluation.questions import Question, QuestionSet
from rag.evaluation.records import AnswerRecord, SignalRecord
from rag.types import Answer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Harness:
    """The application over one index, with what is to be found there.

    `name` gives a hit the id of the paragraph for which it counts, or one that no paragraph has.
    """

    fuente: Fuente
    index: Index
    name: Callable[[Question, Hit], str]

    def search(self, questions: Sequence[Question], depth: int = 10) -> list[list[str]]:
        """Ids for each question, best first."""
        retriever = self.fuente.retriever_over(self.index)
        found = retriever.search_many([question.text for question in questions], depth)
        return [[self.name(question, hit) for hit in hits] for question, hits in zip(questions, found, strict=True)]

    def answering(self, *, given: bool = False, short: bool = False) -> Callable[[Question], AnswerRecord]:
        """Answers from the whole index, as a person's question would be answered.

        `given` hands over the question's own paragraph in place of a search; `short` also asks for the bare answer.
        """
        answerer = self._answerer()

        def answered(question: Question) -> AnswerRecord:
            where = _paragraph_of(question) if given else None
            started = time.perf_counter()
            answer = answerer.answer(question.text, where=where)
            record = self._record(question, answer, time.perf_counter() - started)
            if not short:
                return record
            words = "; ".join(answer.words)
            if not words and not answer.abstained:
                bare = answerer.answer(question.text, where=where, options=replace(answerer.options, style="short"))
                words = "" if bare.abstained else bare.bare_text
            return replace(record, short_text=words)

        return answered

    def signalling(self, *, given: bool = False) -> Callable[[Question], SignalRecord]:
        """What is known of a question before anything is written."""
        answerer = self._answerer()

        def signals(question: Question) -> SignalRecord:
            started = time.perf_counter()
            found = answerer.signals(question.text, where=_paragraph_of(question) if given else None)
            return SignalRecord(found, time.perf_counter() - started)

        return signals

    def _answerer(self) -> Answerer:
        return self.fuente.answerer_over(self.fuente.retriever_over(self.index))

    def _record(self, question: Question, answer: Answer, seconds: float) -> AnswerRecord:
        names = {hit.chunk.id: self.name(question, hit) for hit in answer.hits}
        return AnswerRecord(
            text="" if answer.abstained else answer.bare_text,
            short_text=None,
            abstained=answer.abstained,
            confidence=answer.confidence,
            retrieved_paragraph_ids=tuple(names.values()),
            cited_paragraph_ids=_cited(answer, names),
            seconds=seconds,
            generated_tokens=answer.usage.answer_tokens,
            time_to_first_token_s=answer.timings_s.get("first_token"),
        )


def over_paragraphs(fuente: Fuente, question_set: QuestionSet, folder: Path) -> Harness:
    """Every paragraph is one passage, in an index that is kept under `folder`."""
    documents = [
        text_document(paragraph.id, paragraph.text, question_set.language) for paragraph in question_set.paragraphs
    ]
    place = folder / key_of(fuente.identity(), "paragraphs", documents)
    write_kept(place, lambda: IndexWriter(place, fuente.embedder, whole_document, fuente.identity()), documents)
    return Harness(fuente, fuente.open_index(place), lambda _, hit: hit.source)


def over_golds(fuente: Fuente, golds: Golds) -> Harness:
    """The passages of the application's own index; those count that hold a gold."""
    return Harness(fuente, fuente.index, lambda question, hit: name_of(hit, question, golds))


def write_kept(folder: Path, writer: Callable[[], IndexWriter], documents: Sequence[Document]) -> None:
    """Makes the index that is kept in `folder` hold these documents; one that is damaged is made anew.

    Raises: IndexBusyError while another process writes to it.
    """
    try:
        with writer() as opened:
            opened.add(documents)
    except (IndexDamagedError, IndexMismatchError) as damage:
        # All that is in it can be made again from the question set.
        _log.warning("%s: %s. It is made anew", damage.path, damage.reason)
        shutil.rmtree(folder)
        with writer() as opened:
            opened.add(documents)


def key_of(identity: Identity, kind: str, documents: Sequence[Document]) -> str:
    """A folder name for an index of these documents, another for each way of embedding and cutting them."""
    contents = [[document.id, document.source, document.language] for document in documents]
    return hashlib.sha256(json.dumps([identity.as_dict(), kind, contents]).encode()).hexdigest()[:16]


def text_document(source: str, text: str, language: str | None) -> Document:
    """A text as a document of its own."""
    return Document(
        id=hashlib.sha256(f"{source}\0{text}".encode()).hexdigest()[:16],
        source=source,
        text=text,
        pages=(),
        language=language or detect_language(text),
        metadata={},
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _paragraph_of(question: Question) -> Filter:
    """The one paragraph that the question was written about."""
    return Filter(sources=(question.paragraph_id,))


def _cited(answer: Answer, names: dict[int, str]) -> tuple[str, ...]:
    cited = (names.get(citation.chunk_id, citation.source) for citation in answer.citations)
    return tuple(dict.fromkeys(cited))
