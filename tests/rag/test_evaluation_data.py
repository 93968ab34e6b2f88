"""Question sets in SQuAD and BEIR format."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag.evaluation import EvaluationDataError, Question, merged, parallel, read_beir, read_squad, sampled

TEXT = "Lima es la capital del Perú. Lima tiene diez millones de habitantes."


def qa(key: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    golds = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": key, "question": f"¿{key}?", "answers": golds, **more}


def write(path: Path, *paragraphs: tuple[str, list[dict[str, Any]]]) -> Path:
    content = [{"context": text, "qas": qas} for text, qas in paragraphs]
    path.write_text(json.dumps({"data": [{"title": "Lima", "paragraphs": content}]}), encoding="utf-8")
    return path


def test_reads_answers_places_and_impossible_questions(tmp_path: Path) -> None:
    path = write(
        tmp_path / "geo-es-v2.json",
        (
            TEXT,
            [
                qa("a", ("Lima", 0), ("Lima", 29), ("diez", 40), is_impossible=False),
                qa("b", is_impossible=True, plausible_answers=[{"text": "Perú", "answer_start": 23}]),
            ],
        ),
    )
    found = read_squad(path)
    assert (found.name, found.language) == ("geo-es-v2", "es")
    (paragraph,) = found.paragraphs
    assert (paragraph.document_title, paragraph.text) == ("Lima", TEXT)
    answerable, impossible = found.questions
    assert answerable == Question("a", "¿a?", ("Lima", "diez"), (0, TEXT.index("diez")), paragraph.id, False, "es")
    assert (impossible.impossible, impossible.answers, impossible.paragraph_id) == (True, (), paragraph.id)


def test_a_wrong_place_becomes_the_nearest_occurrence_and_a_foreign_answer_has_none(tmp_path: Path) -> None:
    golds = [("Lima", 25), ("Quito", 3), ("capital", 4000), ("Perú", -1)]
    found = read_squad(write(tmp_path / "x.json", (TEXT, [qa("a", *golds)])))
    places = (29, None, TEXT.index("capital"), TEXT.index("Perú"))
    assert found.questions[0].answer_starts == places


def test_answers_may_be_an_object_of_lists_and_empty_answers_mark_an_impossible_question(
    tmp_path: Path,
) -> None:
    listed = {"id": 7, "question": "¿?", "answers": {"text": ["Lima"], "answer_start": [0]}}
    empty = {"id": 8, "question": "¿?", "answers": {"text": [], "answer_start": []}}
    found = read_squad(write(tmp_path / "x.json", (TEXT, [listed, empty])))
    assert [(q.id, q.answers, q.impossible) for q in found.questions] == [
        ("7", ("Lima",), False),
        ("8", (), True),
    ]


def test_equal_paragraphs_are_one_under_the_first_id(tmp_path: Path) -> None:
    again = [qa("c", ("Lima", 0)), qa("a", ("Lima", 0))]
    path = write(tmp_path / "x.json", (TEXT, [qa("a", ("Lima", 0))]), ("Otro.", [qa("b", ("Otro", 0))]), (TEXT, again))
    found = read_squad(path)
    assert [p.text for p in found.paragraphs] == [TEXT, "Otro."]
    owners = {q.id: q.paragraph_id for q in found.questions}
    assert list(owners) == ["a", "b", "c"]
    assert owners["a"] == owners["c"] == found.paragraphs[0].id != owners["b"]


@pytest.mark.parametrize(
    ("content", "place", "rule"),
    [
        ("[1, 2", "line 1", "not valid JSON"),
        ("[]", "", "an object was expected, not a list"),
        ('{"data": {}}', "data", "a list was expected"),
        ('{"data": [{}]}', "data[0]", '"paragraphs" is missing'),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data[0].paragraphs[0]", '"context" is missing'),
        ('{"data": [{"paragraphs": [{"context": " ", "qas": []}]}]}', "paragraphs[0].context", "empty"),
        ('{"data": [{"paragraphs": [{"context": 3, "qas": []}]}]}', "context", "not a number"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [4]}]}]}', "qas[0]", "not a number"),
        ('{"data": []}', "", "no question"),
        ("[" * 100_000, "", "nested too deeply"),
    ],
)
def test_a_malformed_file_is_named_with_its_place(tmp_path: Path, content: str, place: str, rule: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(EvaluationDataError) as caught:
        read_squad(path)
    assert caught.value.path == path
    assert place in caught.value.place
    assert rule in caught.value.rule
    assert all(part in str(caught.value) for part in (str(path), caught.value.rule, caught.value.mend))


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        (qa("b", ("Lima", 0), is_impossible=True), "impossible and yet has answers"),
        (qa("b", is_impossible=False), "no answer"),
        (qa("b", ("Lima", 0), is_impossible="no"), "true or false was expected"),
        ({"question": "¿?", "answers": []}, '"id" is missing'),
        ({"id": "b", "answers": []}, '"question" is missing'),
        ({"id": "b", "question": "¿?"}, '"answers" is missing'),
        ({"id": "b", "question": "¿?", "answers": [{}]}, '"text" is missing'),
        ({"id": "b", "question": "¿?", "answers": {"text": ["x"], "answer_start": []}}, "1 entries"),
        (qa("a", ("Perú", 23)), 'question id "a" occurs twice'),
    ],
)
def test_a_malformed_question_is_refused(tmp_path: Path, entry: dict[str, Any], rule: str) -> None:
    path = write(tmp_path / "x.json", (TEXT, [qa("a", ("Lima", 0)), entry]))
    with pytest.raises(EvaluationDataError, match="paragraphs") as caught:
        read_squad(path)
    assert rule in caught.value.rule


def test_unreadable_files_are_data_errors(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes('{"data": "Perú"}'.encode("latin-1"))
    for name, rule in (("missing.json", "cannot be read"), ("latin.json", "not UTF-8")):
        with pytest.raises(EvaluationDataError, match=rule):
            read_squad(tmp_path / name)


def test_parallel_asks_in_one_language_over_the_paragraphs_of_the_other(tmp_path: Path) -> None:
    spanish = write(tmp_path / "x.es.json", ("Uno.", [qa("a", ("Uno", 0))]), ("Perú 8.", [qa("b", ("8", 5))]))
    english = write(tmp_path / "x.en.json", ("One.", [qa("a", ("One", 0))]), ("Peru 8.", [qa("b", ("8", 5))]))
    crossed = parallel(spanish, english)
    assert crossed.language == "en"
    assert [p.text for p in crossed.paragraphs] == ["One.", "Peru 8."]
    assert [p.id for p in crossed.paragraphs] == [p.id for p in read_squad(spanish).paragraphs]
    first, second = crossed.questions
    assert (first.text, first.language) == ("¿a?", "es")
    assert (first.answers, first.answer_starts) == (("One", "Uno"), (0, None))
    assert (second.answers, second.answer_starts) == (("8",), (5,))


def test_parallel_refuses_files_that_are_no_translations(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", ("Uno.", [qa("a", ("Uno", 0))]))
    two = write(tmp_path / "two.json", ("Uno.", [qa("a", ("Uno", 0))]), ("Dos.", [qa("b", ("Dos", 0))]))
    other = write(tmp_path / "other.json", ("Uno.", [qa("z", ("Uno", 0))]))
    with pytest.raises(EvaluationDataError, match=r"2 paragraphs where one\.json has 1"):
        parallel(one, two)
    with pytest.raises(EvaluationDataError, match=r"data\[0\].paragraphs\[0\].*question ids"):
        parallel(one, other)


def beir(folder: Path, qrels: str) -> Path:
    (folder / "qrels").mkdir(parents=True)
    corpus = [("d1", "T", "same"), ("d2", "", "other"), ("d3", "T", "same"), ("d4", "Only a title", "")]
    lines = [json.dumps({"_id": key, "title": title, "text": text}) for key, title, text in corpus]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    queries = [json.dumps({"_id": key, "text": f"{key}?"}) for key in ("q1", "q2", "q3")]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def test_beir_judgements_become_relevant_paragraphs(tmp_path: Path) -> None:
    qrels = "query-id\tcorpus-id\tscore\nq1\td3\t1\nq1\td2\t2\nq1\td1\t1\nq2\td1\t0\nq3\td4\t1\n"
    found = read_beir(beir(tmp_path / "sci-en", qrels))
    assert (found.name, found.language) == ("sci-en", "en")
    assert [(p.id, p.text) for p in found.paragraphs] == [
        ("d1", "same"),
        ("d2", "other"),
        ("d4", "Only a title"),
    ]
    assert [(q.id, q.text, q.relevant_ids) for q in found.questions] == [
        ("q1", "q1?", ("d1", "d2")),
        ("q3", "q3?", ("d4",)),
    ]
    assert not any(q.impossible or q.answers for q in found.questions)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("q1\td1", "no judgement"),
        ("q1\td1\tyes", "no judgement"),
        ("q9\td1\t1", 'question "q9" is not in'),
        ("q1\td9\t1", 'paragraph "d9" is not in'),
        ("q1\td1\t0", "no question has a relevant"),
    ],
)
def test_beir_refuses_bad_judgements(tmp_path: Path, line: str, rule: str) -> None:
    folder = beir(tmp_path / "b", f"query-id\tcorpus-id\tscore\n{line}\n")
    with pytest.raises(EvaluationDataError, match=rule):
        read_beir(folder)
    with pytest.raises(EvaluationDataError, match=r"there are: test"):
        read_beir(folder, split="dev")


def questions(count: int) -> list[Question]:
    return [Question(str(n), "?", (), (), "p", True) for n in range(count)]


def test_a_sample_is_the_same_for_a_seed_whatever_the_order_and_nested() -> None:
    every = questions(200)
    sample = sampled(every, 50, seed=3)
    assert len({question.id for question in sample}) == 50
    assert sample == sampled(every[::-1], 50, seed=3)
    assert sample[:20] == sampled(every, 20, seed=3)
    assert sample != sampled(every, 50, seed=4)
    assert sorted(sampled(every, None, seed=3), key=lambda q: int(q.id)) == every
    with pytest.raises(ValueError, match="limit is 0"):
        sampled(every, 0, seed=3)


def test_a_sample_favours_no_place_in_the_file() -> None:
    picks = [int(question.id) for seed in range(200) for question in sampled(questions(100), 10, seed)]
    assert 45 < sum(picks) / len(picks) < 54


def test_merged_sets_keep_their_ids_apart(tmp_path: Path) -> None:
    one = read_squad(write(tmp_path / "x.es.json", (TEXT, [qa("a", ("Lima", 0))])))
    two = read_squad(write(tmp_path / "x.pt.json", (TEXT, [qa("a", ("Lima", 0))])))
    both = merged("both", [one, two])
    assert both.language is None
    assert [q.id for q in both.questions] == ["x.es:a", "x.pt:a"]
    assert [q.paragraph_id for q in both.questions] == [p.id for p in both.paragraphs]
    assert [q.language for q in both.questions] == ["es", "pt"]
    with pytest.raises(ValueError, match="different names"):
        merged("both", [one, one])
