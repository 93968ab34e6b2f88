"""Pictures of the documents beside the last answer, on the page."""

import io
from pathlib import Path

import pytest
from PIL import Image

from index.errors import IndexNotFoundError
from rag import load_config
from rag.pictures import PictureHit
from rag.types import Rewritten
from tests.ui.fakes import FakeFuente, answer, events, finish, html, info, page
from ui import state
from ui.texts import TEXTS

EN = TEXTS["en"]


def found(source="/library/<b>moon.pdf", page=2):
    file = io.BytesIO()
    Image.new("RGB", (40, 20)).save(file, "WEBP")
    return PictureHit(source, page, "default", 1, 0.3, file.getvalue(), Path("copy.webp"))


class FakePictures:
    def __init__(self, hits=(), error=None):
        self.hits, self.error, self.asked = hits, error, []

    def search(self, question, k, *, where=None):
        self.asked.append((question, k, where))
        if self.error:
            raise self.error
        return self.hits


@pytest.fixture
def fuente(monkeypatch):
    monkeypatch.setenv("FUENTE_PICTURES__MODEL", "a/b")
    made = FakeFuente(load_config(), events(answer(rewritten=Rewritten("What is the moon like?", "joined"))))
    made.media.images = lambda: [info("/library/sky.png")]
    made.publish([info("/library/moon.txt")])
    return made


def asked(fuente, monkeypatch):
    app = page(fuente, monkeypatch).run()
    app.chat_input[0].set_value("What is it like?").run()
    return finish(app)


def test_pictures_are_looked_for_once_when_asked_for(fuente, monkeypatch):
    fuente.media.pictures = FakePictures([found(), found(page=None)])
    app = asked(fuente, monkeypatch)
    assert not fuente.media.pictures.asked
    app.button(key="pictures").click().run()
    app.run()
    assert fuente.media.pictures.asked == [("What is the moon like?", 4, None)]
    assert len(app.get("image")) == 2
    assert not app.get("image")[0].proto.imgs[0].caption
    assert EN.pictures_hint in html(app)
    assert "&lt;b&gt;moon.pdf" in html(app)
    assert html(app).count(EN.page.format(number=2)) == 1
    app.button(key="pictures").click().run()
    assert not app.get("image")
    assert not app.exception


def test_another_turn_has_pictures_of_its_own(fuente, monkeypatch):
    fuente.media.pictures = FakePictures([found()])
    app = asked(fuente, monkeypatch)
    app.button(key="pictures").click().run()
    app.chat_input[0].set_value("And the sun?").run()
    app = finish(app)
    assert not app.get("image")
    app.button(key="pictures").click().run()
    assert len(fuente.media.pictures.asked) == 2


def test_no_pictures_and_no_index_of_them_are_told(fuente, monkeypatch):
    fuente.media.pictures = FakePictures()
    app = asked(fuente, monkeypatch)
    app.button(key="pictures").click().run()
    assert EN.pictures_none in html(app)
    fuente.media.pictures = FakePictures(error=IndexNotFoundError(Path("pictures"), "nothing", "Run `fuente ingest`"))
    app.session_state["pictures_made"] = None
    app.run()
    assert EN.problem_no_index in html(app)


def test_images_can_be_added_and_are_on_the_shelf(fuente, monkeypatch):
    page(fuente, monkeypatch)
    library = state.library()
    assert ".png" in library.suffixes()
    assert [entry.source for entry in library.documents()] == ["/library/moon.txt", "/library/sky.png"]


def test_nothing_of_it_is_there_unless_configured(config, monkeypatch):
    made = FakeFuente(config, events(answer()))
    made.publish([info("/library/moon.txt")])
    app = asked(made, monkeypatch)
    assert "pictures" not in {button.key for button in app.button}
    library = state.library()
    assert ".png" not in library.suffixes()
    assert len(library.documents()) == 1
