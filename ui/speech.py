"""The last answer read aloud, and the box into which a question is written or dictated."""

import streamlit as st

from ui.jobs import AnswerJob
from ui.library import Library
from ui.on_demand import OnDemand
from ui.problems import EXPECTED, notice, problem
from ui.show import show
from ui.texts import Texts

LISTEN = OnDemand("listen", ":material/volume_up:")


def play(library: Library, turn: AnswerJob, texts: Texts) -> None:
    """The player of an answer, which begins by itself."""
    reply = turn.reply
    if reply is None:
        return
    sound = LISTEN.made(turn, lambda: library.speak(reply.answer), texts.listen_preparing, texts)
    if sound is not None:
        st.audio(sound, format="audio/wav", autoplay=True)


def dictated_or_written(library: Library, texts: Texts) -> str | None:
    """The question that was sent; what was dictated is first put into the box, to be read over and sent."""
    if "heard" in st.session_state:
        st.session_state["question"] = st.session_state.pop("heard")
    if not library.config.speech.recognizer:
        return st.chat_input(texts.ask_placeholder, key="question")
    sent = st.chat_input(texts.ask_placeholder, key="question", accept_audio=True)
    if sent is None or sent.audio is None:
        return sent.text if sent else None
    try:
        with st.spinner(texts.dictation_listening):
            heard = library.transcribe(sent.audio.getvalue())
    except EXPECTED as error:
        show(problem(error, texts))
        return None
    if not heard:
        show(notice(texts.dictation_empty))
        return None
    st.session_state["heard"] = f"{sent.text} {heard}".strip()
    st.rerun()
