"""Whole evaluations with small systems, their reports, and going on after an interruption."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Lock
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from rag.cli import evaluating, finetuning
from rag.cli.calibrating import Sample
from rag.errors import RagError
from rag.evaluation import (
    AnswerRecord,
    EvaluationRecordsError,
    Paragraph,
    Question,
    QuestionSet,
    evaluate_answers,
    evaluate_retrieval,
    joined,
    merged,
    sampled,
    table,
    write_report,
)
from rag.evaluation.harness import Harness

CITIES = ["Lima", "Quito", "Bogotá", "Caracas", "Santiago", "Montevideo", "Asunción", "La Paz"]


def city_set(name: str = "cities.es", language: str | None = "es", count: int = 40) -> QuestionSet:
    """Paragraph i tells the code of city i; every fourth question asks what no paragraph tells."""
    paragraphs = tuple(Paragraph(f"p{n}", "Ciudades", f"{CITIES[n % 8]} tiene el código {n}.") for n in range(count))
    return QuestionSet(name, language, paragraphs, tuple(city_question(n, language) for n in range(count)))


def city_question(number: int, language: str | None) -> Question:
    impossible = number % 4 == 3
    answers = () if impossible else (f"el código {number}",)
    starts = () if impossible else (len(CITIES[number % 8]) + 7,)
    return Question(f"q{number}", f"¿Pregunta {number}?", answers, starts, f"p{number}", impossible, language)


def record(question: Question, **changes: Any) -> AnswerRecord:
    short = question.answers[0] if question.answers else ""
    right = AnswerRecord(
        text=f"La respuesta es {short}.",
        short_text=short,
        abstained=question.impossible,
        confidence=0.1 if question.impossible else 0.9,
        retrieved_paragraph_ids=(question.paragraph_id,),
        cited_paragraph_ids=(question.paragraph_id,),
        seconds=2.0,
        generated_tokens=30,
        time_to_first_token_s=0.5,
    )
    return replace(right, **changes)


def search_with(number: Callable[[int], int]) -> Callable[[Sequence[Question]], list[list[str]]]:
    """A search that puts paragraph `number(n)` first for question n, then the right one."""

    def search(questions: Sequence[Question]) -> list[list[str]]:
        numbers = [int(question.text.split()[1].rstrip("?")) for question in questions]
        return [[f"p{number(n)}", f"p{n}"] for n in numbers]

    return search


def stopping_after(count: int) -> Callable[[Question], AnswerRecord]:
    """Answers `count` questions, then does as if Ctrl-C were pressed."""
    asked: list[str] = []

    def answer(question: Question) -> AnswerRecord:
        if len(asked) == count:
            raise KeyboardInterrupt
        asked.append(question.id)
        return record(question)

    return answer


def test_retrieval_counts_the_answerable_questions() -> None:
    # Even questions find the right paragraph first, odd ones second: of 30 answerable, 20 are even.
    report = evaluate_retrieval(city_set(), search_with(lambda n: n if n % 2 == 0 else n + 1))
    assert report["retrieval"]["recall@1"]["value"] == pytest.approx(20 / 30)
    assert report["retrieval"]["recall@3"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert report["retrieval"]["mrr@10"]["value"] == pytest.approx((20 + 10 / 2) / 30)
    interval = report["retrieval"]["recall@1"]
    assert 0.4 < interval["low"] < interval["value"] < interval["high"] < 0.9
    assert report["set"] == {
        "name": "cities.es",
        "language": "es",
        "questions": 30,
        "answerable": 30,
        "paragraphs": 40,
        "seed": 0,
        "limit": None,
    }
    assert report["interrupted"] is False
    assert report["speed"]["searches_per_second"] > 0


def test_retrieval_searches_in_batches_and_tells_its_progress() -> None:
    sizes: list[int] = []
    seen: list[tuple[int, int]] = []
    find = search_with(lambda n: n)

    def search(questions: Sequence[Question]) -> list[list[str]]:
        sizes.append(len(questions))
        return find(questions)

    evaluate_retrieval(city_set(count=100), search, progress=lambda done, total: seen.append((done, total)))
    assert sizes == [1, 2, 4, 8, 16, 32, 12]
    assert seen == [(done, 75) for done in (0, 1, 3, 7, 15, 31, 63, 75)]


def test_slow_searches_are_done_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that progress shows, and an interruption costs little. After the first ten, a question takes 3 s."""
    clock, sizes = [0.0], []
    find = search_with(lambda n: n)

    def search(questions: Sequence[Question]) -> list[list[str]]:
        clock[0] += 3.0 * (len(questions) if sum(sizes) >= 10 else 0)
        sizes.append(len(questions))
        return find(questions)

    monkeypatch.setattr("rag.evaluation.run.perf_counter", lambda: clock[0])
    evaluate_retrieval(city_set(count=100), search)
    assert sizes == [1, 2, 4, 8, 16, 8, 4, 2, *[1] * 30]


