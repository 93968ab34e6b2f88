"""Writes a question set over the documents of an index with the local generator, for a person to review.

Every passage is asked about once, and what became of it is kept on disk at once, so that a run may be interrupted.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from index.search import Index
from index.types import Hit
from ingest.types import Span
from rag.evaluation.checks import Asked, agrees, problem, supported
from rag.evaluation.drafts import Draft, write_drafts
from rag.evaluation.entities import answer_spans
from rag.evaluation.errors import EvaluationDataError, EvaluationRecordsError
from rag.evaluation.gold import Gold
from rag.evaluation.passages import SourcePassage, source_passages
from rag.evaluation.records import RecordFile
from rag.evaluation.swapping import Swap, swaps
from rag.evaluation.wording import answering, asking, question_in
from rag.generator import Chooser, Generator
from rag.phrases import LANGUAGES, NO_ANSWER, phrases
from rag.prompt import build_prompt
from rag.types import Message, Sampling

Progress = Callable[[int, int], None]

# Of the questions, the share that the documents do not answer.
_UNANSWERABLE = 0.25
# A question whose passage is not among so many is marked hard.
_EASY_RANK = 10
_CHECKED_PASSAGES = 3
# In log-odds of a yes.
_DOUBT = 0.5
# Answers that are asked for, one after the other, until a question about a passage is good.
_TRIES = 3
_PROMPT_TOKENS = 3000
_WRITTEN = Sampling(temperature=0.0, max_tokens=80, seed=0, stop=("\n",))
_SHORT = Sampling(temperature=0.0, max_tokens=40, seed=0, stop=("\n",))
# A draft as JSON, or under "left_out" why there is none, for each try.
_Record = dict[str, Any]
_LEFT_OUT = "left_out"
_KIND = "question drafts"
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Built:
    """How many questions were made, how many of the answerable are hard, and how often what was left out and why."""

    answerable: int
    unanswerable: int
    hard: int
    left_out: Mapping[str, int]


class QuestionWriter:
    """Asks a generator for questions about the passages of an index, and checks them."""

    def __init__(self, index: Index, generator: Generator, *, seed: int, languages: Sequence[str] = LANGUAGES) -> None:
        self._index = index
        self._generator = generator
        self._seed = seed
        self._languages = tuple(languages)

    def build(self, path: Path, count: int, *, progress: Progress | None = None) -> Built:
        """Writes `count` questions into `path`, fewer where the documents yield no more.

        Until it is finished what is done stands in `path` with ".part" behind it; a second run goes on from there.

        Raises: EvaluationDataError when `path` exists, since somebody may have reviewed it; EvaluationRecordsError
        for a part of another run; GenerationError.
        """
        if path.exists():
            mend = "Give another name, or remove the file"
            raise EvaluationDataError(path, "", "it exists, and somebody may have reviewed it", mend)
        part = path.with_name(path.name + _PART)
        unanswerable = int(count * _UNANSWERABLE)
        report = progress or _silent
        with RecordFile(part, _KIND, self._about()) as file:
            kept = self._answerable(file, count - unanswerable, lambda done: report(done, count))
            swapped = self._swapped(file, kept, unanswerable, lambda done: report(len(kept) + done, count))
            left_out = Counter(fault for record in file.done.values() for fault in record.get(_LEFT_OUT, ()))
        if not kept:
            reasons = ", ".join(f"{reason} ({times})" for reason, times in left_out.most_common())
            mend = f"Ingest documents with prose in {', '.join(self._languages)}, or use a larger generator"
            raise EvaluationDataError(path, "", f"no passage yielded a question: {reasons or 'there is none'}", mend)
        write_drafts(path, [*kept, *swapped], {"generator": self._generator.name, "seed": self._seed})
        part.unlink()
        return Built(len(kept), len(swapped), sum(draft.hard for draft in kept), left_out)

    def unfinished(self, folder: Path) -> Path | None:
        """Of the files in `folder` the newest that an interrupted run left unfinished and `build` would go on with."""
        parts = sorted(folder.glob(f"*.json{_PART}"), key=lambda part: part.stat().st_mtime_ns, reverse=True)
        return next((part.with_name(part.stem) for part in parts if self._is_mine(part)), None)

    def _is_mine(self, part: Path) -> bool:
        """Whether these documents are asked about there, by this generator."""
        try:
            with RecordFile(part, _KIND, self._about()):
                return True
        except EvaluationRecordsError:
            return False

    def _about(self) -> _Record:
        documents = "".join(sorted({info.document_id for info in self._index.sources()}))
        return {
            "generator": self._generator.name,
            "seed": self._seed,
            "languages": list(self._languages),
            "documents": hashlib.sha256(documents.encode()).hexdigest()[:16],
        }

    def _answerable(self, file: RecordFile, count: int, report: Callable[[int], None]) -> list[Draft]:
        kept: list[Draft] = []
        asked = Asked()
        for passage in source_passages(self._index, self._seed, self._languages):
            report(len(kept))
            if len(kept) >= count:
                break
            draft = _done(file, passage.key, partial(self._question, passage, asked))
            if draft is not None:
                kept.append(draft)
                asked.add(draft.question, draft.language)
        return kept

    def _question(self, passage: SourcePassage, asked: Asked) -> _Record:
        """A question about a passage, or why none of those tried is any good."""
        faults = []
        spans = answer_spans(passage.text, passage.language, f"{self._seed}:{passage.key}")
        for span in spans[:_TRIES]:
            question = question_in(self._reply(asking(passage.text, _said(passage, span), passage.language), _WRITTEN))
            fault = self._fault(passage, question, span, asked)
            if fault is None:
                return asdict(self._draft(passage, question, span))
            faults.append(fault)
        return {_LEFT_OUT: faults or ["no name or number to ask for"]}

    def _fault(self, passage: SourcePassage, question: str, span: Span, asked: Asked) -> str | None:
        language, said = passage.language, _said(passage, span)
        fault = problem(question, said, passage.text, language)
        if fault is None and asked.has_like(question, language):
            fault = "like another question"
        # Last, since it takes the generator seconds.
        if fault is None and not agrees(self._short_answer(passage.text, question, language), said, language):
            fault = "second answer differs"
        return fault

    def _draft(self, passage: SourcePassage, question: str, span: Span) -> Draft:
        start, end = passage.start + span.start, passage.start + span.end
        chunks = [hit.chunk for hit in self._index.search(question, _EASY_RANK)]
        return Draft(
            question=question,
            answer=_said(passage, span),
            answer_start=span.start,
            language=passage.language,
            source=passage.source,
            document_id=passage.document_id,
            page=passage.page,
            start=passage.start,
            text=passage.text,
            hard=not any(Gold(passage.document_id, (Span(start, end),)).is_in(chunk) for chunk in chunks),
        )

    def _swapped(
        self, file: RecordFile, kept: Sequence[Draft], count: int, report: Callable[[int], None]
    ) -> list[Draft]:
        """Of some questions a variant that the documents do not answer."""
        swapped: list[Draft] = []
        for draft in kept:
            report(len(swapped))
            if len(swapped) >= count:
                break
            variant = _done(file, f"exchange:{draft.passage}", partial(self._variant, draft, kept))
            if variant is not None:
                swapped.append(variant)
        report(len(swapped))
        return swapped

    def _variant(self, draft: Draft, kept: Sequence[Draft]) -> _Record:
        elsewhere = [other.text for other in kept if other.document_id != draft.document_id]
        for swap in swaps(draft.question, draft.text, elsewhere, self._seed):
            if self._is_absent(swap, draft):
                return asdict(replace(draft, question=swap.question, exchanged=(swap.original, swap.replacement)))
        return {_LEFT_OUT: ["nothing to exchange that no document answers"]}

    def _is_absent(self, swap: Swap, draft: Draft) -> bool:
        """Whether no passage near the question supports an answer, by its words and by the generator's reading."""
        hits = self._index.search(swap.question, _EASY_RANK)
        if supported(swap.question, swap.replacement, [(hit.chunk.text, hit.language) for hit in hits]):
            return False
        nearest = hits[:_CHECKED_PASSAGES]
        if not isinstance(self._generator, Chooser):
            texts = "\n\n".join(hit.chunk.text for hit in nearest)
            return NO_ANSWER.casefold() in self._short_answer(texts, swap.question, draft.language).casefold()
        # A small model says yes too easily, but less so than to the question that does have an answer there.
        doubtful, sure = (
            self._answered_odds(self._generator, question, nearest, draft.language)
            for question in (swap.question, draft.question)
        )
        return doubtful <= sure - _DOUBT

    def _answered_odds(self, chooser: Chooser, question: str, hits: Sequence[Hit], language: str) -> float:
        counted = self._generator.count_tokens
        prompt = build_prompt(question, hits, language, max_tokens=_PROMPT_TOKENS, count_tokens=counted)
        words = phrases(language)
        return chooser.log_odds(prompt.check, words.yes, words.no)

    def _short_answer(self, text: str, question: str, language: str) -> str:
        return self._reply(answering(text, question, language), _SHORT)

    def _reply(self, messages: Sequence[Message], sampling: Sampling) -> str:
        return "".join(self._generator.stream(messages, sampling)).strip()


def _said(passage: SourcePassage, span: Span) -> str:
    return passage.text[span.start : span.end]


def _done(file: RecordFile, key: str, make: Callable[[], _Record]) -> Draft | None:
    """The draft of a key, made unless the file has it; None for what is left out."""
    if key not in file.done:
        file.append(key, make())
    record = file.done[key]
    if _LEFT_OUT in record:
        return None
    try:
        exchanged = record.get("exchanged")
        return Draft(**{**record, "exchanged": None if exchanged is None else tuple(exchanged)})
    except TypeError as error:
        raise file.invalid(key, f"it is no draft ({error})") from error


def _silent(done: int, total: int) -> None:
    pass
