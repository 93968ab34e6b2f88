"""What a visitor's page remembers, and where the application comes from."""

from dataclasses import replace
from typing import Literal

import streamlit as st

from index.embedder import Embedder
from rag import Config, Fuente, load_config
from ui.jobs import AnswerJob, IngestJob, MeasureJob, QuestionsJob, Settings
from ui.library import Library
from ui.scope import chosen_scope
from ui.texts import TEXTS, Texts, language_of

# Above this many passages no prompt holds them all.
_MOST_PASSAGES = 20


def open_fuente(config: Config, embedder: Embedder | None) -> Fuente:
    """The application; the one place that a test replaces."""
    return Fuente(config, embedder=embedder)


@st.cache_resource(show_spinner=False)
def library() -> Library:
    """The library of this process.

    Raises: ConfigurationError.
    """
    return Library(load_config(), open_fuente)


def interface_language() -> str:
    """The visitor's choice, at first the browser's language."""
    return str(st.session_state.get("interface") or browser_language())


def browser_language() -> str:
    """The language that the browser asks for, or English."""
    return language_of(st.context.locale)


def texts() -> Texts:
    """The interface in the visitor's language."""
    return TEXTS[interface_language()]


def turns() -> list[AnswerJob]:
    """The visitor's conversation."""
    found: list[AnswerJob] = st.session_state.setdefault("turns", [])
    return found


def ingest_job() -> IngestJob | None:
    """The visitor's last ingestion."""
    job: IngestJob | None = st.session_state.get("ingest_job")
    return job


def evaluation_job() -> MeasureJob | QuestionsJob | None:
    """The visitor's last measurement, or writing of questions."""
    job: MeasureJob | QuestionsJob | None = st.session_state.get("evaluation_job")
    return job


def most_passages(config: Config) -> int:
    """The right end of the slider."""
    return max(_MOST_PASSAGES, config.retrieval.k)


def settings(config: Config, generator: str) -> Settings:
    """How the visitor wants the next question answered."""
    state, generation = st.session_state, config.generation
    sampling = replace(generation.sampling(), temperature=state["temperature"], seed=state["seed"])
    style: Literal["full", "short"] = "short" if state["short_answers"] else "full"
    options = replace(
        generation.options(),
        caution=state["caution"],
        style=style,
        reasoning=state["reasoning"],
        candidates=state["candidates"],
    )
    return Settings(
        generator=state.get("generator") or generator,
        language=state["answer_language"],
        k=state["passages"],
        sampling=sampling,
        options=options,
        where=chosen_scope(),
    )