def test_a_search_with_too_few_rankings_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 rankings for 1 questions"):
        evaluate_retrieval(city_set(), lambda questions: [])


def test_a_perfect_system_scores_one_everywhere() -> None:
    report = evaluate_answers(city_set(), record)
    for section, names in {
        "retrieval": ("recall@1", "ndcg@10"),
        "answers": ("exact_match", "f1", "contains", "exact_match_answerable"),
        "citations": ("precision", "recall", "cited"),
        "abstention": ("precision", "recall", "f1", "auroc"),
    }.items():
        assert [report[section][name]["value"] for name in names] == [1.0] * len(names)
    assert report["abstention"]["false_refusal_rate"]["value"] == 0
    assert report["speed"] == {
        "seconds_per_question_median": 2.0,
        "seconds_per_question_p95": 2.0,
        "time_to_first_token_s_median": 0.5,
        "time_to_first_token_s_p95": 0.5,
        "generated_tokens_per_second": 15.0,
    }


def test_a_system_that_refuses_everything_has_only_the_impossible_right() -> None:
    report = evaluate_answers(city_set(), lambda question: record(question, abstained=True, confidence=0.5))
    answers, abstention = report["answers"], report["abstention"]
    assert [answers[name]["value"] for name in ("exact_match", "f1", "contains")] == [0.25] * 3
    assert [answers[f"{name}_answerable"]["value"] for name in ("exact_match", "f1", "contains")] == [0] * 3
    assert (abstention["abstained_answerable"], abstention["abstained_unanswerable"]) == (30, 10)
    assert abstention["precision"]["value"] == 0.25
    assert abstention["recall"]["value"] == 1
    assert abstention["false_refusal_rate"]["value"] == 1
    assert abstention["auroc"]["value"] == 0.5
    assert abstention["risk_coverage"] == []


def test_a_long_answer_contains_without_matching_exactly() -> None:
    report = evaluate_answers(city_set(), lambda question: record(question, short_text=None, abstained=False))
    answers = report["answers"]
    assert answers["exact_match"]["value"] == 0
    assert answers["contains_answerable"]["value"] == 1
    assert answers["contains"]["value"] == 0.75
    # Gold "código 3" against "respuesta es código 3": 2 of 2 and 4 tokens.
    assert answers["f1_answerable"]["value"] == pytest.approx(2 * 2 / (2 + 4))
    assert report["abstention"]["precision"] == {"value": None, "low": None, "high": None}


def test_citations_count_answered_questions_by_hand() -> None:
    # Of the six answerable questions three are answered; the citations of the others do not count.
    cited = {"q0": ("p0", "p1"), "q1": ("p1",), "q2": ("p9",)}

    def answer(question: Question) -> AnswerRecord:
        pages = cited.get(question.id, ("p0",))
        return record(question, abstained=question.id not in cited, cited_paragraph_ids=pages)

    answered = evaluate_answers(city_set(count=8), answer)
    values = {name: entry["value"] for name, entry in answered["citations"].items()}
    assert values == pytest.approx({"precision": 0.5, "recall": 2 / 3, "cited": 1})
    # Refused questions stay in the whole that coverage refers to.
    assert answered["abstention"]["risk_coverage"][-1]["coverage"] == 3 / 8


def test_risk_falls_where_the_confidence_is_right() -> None:
    wrong = {f"q{n}" for n in range(0, 40, 5)}

    def answer(question: Question) -> AnswerRecord:
        bad = question.impossible or question.id in wrong
        return record(
            question, abstained=False, short_text="otra cosa" if bad else None, confidence=0.2 if bad else 0.8
        )

    points = evaluate_answers(city_set(), answer)["abstention"]["risk_coverage"]
    assert [point["threshold"] for point in points] == [0.8, 0.2]
    assert points[1]["coverage"] == 1
    assert points[0]["risk"] < points[1]["risk"]


