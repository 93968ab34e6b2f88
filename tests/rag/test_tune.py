"""Tuning of retrieval: what is tried is what search does, and only what helps on unseen questions is written."""

import json
import random
import tomllib
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from index.search import SearchSettings
from rag.cli import app
from rag.compose import Fuente
from rag.errors import ConfigurationError
from rag.evaluation.channels import DEPTH, ChannelScores
from rag.evaluation.curves import curves
from rag.evaluation.errors import ExtraMissingError, TooFewQuestionsError
from rag.evaluation.harness import Harness, over_paragraphs
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from rag.evaluation.toml_file import write_keys
from rag.evaluation.tuning import Choice, Objective, Searches, halves, optimiser, tune

SYLLABLES = ("ba", "co", "di", "fu", "ga", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "za")


def invented(count: int = 48, seed: int = 5) -> QuestionSet:
    """Paragraphs of invented words; each question has four words of its paragraph among some of others.

    No two are equally long, so that no two have the same lexical score: between these the choice would be arbitrary.
    """
    draw = random.Random(seed)  # noqa: S311
    words = ["".join(draw.choices(SYLLABLES, k=3)) for _ in range(count * 4)]
    texts = [draw.sample(words, 12 + n) for n in range(count)]
    paragraphs = tuple(Paragraph(f"p{n}", "", " ".join(text) + ".") for n, text in enumerate(texts))
    questions = tuple(
        Question(f"q{n}", " ".join([*draw.sample(text, 4), *draw.sample(words, 4)]), (text[0],), (0,), f"p{n}", False)
        for n, text in enumerate(texts)
    )
    return QuestionSet("invented", "es", paragraphs, questions)


SET = invented()


@pytest.fixture
def harness(plain_settings: Path, tiny_models: Path) -> Harness:
    fuente = Fuente.configured(models={"embedder": str(tiny_models / "embedder")})
    return over_paragraphs(fuente, SET, Path("cache"))


@pytest.fixture
def scores(harness: Harness) -> ChannelScores:
    return ChannelScores.of(harness, SET.questions, width=40)


@pytest.fixture
def wide(harness: Harness) -> ChannelScores:
    """As many candidates as a trial may ask for."""
    return ChannelScores.of(harness, SET.questions, width=200)


def searched(harness: Harness, settings: SearchSettings) -> list[float]:
    """Ranks as the index itself gives them."""
    found = harness.index.search_many([question.text for question in SET.questions], DEPTH, settings=settings)
    return [
        next((hit.rank for hit in hits if hit.source == question.paragraph_id), np.inf)
        for question, hits in zip(SET.questions, found, strict=True)
    ]


@pytest.mark.parametrize(
    ("channel", "fusion", "candidates"), list(product(("fused", "dense", "lexical"), ("mix", "rrf"), (1, 12, 40)))
)
def test_the_kept_scores_rank_as_search_does(
    harness: Harness, scores: ChannelScores, channel: Any, fusion: Any, candidates: int
) -> None:
    for weight in (0.0, 0.35, 1.0):
        settings = SearchSettings(channel, fusion, weight, candidates)
        assert scores.ranks(settings).tolist() == searched(harness, settings)


def test_the_sets_settings_differ(scores: ChannelScores) -> None:
    """Otherwise the comparison above would prove nothing."""
    ways = [SearchSettings("dense"), SearchSettings("lexical"), SearchSettings(fusion="rrf"), SearchSettings()]
    found = {tuple(scores.ranks(replace(way, candidates=40))) for way in ways}
    assert len(found) == len(ways)


def test_more_candidates_than_are_kept_are_refused(scores: ChannelScores) -> None:
    with pytest.raises(ValueError, match="candidates=41"):
        scores.ranks(SearchSettings(candidates=41))


def test_halves_keep_paragraphs_together_and_leave_nothing_out() -> None:
    questions = [replace(question, paragraph_id=f"p{n // 3}") for n, question in enumerate(SET.questions)]
    tuning, held = halves(questions, seed=1)
    assert sorted([*tuning, *held]) == list(range(len(questions)))
    assert len(tuning) == len(held)
    assert not {questions[n].paragraph_id for n in tuning} & {questions[n].paragraph_id for n in held}
    assert tuning.tolist() != halves(questions, seed=2)[0].tolist()


def test_too_few_questions_are_not_divided() -> None:
    with pytest.raises(TooFewQuestionsError, match="19 answerable questions, and at least 20"):
        halves(SET.questions[:19], seed=0)


