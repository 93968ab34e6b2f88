"""The last answer read aloud, and the box into which a question is written or dictated."""

from functools import partial

import streamlit as st

from ui.jobs import AnswerJob
from ui.library import Library
from ui.problems import EXPECTED, notice, problem
from ui.show import show
from ui.texts import Texts


def listen_button(turn: AnswerJob, texts: Texts) -> None:
    """Shows or hides the player of an answer."""
    shown = st.session_state.get("heard_turn") == turn.number
    st.button(
        texts.listen_hide if shown else texts.listen,
        key="listen",
        icon=":material/volume_up:",
        type="tertiary",
        on_click=partial(st.session_state.__setitem__, "heard_turn", None if shown else turn.number),
    )


def play(library: Library, turn: AnswerJob, texts: Texts) -> None:
    """The player of an answer, which begins by itself; the sound is made once."""
    known = st.session_state.get("sound")
    if known is None or known[0] is not turn:
        if turn.reply is None:
            return
        try:
            with st.spinner(texts.listen_preparing):
                known = (turn, library.speak(turn.reply.answer))
        except EXPECTED as error:
            show(problem(error, texts))
            return
        st.session_state["sound"] = known
    st.audio(known[1], format="audio/wav", autoplay=True)


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
