"""Pictures of the documents beside the last answer, which is not made of them."""

from functools import partial

import streamlit as st

from rag.pictures import PictureHit
from ui.jobs import AnswerJob
from ui.library import Library
from ui.problems import EXPECTED, notice, problem
from ui.safe import block, name, span
from ui.show import show
from ui.sources import file_name
from ui.texts import Texts

_SHOWN = 4


def pictures_button(turn: AnswerJob, texts: Texts) -> None:
    """Shows or hides the pictures."""
    shown = st.session_state.get("pictured_turn") == turn.number
    st.button(
        texts.pictures_hide if shown else texts.pictures,
        key="pictures",
        icon=":material/image:",
        type="tertiary",
        on_click=partial(st.session_state.__setitem__, "pictured_turn", None if shown else turn.number),
    )


def draw_pictures(library: Library, turn: AnswerJob, texts: Texts) -> None:
    """A row of the pictures that the question describes best, looked for once."""
    known = st.session_state.get("found_pictures")
    if known is None or known[0] is not turn:
        try:
            with st.spinner(texts.pictures_searching):
                known = (turn, library.pictures(turn, _SHOWN))
        except EXPECTED as error:
            show(problem(error, texts))
            return
        st.session_state["found_pictures"] = known
    hits: list[PictureHit] = known[1]
    show(notice(texts.pictures_hint if hits else texts.pictures_none))
    for column, hit in zip(st.columns(_SHOWN), hits, strict=False):
        with column:
            st.image(hit.content)
            # Not as its caption, which would be Markdown.
            page = span("fu-where", texts.page.format(number=hit.page)) if hit.page else None
            show(block("fu-document", name(file_name(hit.source)), page))