def test_a_bad_configuration_is_improved_on_unseen_questions(wide: ChannelScores) -> None:
    bad = Choice(SearchSettings(dense_weight=1.0, candidates=1), 256)
    tuned = tune({256: Searches(wide)}, SET.questions, bad, k=5, trials=25, seed=0)
    assert tuned.is_better
    assert tuned.gain.value == pytest.approx(tuned.after.value - tuned.before.value)
    assert tuned.gain.value > 0.2
    assert tuned.choice.settings.dense_weight < 0.5
    assert set(tuned.changes()) == {"retrieval"}
    again = tune({256: Searches(wide)}, SET.questions, bad, k=5, trials=25, seed=0)
    assert again == tuned


def test_lexical_words_help_a_search_that_has_none(wide: ChannelScores) -> None:
    tuned = tune({256: Searches(wide)}, SET.questions, Choice(SearchSettings("dense"), 256), k=5, trials=10, seed=0)
    assert tuned.is_better
    assert tuned.changes()["retrieval"]["channel"] == "fused"


def test_what_is_best_already_stays(wide: ChannelScores) -> None:
    bad = Choice(SearchSettings(dense_weight=1.0), 256)
    best = tune({256: Searches(wide)}, SET.questions, bad, k=5, trials=40, seed=0).choice
    tuned = tune({256: Searches(wide)}, SET.questions, best, k=5, trials=10, seed=0)
    assert not tuned.is_better


def test_keys_without_effect_are_put_back(wide: ChannelScores) -> None:
    """All candidates rank alike for a search by words alone, so only the channel matters."""
    before = Choice(SearchSettings("dense", candidates=33), 256)
    tuned = tune({256: Searches(wide)}, SET.questions, before, k=5, trials=30, seed=0)
    objective = Objective({256: Searches(wide)}, halves(SET.questions, 0)[0])
    back = replace(tuned.choice, settings=replace(tuned.choice.settings, candidates=33))
    assert tuned.choice.settings.candidates == 33 or objective(back) < objective(tuned.choice)


def test_the_better_size_of_chunks_is_chosen(wide: ChannelScores) -> None:
    """Where search finds nothing with one size, the other is taken."""
    blind = replace(wide, gold=np.zeros_like(wide.gold))
    lexical = Choice(SearchSettings("lexical", candidates=40), 256)
    tuned = tune({256: Searches(blind), 96: Searches(wide)}, SET.questions, lexical, k=5, trials=15, seed=0)
    assert tuned.changes()["ingest"] == {"chunk_tokens": 96}
    assert tuned.before.value == 0.0


def test_a_second_stage_is_taken_where_it_finds_more(wide: ChannelScores) -> None:
    """Each of its settings is searched once, however many trials ask for it."""
    asked: list[SearchSettings] = []

    def perfect(settings: SearchSettings) -> Any:
        asked.append(settings)
        return np.ones(len(SET.questions))

    searches = {256: Searches(wide, perfect)}
    before = Choice(SearchSettings(), 256)
    tuned = tune(searches, SET.questions, before, reranks=["none", "late"], k=5, trials=30, seed=0)
    assert tuned.after.value == 1.0
    assert tuned.changes()["retrieval"]["rerank"] == "late"
    assert len(asked) == len(set(asked)) <= 6
    present = replace(tuned.choice, settings=asked[0])
    again = tune(searches, SET.questions, present, reranks=["none", "late"], k=5, trials=10, seed=0)
    assert (again.is_better, again.changes()) == (False, {"retrieval": {"k": 3}})


def test_a_second_stage_that_finds_less_is_dropped(wide: ChannelScores) -> None:
    searches = {256: Searches(wide, lambda settings: np.full(len(SET.questions), np.inf))}
    before = Choice(SearchSettings(), 256, "late")
    tuned = tune(searches, SET.questions, before, reranks=["none", "late"], k=5, trials=10, seed=0)
    assert tuned.is_better
    assert tuned.changes()["retrieval"]["rerank"] == "none"


def test_written_keys_leave_the_rest_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fuente.toml"
    path.write_text('# mine\nlanguage = "es"\n\n[retrieval] # how\nk = 7  # many\ndense_weight = 0.9\n')
    write_keys(path, {"retrieval": {"dense_weight": 0.25, "fusion": "rrf"}, "ingest": {"chunk_tokens": 160}})
    text = path.read_text()
    assert "# mine" in text
    assert "k = 7  # many" in text
    assert tomllib.loads(text) == {
        "language": "es",
        "retrieval": {"k": 7, "dense_weight": 0.25, "fusion": "rrf"},
        "ingest": {"chunk_tokens": 160},
    }


