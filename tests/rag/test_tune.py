"""Tuning of retrieval: only what helps on unseen questions is written, and an interrupted search goes on."""

import json
import random
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from index.settings import SearchSettings
from rag.cli import app
from rag.errors import ConfigurationError
from rag.evaluation.bootstrap import IndexArray
from rag.evaluation.errors import ExtraMissingError, TooFewQuestionsError
from rag.evaluation.plots import write_tuning_plots
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from rag.evaluation.ranks import Ranks
from rag.evaluation.toml_file import difference, replace_text, with_keys
from rag.evaluation.tuning import Choice, divided, optimiser, tune

SYLLABLES = ("ba", "co", "di", "fu", "ga", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "za")


def invented(count: int = 48, seed: int = 5) -> QuestionSet:
    """Paragraphs of invented words, three a document; a question has four words of its paragraph among four others."""
    draw = random.Random(seed)  # noqa: S311
    words = ["".join(draw.choices(SYLLABLES, k=3)) for _ in range(count * 4)]
    texts = [draw.sample(words, 12 + n) for n in range(count)]
    paragraphs = tuple(Paragraph(f"p{n}", f"d{n // 3}", " ".join(text) + ".") for n, text in enumerate(texts))
    questions = tuple(
        Question(f"q{n}", " ".join([*draw.sample(text, 4), *draw.sample(words, 4)]), (text[0],), (0,), f"p{n}", False)
        for n, text in enumerate(texts)
    )
    return QuestionSet("invented", "es", paragraphs, questions)


SET = invented()
HALVES = divided(SET, SET.questions, 0)


