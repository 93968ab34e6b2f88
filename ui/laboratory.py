"""The laboratory: the generative families, explained, sampled, moved about and trained."""

import streamlit as st

from generative import AnyFamily, GenerativeError
from generative.family import Split
from ui import experiments, state
from ui.courses import COURSES, OWN, TrainJob, text_of
from ui.laboratory_views import VIEWS, samples_view
from ui.language_views import LANGUAGE_VIEWS
from ui.problems import notice
from ui.safe import Html, block, span, tag
from ui.show import show, show_uploader_words
from ui.sources import decimal
from ui.texts import LABORATORY, Texts, grouped
from ui.texts.laboratory import Explanation, LaboratoryTexts
from ui.texts.laboratory_language import LABORATORY_LANGUAGE

_REFRESH_S = 0.7
_STEPS = (100, 4000)
_LARGEST_MB = 5
# The families that score an upload, the better one first.
_JUDGES = ("vae", "autoencoder")


def page() -> None:
    """Draws the laboratory."""
    words, texts = LABORATORY[state.interface_language()], state.texts()
    show(block("fu-page-title", tag("h1", texts.laboratory), tag("p", words.hint)))
    names, of_language = experiments.shown_families(), LABORATORY_LANGUAGE[state.interface_language()]
    explained = {**words.families, **of_language.families}
    name = st.selectbox(
        words.family,
        names,
        format_func=lambda one: explained[one].name,
        key="lab_family",
        label_visibility="collapsed",
    )
    _explanation(explained[name], words)
    try:
        chosen = _part(name, words)
        if chosen == words.train:
            _training(name, words, texts)
        else:
            _trying(name, chosen, words, texts)
    except GenerativeError as error:
        show(problem_html(error, texts))


def _part(name: str, words: LaboratoryTexts) -> str:
    """What is to be done with the family."""
    labels = [words.explore] if name in LANGUAGE_VIEWS else [words.samples, words.explore]
    labels += [words.train] * (name in COURSES) + [words.anomaly] * (name in _JUDGES)
    if len(labels) == 1:
        return labels[0]
    # Where none comes with Fuente, there is nothing to try before one is trained.
    default = words.train if name in LANGUAGE_VIEWS and _trained(name) is None else labels[0]
    chosen = st.segmented_control(
        words.family, labels, default=default, key=f"lab_part_{name}", label_visibility="collapsed"
    )
    return str(chosen or default)


def _trying(name: str, part: str, words: LaboratoryTexts, texts: Texts) -> None:
    family = _trained(name)
    if family is None:
        show(notice(words.not_shipped.format(command=experiments.command(name))))
    elif name in LANGUAGE_VIEWS:
        LANGUAGE_VIEWS[name](family, LABORATORY_LANGUAGE[state.interface_language()])
    elif part == words.explore:
        VIEWS[name](family, _data(name), words)
    elif part == words.anomaly:
        _anomaly(family, _data(name), words, texts)
    else:
        samples_view(name, family, _data(name), words)


def problem_html(error: Exception, texts: Texts) -> Html:
    """What cannot be done and why; the message carries the mend."""
    return block(
        "fu-problem", block("fu-problem-title", texts.problem_laboratory), block("fu-plain", str(error)), role="alert"
    )


@st.cache_resource(show_spinner=False)
def _trained(name: str) -> AnyFamily | None:
    return experiments.open_trained(name)


@st.cache_resource(show_spinner=False)
def _data(name: str) -> Split:
    return experiments.open_split(name)


def _explanation(explained: Explanation, words: LaboratoryTexts) -> None:
    with st.expander(words.explanation, icon=":material/menu_book:"):
        show(
            block(
                "fu-lab",
                tag("p", explained.idea),
                tag("p", span("fu-label", words.strengths), " ", explained.strengths),
                tag("p", span("fu-label", words.papers), " ", explained.papers),
            )
        )


def _training(name: str, words: LaboratoryTexts, texts: Texts) -> None:
    job = _job(name)
    if job is not None and not job.done:
        _live(name)
        return
    course, (low, high) = COURSES[name], _STEPS
    # What was chosen last is kept: while a training is drawn, the choices are not, and would be forgotten.
    data, steps, seed = (job.data, job.steps, job.seed) if job else (course.data[0], course.steps, 0)
    if len(course.choices) > 1:
        data = st.selectbox(
            words.data,
            course.choices,
            course.choices.index(data),
            format_func=lambda one: words.data_names[one],
            key=f"lab_data_{name}",
        )
    text = _own_text(job, words, texts) if data == OWN else None
    left, right = st.columns(2)
    steps = left.slider(words.steps, low, high, steps, step=100, key=f"lab_steps_{name}")
    seed = right.number_input(words.seed, min_value=0, value=seed, step=1, key=f"lab_seed_{name}")
    if st.button(
        words.start,
        type="primary",
        icon=":material/play_arrow:",
        key=f"lab_start_{name}",
        disabled=data == OWN and text is None,
    ):
        job = TrainJob(name, int(steps), int(seed), data, text)
        st.session_state["lab_job"] = job
        job.begin()
        st.rerun()
    if job is not None:
        _outcome(job, words, texts)


