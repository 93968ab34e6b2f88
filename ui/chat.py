"""The conversation: a question, the answer as it is written and the sources beneath it."""

import re
from dataclasses import replace

import streamlit as st

from rag import Answer
from rag.phrases import phrases
from ui import state
from ui.explain import reasons_html
from ui.jobs import AnswerJob
from ui.library import Library
from ui.on_demand import OnDemand
from ui.pictures import PICTURES, draw_pictures
from ui.problems import EXPECTED, notice, problem
from ui.safe import Child, Html, block, join, span, tag
from ui.scope import scope_text
from ui.show import show
from ui.sources import anchor, decimal, nearest_html, passages_html, sources_html
from ui.speech import LISTEN, dictated_or_written, play
from ui.texts import Texts

_WHY = OnDemand("why", ":material/account_tree:")
_MARKER = re.compile(r"\[(\d{1,3}|[?!])\]")
# Quick enough to look alive, slow enough to leave the processor to the model.
_REFRESH_S = 0.25


def page() -> None:
    """Draws the conversation."""
    texts, library, turns = state.texts(), state.library(), state.turns()
    try:
        ready = library.has_documents()
    except EXPECTED as error:
        show(problem(error, texts))
        return
    if not ready and not turns:
        _first_steps(texts)
        return
    library.warm_up()
    if not turns:
        show(block("fu-hero", tag("h1", texts.ask_title), tag("p", texts.ask_hint)))
    finished = next((i for i, turn in enumerate(turns) if not turn.done), len(turns))
    for turn in turns[:finished]:
        show(_turn_html(turn, texts))
    if finished < len(turns):
        _live(turns[finished].number)
    elif turns:
        if _is_narrow_refusal(turns[-1]):
            icon = ":material/zoom_out_map:"
            st.button(texts.ask_everything, key="everything", icon=icon, on_click=_ask_everything, args=(library,))
        with st.container(horizontal=True):
            if turns[-1].reply:
                _WHY.button(turns[-1], texts.why, texts.why_hide)
                if library.config.pictures.model:
                    PICTURES.button(turns[-1], texts.pictures, texts.pictures_hide)
                if library.config.speech.voice:
                    LISTEN.button(turns[-1], texts.listen, texts.listen_hide)
            icon = ":material/refresh:"
            st.button(texts.new_conversation, key="clear", icon=icon, type="tertiary", on_click=turns.clear)
        for shown, draw in ((_WHY, _why), (PICTURES, draw_pictures), (LISTEN, play)):
            if shown.is_shown(turns[-1]):
                draw(library, turns[-1], texts)
    _ask_box(library, texts)


def _first_steps(texts: Texts) -> None:
    steps = (tag("li", step) for step in texts.first_steps)
    show(block("fu-hero", tag("h1", texts.first_title), tag("p", texts.first_hint), tag("ol", *steps)))
    if st.button(texts.add_documents, type="primary", icon=":material/add:"):
        st.switch_page(st.session_state["documents_page"])


def _why(library: Library, turn: AnswerJob, texts: Texts) -> None:
    """The reasons of the last answer."""
    reasons = _WHY.made(turn, lambda: library.explain(turn), texts.why_searching, texts)
    if reasons is not None:
        show(reasons_html(reasons, texts))


def _ask_box(library: Library, texts: Texts) -> None:
    """The box is open while an answer is being written: the next question waits for its turn."""
    turns = state.turns()
    question = dictated_or_written(library, texts)
    if question and question.strip():
        number = turns[-1].number + 1 if turns else 1
        settings = state.settings(library.config, library.generator)
        turns.append(library.ask(number, question.strip(), settings, turns))
        st.rerun()


def _is_narrow_refusal(turn: AnswerJob) -> bool:
    """Whether the documents that were asked do not hold the answer, and there are others."""
    answer = turn.reply.answer if turn.reply else None
    return answer is not None and answer.abstained and not turn.stopped and turn.settings.where is not None


def _ask_everything(library: Library) -> None:
    """Asks the last question again, of all documents."""
    turns = state.turns()
    last = turns[-1]
    turns.append(library.ask(last.number + 1, last.question, replace(last.settings, where=None), turns[:-1]))


@st.fragment(run_every=_REFRESH_S)
def _live(first: int) -> None:
    """The turns from number `first` on, drawn anew by themselves until that one is complete."""
    texts = state.texts()
    unfinished = [turn for turn in state.turns() if turn.number >= first]
    if not unfinished or unfinished[0].done:
        st.rerun()
    for turn in unfinished:
        show(_turn_html(turn, texts))
        if turn.busy:
            st.button(texts.stop, key=f"stop-{turn.number}", icon=":material/stop_circle:", on_click=turn.stop)


def _turn_html(turn: AnswerJob, texts: Texts) -> Html:
    question = block("fu-question", turn.question)
    where = turn.settings.where
    scope = block("fu-scope", texts.scope_asked.format(scope=scope_text(where))) if where else None
    asked = turn.rewritten
    understood = block("fu-scope", texts.understood.format(question=asked.question)) if asked else None
    return block("fu-turn", question, scope, understood, _reply_html(turn, texts))


