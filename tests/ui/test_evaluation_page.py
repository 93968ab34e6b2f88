"""The evaluation page and the reasons of an answer, over a real small application."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from rag import Fuente, load_config
from tests.rag.conftest import tiny_models  # noqa: F401
from tests.rag.test_eval_build import BRIDGE, CLOCK, LIGHT, Examiner
from tests.ui.fakes import APP, finish, html
from ui import state
from ui.library import Library
from ui.texts import TEXTS

EN = TEXTS["en"]
SET = {
    "data": [
        {
            "title": name,
            "paragraphs": [
                {
                    "context": text,
                    "qas": [
                        {
                            "id": f"{name}-{number}",
                            "question": question,
                            "answers": [{"text": found, "answer_start": text.index(found)}],
                        }
                        for number, (question, found) in enumerate(asked)
                    ],
                }
            ],
        }
        for name, text, asked in (
            (
                "Moon",
                "The moon is made of basalt. It has no air.",
                [("What is the moon made of?", "basalt"), ("Has the moon air?", "no air")],
            ),
            ("Sun", "The sun is made of hydrogen and helium.", [("What is the sun made of?", "hydrogen")]),
        )
    ]
}


@pytest.fixture
def fuente(monkeypatch: pytest.MonkeyPatch, tiny_models: Path, tmp_path: Path) -> Fuente:  # noqa: F811
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__GENERATOR", str(tiny_models / "generator"))
    monkeypatch.setenv("FUENTE_GENERATION__CAUTION", "0")
    monkeypatch.setenv("FUENTE_GENERATION__MAX_TOKENS", "8")
    found = Fuente(load_config())
    for place in SET["data"]:
        path = tmp_path / f"{place['title']}.txt"
        path.write_text(place["paragraphs"][0]["context"], encoding="utf-8")
    found.ingest(sorted(tmp_path.glob("*.txt")))
    monkeypatch.setattr(state, "open_fuente", lambda _config, _embedder: found)
    st.cache_resource.clear()
    return found


@pytest.fixture
def questions(fuente: Fuente) -> Path:
    folder = fuente.config.index.absolute() / "questions"
    folder.mkdir()
    path = folder / "planets.en.json"
    path.write_text(json.dumps(SET), encoding="utf-8")
    return path


def evaluation_page() -> AppTest:
    script = "from ui import evaluation\nevaluation.page()"
    return AppTest.from_string(script, default_timeout=120)


def _click(app: AppTest, label: str) -> AppTest:
    (button,) = (one for one in app.button if one.label == label)
    return button.click().run()


def test_what_is_measured_is_shown(questions: Path) -> None:
    app = evaluation_page().run()
    assert app.selectbox[0].options == ["planets.en"]
    _click(app, EN.eval_measure)
    job = app.session_state["evaluation_job"]
    job.wait(300)
    assert job.error is None
    app.run()
    assert job.curves.questions == 3
    shown = html(app)
    first = round(100 * job.curves.recall["reranked"][0].recall)
    assert f"{first} %" in shown
    assert EN.eval_first in shown
    assert EN.eval_on.format(number="3") in shown
    assert not app.exception


def test_the_numbers_are_those_of_the_command(questions: Path, fuente: Fuente) -> None:
    library = Library(fuente.config, state.open_fuente)
    first, again = library.measure(questions, 20), library.measure(questions, 20)
    for job in (first, again):
        job.wait(300)
    assert first.curves is not None
    assert again.curves is not None
    assert first.curves.recall == again.curves.recall
    assert first.curves.channels == again.curves.channels
    assert first.pace is not None
    assert (first.pace.stage, first.pace.done) == ("search", first.pace.total)


def test_a_measurement_can_be_stopped(questions: Path, fuente: Fuente) -> None:
    job = Library(fuente.config, state.open_fuente).measure(questions, 20)
    job.stop()
    job.wait(300)
    assert job.done
    assert job.failed == (job.curves is None)
    assert job.error is None


def test_a_file_that_is_no_question_set_is_told(fuente: Fuente, questions: Path) -> None:
    questions.write_text('{"data": 3}', encoding="utf-8")
    app = _click(evaluation_page().run(), EN.eval_measure)
    app.session_state["evaluation_job"].wait(300)
    app.run()
    assert EN.problem_questions in html(app)
    assert str(questions) in html(app)


def test_without_questions_there_is_nothing_to_measure(fuente: Fuente) -> None:
    app = evaluation_page().run()
    assert EN.eval_none_yet in html(app)
    assert EN.eval_measure not in [button.label for button in app.button]
    assert EN.eval_write_begin in [button.label for button in app.button]


@pytest.fixture
def examined(fuente: Fuente, tmp_path: Path) -> Fuente:
    """The application over documents that questions can be written about."""
    for name, text in (("light", LIGHT), ("bridge", BRIDGE), ("clock", CLOCK)):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    fuente.ingest([tmp_path / f"{name}.txt" for name in ("light", "bridge", "clock")])
    return fuente


def test_questions_that_were_written_are_shown_and_can_be_measured(examined: Fuente) -> None:
    vars(examined)["generator"] = Examiner()
    app = _click(evaluation_page().run(), EN.eval_write_begin)
    job = app.session_state["evaluation_job"]
    job.wait(300)
    app.run()
    assert not app.exception
    assert job.built.answerable == 3
    assert len(job.questions) == job.built.answerable + job.built.unanswerable
    answerable = next(question for question in job.questions if not question.impossible)
    assert (answerable.text in html(app), answerable.answers[0] in html(app)) == (True, True)
    assert app.selectbox[0].options == [Path(job.file).stem]


def test_writing_that_was_stopped_is_gone_on_with(examined: Fuente) -> None:
    class Stopping(Examiner):
        def stream(self, *args: Any, **more: Any) -> Iterator[str]:
            job.stop()
            return super().stream(*args, **more)

    library = Library(examined.config, state.open_fuente)
    vars(examined)["generator"] = Stopping()
    job = library.write_questions(10)
    job.wait(300)
    assert job.built is None
    vars(examined)["generator"] = Examiner()
    again = library.write_questions(10)
    again.wait(300)
    assert again.built is not None
    assert again.file == job.file
    assert library.question_sets() == [Path(job.file)]


def test_question_sets_are_no_documents(fuente: Fuente, questions: Path, tmp_path: Path) -> None:
    report = fuente.ingest([tmp_path])
    assert not [source for source in report.added if "questions" in source]


def test_the_reasons_of_an_answer_are_shown_and_hidden(fuente: Fuente) -> None:
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    app.chat_input[0].set_value("What is the moon made of?").run()
    finish(app)
    assert "fu-why" not in html(app)
    _click(app, EN.why)
    shown = html(app)
    assert "fu-why" in shown
    assert EN.why_searched in shown
    assert EN.why_in_prompt.split(":")[0] in shown
    assert "moon" in shown.casefold()
    _click(app, EN.why_hide)
    assert "fu-why" not in html(app)
    assert not app.exception
