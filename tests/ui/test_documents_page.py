"""The documents page over an application without models."""

from pathlib import Path

import pytest

from index.errors import IndexBusyError
from index.types import Failure
from tests.ui.fakes import FakeFuente, html, info, page
from ui.documents import pace_html
from ui.jobs import Pace
from ui.texts import TEXTS

EN = TEXTS["en"]
SCRIPT = "from ui import documents\ndocuments.page()"


def _documents(fuente, monkeypatch):
    return page(fuente, monkeypatch, SCRIPT).run()


def _upload(app, *files):
    _submit(app, *files)
    app.session_state["ingest_job"].wait(10)
    return app.run()


def _submit(app, *files):
    for name, content in files:
        app.file_uploader[0].upload(name, content, "text/plain")
    return app.button[0].click().run()


def test_an_empty_library_says_what_will_come(config, monkeypatch):
    app = _documents(FakeFuente(config), monkeypatch)
    assert EN.library_empty in html(app)
    assert not app.exception


def test_the_library_lists_its_documents(fuente, monkeypatch):
    shown = html(_documents(fuente, monkeypatch))
    assert "2 documents" in shown
    assert "moon.txt" in shown
    assert "EN · 2 passages · 1\u202f234 characters" in shown


def test_uploads_are_saved_and_ingested(config, monkeypatch):
    app = _upload(_documents(FakeFuente(config), monkeypatch), ("a.txt", b"first"), ("b.md", b"second"))
    assert not app.exception
    uploads = config.index / "uploads"
    assert (uploads / "a.txt").read_bytes() == b"first"
    assert (uploads / "b.md").read_bytes() == b"second"
    assert f"{EN.report_added} · 2" in html(app)
    assert "2 documents" in html(app)


def test_the_same_name_replaces(config, monkeypatch):
    fuente = FakeFuente(config)
    app = _upload(_documents(fuente, monkeypatch), ("a.txt", b"first"))
    app = _upload(app, ("a.txt", b"second"))
    assert (config.index / "uploads" / "a.txt").read_bytes() == b"second"
    assert f"{EN.report_changed} · 1" in html(app)
    assert "1 document<" in html(app)


def test_failures_are_told_with_their_reason(config, monkeypatch):
    fuente = FakeFuente(config)
    fuente.failures = (Failure("bad.pdf", "unreadable", "It is <b>encrypted</b>. Remove the password"),)
    app = _upload(_documents(fuente, monkeypatch), ("bad.pdf", b"x"), ("good.txt", b"y"))
    shown = html(app)
    assert f"{EN.report_failed} · 1" in shown
    assert "bad.pdf" in shown
    assert EN.rule_unreadable in shown
    assert "It is &lt;b&gt;encrypted&lt;/b&gt;. Remove the password" in shown
    assert f"{EN.report_added} · 1" in shown


def test_no_file_chosen_is_told(config, monkeypatch):
    app = _documents(FakeFuente(config), monkeypatch)
    app.button[0].click().run()
    assert EN.upload_none in html(app)


def test_a_busy_index_is_told(config, monkeypatch):
    fuente = FakeFuente(config)

    def busy(*_, **__):
        raise IndexBusyError(Path("/index"), "process 1 is writing", "Wait")

    fuente.ingest = busy
    app = _upload(_documents(fuente, monkeypatch), ("a.txt", b"first"))
    assert EN.problem_busy in html(app)
    assert EN.problem_busy_mend in html(app)
    assert not app.exception


def _remove(app):
    next(button for button in app.button if button.key.startswith("remove-")).click().run()
    return app


def test_removal_asks_first(fuente, monkeypatch):
    app = _remove(_documents(fuente, monkeypatch))
    assert EN.remove_indexed in html(app)
    assert not fuente.removed
    app.button(key="confirm-remove").click().run()
    assert fuente.removed == ["/library/moon.txt"]
    assert "1 document<" in html(app.run())


def test_removal_can_be_thought_better_of(fuente, monkeypatch):
    app = _remove(_documents(fuente, monkeypatch))
    app.button(key="cancel-remove").click().run()
    assert EN.remove_indexed not in html(app.run())
    assert not fuente.removed


def test_removing_an_upload_deletes_its_file(config, monkeypatch):
    fuente = FakeFuente(config)
    app = _upload(_documents(fuente, monkeypatch), ("a.txt", b"first"))
    app = _remove(app)
    assert EN.remove_uploaded in html(app)
    app.button(key="confirm-remove").click().run()
    assert not (config.index / "uploads" / "a.txt").exists()
    assert fuente.removed == [str(config.index / "uploads" / "a.txt")]


def test_removal_from_a_busy_index_loses_nothing(config, monkeypatch):
    fuente = FakeFuente(config)
    app = _upload(_documents(fuente, monkeypatch), ("a.txt", b"first"))

    def busy(*_, **__):
        raise IndexBusyError(Path("/index"), "process 1 is writing", "Wait")

    fuente.remove = busy
    app = _remove(app)
    app.button(key="confirm-remove").click().run()
    assert EN.problem_busy in html(app)
    assert (config.index / "uploads" / "a.txt").exists()


def test_a_file_outside_the_uploads_is_never_deleted(fuente, monkeypatch, tmp_path):
    outside = tmp_path / "mine.txt"
    outside.write_text("mine")
    fuente.publish([info(str(outside))])
    app = _remove(_documents(fuente, monkeypatch))
    app.button(key="confirm-remove").click().run()
    assert fuente.removed == [str(outside)]
    assert outside.exists()


