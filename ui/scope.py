"""Which documents are asked: the control beside the page, and how it is told."""

import streamlit as st

from index.filters import Filter
from ui.library import Library
from ui.problems import EXPECTED
from ui.texts import LANGUAGE_NAMES, Texts


def draw_scope(library: Library, texts: Texts) -> None:
    """Draws the control where there is something to choose, and notes what is chosen for the next question."""
    st.session_state["scope"] = None
    try:
        documents = library.documents()
    except EXPECTED:
        return  # the page itself says so
    collections = sorted({info.collection for info in documents})
    languages = sorted({info.language for info in documents if info.language})
    if len(collections) < 2 and len(languages) < 2:
        return
    with st.expander(texts.scope, icon=":material/filter_alt:", expanded=True):
        st.session_state["scope"] = _chosen(collections, languages, texts)


def chosen_scope() -> Filter | None:
    """What the visitor chose; None for everything."""
    where: Filter | None = st.session_state.get("scope")
    return where or None


def scope_text(where: Filter) -> str:
    """A scope in a few words."""
    return " · ".join((*where.collections, *map(_language_name, where.languages), *where.sources))


def _chosen(collections: list[str], languages: list[str], texts: Texts) -> Filter:
    chosen_collections, chosen_languages = [], []
    if len(collections) > 1:
        chosen_collections = st.multiselect(
            texts.collections, collections, key="scope_collections", placeholder=texts.scope_all, select_all=False
        )
    if len(languages) > 1:
        chosen_languages = st.multiselect(
            texts.languages,
            languages,
            format_func=_language_name,
            key="scope_languages",
            placeholder=texts.scope_all,
            select_all=False,
        )
    typed = st.text_input(
        texts.scope_source, key="scope_source", placeholder=texts.scope_source_example, help=texts.scope_source_help
    )
    pattern = "".join(filter(str.isprintable, typed)).strip()
    return Filter(tuple(chosen_collections), tuple(chosen_languages), (pattern,) if pattern else ())


def _language_name(code: str) -> str:
    return LANGUAGE_NAMES.get(code, code.upper())
