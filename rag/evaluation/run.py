"""Runs a system over a question set and reports how it did."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

from rag.evaluation.questions import Question, QuestionSet, sampled
from rag.evaluation.records import (
    AnswerRecord,
    RankingRecord,
    RecordFile,
    SignalRecord,
    about_set,
    answer_record,
    ranking_record,
    signal_record,
)
from rag.evaluation.report import Report, Section, as_json, assemble
from rag.evaluation.scoring import (
    Answered,
    Ranked,
    abstention_section,
    answer_speed_section,
    answers_section,
    citations_section,
    retrieval_section,
    search_speed_section,
)

Search: TypeAlias = Callable[[Sequence[Question]], list[list[str]]]
Answer: TypeAlias = Callable[[Question], AnswerRecord]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with the numbers of questions done and to do."""

_SEARCHES_AT_ONCE = 32
# Batches grow while they take less than the first, in seconds, and shrink above the second: what is slow, such as a
# second stage that asks a generator, shows its progress and loses little when it is interrupted.
_QUICK_S, _SLOW_S = 1.0, 4.0
_Record = TypeVar("_Record", AnswerRecord, RankingRecord, SignalRecord)
_Asked = TypeVar("_Asked", Answered, Ranked)


def evaluate_retrieval(
    question_set: QuestionSet,
    search: Search,
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    records: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Report:
    """How well `search` finds the paragraph of each answerable question among all paragraphs of the set.

    `search` gets up to 32 questions, fewer where it is slow, and returns, for each, ids, best first; what holds the
    answer has the id of the question's paragraph. `limit` draws that many questions of the set by `seed`; the
    impossible ones among them are then left out. With `records`, questions done there are not searched again;
    `settings` name what must not change in between, such as the model. Interrupted by Ctrl-C it reports on the
    questions done, with `"interrupted": true`.

    Raises: ValueError for a search that returns another number of rankings, EvaluationRecordsError for
    records of another evaluation.
    """
    questions = [question for question in sampled(question_set.questions, limit, seed) if not question.impossible]

    def ask(batch: Sequence[Question]) -> list[RankingRecord]:
        start = perf_counter()
        rankings = search(batch)
        seconds = (perf_counter() - start) / len(batch)
        if len(rankings) != len(batch):
            raise ValueError(f"the search returned {len(rankings)} rankings for {len(batch)} questions")
        return [RankingRecord(tuple(ranking), seconds) for ranking in rankings]

    with ExitStack() as stack:
        file = _record_file(stack, records, question_set, "retrieval", settings)
        done, interrupted = _asked(questions, partial(_in_batches, ask), ranking_record, file, progress)
    ranked = [Ranked(question, record) for question, record in done]

    def sections(part: Sequence[Ranked]) -> Section:
        return {"retrieval": retrieval_section(part, seed), "speed": search_speed_section(part)}

    return _report(question_set, ranked, sections, seed, limit, interrupted)


def evaluate_answers(
    question_set: QuestionSet,
    answer: Answer,
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    records: Path | None = None,
    settings: Mapping[str, str] | None = None,
    together: int = 1,
) -> Report:
    """How well `answer` answers, cites and abstains, question by question, so many of them at a time.

    The other parameters and the behaviour on Ctrl-C are those of `evaluate_retrieval`; impossible questions count.

    Raises: EvaluationRecordsError for records of another evaluation.
    """
    questions = sampled(question_set.questions, limit, seed)
    with ExitStack() as stack:
        file = _record_file(stack, records, question_set, "answers", settings)
        done, interrupted = _asked(questions, partial(_one_each, answer, together), answer_record, file, progress)
    answered = [Answered(question, record) for question, record in done]
    return _report(question_set, answered, lambda part: _answer_sections(part, seed), seed, limit, interrupted)


def collect_signals(
    question_set: QuestionSet,
    signals: Callable[[Question], SignalRecord],
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    records: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> tuple[list[tuple[Question, SignalRecord]], bool]:
    """Each question with its signals, and whether Ctrl-C ended it early; the parameters are those of
    `evaluate_retrieval`.

    Raises: EvaluationRecordsError for records of another evaluation.
    """
    questions = sampled(question_set.questions, limit, seed)
    with ExitStack() as stack:
        file = _record_file(stack, records, question_set, "signals", settings)
        return _asked(questions, partial(_one_each, signals, 1), signal_record, file, progress)


def _answer_sections(answered: Sequence[Answered], seed: int) -> Section:
    """The sections for which there is something to measure."""
    sections: Section = {}
    if any(one.record.retrieved_paragraph_ids for one in answered):
        ranked = [
            Ranked(one.question, RankingRecord(one.record.retrieved_paragraph_ids, one.record.seconds))
            for one in answered
        ]
        sections["retrieval"] = retrieval_section(ranked, seed)
    sections["answers"] = answers_section(answered, seed)
    if any(one.record.cited_paragraph_ids for one in answered):
        sections["citations"] = citations_section(answered, seed)
    sections["abstention"] = abstention_section(answered, seed)
    sections["speed"] = answer_speed_section(answered)
    return sections


def _record_file(
    stack: ExitStack,
    path: Path | None,
    question_set: QuestionSet,
    kind: str,
    settings: Mapping[str, str] | None,
) -> RecordFile | None:
    if path is None:
        return None
    return stack.enter_context(RecordFile(path, kind, about_set(question_set, settings or {})))


def _asked(
    questions: Sequence[Question],
    ask: Callable[[Sequence[Question]], Iterator[list[_Record]]],
    revive: Callable[[Mapping[str, Any]], _Record],
    file: RecordFile | None,
    progress: Progress | None,
) -> tuple[list[tuple[Question, _Record]], bool]:
    """Each question with its record, first those that the file has, and whether Ctrl-C ended it early."""
    done = _revived(questions, revive, file)
    known = {question.id for question, _ in done}
    open_questions = [question for question in questions if question.id not in known]
    try:
        if progress:
            progress(len(done), len(questions))
        left = iter(open_questions)
        for records in ask(open_questions):
            for question, record in zip(islice(left, len(records)), records, strict=True):
                if file:
                    file.append(question.id, asdict(record))
                done.append((question, record))
            if progress:
                progress(len(done), len(questions))
    except KeyboardInterrupt:
        return done, True
    return done, False


def _in_batches(
    ask: Callable[[Sequence[Question]], list[_Record]], questions: Sequence[Question]
) -> Iterator[list[_Record]]:
    """The records of questions that are asked many at once, as long as that is quick."""
    at, size = 0, 1
    while at < len(questions):
        start, batch = perf_counter(), questions[at : at + size]
        yield ask(batch)
        at += size
        size = _next_size(size, perf_counter() - start, _SEARCHES_AT_ONCE)


def _one_each(
    ask: Callable[[Question], _Record], together: int, questions: Sequence[Question]
) -> Iterator[list[_Record]]:
    """The records of questions that are asked one by one, or so many at a time, each in a thread of its own."""
    if together == 1:
        for question in questions:
            yield [ask(question)]
        return
    pool = ThreadPoolExecutor(together)
    try:
        for record in pool.map(ask, questions):
            yield [record]
    finally:
        pool.shutdown(cancel_futures=True)


def _next_size(size: int, seconds: float, most: int) -> int:
    if seconds < _QUICK_S:
        return min(2 * size, most)
    return max(size // 2, 1) if seconds > _SLOW_S else size


def _revived(
    questions: Sequence[Question], revive: Callable[[Mapping[str, Any]], _Record], file: RecordFile | None
) -> list[tuple[Question, _Record]]:
    if file is None:
        return []
    done = []
    for question in questions:
        if question.id in file.done:
            try:
                done.append((question, revive(file.done[question.id])))
            except (KeyError, TypeError, ValueError) as error:
                raise file.invalid(question.id, f"its record cannot be read ({error})") from error
    return done


def _report(
    question_set: QuestionSet,
    asked: Sequence[_Asked],
    sections: Callable[[Sequence[_Asked]], Section],
    seed: int,
    limit: int | None,
    interrupted: bool,
) -> Report:
    report = assemble(
        question_set,
        [one.question for one in asked],
        sections(asked),
        seed=seed,
        limit=limit,
        interrupted=interrupted,
    )
    languages = sorted({one.question.language for one in asked if one.question.language})
    if len(languages) > 1:
        report["by_language"] = {
            language: as_json(sections([one for one in asked if one.question.language == language]))
            for language in languages
        }
    return report
