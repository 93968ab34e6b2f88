"""The language part of the laboratory, over small models that nobody trained."""

import pytest
import torch
from streamlit.testing.v1 import AppTest

from generative.image_data import open_images
from generative.language.bpe import train_bpe
from generative.language.masked import SPECIAL as MASKED_SPECIAL
from generative.language.masked import Masked, MaskedConfig
from generative.language.pairs import SPECIAL
from generative.language.transformer import TransformerConfig, TransformerFamily, TransformerShape
from generative.language.translator import Translator, TranslatorConfig
from generative.language.unified import Unified, UnifiedConfig
from generative.registry import load, shipped
from tests.ui.fakes import html
from ui import experiments
from ui.language_charts import attention_chart, guesses_chart, probabilities_chart, visible_token
from ui.language_views import SLIPS, letters_of, tokens_html
from ui.safe import escape
from ui.texts.laboratory_language import LABORATORY_LANGUAGE

EN = LABORATORY_LANGUAGE["en"]
TEXT = "en el principio crió Dios los cielos y la tierra " * 20
SHAPE = TransformerShape(32, 2, 4, 2)
HOSTILE = "<script>alert(1)</script>"


def _small(name):
    letters = "".join(sorted(set(TEXT + "Y:dijo")))
    masked = train_bpe([TEXT], 300, special=MASKED_SPECIAL).merges
    pairs = train_bpe([TEXT], 259, special=SPECIAL).merges
    made = {
        "masked": lambda: Masked(MaskedConfig(merges=masked, example="en [MASK] principio [MASK] Dios", shape=SHAPE)),
        "transformer": lambda: TransformerFamily(TransformerConfig(alphabet=letters, shape=SHAPE)),
        "translator": lambda: Translator(
            TranslatorConfig(merges=pairs, source_length=60, target_length=60, example="en el año", shape=SHAPE)
        ),
        "unified": lambda: Unified(UnifiedConfig(shape=SHAPE)),
    }
    return made[experiments.LANGUAGE[name][0]]()


@pytest.fixture
def opened(monkeypatch):
    """Opens the laboratory at a language family."""
    torch.set_num_threads(1)
    monkeypatch.setattr(experiments, "open_trained", _small)

    def made(name):
        script = "import streamlit as st\nfrom ui import laboratory\nst.cache_resource.clear()\nlaboratory.page()"
        app = AppTest.from_string(script, default_timeout=240)
        app.session_state["lab_family"] = name
        return app.run()

    return made


@pytest.mark.parametrize("name", experiments.LANGUAGE)
def test_every_language_family_is_explained_and_tried(opened, name):
    app = opened(name)
    assert not app.exception
    assert EN.families[name].idea in html(app)


def test_a_text_is_shown_in_its_tokens_and_never_as_markup(opened):
    app = opened("tokeniser")
    app.text_area(key="lab_tokens").set_value(f"{HOSTILE} Dios").run()
    assert not app.exception
    assert "<script>" not in html(app)
    tokeniser = _small("tokeniser").tokeniser
    ids = tokeniser.encode("en el año")
    code = tokens_html(tokeniser, ids).code
    assert code.count("fu-token-number") == len(ids)


def test_the_sliders_change_what_is_written(opened):
    app = opened("transformer")
    app.slider(key="lab_temperature").set_value(0.0).run()
    first = html(app)
    app.slider(key="lab_temperature").set_value(2.0).run()
    assert not app.exception
    assert html(app) != first
    app.text_input(key="lab_begin").set_value("日本").run()  # letters that it never saw are left out
    assert not app.exception


def test_a_text_without_a_gap_is_explained(opened):
    app = opened("masked")
    app.text_input(key="lab_masked").set_value("sin hueco").run()
    assert not app.exception
    assert "has no [MASK]" in html(app)


@pytest.mark.parametrize("kind", ["image", "sound"])
def test_a_picture_and_a_sound_are_continued(opened, kind):
    app = opened("unified")
    app.session_state["lab_unified_kind"] = kind
    app.run()
    assert not app.exception
    assert app.get("image")


def test_letters_of_two_bytes_are_named_once():
    assert letters_of("añ") == ["a", "ñ", ""]
    assert len(letters_of("años €")) == len("años €".encode())
    assert visible_token(" a\n") == "␣a↵"
    assert HOSTILE not in escape(HOSTILE).code


def test_charts_hold_what_they_are_given():
    shown = probabilities_chart(["a", "b"], [0.6, 0.4], [1.0, 0.0])
    assert [row["after"] for row in shown["data"]["values"]] == [1.0, 0.0]
    assert guesses_chart([("x", 0.5)])["data"]["values"] == [{"token": "x", "place": 0, "share": 0.5}]
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    cells = attention_chart(weights, ["a", "b"], ["c", "d"])["layer"][0]["data"]["values"]
    assert [(cell["from"], cell["to"], cell["weight"]) for cell in cells] == [
        ("a", "c", 1.0),
        ("b", "c", 0.25),
        ("b", "d", 0.75),
    ]


def test_the_digits_are_those_of_the_protocol():
    assert torch.equal(experiments.open_digits().test.y, open_images("digits").test.y)


def test_the_corrector_mends_the_slips_that_its_page_opens_with():
    family = load(shipped("translator", "typos-es"), device="cpu")
    assert family.translate([SLIPS]) == ["El ordenador no funciona bien"]
