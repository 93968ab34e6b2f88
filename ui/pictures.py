"""Pictures of the documents beside the last answer, which is not made of them."""

import streamlit as st

from ui.jobs import AnswerJob
from ui.library import Library
from ui.on_demand import OnDemand
from ui.problems import notice
from ui.safe import block, name, span
from ui.show import show
from ui.sources import file_name
from ui.texts import Texts

PICTURES = OnDemand("pictures", ":material/image:")
_SHOWN = 4


def draw_pictures(library: Library, turn: AnswerJob, texts: Texts) -> None:
    """A row of the pictures that the question describes best."""
    hits = PICTURES.made(turn, lambda: library.pictures(turn, _SHOWN), texts.pictures_searching, texts)
    if hits is None:
        return
    show(notice(texts.pictures_hint if hits else texts.pictures_none))
    for column, hit in zip(st.columns(_SHOWN), hits, strict=False):
        with column:
            st.image(hit.content)
            # Not as its caption, which would be Markdown.
            page = span("fu-where", texts.page.format(number=hit.page)) if hit.page else None
            show(block("fu-document", name(file_name(hit.source)), page))
