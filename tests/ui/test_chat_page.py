"""The chat page over an application without models."""

from pathlib import Path
from threading import Event

import pytest

from index.errors import IndexMismatchError
from models.errors import NotPreparedError
from rag import Conversation
from rag.conversation import Turn
from rag.types import Finished, Reasoning, Rewritten
from tests.ui.fakes import QUOTE, FakeFuente, answer, events, finish, hit, html, page
from ui.texts import TEXTS

EN, ES = TEXTS["en"], TEXTS["es"]


def _asked(fuente, monkeypatch, question="What is the moon made of?"):
    app = page(fuente, monkeypatch).run()
    app.chat_input[0].set_value(question).run()
    return finish(app)


def test_without_documents_it_says_how_to_begin(config, monkeypatch):
    app = page(FakeFuente(config), monkeypatch).run()
    assert not app.exception
    assert EN.first_title in html(app)
    assert not app.chat_input
    app.button[0].click().run()
    assert not app.exception
    assert app.get("file_uploader")


def test_with_documents_it_invites_a_question(fuente, monkeypatch):
    app = page(fuente, monkeypatch).run()
    assert not app.exception
    assert EN.ask_title in html(app)
    assert app.chat_input[0].placeholder == EN.ask_placeholder


def test_an_answer_has_linked_markers_and_highlighted_sources(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    app = _asked(fuente, monkeypatch)
    shown = html(app)
    assert not app.exception
    assert "What is the moon made of?" in shown
    assert 'href="#turn-1-source-1">1</a>' in shown
    assert 'id="turn-1-source-1"' in shown
    assert f"Before the quote. <mark>{QUOTE}</mark> After the quote." in shown
    for part in ("moon.txt", "p. 3 · Moon › Matter", "Support 90%", "confidence 87%", "1.2 s", "All passages (1)"):
        assert part in shown
    assert "score 1.50 · meaning 0.81 · words 7.25" in shown


def test_what_the_model_thought_is_folded_away_above_the_answer(fuente, monkeypatch):
    found, *rest = events(answer(reasoning="The second passage tells."))
    fuente.answerer.events = [found, Reasoning("The second "), Reasoning("passage tells."), *rest]
    shown = html(_asked(fuente, monkeypatch))
    folded = f'<details class="fu-reasoning"><summary>{EN.thoughts}</summary>'
    assert folded in shown
    assert shown.index("The second passage tells.") < shown.index(QUOTE)


def test_what_is_being_written_is_shown_and_can_be_stopped(fuente, monkeypatch):
    fuente.answerer.events = [*events(answer())[:2], Finished(answer(text="", abstained=True))]
    fuente.answerer.gate = Event()
    app = page(fuente, monkeypatch).run()
    app.chat_input[0].set_value("Why?").run()
    assert fuente.answerer.reached_gate.wait(10)
    app.run()
    assert 'class="fu-draft">The mo</span>' in html(app)
    assert EN.stage_writing in html(app)
    app.button(key="stop-1").click().run()
    assert EN.stopped_early in html(app)
    finish(app)
    assert EN.stopped_early in html(app)
    assert EN.abstained_hint not in html(app)


def test_a_stopped_answer_keeps_its_verified_part_and_its_sources(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    fuente.answerer.gate = Event()
    app = page(fuente, monkeypatch).run()
    app.chat_input[0].set_value("Why?").run()
    assert fuente.answerer.reached_gate.wait(10)
    app.run()
    app.button(key="stop-1").click().run()
    finish(app)
    assert EN.stopped in html(app)
    assert f"<mark>{QUOTE}</mark>" in html(app)


@pytest.mark.parametrize("together", [1, 2])
def test_a_question_asked_meanwhile_waits_for_its_turn(together, fuente, monkeypatch):
    monkeypatch.setenv("FUENTE_MODELS__TOGETHER", str(together))
    fuente.answerer.events = events(answer())
    fuente.answerer.gate = Event()
    app = page(fuente, monkeypatch).run()
    app.chat_input[0].set_value("First?").run()
    assert fuente.answerer.reached_gate.wait(10)
    app.chat_input[0].set_value("Second?").run()
    assert EN.stage_waiting in html(app)
    assert len(fuente.answerer.calls) == 1
    fuente.answerer.gate.set()
    finish(app)
    assert [call["question"] for call in fuente.answerer.calls] == ["First?", "Second?"]
    assert html(app).count("fu-sources") == 2


def test_a_follow_up_has_its_history_and_shows_how_it_was_understood(fuente, monkeypatch):
    fuente.answerer.events = events(answer("Who?"))
    app = _asked(fuente, monkeypatch, "Who?")
    fuente.answerer.events = [Rewritten("What is <b>cheese</b> made of?", "rewritten"), *events(answer())]
    app.chat_input[0].set_value("And what is it made of?").run()
    finish(app)
    assert fuente.answerer.calls[0]["history"] == Conversation()
    assert fuente.answerer.calls[1]["history"] == Conversation((Turn("Who?", QUOTE),))
    assert EN.understood.format(question="What is &lt;b&gt;cheese&lt;/b&gt; made of?") in html(app)


def test_an_abstention_looks_different_and_shows_the_nearest_passages(fuente, monkeypatch):
    reply = answer(text="I cannot find it.", citations=(), abstained=True, hits=(hit("Far away."),))
    fuente.answerer.events = events(reply)
    shown = html(_asked(fuente, monkeypatch))
    assert 'class="fu-abstained"' in shown
    assert "I cannot find it." in shown
    assert EN.nearest in shown
    assert "Far away." in shown
    assert 'class="fu-answer"' not in shown


def test_the_settings_reach_the_answerer(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    app = page(fuente, monkeypatch).run()
    app.selectbox(key="answer_language").set_value("pt")
    app.slider(key="temperature").set_value(0.7)
    app.slider(key="passages").set_value(9)
    app.slider(key="caution").set_value(0.8)
    app.toggle(key="short_answers").set_value(True)
    app.toggle(key="reasoning").set_value(True)
    app.slider(key="candidates").set_value(3)
    app.number_input(key="seed").set_value(5).run()
    app.chat_input[0].set_value("What?").run()
    finish(app)
    call = fuente.answerer.calls[-1]
    assert (call["language"], call["k"]) == ("pt", 9)
    assert (call["sampling"].temperature, call["sampling"].seed) == (0.7, 5)
    assert (call["options"].caution, call["options"].style) == (0.8, "short")
    assert (call["options"].reasoning, call["options"].candidates) == (True, 3)


def test_settings_and_conversation_outlive_a_change_of_language(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    app = _asked(fuente, monkeypatch)
    app.slider(key="temperature").set_value(1.3)
    app.selectbox(key="answer_language").set_value("es").run()
    app.selectbox(key="interface").set_value("es").run()
    assert app.chat_input[0].placeholder == ES.ask_placeholder
    assert ES.sources in html(app)
    assert app.slider(key="temperature").value == 1.3
    assert app.selectbox(key="answer_language").value == "es"


def test_another_model_is_opened_with_the_same_embedder(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    monkeypatch.setattr("models.is_prepared", lambda name, _cache: name == "smollm2-135m-instruct")
    app = page(fuente, monkeypatch).run()
    assert app.selectbox(key="generator").options == ["qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct"]
    app.selectbox(key="generator").set_value("smollm2-135m-instruct").run()
    app.chat_input[0].set_value("What?").run()
    finish(app)
    assert fuente.opened_with == ["qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct"]


@pytest.mark.parametrize(
    ("error", "title", "mend"),
    [
        (
            NotPreparedError("tiny", Path("/cache/tiny")),
            "The model tiny is not prepared yet.",
            "Run once: fuente models prepare tiny",
        ),
        (IndexMismatchError(Path("/index"), "built with x", "Use x"), EN.problem_mismatch, EN.problem_mismatch_mend),
    ],
)
def test_errors_become_what_to_do(fuente, monkeypatch, error, title, mend):
    fuente.answerer.error = error
    app = _asked(fuente, monkeypatch)
    assert title in html(app)
    assert mend in html(app)
    assert not app.exception


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_is_told_without_a_traceback(fuente, monkeypatch):
    fuente.answerer.error = ZeroDivisionError("secret detail")
    app = _asked(fuente, monkeypatch)
    assert EN.problem_unexpected in html(app)
    assert "secret detail" not in html(app)
    assert not app.exception


def test_a_wrong_configuration_is_told(monkeypatch, fuente):
    app = page(fuente, monkeypatch)
    monkeypatch.setenv("FUENTE_RETRIEVAL__K", "0")
    app.run()
    assert EN.problem_configuration in html(app)
    assert "retrieval.k" in html(app)
    assert not app.exception


def test_a_new_conversation_forgets_the_old_one(fuente, monkeypatch):
    fuente.answerer.events = events(answer())
    app = _asked(fuente, monkeypatch)
    app.button(key="clear").click().run()
    assert EN.ask_title in html(app)
    assert QUOTE not in html(app)


def test_a_blank_question_is_not_asked(fuente, monkeypatch):
    app = page(fuente, monkeypatch).run()
    app.chat_input[0].set_value("   ").run()
    assert not fuente.answerer.calls
    assert not app.exception


def test_hostile_text_is_only_text(fuente, monkeypatch):
    hostile = "<img src=x onerror=alert(1)> ![a](http://evil.example/) [b](javascript:1) $x$ :red[c] [1]"
    fuente.documents = {}
    fuente.answerer.events = events(
        answer(text=hostile, hits=(hit(hostile, source="/l/<script>.txt"),), question=hostile)
    )
    app = _asked(fuente, monkeypatch, hostile)
    shown = html(app)
    assert "<img" not in shown
    assert "<script" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt; ![a](http://evil.example/)" in shown
    assert not app.markdown
    assert not app.exception


def test_privacy_is_promised_only_of_a_local_model(fuente, monkeypatch):
    assert EN.privacy in html(page(fuente, monkeypatch).run())
    monkeypatch.setenv("FUENTE_SERVER__URL", "http://models.example/v1")
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "large")
    app = page(fuente, monkeypatch).run()
    assert EN.privacy not in html(app)
    assert app.selectbox(key="generator").options == ["large"]
