"""The laboratory over the models that come with Fuente."""

import io
import string
from dataclasses import asdict

import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from generative import FAMILIES, shipped
from generative.errors import DataError
from tests.ui.fakes import html
from ui import experiments
from ui.courses import COURSES
from ui.laboratory import curve_name
from ui.laboratory_views import VIEWS
from ui.language_views import LANGUAGE_VIEWS
from ui.texts import LABORATORY
from ui.texts.laboratory_language import LABORATORY_LANGUAGE

EN = LABORATORY["en"]
SCRIPT = "from ui import laboratory\nlaboratory.page()"
SHIPPED = [name for name, data in experiments.DATA.items() if shipped(name, data)]


@pytest.fixture
def page():
    torch.set_num_threads(1)
    return AppTest.from_string(SCRIPT, default_timeout=240)


def _open(page, name, part):
    page.run()
    page.selectbox(key="lab_family").set_value(name).run()
    page.session_state[f"lab_part_{name}"] = part
    return page.run()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_family_is_sampled_and_explored(page, name):
    app = _open(page, name, EN.explore)
    assert not app.exception
    assert app.get("image")
    assert EN.families[name].idea in html(app)
    app = _open(page, name, EN.samples)
    assert not app.exception
    assert app.get("image")


def test_every_family_has_a_view_and_an_explanation():
    assert set(experiments.DATA) == set(VIEWS) <= set(FAMILIES)
    for words in LABORATORY.values():
        assert set(words.families) == set(VIEWS)
    assert set(experiments.LANGUAGE) == set(LANGUAGE_VIEWS)
    assert {family for family, _ in experiments.LANGUAGE.values()} <= set(FAMILIES)
    for words in LABORATORY_LANGUAGE.values():
        assert set(words.families) == set(LANGUAGE_VIEWS)


def _texts(words):
    return dict(_flat(asdict(words)))


def _flat(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def test_every_data_set_to_train_on_has_a_name_in_every_language():
    offered = {data for course in COURSES.values() if len(course.choices) > 1 for data in course.choices}
    for words in LABORATORY.values():
        assert set(words.data_names) == offered


@pytest.mark.parametrize("language", LABORATORY)
@pytest.mark.parametrize("said", [LABORATORY, LABORATORY_LANGUAGE])
def test_the_languages_say_the_same_things(language, said):
    english, own = _texts(said["en"]), _texts(said[language])
    assert own.keys() == english.keys()
    for key, text in own.items():
        assert text.strip() == text != "", key
        fields, expected = (
            [name for _, name, _, _ in string.Formatter().parse(one) if name] for one in (text, english[key])
        )
        assert fields == expected, key


def test_the_page_starts_a_training(page):
    app = _open(page, "autoencoder", EN.train)
    app.slider(key="lab_steps_autoencoder").set_value(100)
    app.button(key="lab_start_autoencoder").click().run()
    app.session_state["lab_job"].wait(300)
    app.run()
    assert not app.exception
    assert app.slider(key="lab_steps_autoencoder").value == 100
    assert EN.trained.split("{seconds}")[0].format(steps="100") in html(app)
    assert app.get("image")


def test_the_quantities_of_a_curve_are_named():
    assert curve_name("val_loss", EN) == "Loss (held out)"
    assert [curve_name(key, LABORATORY["es"]) for key in ("accuracy", "class_loss")] == ["Aciertos", "class loss"]


def _file(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    file.seek(0)
    return file


def test_an_odd_upload_is_told_from_a_digit():
    family, split = experiments.open_trained("vae"), experiments.open_split("vae")
    digit = experiments.shown_images(split).x[3]
    normal = Image.fromarray((255 - digit[0] * 255).round().byte().numpy()).resize((200, 200))
    checked = torch.arange(64).view(8, 8) % 9 % 2 * 255
    odd = Image.fromarray(checked.byte().numpy()).resize((200, 200), Image.Resampling.NEAREST)
    good, bad = (experiments.judge_upload(family, split, _file(one), invert=True) for one in (normal, odd))
    assert not good.anomalous
    assert bad.anomalous
    with pytest.raises(DataError, match="cannot be read"):
        experiments.judge_upload(family, split, io.BytesIO(b"<svg onload=alert(1)>"), invert=True)


def test_a_caption_that_names_nothing_is_explained(page):
    app = _open(page, "diffusion", EN.samples)
    app.text_input(key="lab_caption_diffusion").set_value("draw a horse").run()
    assert not app.exception
    assert "names no class" in html(app)
