"""The evaluation page: how often search finds the right passage, measured on questions whose answer is known."""

import json
from collections.abc import Sequence

import streamlit as st

from rag.evaluation.curves import FUSED, RERANKED, Curves
from rag.evaluation.questions import Question
from ui import state
from ui.charts import channels_chart, latency_chart, recall_chart
from ui.documents import pace_html
from ui.jobs import MeasureJob, QuestionsJob
from ui.library import Library
from ui.problems import EXPECTED, notice, problem
from ui.safe import Html, block, join, span, tag
from ui.show import show, show_uploader_words
from ui.sources import decimal
from ui.texts import Texts, grouped
from ui.uploads import save

_REFRESH_S = 0.4
_LIMITS = (20, 500)
_USUAL_LIMIT = 100
_WRITTEN = (10, 200)
_USUAL_WRITTEN = 30
_LARGEST_SET_MB = 50


def page() -> None:
    """Draws the choice of questions, then the work going on, or what it found."""
    texts, library = state.texts(), state.library()
    show(block("fu-page-title", tag("h1", texts.evaluation), tag("p", texts.eval_hint)))
    try:
        ready = library.has_documents()
    except EXPECTED as error:
        show(problem(error, texts))
        return
    job = state.evaluation_job()
    if job is not None and not job.done:
        _live(texts)
        return
    _choice(library, texts, ready=ready)
    if job is not None and job.failed:
        show(problem(job.error, texts) if not job.stopped else notice(texts.stopped))
    if isinstance(job, MeasureJob) and job.curves is not None:
        _results(job.curves, texts)
    elif isinstance(job, QuestionsJob) and job.built is not None:
        show(notice(texts.eval_written.format(number=len(job.questions), file=job.file)))
        show(_written(job.questions, texts))


def _choice(library: Library, texts: Texts, *, ready: bool) -> None:
    """What to measure on: a set that is there, one that is uploaded, or one that the model writes."""
    sets = library.question_sets()
    if sets:
        with st.form("measure", border=True):
            chosen = st.selectbox(texts.eval_set, sets, format_func=lambda path: path.stem, key="eval_set")
            limit = st.slider(texts.eval_limit, *_LIMITS, value=_USUAL_LIMIT, step=20, help=texts.eval_limit_help)
            if st.form_submit_button(texts.eval_measure, type="primary", icon=":material/speed:"):
                _begin(library.measure(chosen, limit))
    else:
        show(block("fu-empty", span("fu-drop fu-drop-large"), tag("p", texts.eval_none_yet)))
    with st.expander(texts.eval_write, icon=":material/edit_note:", expanded=not sets and ready):
        show(block("fu-limits", texts.eval_write_help))
        count = st.slider(texts.eval_count, *_WRITTEN, value=_USUAL_WRITTEN, step=10)
        if st.button(texts.eval_write_begin, icon=":material/edit_note:", disabled=not ready):
            _begin(library.write_questions(count))
    with st.expander(texts.eval_upload, icon=":material/upload_file:", expanded=not sets and not ready):
        _upload(library, texts)


def _written(questions: Sequence[Question], texts: Texts) -> Html:
    """What the model wrote, for a first look: each question with its answer."""
    return tag("ol", *(_asked(question, texts) for question in questions), class_="fu-asked")


def _asked(question: Question, texts: Texts) -> Html:
    answer = question.answers[0] if question.answers else texts.eval_unanswerable
    return tag("li", tag("bdi", question.text), span("fu-small", answer))


def _upload(library: Library, texts: Texts) -> None:
    show(block("fu-limits", texts.eval_upload_help))
    show_uploader_words(texts)
    file = st.file_uploader(
        texts.eval_upload,
        type=["json"],
        max_upload_size=_LARGEST_SET_MB,
        key="eval_file",
        label_visibility="collapsed",
    )
    if file is not None and st.button(texts.eval_upload_add, icon=":material/add:"):
        failures = save([(file.name, file.getvalue)], library.questions_folder, texts)
        for failure in failures:
            show(notice(failure.reason))
        if not failures:
            st.rerun()


def _begin(job: MeasureJob | QuestionsJob) -> None:
    st.session_state["evaluation_job"] = job
    st.rerun()


@st.fragment(run_every=_REFRESH_S)
def _live(texts: Texts) -> None:
    """Progress, drawn anew by itself until the work is over."""
    job = state.evaluation_job()
    if job is None or job.done:
        st.rerun()
    pace = job.pace
    st.progress(pace.fraction if pace else 0.0)
    words = {"open": texts.eval_opening, "search": texts.eval_searching, "write": texts.eval_writing}
    show(pace_html(pace, words, texts))
    if job.stopped:
        show(notice(texts.eval_stopping))
    else:
        st.button(texts.stop, key="stop-evaluation", icon=":material/stop_circle:", on_click=job.stop)


def _results(curves: Curves, texts: Texts) -> None:
    show(_headline(curves, texts))
    charts = (
        (texts.eval_recall_title, texts.eval_recall_help, recall_chart),
        (texts.eval_channels_title, texts.eval_channels_help.format(k=curves.k), channels_chart),
        (texts.eval_latency_title, texts.eval_latency_help.format(k=curves.k), latency_chart),
    )
    for title, reading, chart in charts:
        show(block("fu-chart", tag("h2", title), tag("p", reading)))
        st.vega_lite_chart(chart(curves, texts), width="stretch", alt=title)
    data = json.dumps(curves.as_json(), indent=1)
    st.download_button(
        texts.eval_download, data, file_name="curves.json", mime="application/json", icon=":material/download:"
    )


def _headline(curves: Curves, texts: Texts) -> Html:
    """What matters most, in three numbers: of the last stage that there is."""
    last = RERANKED if RERANKED in curves.recall else FUSED
    first, among = curves.recall[last][0], curves.recall[last][curves.k - 1]
    milliseconds = next(way.milliseconds for way in curves.ways if way.name == last)
    cards = (
        (_percent(first.recall), texts.eval_first, _interval(first.low, first.high, texts)),
        (_percent(among.recall), texts.eval_among.format(k=curves.k), _interval(among.low, among.high, texts)),
        (
            f"{decimal(milliseconds / 1000, texts)} s",
            texts.eval_time,
            texts.eval_on.format(number=grouped(curves.questions)),
        ),
    )
    return block("fu-figures", *(_card(*card) for card in cards))


def _card(figure: str, label: str, small: str) -> Html:
    return block("fu-figure", span("fu-step-number", figure), join((label,)), span("fu-small", small))


def _interval(low: float, high: float, texts: Texts) -> str:
    return texts.eval_interval.format(low=round(100 * low), high=round(100 * high))


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"
