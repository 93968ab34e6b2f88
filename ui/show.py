"""The one way from safe HTML to the page."""

import streamlit as st

from ui.safe import Html


def show(piece: Html) -> None:
    """Puts a piece on the page at this place."""
    st.html(piece.code)
