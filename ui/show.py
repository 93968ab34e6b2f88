"""The one way from safe HTML to the page."""

import streamlit as st

from ui.safe import Html, contents
from ui.texts import Texts

_UPLOADER_BUTTON = '[data-testid="stFileUploaderDropzone"] > span button p::after'
_UPLOADER_HINT = '[data-testid="stFileUploaderDropzoneInstructions"]::after'


def show(piece: Html) -> None:
    """Puts a piece on the page at this place."""
    st.html(piece.code)


def show_uploader_words(texts: Texts) -> None:
    """Gives the uploaders of the page their words: Streamlit's own are English and fixed."""
    show(contents({_UPLOADER_BUTTON: texts.upload_button, _UPLOADER_HINT: texts.upload_drop}))
