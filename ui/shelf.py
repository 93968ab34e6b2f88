"""The documents of the index: looking through them and taking them out."""

import hashlib
from functools import partial

import streamlit as st

from index.types import SourceInfo
from ui.library import Library
from ui.problems import EXPECTED, notice, problem
from ui.safe import Html, block, name, span, tag
from ui.show import show
from ui.sources import file_name
from ui.texts import Texts, grouped

_PAGE_SIZE = 20


def draw_shelf(library: Library, texts: Texts) -> None:
    """Draws the list of documents."""
    try:
        with st.spinner(texts.opening_library):
            documents = library.documents()
    except EXPECTED as error:
        show(problem(error, texts))
        return
    if not documents:
        show(block("fu-empty", span("fu-drop fu-drop-large"), tag("p", texts.library_empty)))
        return
    count = texts.count(len(documents), "document")
    show(block("fu-shelf-title", tag("h2", texts.library_title), span("fu-where", count)))
    found = _filtered(documents, texts)
    if not found:
        show(notice(texts.library_no_match))
    removing = st.session_state.get("removing")
    for info in documents:
        if (info.source, info.collection) == removing:
            st.dialog(texts.remove_title, on_dismiss=partial(_consider_removal, None))(_confirm)(info, library, texts)
    several = len({info.collection for info in documents}) > 1
    limit = st.session_state.get("shelf_limit", _PAGE_SIZE)
    with st.container(gap=None):
        for info in found[:limit]:
            _row(info, texts, with_collection=several)
    if len(found) > limit and st.button(texts.library_more, key="more", type="tertiary", icon=":material/expand_more:"):
        st.session_state["shelf_limit"] = limit + _PAGE_SIZE
        st.rerun()


def _filtered(documents: list[SourceInfo], texts: Texts) -> list[SourceInfo]:
    wanted = ""
    if len(documents) > _PAGE_SIZE:
        label = texts.library_filter
        wanted = st.text_input(label, key="filter", placeholder=label, label_visibility="collapsed")
    found = [info for info in documents if wanted.casefold() in file_name(info.source).casefold()]
    return sorted(found, key=lambda info: (file_name(info.source).casefold(), info.collection))


def _row(info: SourceInfo, texts: Texts, *, with_collection: bool) -> None:
    # A path may hold what no key can.
    identity = f"{info.collection}\0{info.source}"
    key = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    with st.container(key=f"row-{key}", horizontal=True, vertical_alignment="center", wrap=False, gap="small"):
        show(_row_html(info, texts, with_collection=with_collection))
        st.button(
            texts.remove,
            key=f"remove-{key}",
            type="tertiary",
            icon=":material/delete:",
            on_click=_consider_removal,
            args=((info.source, info.collection),),
        )


def _consider_removal(document: tuple[str, str] | None) -> None:
    """Notes the document, by source and collection, that the dialog asks about; None closes it."""
    st.session_state["removing"] = document


def _row_html(info: SourceInfo, texts: Texts, *, with_collection: bool) -> Html:
    facts = [info.collection] if with_collection else []
    facts += [info.language.upper()] if info.language else []
    if info.pages:
        facts.append(texts.count(info.pages, "page"))
    facts.append(texts.count(info.chunks, "passage"))
    facts.append(texts.characters.format(number=grouped(info.characters)))
    return block(
        "fu-document", name(file_name(info.source)), span("fu-where", " · ".join(facts)), name(info.source, "fu-path")
    )


def _confirm(info: SourceInfo, library: Library, texts: Texts) -> None:
    """The inside of the dialog."""
    consequence = texts.remove_uploaded if library.is_upload(info) else texts.remove_indexed
    show(block("fu-confirm", name(file_name(info.source)), tag("p", consequence)))
    with st.container(horizontal=True):
        confirmed = st.button(texts.remove, key="confirm-remove", type="primary")
        cancelled = st.button(texts.cancel, key="cancel-remove")
    if confirmed:
        try:
            library.remove(info)
        except EXPECTED as error:
            show(problem(error, texts))
            return
    if confirmed or cancelled:
        _consider_removal(None)
        st.rerun()