def test_sets_that_judge_retrieval_alone_have_no_answer_scores() -> None:
    several = [
        replace(question, answers=(), answer_starts=(), impossible=False, further_relevant_ids=("p0",))
        for question in city_set(count=4).questions[1:]
    ]
    beir = replace(city_set(count=4), questions=tuple(several))
    report = evaluate_answers(beir, record)
    assert report["answers"]["f1"]["value"] is None
    assert report["retrieval"]["recall@10"]["value"] == 0.5
    json.dumps(report, allow_nan=False)


def test_a_limit_takes_the_same_sample_for_the_same_seed() -> None:
    asked: list[list[str]] = []
    for seed in (1, 1, 2):
        ids: list[str] = []

        def answer(question: Question, ids: list[str] = ids) -> AnswerRecord:
            ids.append(question.id)
            return record(question)

        assert evaluate_answers(city_set(), answer, limit=8, seed=seed)["set"]["questions"] == 8
        asked.append(ids)
    assert asked[0] == asked[1] == [question.id for question in sampled(city_set().questions, 8, 1)]
    assert asked[0] != asked[2]


def test_questions_are_asked_so_many_at_a_time_and_reported_the_same(tmp_path: Path) -> None:
    path, lock, at_once, most = tmp_path / "records.jsonl", Lock(), 0, 0
    others = Barrier(3)

    def answer(question: Question) -> AnswerRecord:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        others.wait(20)
        with lock:
            at_once -= 1
        return record(question)

    evaluate_answers(city_set(), stopping_after(4), records=path)
    assert evaluate_answers(city_set(), answer, records=path, together=3) == evaluate_answers(city_set(), record)
    assert most == 3
    assert len(path.read_text().splitlines()) == 41


def test_the_commands_ask_as_many_at_a_time_as_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[int] = []

    def evaluated(*_: object, together: int, **__: object) -> dict[str, bool]:
        told.append(together)
        return {"interrupted": False}

    monkeypatch.setattr(Harness, "answering", lambda *_, **__: record)
    for module in (evaluating, finetuning):
        monkeypatch.setattr(module, "evaluate_answers", evaluated)
    models = SimpleNamespace(together=3)
    fuente: Any = SimpleNamespace(config=SimpleNamespace(models=models), answer_settings=dict, probe=None)
    opened: Any = SimpleNamespace(question_set=city_set(), harness=Harness(fuente, None, None))  # type: ignore[arg-type]
    evaluating._answers(fuente, opened, Sample(None, 0, None, given=False, short=False))
    judging: Any = SimpleNamespace(count=2, seed=0, of=lambda _: city_set())
    finetuning._judged(fuente, opened, judging, tmp_path / "before.jsonl")
    assert told == [3, 3]


