"""The page: its frame, its two parts and the settings beside them."""

from pathlib import Path

import streamlit as st

from rag import Config
from rag.types import MOST_CANDIDATES
from ui import chat, documents, evaluation, state
from ui.library import Library
from ui.problems import EXPECTED, problem
from ui.safe import block, span
from ui.scope import draw_scope
from ui.show import show
from ui.texts import LANGUAGE_NAMES, Texts

# Drawn here: an icon by name would be fetched from elsewhere.
_ICON = (
    '<svg viewBox="0 0 32 32"><path fill="#12706b" d="M16 2c5 7 10 12 10 18a10 10 0 0 1-20 0c0-6 5-11 10-18z"/></svg>'
)
_STYLE = Path(__file__).with_name("style.css")


def main() -> None:
    """Draws the page."""
    st.set_page_config(page_title="Fuente", page_icon=_ICON, layout="centered")
    st.html(_STYLE)
    texts = state.texts()
    try:
        library = state.library()
    except EXPECTED as error:
        show(problem(error, texts))
        return
    page = _navigation(texts)
    with st.sidebar:
        draw_scope(library, texts)
        _settings(library, texts)
    page.run()


def _navigation(texts: Texts) -> st.Page:
    chat_page = st.Page(chat.page, title=texts.chat, icon=":material/forum:", url_path="ask", default=True)
    documents_page = st.Page(documents.page, title=texts.documents, icon=":material/folder_open:", url_path="documents")
    st.session_state["documents_page"] = documents_page
    evaluation_page = st.Page(evaluation.page, title=texts.evaluation, icon=":material/speed:", url_path="evaluation")
    laboratory_page = st.Page(_laboratory, title=texts.laboratory, icon=":material/science:", url_path="laboratory")
    return st.navigation([chat_page, documents_page, evaluation_page, laboratory_page])


def _laboratory() -> None:
    # Imported here: it brings torch along, and most visits do not come this way.
    from ui import laboratory

    laboratory.page()


def _settings(library: Library, texts: Texts) -> None:
    with st.expander(texts.answer_settings, icon=":material/tune:", expanded=True):
        _answer_settings(library, texts)
    languages = list(LANGUAGE_NAMES)
    st.selectbox(
        texts.interface_language,
        languages,
        index=languages.index(state.browser_language()),
        key="interface",
        format_func=LANGUAGE_NAMES.__getitem__,
    )
    if not library.config.server.url:
        show(block("fu-privacy", span("fu-drop"), texts.privacy))


def _answer_settings(library: Library, texts: Texts) -> None:
    # The defaults are arguments: written to the session instead, they can miss the browser and be lost.
    config = library.config
    names = {"auto": texts.answer_language_auto, **LANGUAGE_NAMES}
    st.selectbox(
        texts.answer_language,
        list(names),
        index=list(names).index(config.language),
        key="answer_language",
        format_func=names.__getitem__,
    )
    st.selectbox(texts.model, library.generators(), key="generator", help=texts.model_help)
    st.slider(
        texts.passages,
        min_value=1,
        max_value=state.most_passages(config),
        value=config.retrieval.k,
        key="passages",
        help=texts.passages_help,
    )
    st.slider(
        texts.caution,
        min_value=0.0,
        max_value=1.0,
        value=config.generation.caution,
        step=0.05,
        format="%.2f",
        key="caution",
        help=texts.caution_help,
    )
    st.toggle(
        texts.short_answers,
        value=config.generation.style == "short",
        key="short_answers",
        help=texts.short_answers_help,
    )
    st.slider(
        texts.temperature,
        min_value=0.0,
        max_value=2.0,
        value=config.generation.temperature,
        step=0.1,
        format="%.1f",
        key="temperature",
        help=texts.temperature_help,
    )
    with st.popover(texts.more_settings, icon=":material/more_horiz:"):
        _rare_settings(config, texts)


def _rare_settings(config: Config, texts: Texts) -> None:
    """What few people need, out of the way of the others."""
    st.toggle(texts.reasoning, value=config.generation.reasoning, key="reasoning", help=texts.reasoning_help)
    st.slider(
        texts.candidates,
        min_value=1,
        max_value=MOST_CANDIDATES,
        value=config.generation.candidates,
        key="candidates",
        help=texts.candidates_help,
    )
    st.number_input(texts.seed, min_value=0, value=config.generation.seed, step=1, key="seed", help=texts.seed_help)


main()
