"""Trainings of the laboratory, over small data."""

import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from generative import FAMILIES
from generative.errors import DataError
from generative.language.pairs import Task, Text, _split
from generative.language.transformer import TransformerFamily
from generative.language.translator import Translator
from tests.ui.fakes import html
from ui import courses
from ui.courses import COURSES, OWN, TrainJob, text_of
from ui.texts import LABORATORY

EN = LABORATORY["en"]
SCRIPT = "from ui import laboratory\nlaboratory.page()"
TEXT = "en el principio crió Dios los cielos y la tierra\n" * 200
LANGUAGE = ("transformer", "masked", "translator", "unified")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def text(tmp_path):
    """A file to learn from."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def _trained(job):
    job.begin()
    job.wait(300)
    assert job.done
    assert not job.failed
    return job


def test_every_course_is_of_a_family():
    assert {course.family for course in COURSES.values()} <= set(FAMILIES)
    assert set(LANGUAGE) < set(COURSES)


def test_a_training_shows_its_curve_and_its_samples():
    job = _trained(TrainJob("autoencoder", 100, 0))
    assert job.progress.step == 100
    assert job.history[-1]["loss"] < job.history[0]["loss"] / 2
    assert job.made.width > 100
    assert job.seconds > 0


def test_a_training_can_be_stopped():
    job = TrainJob("vae", 4000, 0)
    job.stop()
    assert _trained(job).progress.step == 1


@pytest.mark.parametrize("name", ["transformer", "masked"])
def test_a_family_of_texts_learns_a_text_of_ones_own_and_writes(name):
    job = _trained(TrainJob(name, 10, 0, OWN, text_of(b"\xef\xbb\xbf" + TEXT.encode())))
    assert job.history[-1]["loss"] < job.history[0]["loss"]
    assert "val_loss" in job.history[-1]
    assert isinstance(job.made, str)
    assert ("%" in job.made.partition("→")[2]) is (name == "masked")


def test_a_text_that_is_too_short_or_not_utf_8_is_explained():
    assert "at least" in str(_trained(TrainJob("transformer", 10, 0, OWN, "corto")).problem)
    with pytest.raises(DataError, match="not UTF-8"):
        text_of("año".encode("latin-1"))


def test_a_text_of_ones_own_is_asked_for_before_it_is_learnt():
    app = AppTest.from_string(SCRIPT, default_timeout=240)
    app.session_state["lab_family"] = "transformer"
    app.session_state["lab_part_transformer"] = EN.train
    app.session_state["lab_data_transformer"] = OWN
    app.run()
    assert not app.exception
    assert app.button(key="lab_start_transformer").disabled
    app.selectbox(key="lab_data_transformer").set_value("reina-valera").run()
    assert not app.button(key="lab_start_transformer").disabled


def test_a_translator_shows_held_out_pairs(monkeypatch):
    pairs = [Text(f"{word} {number}", f"{number} {word}") for word in ("uno", "dos", "tres") for number in range(20)]
    monkeypatch.setattr(Translator, "open_data", lambda name: _split(name, pairs[8:], pairs[:8], Task(300)))
    job = _trained(TrainJob("translator", 20, 0))
    assert job.made.count("→") == 4
    assert job.made.startswith("uno 0\n")


def test_words_pictures_and_sounds_are_drawn_while_they_are_learnt():
    job = TrainJob("unified", 100, 0)
    job.stop()
    assert isinstance(_trained(job).made, Image.Image)


def test_a_small_transformer_is_trained_rather_than_the_preset(text):
    job = TrainJob("transformer", 10, 3, text)
    family = job._untrained(TransformerFamily.open_data(text))
    assert family.config.shape.layers == 3
    assert family.config.training.seed == 3


def test_data_that_are_missing_are_explained():
    job = _trained(TrainJob("transformer", 10, 0, "nowhere.txt"))
    assert "No text" in str(job.problem)
    assert job.made is None


@pytest.mark.parametrize("language", LABORATORY)
def test_the_page_trains_a_family_of_texts(monkeypatch, text, language):
    monkeypatch.setattr(courses, "COURSES", courses.COURSES | {"transformer": _on(text)})
    monkeypatch.setattr("ui.laboratory.COURSES", courses.COURSES)
    words = LABORATORY[language]
    app = AppTest.from_string(SCRIPT, default_timeout=240)
    app.session_state["lab_family"] = "transformer"
    app.session_state["lab_part_transformer"] = words.train
    app.session_state["interface"] = language
    app.run()
    app.slider(key="lab_steps_transformer").set_value(100)
    app.button(key="lab_start_transformer").click().run()
    app.session_state["lab_job"].stop()
    app.session_state["lab_job"].wait(300)
    app.run()
    assert not app.exception
    assert words.trained.partition("{")[0] in html(app)


def _on(data):
    course = COURSES["transformer"]
    return courses.Course(course.family, (data,), course.make, course.steps, changes=course.changes)