def test_an_interruption_of_several_at_a_time_keeps_those_before(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    report = evaluate_answers(city_set(), stopping_after(7), records=path, together=2)
    assert report["interrupted"] is True
    assert report["set"]["questions"] <= 7
    assert evaluate_answers(city_set(), record, records=path) == evaluate_answers(city_set(), record)


def test_a_mixed_set_is_reported_by_language() -> None:
    both = merged("mixed", [city_set(), city_set("cities.pt", "pt")])
    report = evaluate_answers(
        both, lambda question: record(question, **({"abstained": True} if question.language == "pt" else {}))
    )
    by_language = report["by_language"]
    assert list(by_language) == ["es", "pt"]
    assert by_language["es"]["answers"]["f1"]["value"] == 1
    assert by_language["pt"]["answers"]["f1"]["value"] == 0.25
    assert report["answers"]["f1"]["value"] == pytest.approx(0.625)
    assert "by_language" not in evaluate_answers(city_set(), record)


def test_an_interruption_reports_what_is_done() -> None:
    report = evaluate_answers(city_set(), stopping_after(7), seed=5)
    assert report["interrupted"] is True
    assert report["set"]["questions"] == 7
    assert report["answers"]["f1"]["value"] == 1
    nothing = evaluate_answers(city_set(), stopping_after(0))
    assert nothing["interrupted"] is True
    assert nothing["answers"]["f1"] == {"value": None, "low": None, "high": None}
    json.dumps(nothing, allow_nan=False)


def test_records_resume_where_an_interruption_left_off(tmp_path: Path) -> None:
    path = tmp_path / "out" / "records.jsonl"
    whole = evaluate_answers(city_set(), record)
    evaluate_answers(city_set(), stopping_after(7), records=path)
    asked: list[str] = []

    def answer(question: Question) -> AnswerRecord:
        asked.append(question.id)
        return record(question)

    assert evaluate_answers(city_set(), answer, records=path) == whole
    assert len(asked) == 33
    assert evaluate_answers(city_set(), stopping_after(0), records=path) == whole
    assert len(path.read_text().splitlines()) == 41


def test_retrieval_records_resume_too(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    first = evaluate_retrieval(city_set(), search_with(lambda n: n + 1), records=path, limit=10)
    again = evaluate_retrieval(city_set(), lambda questions: [], records=path, limit=10)
    assert again == first


def test_a_line_cut_off_by_a_kill_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    whole = evaluate_answers(city_set(count=4), record, records=path)
    complete = path.read_bytes()
    for cut in (
        0,
        40,
        complete.index(b"\n"),
        complete.index(b"\n") + 9,
        len(complete) - 200,
        len(complete) - 1,
    ):
        path.write_bytes(complete[:cut])
        assert evaluate_answers(city_set(count=4), record, records=path) == whole
        assert path.read_bytes() == complete
    path.write_bytes(complete + b'{"id": "q7", "rec')
    assert evaluate_answers(city_set(count=4), record, records=path) == whole
    assert path.read_bytes() == complete


def test_records_of_another_evaluation_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    evaluate_answers(city_set(), record, records=path, limit=3, settings={"model": "a"})
    before = path.read_bytes()
    others: list[tuple[str, Callable[[], object]]] = [
        ("settings", lambda: evaluate_answers(city_set(), record, records=path, settings={"model": "b"})),
        ("set", lambda: evaluate_answers(city_set("other"), record, records=path, settings={"model": "a"})),
        (
            "fingerprint",
            lambda: evaluate_answers(city_set(count=9), record, records=path, settings={"model": "a"}),
        ),
        ("kind", lambda: evaluate_retrieval(city_set(), search_with(lambda n: n), records=path)),
    ]
    for key, run in others:
        with pytest.raises(EvaluationRecordsError, match=f'"{key}"') as caught:
            run()
        assert isinstance(caught.value, RagError)
        assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["My notes", "My notes\n", "[]\n", "{}\n", "\n"])
def test_a_file_of_something_else_is_never_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(EvaluationRecordsError, match=r"notes.txt, line 1"):
        evaluate_answers(city_set(), record, records=path)
    assert path.read_text() == content


@pytest.mark.parametrize(
    "line",
    ["oops", "[1]", '{"id": "q0"}', '{"id": "q0", "record": {}}', '{"id": "q0", "record": {"text": 3}}'],
)
def test_a_damaged_record_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.jsonl"
    evaluate_answers(city_set(), stopping_after(0), records=path)
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(EvaluationRecordsError, match=r"line 2|q0"):
        evaluate_answers(city_set(), record, records=path)


def test_records_keep_any_text(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    text = 'Perú\n"\u2028\ud800\x00'

    def answer(question: Question) -> AnswerRecord:
        return record(question, text=text, short_text=text, abstained=False)

    first = evaluate_answers(city_set(count=3), answer, records=path)
    assert evaluate_answers(city_set(count=3), stopping_after(0), records=path) == first
    assert json.loads(path.read_text().split("\n")[1])["record"]["text"] == text


def test_a_confidence_must_be_finite() -> None:
    for confidence in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            record(city_question(0, "es"), confidence=confidence)


def test_reports_join_where_they_measure_the_same_sample() -> None:
    found = evaluate_retrieval(city_set(), search_with(lambda n: n))
    answered = evaluate_answers(city_set(), stopping_after(3))
    both = joined(found, answered)
    assert both["answers"] == answered["answers"]
    assert both["retrieval"] == answered["retrieval"]
    assert both["speed"] == {**found["speed"], **answered["speed"]}
    assert both["interrupted"] is True
    with pytest.raises(ValueError, match="one set, seed and limit"):
        joined(found, evaluate_answers(city_set(), record, seed=1))


def test_the_report_is_written_as_json_and_drawn_as_a_table(tmp_path: Path) -> None:
    report = evaluate_answers(city_set("[bold]cities[/]"), record)
    write_report(report, tmp_path / "out" / "report.json")
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == report
    screen = io.StringIO()
    Console(file=screen, width=100).print(table(report))
    drawn = screen.getvalue()
    assert "[bold]cities[/]: 40 questions, 40 paragraphs" in drawn
    row = next(line for line in drawn.splitlines() if "exact_match" in line)
    assert row.count("1.000") == 3


def test_importing_the_evaluation_loads_no_model_library() -> None:
    heavy = {"torch", "transformers", "sklearn"}
    code = f"import sys, rag.evaluation; print(sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