def test_a_long_library_is_filtered_and_shown_in_parts(fuente, monkeypatch):
    fuente.publish([info(f"/l/file{number:03}.txt") for number in range(50)])
    app = _documents(fuente, monkeypatch)
    assert html(app).count("fu-document") == 20
    app.button(key="more").click().run()
    assert html(app).count("fu-document") == 40
    app.text_input(key="filter").set_value("FILE04").run()
    assert html(app).count("fu-document") == 10
    app.text_input(key="filter").set_value("nothing").run()
    assert EN.library_no_match in html(app)


def test_documents_ingested_elsewhere_appear(fuente, monkeypatch):
    app = _documents(fuente, monkeypatch)
    fuente.publish([info("/library/new.txt")])
    assert "new.txt" in html(app.run())


@pytest.mark.parametrize("name", ["/l/\udcff.txt", "/l/<b>:red[x]$y$.txt", "/l/\u202efdp.exe"])
def test_any_file_name_can_be_listed(fuente, monkeypatch, name):
    fuente.publish([info(name)])
    app = _documents(fuente, monkeypatch)
    assert not app.exception
    assert "<b>" not in html(app)
    assert "\u202e" not in html(app)


def test_one_collection_is_not_spoken_of(fuente, monkeypatch):
    shown = html(_documents(fuente, monkeypatch))
    assert "EN · 2 passages" in shown
    assert "default" not in shown


def test_several_collections_are_told_apart(fuente, monkeypatch):
    fuente.publish([info("/l/a.txt"), info("/l/a.txt", collection="<b>tesis</b>"), info("/l/b.txt", collection="otra")])
    app = _documents(fuente, monkeypatch)
    shown = html(app)
    for name in ("default", "&lt;b&gt;tesis&lt;/b&gt;", "otra"):
        assert f"{name} · EN · 2 passages" in shown
    assert not app.exception
    assert app.selectbox(key="collection").options == ["default", "<b>tesis</b>", "otra", EN.collection_new]


def test_uploads_go_into_the_chosen_collection(fuente, config, monkeypatch):
    fuente.publish([info("/l/a.txt"), info("/l/b.txt", collection="Mi tesis")])
    app = _documents(fuente, monkeypatch)
    app.selectbox(key="collection").set_value("Mi tesis").run()
    app = _upload(app, ("c.txt", b"first"))
    ((folders, collection),) = fuente.ingested
    assert collection == "Mi tesis"
    assert [(path.name, path.read_bytes()) for path in folders[0].iterdir()] == [("c.txt", b"first")]
    assert folders[0].parent == config.index
    assert folders[0] != config.index / "uploads"
    assert app.selectbox(key="collection").value == "Mi tesis"


def test_a_new_collection_is_named_and_stays_chosen(config, monkeypatch):
    fuente = FakeFuente(config)
    app = _documents(fuente, monkeypatch)
    app.selectbox(key="collection").set_value("").run()
    app.text_input(key="new_collection").set_value("  Notas de campo ").run()
    app = _upload(app, ("a.txt", b"first"))
    app = _upload(app, ("b.txt", b"second"))
    assert [collection for _, collection in fuente.ingested] == ["Notas de campo"] * 2
    assert {entry.collection for entry in fuente.infos} == {"Notas de campo"}
    assert "Notas de campo" in app.selectbox(key="collection").options


@pytest.mark.parametrize("name", ["", "   ", "a\x1b[31mb", "x" * 65])
def test_a_name_that_no_collection_can_have_is_told(config, monkeypatch, name):
    fuente = FakeFuente(config)
    app = _documents(fuente, monkeypatch)
    app.selectbox(key="collection").set_value("").run()
    app.text_input(key="new_collection").set_value(name).run()
    app = _submit(app, ("a.txt", b"first"))
    assert EN.collection_bad_name in html(app)
    assert not fuente.ingested
    assert not app.exception


def test_removal_is_from_the_one_collection(fuente, monkeypatch):
    fuente.publish([info("/l/a.txt", collection="tesis"), info("/l/a.txt"), info("/l/b.txt")])
    app = _documents(fuente, monkeypatch)
    buttons = [button for button in app.button if button.key.startswith("remove-")]
    assert len(buttons) == 3
    buttons[1].click().run()
    app.button(key="confirm-remove").click().run()
    assert [(entry.source, entry.collection) for entry in fuente.infos] == [
        ("/l/a.txt", "default"),
        ("/l/b.txt", "default"),
    ]


def test_removing_an_upload_leaves_that_of_another_collection(config, monkeypatch):
    fuente = FakeFuente(config)
    app = _upload(_documents(fuente, monkeypatch), ("a.txt", b"first"))
    app.selectbox(key="collection").set_value("").run()
    app.text_input(key="new_collection").set_value("tesis").run()
    app = _upload(app, ("a.txt", b"second"))
    (own,) = (folders[0] / "a.txt" for folders, collection in fuente.ingested if collection == "tesis")
    tesis = next(button for button in reversed(app.button) if button.key.startswith("remove-"))
    tesis.click().run()
    assert EN.remove_uploaded in html(app)
    app.button(key="confirm-remove").click().run()
    assert not own.exists()
    assert (config.index / "uploads" / "a.txt").read_bytes() == b"first"


def test_slow_work_tells_how_many_minutes_are_left():
    def shown(rate, left_s):
        return pace_html(Pace("write", 1, 10, "", rate, left_s), {"write": "{done} of {total}"}, TEXTS["en"]).code

    assert "1 of 10 · 2.0 a second · 4 s left" in shown(2.0, 4.4)
    assert "1 of 10 · 10 min left" in shown(0.015, 600.0)
