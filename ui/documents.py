"""The documents page: adding files and watching them being read, above the shelf of what is there."""

from collections.abc import Mapping, Sequence

import streamlit as st

from index.types import DEFAULT_COLLECTION, Failure, check_collection
from ui import state
from ui.jobs import IngestJob, Pace
from ui.library import Library
from ui.problems import EXPECTED, notice, problem
from ui.safe import Html, block, join, name, span, tag
from ui.shelf import draw_shelf
from ui.show import show, show_uploader_words
from ui.sources import decimal, file_name
from ui.texts import Texts, grouped
from ui.uploads import save

_REFRESH_S = 0.4
# Below so many things a second the rate says nothing; from so many seconds on, minutes are enough.
_SLOWEST_TOLD = 0.1
_SECONDS_TOLD = 120
# The formats that people know by name; the uploader takes all that there is a reader for.
_WELL_KNOWN = "PDF, DOCX, PPTX, XLSX, HTML, MD, TXT, EPUB"
_SHOWN_NAMES = 8
# The choice of a collection that does not exist yet; no collection has this name.
_NEW = ""


def page() -> None:
    """Draws the library."""
    texts, library = state.texts(), state.library()
    show(block("fu-page-title", tag("h1", texts.documents)))
    job = state.ingest_job()
    if job is not None and not job.done:
        _live_ingest()
    else:
        _upload_form(library, texts)
        if job is not None:
            show(_outcome_html(job, texts))
    draw_shelf(library, texts)


def _upload_form(library: Library, texts: Texts) -> None:
    collection = _collection_box(library, texts)
    limit = library.config.ingest.max_file_mb
    show_uploader_words(texts)
    with st.form("upload", clear_on_submit=True):
        files = st.file_uploader(
            texts.upload_label,
            type=sorted(suffix.removeprefix(".") for suffix in library.suffixes()),
            accept_multiple_files=True,
            max_upload_size=limit,
            key="files",
            label_visibility="collapsed",
        )
        show(block("fu-limits", texts.upload_limits.format(size=limit, formats=_WELL_KNOWN)))
        submitted = st.form_submit_button(texts.upload_submit, type="primary", icon=":material/add:")
    if submitted and not files:
        show(notice(texts.upload_none))
    elif submitted and not _is_name(collection):
        show(notice(texts.collection_bad_name))
    elif submitted:
        unsaved = save(((file.name, file.getvalue) for file in files), library.uploads(collection), texts)
        st.session_state["last_collection"] = collection
        st.session_state["ingest_job"] = library.ingest(unsaved, collection=collection)
        st.rerun()


def _collection_box(library: Library, texts: Texts) -> str:
    """The name of the collection that uploads go into, as it was chosen or typed."""
    try:
        known = library.collections()
    except EXPECTED:
        known = [DEFAULT_COLLECTION]  # the shelf below says so
    # While files are read the box is not there, and forgets.
    last = st.session_state.get("last_collection")
    with st.container(horizontal=True):
        chosen = st.selectbox(
            texts.collection,
            [*known, _NEW],
            index=known.index(last) if last in known else 0,
            format_func=lambda name: name or texts.collection_new,
            key="collection",
            help=texts.collection_help,
            width=280,
        )
        if chosen:
            return chosen
        return st.text_input(texts.collection_name, key="new_collection", width=280).strip()


def _is_name(collection: str) -> bool:
    try:
        check_collection(collection)
    except ValueError:
        return False
    return True


@st.fragment(run_every=_REFRESH_S)
def _live_ingest() -> None:
    """Progress, drawn anew by itself until the work is over."""
    job, texts = state.ingest_job(), state.texts()
    if job is None or job.done:
        st.rerun()
    pace = job.pace
    st.progress(pace.fraction if pace else 0.0)
    words = {"embed": texts.ingest_embedding, "publish": texts.ingest_publishing}
    show(pace_html(pace, words, texts, otherwise=texts.ingest_reading))


def pace_html(pace: Pace | None, stages: Mapping[str, str], texts: Texts, otherwise: str = "") -> Html:
    """What is being done, in the words for its stage, how fast and how long still."""
    if pace is None:
        return block("fu-status", span("fu-pulse"), texts.ingest_starting, role="status")
    words = stages.get(pace.stage, otherwise)
    parts = [words.format(done=grouped(pace.done), total=grouped(pace.total))]
    if pace.rate is not None and pace.left_s is not None:
        if pace.rate >= _SLOWEST_TOLD:
            parts.append(texts.ingest_rate.format(rate=decimal(pace.rate, texts, places=1)))
        parts.append(_left(pace.left_s, texts))
    current = name(file_name(pace.source), "fu-current") if pace.source else None
    return join((block("fu-status", span("fu-pulse"), " · ".join(parts), role="status"), current))


def _left(seconds: float, texts: Texts) -> str:
    if seconds < _SECONDS_TOLD:
        return texts.ingest_left.format(seconds=round(seconds))
    return texts.ingest_left_minutes.format(minutes=grouped(round(seconds / 60)))


def _outcome_html(job: IngestJob, texts: Texts) -> Html:
    if job.failed or job.report is None:
        return join((problem(job.error, texts), _failures_html(job.unsaved, texts)))
    report = job.report
    groups = (
        (texts.report_added, report.added),
        (texts.report_changed, report.changed),
        (texts.report_unchanged, report.unchanged),
        (texts.report_removed, report.removed),
    )
    lines = [_group_html(label, sources) for label, sources in groups if sources]
    failures = _failures_html((*job.unsaved, *report.failed), texts)
    nothing = tag("p", texts.report_nothing) if not lines and not failures.code else None
    return join((block("fu-report", *lines, nothing) if lines or nothing else None, failures))


def _group_html(label: str, paths: Sequence[str]) -> Html:
    rest = f" +{len(paths) - _SHOWN_NAMES}" if len(paths) > _SHOWN_NAMES else None
    names = (name(file_name(path), "fu-chip") for path in paths[:_SHOWN_NAMES])
    return block("fu-report-line", span("fu-label", f"{label} · {grouped(len(paths))}"), *names, rest)


def _failures_html(failures: tuple[Failure, ...], texts: Texts) -> Html:
    if not failures:
        return join(())
    items = (_failure_html(failure, texts) for failure in failures)
    return block("fu-problem", block("fu-problem-title", f"{texts.report_failed} · {len(failures)}"), tag("ul", *items))


def _failure_html(failure: Failure, texts: Texts) -> Html:
    # A rule of a reader that is newer than the texts is shown by its name.
    rule = getattr(texts, f"rule_{failure.rule}", failure.rule)
    return tag("li", name(file_name(failure.source)), span("fu-rule", rule), block("fu-reason", failure.reason))
