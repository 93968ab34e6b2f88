"""The scope: offered where there is a choice, kept to, told, and left when it was too narrow."""

import pytest

from index.errors import IndexDamagedError
from index.filters import Filter
from tests.ui.fakes import FakeFuente, answer, events, finish, hit, html, info, page
from ui.texts import TEXTS

EN, ES = TEXTS["en"], TEXTS["es"]


@pytest.fixture
def mixed(config) -> FakeFuente:
    """Two collections in two languages."""
    fuente = FakeFuente(config)
    fuente.publish([info("/l/a.txt"), info("/l/b.txt", language="es"), info("/l/c.txt", collection="tesis")])
    fuente.answerer.events = events(answer())
    return fuente


def _ask(app, question="What is the moon made of?"):
    app.chat_input[0].set_value(question).run()
    return finish(app)


def _labels(app):
    return [widget.label for widget in app.multiselect]


def test_without_a_choice_there_is_no_control(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    app = page(fuente, monkeypatch).run()
    assert not app.multiselect
    assert EN.scope not in [box.label for box in app.expander]
    _ask(app)
    assert fuente.answerer.calls[-1]["where"] is None


@pytest.mark.parametrize(
    ("other", "labels"),
    [
        (info("/l/b.txt", collection="tesis"), [EN.collections]),
        (info("/l/b.txt", language="es"), [EN.languages]),
        (info("/l/b.txt", language="es", collection="tesis"), [EN.collections, EN.languages]),
        (info("/l/b.txt", language=""), []),
    ],
)
def test_only_what_can_be_chosen_is_offered(fuente, monkeypatch, other, labels):
    fuente.publish([info("/l/a.txt"), other])
    assert _labels(page(fuente, monkeypatch).run()) == labels


def test_the_choice_reaches_the_answerer_and_is_told(mixed, monkeypatch):
    app = page(mixed, monkeypatch).run()
    assert app.multiselect(key="scope_collections").options == ["default", "tesis"]
    assert app.multiselect(key="scope_languages").options == ["English", "Español"]
    app.multiselect(key="scope_collections").set_value(["tesis"])
    app.multiselect(key="scope_languages").set_value(["en", "es"])
    app.text_input(key="scope_source").set_value(" <i>*.pdf\x1b ").run()
    _ask(app)
    where = Filter(collections=("tesis",), languages=("en", "es"), sources=("<i>*.pdf",))
    assert mixed.answerer.calls[-1]["where"] == where
    assert "Only in: tesis · English · Español · &lt;i&gt;*.pdf" in html(app)
    assert not app.exception


def test_nothing_chosen_is_everything(mixed, monkeypatch):
    app = _ask(page(mixed, monkeypatch).run())
    assert mixed.answerer.calls[-1]["where"] is None
    assert "fu-scope" not in html(app)


def test_the_choice_outlives_a_change_of_language(mixed, monkeypatch):
    app = page(mixed, monkeypatch).run()
    app.multiselect(key="scope_collections").set_value(["tesis"]).run()
    app.selectbox(key="interface").set_value("es").run()
    assert _labels(app) == [ES.collections, ES.languages]
    _ask(app)
    assert mixed.answerer.calls[-1]["where"] == Filter(collections=("tesis",))


def test_a_collection_that_vanishes_is_no_longer_asked(mixed, monkeypatch):
    app = page(mixed, monkeypatch).run()
    app.multiselect(key="scope_collections").set_value(["tesis"]).run()
    mixed.publish([info("/l/a.txt"), info("/l/b.txt", language="es"), info("/l/c.txt", collection="otra")])
    _ask(app.run())
    assert mixed.answerer.calls[-1]["where"] is None
    app.multiselect(key="scope_collections").set_value(["otra"]).run()
    mixed.publish([info("/l/a.txt")])
    _ask(app.run())
    assert mixed.answerer.calls[-1]["where"] is None
    assert not app.exception


def _refused(fuente, monkeypatch, hits):
    fuente.answerer.events = events(answer(text="I cannot find it.", citations=(), abstained=True, hits=hits))
    app = page(fuente, monkeypatch).run()
    app.multiselect(key="scope_collections").set_value(["tesis"]).run()
    return _ask(app)


@pytest.mark.parametrize(("hits", "hint"), [((hit("Far away."),), EN.abstained_narrow), ((), EN.abstained_nowhere)])
def test_a_narrow_refusal_offers_to_ask_everything(mixed, monkeypatch, hits, hint):
    app = _refused(mixed, monkeypatch, hits)
    assert hint in html(app)
    assert EN.abstained_hint not in html(app)
    mixed.answerer.events = events(answer())
    app.button(key="everything").click().run()
    finish(app)
    first, second = mixed.answerer.calls
    assert second == {**first, "where": None}
    assert first["where"] == Filter(collections=("tesis",))
    assert "everything" not in [button.key for button in app.button]
    assert html(app).count("fu-question") == 2
    # The choice itself stays.
    assert app.multiselect(key="scope_collections").value == ["tesis"]


def test_a_refusal_of_everything_is_final(mixed, monkeypatch):
    mixed.answerer.events = events(answer(text="I cannot find it.", citations=(), abstained=True))
    app = _ask(page(mixed, monkeypatch).run())
    assert EN.abstained_hint in html(app)
    assert "everything" not in [button.key for button in app.button]


def test_an_index_that_cannot_be_opened_is_told_by_the_page_alone(mixed, monkeypatch):
    def damaged():
        raise IndexDamagedError(mixed.config.index, "it is damaged", "Mend it")

    index = mixed.index
    index.sources = damaged
    monkeypatch.setattr(FakeFuente, "index", property(lambda _: index))
    app = page(mixed, monkeypatch).run()
    assert not app.multiselect
    assert not app.exception