def _reply_html(turn: AnswerJob, texts: Texts) -> Html:
    if turn.failed and not turn.stopped:
        return problem(turn.error, texts)
    if turn.reply is None:
        return _unfinished_html(turn, texts)
    answer = turn.reply.answer
    passages = passages_html(answer.hits, texts) if answer.hits else None
    if answer.abstained:
        return join((_abstained_html(turn, answer, texts), passages))
    anchors = {source.marker: anchor(turn.number, i) for i, source in enumerate(turn.reply.sources)}
    return join(
        (
            _reasoning_html(answer.reasoning, texts),
            block("fu-answer", *_marked(answer.text, anchors), **_lang(answer)),
            notice(texts.stopped) if turn.stopped else None,
            _unsure_html(answer),
            _unsupported_html(answer),
            notice(texts.wrong_language) if answer.other_language else None,
            _meta_html(answer, texts),
            sources_html(turn.reply.sources, turn.number, texts),
            passages,
        )
    )


def _abstained_html(turn: AnswerJob, answer: Answer, texts: Texts) -> Html:
    if turn.stopped:
        return notice(texts.stopped_early)
    return join(
        (
            block(
                "fu-abstained",
                block("fu-abstained-text", answer.text, **_lang(answer)),
                tag("p", _abstained_hint(turn, answer, texts)),
            ),
            nearest_html(answer.hits, texts) if answer.hits else None,
        )
    )


def _abstained_hint(turn: AnswerJob, answer: Answer, texts: Texts) -> str:
    if not turn.settings.where:
        return texts.abstained_hint
    return texts.abstained_narrow if answer.hits else texts.abstained_nowhere


def _unfinished_html(turn: AnswerJob, texts: Texts) -> Html:
    """What is written so far, or what is going on."""
    draft = span("fu-draft", turn.draft) if turn.draft and not turn.stopped else None
    written = block("fu-answer", *_marked(turn.text), " " if turn.text else None, draft)
    if turn.stopped:
        return join((written, notice(texts.stopped))) if turn.text else notice(texts.stopped_early)
    status = block("fu-status", span("fu-pulse"), _stage(turn, texts), role="status")
    return join((_reasoning_html(turn.reasoning, texts), written if turn.text or draft else None, status))


def _reasoning_html(reasoning: str, texts: Texts) -> Html | None:
    """What the model thought before it wrote, folded away: it is no part of the answer."""
    if not reasoning.strip():
        return None
    return tag("details", tag("summary", texts.thoughts), block("fu-thoughts", reasoning), class_="fu-reasoning")


def _stage(turn: AnswerJob, texts: Texts) -> str:
    if turn.stage == "reading":
        form = texts.stage_reading_one if turn.passages == 1 else texts.stage_reading_many
        return form.format(number=turn.passages)
    return {
        "waiting": texts.stage_waiting,
        "loading": texts.stage_loading,
        "searching": texts.stage_searching,
        "thinking": texts.stage_thinking,
        "writing": texts.stage_writing,
    }[turn.stage]


def _marked(text: str, anchors: dict[str, str] | None = None) -> list[Child]:
    """The answer's text with its markers drawn as numbers, linked to their sources once these are known."""
    pieces: list[Child] = []
    for i, piece in enumerate(_MARKER.split(text)):
        if i % 2 == 0:
            pieces.append(piece)
        elif piece in ("?", "!"):
            pieces.append(span("fu-unsure", piece))
        elif anchors is None:
            pieces.append(span("fu-marker", piece))
        elif piece in anchors:
            pieces.append(tag("a", piece, class_="fu-marker", href=f"#{anchors[piece]}"))
        else:
            pieces.append(f"[{piece}]")
    return pieces


def _unsure_html(answer: Answer) -> Html | None:
    if not answer.unsure:
        return None
    note = phrases(answer.language).unsure.format(names=", ".join(answer.unsure))
    return block("fu-unsure-note", span("fu-unsure", "?"), " ", note, **_lang(answer))


def _unsupported_html(answer: Answer) -> Html | None:
    if not answer.unsupported:
        return None
    return block("fu-unsure-note", span("fu-unsure", "!"), " ", phrases(answer.language).unsupported, **_lang(answer))


def _meta_html(answer: Answer, texts: Texts) -> Html:
    parts = [texts.confidence.format(percent=round(100 * answer.confidence)), answer.model]
    if "total" in answer.timings_s:
        parts.append(texts.seconds.format(number=decimal(answer.timings_s["total"], texts, places=1)))
    return block("fu-meta", " · ".join(parts))


def _lang(answer: Answer) -> dict[str, str]:
    """Screen readers pronounce by it."""
    language = answer.other_language or answer.language
    return {"lang": language} if re.fullmatch("[a-z]{2,3}", language) else {}
