"""The answer read aloud and the question dictated, on the page."""

from types import SimpleNamespace

import pytest
from streamlit.elements.widgets.chat import ChatInputValue

from models.errors import MissingDependencyError
from rag import load_config
from rag.speech.sound import Sound
from tests.ui.fakes import QUOTE, FakeFuente, answer, events, finish, html, info, page
from ui.texts import TEXTS

EN = TEXTS["en"]
SOUND = Sound(b"\x01\x00" * 400, 8000)


class FakeVoice:
    def __init__(self, error=None):
        self.said = []
        self.error = error

    def speak(self, text, language):
        self.said.append((text, language))
        if self.error:
            raise self.error
        return SOUND


@pytest.fixture
def speaking(monkeypatch):
    """Makes an application with settings of speech, over one document."""

    def make(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"FUENTE_SPEECH__{name.upper()}", value)
        made = FakeFuente(load_config(), events(answer()))
        made.publish([info("/library/moon.txt")])
        return made

    return make


def asked(fuente, monkeypatch):
    app = page(fuente, monkeypatch).run()
    app.chat_input[0].set_value("What is the moon made of?").run()
    return finish(app)


def test_nothing_of_it_is_there_unless_configured(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    app = asked(fuente, monkeypatch)
    assert "listen" not in {button.key for button in app.button}
    assert not app.chat_input[0].proto.accept_audio


def test_an_answer_is_read_aloud_once_and_hidden_again(speaking, monkeypatch):
    fuente = speaking(voice="espeak")
    fuente.media.voice = FakeVoice()
    app = asked(fuente, monkeypatch)
    assert not app.get("audio")
    app.button(key="listen").click().run()
    app.run()
    assert len(app.get("audio")) == 1
    assert fuente.media.voice.said == [(QUOTE, "en")]
    assert app.button(key="listen").label == EN.listen_hide
    app.button(key="listen").click().run()
    assert not app.get("audio")
    assert not app.exception


def test_a_voice_that_is_not_installed_is_told_with_the_command(speaking, monkeypatch):
    fuente = speaking(voice="espeak")
    fuente.media.voice = FakeVoice(MissingDependencyError("espeakng-loader", "Reading aloud", "speech"))
    app = asked(fuente, monkeypatch)
    app.button(key="listen").click().run()
    assert "pip install &#x27;fuente[speech]&#x27;" in html(app)
    assert not app.exception


def test_the_box_takes_recordings_where_a_recognizer_is_configured(speaking, monkeypatch):
    app = page(speaking(recognizer="a/b"), monkeypatch).run()
    assert app.chat_input[0].proto.accept_audio


# AppTest cannot record: the box is replaced by one that was sent a recording, once.
BOX = """
import streamlit as st
from ui import speech, state
sent, box = st.session_state.setdefault("sent", [RECORDING]), st.chat_input
st.chat_input = lambda *args, **options: sent.pop() if sent else box(*args, **options)
try:
    st.text(speech.dictated_or_written(state.library(), state.texts()))
finally:
    st.chat_input = box
"""


def dictated(fuente, monkeypatch, recording, text=""):
    sent = ChatInputValue(text=text, audio=SimpleNamespace(getvalue=lambda: recording), _include_audio=True)
    app = page(fuente, monkeypatch, BOX.replace("[RECORDING]", "[]"))
    app.session_state["sent"] = [sent]
    return app.run()


def test_what_was_dictated_is_put_into_the_box_to_be_read_over(speaking, monkeypatch):
    fuente = speaking(recognizer="a/b")
    fuente.media.recognizer = SimpleNamespace(text=lambda sound: "where is it?" if sound == SOUND else "")
    app = dictated(fuente, monkeypatch, SOUND.wav(), text="And")
    assert (app.chat_input[0].proto.value, app.chat_input[0].proto.set_value) == ("And where is it?", True)
    assert app.text[0].value == "None"  # nothing is asked yet
    assert not app.exception


def test_what_cannot_be_understood_is_told(speaking, monkeypatch):
    fuente = speaking(recognizer="a/b")
    fuente.media.recognizer = SimpleNamespace(text=lambda sound: "")
    assert EN.dictation_empty in html(dictated(fuente, monkeypatch, SOUND.wav()))
    assert "no WAV file" in html(dictated(fuente, monkeypatch, b"noise"))