class Scripted:
    """Ranks by the weight of the dense channel alone, the best at 0.3; counts its searches."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.searches = 0
        self._stop_after = stop_after

    def __call__(self, choice: Choice, places: IndexArray) -> Ranks:
        if self.searches == self._stop_after:
            raise KeyboardInterrupt
        self.searches += 1
        off = 10.0 if choice.settings.channel != "fused" else 10 * abs(choice.settings.dense_weight - 0.3)
        return np.where(places % 3 == 0, 1.0, 1.0 + round(off))


def tuned(search: Any, before: Choice, **options: Any) -> Any:
    given = {"reranks": ["none"], "k": 5, "trials": 25, "seed": 0, **options}
    return tune(search, HALVES, before, **given)


def test_halves_keep_documents_together_and_leave_nothing_out() -> None:
    assert sorted([*HALVES.tuning, *HALVES.held]) == list(range(len(SET.questions)))
    assert abs(len(HALVES.tuning) - len(HALVES.held)) <= 3
    assert not {HALVES.groups[n] for n in HALVES.tuning} & {HALVES.groups[n] for n in HALVES.held}
    assert set(HALVES.groups) == {f"d{n}" for n in range(16)}
    assert divided(SET, SET.questions, 1).tuning.tolist() != HALVES.tuning.tolist()


def test_paragraphs_are_kept_together_where_documents_are_few() -> None:
    few = replace(SET, paragraphs=tuple(replace(one, document_title="one") for one in SET.paragraphs))
    assert set(divided(few, few.questions, 0).groups) == {f"p{n}" for n in range(48)}


def test_too_few_questions_are_not_divided() -> None:
    with pytest.raises(TooFewQuestionsError, match="19 answerable questions, and at least 20"):
        divided(SET, SET.questions[:19], seed=0)


def test_a_bad_configuration_is_improved_and_what_is_best_stays() -> None:
    bad = Choice(SearchSettings(dense_weight=1.0, candidates=33))
    found = tuned(Scripted(), bad)
    assert found.is_better
    assert found.gain.value == pytest.approx(found.after.value - found.before.value)
    assert abs(found.choice.settings.dense_weight - 0.3) <= 0.05
    assert found.choice.settings.candidates == 33  # it has no effect, so it is put back
    assert tuned(Scripted(), bad) == found
    assert not tuned(Scripted(), found.choice).is_better


def test_an_interrupted_search_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    from rag.evaluation.records import RecordFile

    bad = Choice(SearchSettings(dense_weight=1.0))
    whole = Scripted()
    expected = tuned(whole, bad)
    with pytest.raises(KeyboardInterrupt), RecordFile(tmp_path / "part", "trials", {}) as records:
        tuned(Scripted(stop_after=6), bad, records=records)
    rest = Scripted()
    with RecordFile(tmp_path / "part", "trials", {}) as records:
        assert tuned(rest, bad, records=records) == expected
    assert rest.searches == whole.searches - 6


def test_pictures_of_another_search_are_others(tmp_path: Path) -> None:
    before = Choice(SearchSettings(dense_weight=1.0))
    first, same, other = (
        [path.read_bytes() for path in write_tuning_plots(tuned(Scripted(), start, trials=8), tmp_path / name)]
        for name, start in (("a", before), ("b", before), ("c", Choice(SearchSettings(dense_weight=0.6))))
    )
    assert first == same
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_written_keys_leave_the_rest_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fuente.toml"
    path.write_text('# mine\nlanguage = "es"\n\n[retrieval] # how\nk = 7  # many\ndense_weight = 0.9\n')
    before, after = with_keys(path, {"retrieval": {"dense_weight": 0.25, "fusion": "rrf"}})
    assert path.read_text() == before
    replace_text(path, after)
    assert "# mine" in after
    assert "k = 7  # many" in after
    assert tomllib.loads(after) == {"language": "es", "retrieval": {"k": 7, "dense_weight": 0.25, "fusion": "rrf"}}
    assert "-dense_weight = 0.9\n+dense_weight = 0.25\n" in difference(path, before, after)


@pytest.mark.parametrize("content", ["[retrieval\nk=1", "retrieval = 3"])
def test_a_file_that_cannot_take_the_keys_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "fuente.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"fuente\.toml"):
        with_keys(path, {"retrieval": {"k": 3}})
    assert path.read_text() == content


def test_a_missing_optimiser_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("rag.evaluation.tuning.import_module", missing)
    with pytest.raises(ExtraMissingError, match=r"fuente tune needs optuna\. Run: pip install 'fuente\[tune\]'"):
        optimiser()


@pytest.fixture
def set_file(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The invented set as a file, and a configuration that leaves its words unheeded."""
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(plain_settings / "cache"))
    monkeypatch.setenv("FUENTE_RETRIEVAL__RERANK", "none")
    asked = {question.paragraph_id: question for question in SET.questions}
    data = [
        {"title": one.document_title, "paragraphs": [{"context": one.text, "qas": [_entry(asked[one.id])]}]}
        for one in SET.paragraphs
    ]
    Path("invented.es.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    Path("fuente.toml").write_text("# mine\n[retrieval]\nk = 4\ndense_weight = 1.0\ncandidates = 1\n")
    return "invented.es.json"


def _entry(question: Question) -> dict[str, Any]:
    return {"id": question.id, "question": question.text, "answers": [{"text": question.answers[0], "answer_start": 0}]}


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_the_command_improves_a_bad_configuration_on_the_half_held_back(set_file: str) -> None:
    before = Path("fuente.toml").read_text()
    dry = run("tune", set_file, "--no-rerank", "--trials", "15", "--dry-run")
    assert (dry["written"], Path("fuente.toml").read_text()) == (None, before)
    report = run("tune", set_file, "--no-rerank", "--trials", "15", "--plots", "plots")
    assert all(Path("plots", name).read_bytes().startswith(b"\x89PNG\r\n") for name in ("trials.png", "gain.png"))
    assert report["gain"]["low"] > 0
    assert report["written"] == "fuente.toml"
    assert {**report, "written": None} == dry
    written = Path("fuente.toml").read_text()
    assert written.startswith("# mine\n")
    assert tomllib.loads(written)["retrieval"].items() >= report["changes"]["retrieval"].items()
    assert not list(Path("cache/evaluation").glob("*.part"))
    # From what was written nothing is left to gain, and nothing is written unless it is asked for.
    again = run("tune", set_file, "--no-rerank", "--trials", "5", "--output", "second.toml")
    assert again["before"] == report["after"]
    assert (again["written"], Path("second.toml").exists()) == (None, False)