def _own_text(job: TrainJob | None, words: LaboratoryTexts, texts: Texts) -> str | None:
    """The text that the visitor brings, or brought for the last training. Raises: DataError."""
    show_uploader_words(texts)
    file = st.file_uploader(words.own_text, type=["txt"], max_upload_size=_LARGEST_MB, key="lab_own")
    if file is not None:
        return text_of(file.getvalue())
    return job.text if job else None


def _job(name: str) -> TrainJob | None:
    job: TrainJob | None = st.session_state.get("lab_job")
    return job if job is not None and job.name == name else None


@st.fragment(run_every=_REFRESH_S)
def _live(name: str) -> None:
    """Curve and samples, drawn anew by itself until the training is over."""
    words, texts, job = LABORATORY[state.interface_language()], state.texts(), _job(name)
    if job is None or job.done:
        st.rerun()
    progress = job.progress
    st.progress(progress.step / progress.total if progress else 0.0)
    parts = [words.reading]
    if progress:
        parts = [words.training.format(step=grouped(progress.step), total=grouped(job.steps))]
    if progress and progress.rate and progress.left_s is not None:
        parts.append(words.rate.format(rate=decimal(progress.rate, texts, places=1)))
        parts.append(words.left.format(seconds=grouped(round(progress.left_s))))
    show(block("fu-status", span("fu-pulse"), " · ".join(parts), role="status"))
    if st.button(words.stop, icon=":material/stop:", key="lab_stop"):
        job.stop()
    _curve_and_samples(job, words)


def _outcome(job: TrainJob, words: LaboratoryTexts, texts: Texts) -> None:
    if job.problem is not None:
        show(problem_html(job.problem, texts))
    elif job.failed:
        show(block("fu-problem", block("fu-problem-title", texts.problem_unexpected), role="alert"))
    else:
        made = job.progress.step if job.progress else 0
        told = words.trained.format(steps=grouped(made), seconds=grouped(round(job.seconds)))
        show(block("fu-status", told, role="status"))
    _curve_and_samples(job, words)


def _curve_and_samples(job: TrainJob, words: LaboratoryTexts) -> None:
    """Losses, accuracies on a scale of their own, and what the model makes."""
    for kind in ("loss", "accuracy"):
        shown = {key: curve_name(key, words) for key in (job.history[-1] if job.history else ()) if kind in key}
        if shown and len(job.history) > 1:
            rows = [
                {words.step: point["step"], **{label: point.get(key) for key, label in shown.items()}}
                for point in job.history
            ]
            st.line_chart(rows, x=words.step, y=list(shown.values()), height=220)
    if isinstance(job.made, str):
        show(block("fu-passage fu-written", job.made))
    elif job.made is not None:
        st.image(job.made)


def curve_name(key: str, words: LaboratoryTexts) -> str:
    """What a quantity of a training is called; those of one family alone keep their names."""
    bare = key.removeprefix("val_")
    name = {"loss": words.loss, "accuracy": words.accuracy}.get(bare, bare.replace("_", " "))
    return name if bare == key else words.held_out.format(name=name)


def _anomaly(family: AnyFamily, split: Split, words: LaboratoryTexts, texts: Texts) -> None:
    show(block("fu-limits", words.upload_hint))
    show_uploader_words(texts)
    kinds = ["png", "jpg", "jpeg", "bmp", "gif", "webp"]
    file = st.file_uploader(words.upload, type=kinds, max_upload_size=_LARGEST_MB, key="lab_upload")
    invert = st.toggle(words.invert, value=True, key="lab_invert")
    if file is None:
        return
    verdict = experiments.judge_upload(family, split, file, invert=invert)
    left, right = st.columns(2)
    left.image(verdict.seen, caption=words.seen_as, width=220)
    right.image(verdict.reconstructed, caption=words.reconstructed, width=220)
    first, second = st.columns(2)
    first.metric(words.score, decimal(verdict.score, texts, places=1))
    second.metric(words.threshold, decimal(verdict.threshold, texts, places=1))
    show(notice(words.anomalous if verdict.anomalous else words.normal))