def test_a_new_file_is_made(tmp_path: Path) -> None:
    write_keys(tmp_path / "new" / "fuente.toml", {"retrieval": {"k": 3}})
    assert tomllib.loads((tmp_path / "new" / "fuente.toml").read_text()) == {"retrieval": {"k": 3}}


@pytest.mark.parametrize("content", ["[retrieval\nk=1", "retrieval = 3"])
def test_a_file_that_cannot_take_the_keys_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "fuente.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"fuente\.toml"):
        write_keys(path, {"retrieval": {"k": 3}})
    assert path.read_text() == content


def test_a_missing_optimiser_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("rag.evaluation.tuning.import_module", missing)
    with pytest.raises(ExtraMissingError, match=r"fuente tune needs optuna\. Run: pip install 'fuente\[tune\]'"):
        optimiser()


def test_curves_tell_which_channel_found_what(harness: Harness, scores: ChannelScores) -> None:
    found = curves(harness, SET.questions, k=3)
    assert (found.k, found.questions) == (3, len(SET.questions))
    assert sum(found.channels.values()) == pytest.approx(1.0)
    dense, lexical = (np.array(searched(harness, SearchSettings(channel))) <= 3 for channel in ("dense", "lexical"))
    assert found.channels["lexical only"] == pytest.approx(float((lexical & ~dense).mean()))
    assert [point.k for point in found.recall["dense"]] == list(range(1, 11))
    assert found.recall["dense"][2].recall == pytest.approx(float(dense.mean()))
    assert all(point.low <= point.recall <= point.high for points in found.recall.values() for point in points)
    assert [point.name for point in found.settings][-1] == "configured"
    assert all(point.milliseconds > 0 for point in found.settings)
    assert json.loads(json.dumps(found.as_json()))["k"] == 3


@pytest.fixture
def set_file(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(plain_settings / "cache"))
    return as_squad(SET, plain_settings / "invented.es.json")


def as_squad(given: QuestionSet, path: Path) -> Path:
    questions = {question.paragraph_id: question for question in given.questions}

    def asked(paragraph: Paragraph) -> dict[str, Any]:
        question = questions[paragraph.id]
        answer = {"text": question.answers[0], "answer_start": 0}
        return {"context": paragraph.text, "qas": [{"id": question.id, "question": question.text, "answers": [answer]}]}

    data = [{"title": "invented", "paragraphs": [asked(paragraph) for paragraph in given.paragraphs]}]
    path.write_text(json.dumps({"data": data}), encoding="utf-8")
    return path


Command = Callable[..., Any]


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_the_command_writes_only_what_helps(set_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fuente.toml").write_text("# mine\n[retrieval]\nk = 4\ndense_weight = 1.0\ncandidates = 1\n")
    report = run("tune", str(set_file), "--trials", "20")
    assert report["gain"]["low"] > 0
    assert report["written"] == "fuente.toml"
    written = tomllib.loads(Path("fuente.toml").read_text())
    assert written["retrieval"]["dense_weight"] == report["changes"]["retrieval"]["dense_weight"] < 0.5
    assert Path("fuente.toml").read_text().startswith("# mine\n")
    # The same questions again, from what was written: nothing is left to gain.
    again = run("tune", str(set_file), "--trials", "5", "--output", "second.toml")
    assert again["before"] == report["after"]
    assert (again["written"], Path("second.toml").exists()) == (None, False)


def test_the_command_cuts_again_and_leaves_nothing_behind(set_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_INGEST__CHUNK_TOKENS", "480")
    before = sorted(Path("cache/evaluation").iterdir()) if Path("cache/evaluation").exists() else []
    assert not before
    report = run("tune", str(set_file), "--chunked", "--rechunk", "--trials", "15")
    assert len(list(Path("cache/evaluation").iterdir())) == 1
    assert report["tuned_on"] + report["held_back"] == len(SET.questions)


def test_paragraphs_are_not_cut_again(set_file: Path) -> None:
    result = CliRunner().invoke(app, ["tune", str(set_file), "--rechunk"])
    assert isinstance(result.exception, ValueError)
    assert "Give --chunked with --rechunk" in str(result.exception)
