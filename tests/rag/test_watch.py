"""An index follows its files while they change."""

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from index.embedder import Embedder
from index.errors import IndexBusyError
from index.types import SyncReport
from ingest.errors import UnreadableFileError
from rag import watching
from rag.compose import Fuente
from rag.config import load_config
from rag.watching import settled_changes
from tests.index.library import HashedModel

ROOT = Path(__file__).parents[2]
SETTLE_S = 0.05
_PATIENCE_S = 20.0


@pytest.fixture
def fuente(plain_settings: Path) -> Fuente:
    config = load_config(ingest={"settle_s": SETTLE_S})
    return Fuente(config, embedder=Embedder(HashedModel(), name="hashed"))  # type: ignore[arg-type]


@pytest.fixture
def docs(plain_settings: Path) -> Path:
    """The absolute path of a folder with one file."""
    write(plain_settings / "docs", a="El faro guía a los barcos.")
    return plain_settings / "docs"


def write(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def stems(sources: Any) -> list[str]:
    return [Path(source).stem for source in sources]


class Following:
    """Follows in a thread of its own; what is told waits in `reports` and `errors`."""

    def __init__(self, fuente: Fuente, *paths: Path) -> None:
        self._reports: queue.Queue[SyncReport] = queue.Queue()
        self._errors: queue.Queue[Exception] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(fuente, paths))

    def _follow(self, fuente: Fuente, paths: tuple[Path, ...]) -> None:
        fuente.follow(paths, on_report=self._reports.put, on_error=self._errors.put, stop=self._stop)

    def __enter__(self) -> "Following":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE_S)
        assert not self._thread.is_alive()

    def report(self) -> SyncReport:
        return self._reports.get(timeout=_PATIENCE_S)

    def error(self) -> Exception:
        return self._errors.get(timeout=_PATIENCE_S)

    @property
    def is_silent(self) -> bool:
        return self._reports.empty() and self._errors.empty()


def test_a_burst_is_one_sync_or_two_and_a_deletion_is_seen(fuente: Fuente, docs: Path) -> None:
    with Following(fuente, docs) as following:
        assert stems(following.report().added) == ["a"]
        write(docs / "sub", **{f"n{number:02}": f"Nota número {number}." for number in range(50)})
        first = following.report()
        added = [*first.added, *(following.report().added if len(first.added) < 50 else ())]
        assert sorted(stems(added)) == [f"n{number:02}" for number in range(50)]
        (docs / "sub/n07.txt").unlink()
        assert stems(following.report().removed) == ["n07"]
        write(docs, a="El faro ya no guía a nadie.")
        assert stems(following.report().changed) == ["a"]
        assert following.is_silent
    assert len(fuente.index.sources()) == 50


def test_an_unreadable_file_is_told_once(fuente: Fuente, docs: Path) -> None:
    write(docs, vacio="")
    with Following(fuente, docs) as following:
        assert stems(failure.source for failure in following.report().failed) == ["vacio"]
        write(docs, b="Otra nota.")
        assert stems(following.report().added) == ["b"]
        write(docs, nada="")
        assert stems(failure.source for failure in following.report().failed) == ["nada", "vacio"]
        write(docs, nada="Ya no está vacío.")
        assert stems(following.report().added) == ["nada"]


def test_a_folder_that_vanishes_keeps_its_documents_and_is_followed_when_it_is_back(fuente: Fuente, docs: Path) -> None:
    with Following(fuente, docs) as following:
        following.report()
        docs.rename(docs.with_name("elsewhere"))
        error = following.error()
        assert isinstance(error, UnreadableFileError)
        assert error.path == docs
        write(docs, b="El faro nuevo.")
        report = following.report()
        assert (stems(report.added), stems(report.removed)) == (["b"], ["a"])
        write(docs, c="El tercer faro.")
        assert stems(following.report().added) == ["c"]


def test_while_another_process_writes_it_says_so_once_and_tries_again(
    fuente: Fuente, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_RETRY_S", 0.05)
    with Following(fuente, docs) as following:
        following.report()
        with fuente.writer():
            write(docs, b="Otra nota.")
            assert isinstance(following.error(), IndexBusyError)
            write(docs, c="Y otra.")
            time.sleep(0.7)  # longer than a writer waits for the lock
            assert following.is_silent
        report = following.report()
        assert stems(report.added) == ["b", "c"]


def test_a_named_file_that_is_replaced_is_still_followed(fuente: Fuente, docs: Path) -> None:
    named = docs / "a.txt"
    with Following(fuente, named) as following:
        following.report()
        for text in ("El faro se mudó.", "El faro volvió."):
            write(docs, draft=text)
            (docs / "draft.txt").replace(named)
            assert following.report().changed == [str(named)]


def test_the_first_error_is_raised(fuente: Fuente, plain_settings: Path) -> None:
    with pytest.raises(UnreadableFileError, match="does not exist"):
        fuente.follow(["nowhere"], on_report=lambda _: None)


def test_a_later_error_is_logged_when_nobody_wants_it(
    fuente: Fuente, docs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()

    class Stopping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stop.set()

    handler = Stopping(logging.WARNING)
    logging.getLogger("rag").addHandler(handler)
    try:
        fuente.follow([docs], on_report=lambda _: docs.rename(docs.with_name("elsewhere")), stop=stop)
    finally:
        logging.getLogger("rag").removeHandler(handler)
    assert "docs: does not exist" in caplog.text


@pytest.fixture
def ticks(docs: Path) -> Iterator[Callable[..., Iterator[bool]]]:
    """Starts a watch that has told already that it has begun."""
    stop = threading.Event()

    def start(*roots: Path, index: Path | None = None, settle_s: float = SETTLE_S) -> Iterator[bool]:
        begun = settled_changes(roots or (docs,), index=index or docs / "index", stop=stop, settle_s=settle_s)
        assert next(begun)
        return begun

    yield start
    stop.set()


def soon(ticks: Iterator[bool]) -> bool:
    """Whether a change is told before long."""
    return any(islice(ticks, 30))


def quiet(ticks: Iterator[bool]) -> bool:
    """Whether no change is told for a while."""
    return not any(islice(ticks, 4))


def test_what_is_no_document_is_no_change(docs: Path, ticks: Callable[..., Iterator[bool]]) -> None:
    (docs / "index").mkdir()
    watch = ticks()
    for text in ("texto", "texto y más"):
        for name in ("index/fuente.db", "index/uploads/b.txt", ".oculto.txt", ".git/HEAD.txt", "venv/lib/a.py",
                     "~$a.docx", "foto.png", "sin_sufijo"):  # fmt: skip
            (docs / name).parent.mkdir(parents=True, exist_ok=True)
            (docs / name).write_text(text)
        assert quiet(watch)
    (docs / "b.md").write_text("texto")
    assert soon(watch)
    assert quiet(watch)


def test_what_is_named_within_the_index_counts(docs: Path, ticks: Callable[..., Iterator[bool]]) -> None:
    uploads = docs / "index/uploads"
    uploads.mkdir(parents=True)
    watch = ticks(uploads)
    (docs / "index/fuente.db").write_text("texto")
    assert quiet(watch)
    write(uploads, b="texto")
    assert soon(watch)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_folder_that_is_named_through_a_link_is_followed(docs: Path, ticks: Callable[..., Iterator[bool]]) -> None:
    link = docs.with_name("enlace")
    link.symlink_to(docs)
    watch = ticks(link, index=link / "index")
    write(docs, b="texto")
    assert soon(watch)
    write(docs / "index", b="texto")
    assert quiet(watch)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_does_not_end_the_watch(docs: Path, ticks: Callable[..., Iterator[bool]]) -> None:
    watch = ticks()
    Path(os.fsdecode(os.fsencode(docs) + b"/\xff.txt")).write_text("texto")
    assert soon(watch)
    write(docs, b="texto")
    assert soon(watch)


def test_without_changes_it_rests(docs: Path, ticks: Callable[..., Iterator[bool]]) -> None:
    watch = ticks()
    started = time.monotonic()
    assert not any(islice(watch, 6))
    assert time.monotonic() - started > 6 * SETTLE_S * 0.8


def test_without_any_root_it_rests_until_one_is_there(docs: Path, ticks: Callable[..., Iterator[bool]]) -> None:
    watch = ticks(docs / "later")
    started = time.monotonic()
    assert not any(islice(watch, 4))
    assert time.monotonic() - started > 4 * SETTLE_S * 0.8
    write(docs / "later", b="texto")
    assert soon(watch)


def test_what_never_rests_is_told_in_between(docs: Path, ticks: Callable[..., Iterator[bool]]) -> None:
    watch = ticks(settle_s=0.04)
    resting = threading.Event()

    def chatter() -> None:
        while not resting.wait(0.005):
            write(docs, b="texto")

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        assert soon(watch)
    finally:
        resting.set()
        thread.join()


def test_a_lost_notification_is_made_up_for(
    docs: Path, ticks: Callable[..., Iterator[bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LONGEST_REST_S", 3 * SETTLE_S)
    assert soon(ticks())


def test_without_notifications_it_looks_itself(
    docs: Path, ticks: Callable[..., Iterator[bool]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def limited(*places: Path, force_polling: bool = False, **options: Any) -> Iterator[Any]:
        if not force_polling:
            raise OSError("OS file watch limit reached")
        yield from watchfiles.watch(*places, **{**options, "force_polling": True, "poll_delay_ms": 50})

    monkeypatch.setattr(watching, "watch", limited)
    watch = ticks()
    assert "OS file watch limit reached. Looking for changes every 3 s instead" in caplog.text
    write(docs, b="texto")
    assert soon(watch)
    (docs / "index").mkdir()
    assert quiet(watch)
    (docs / "b.txt").unlink()
    assert soon(watch)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_tells_each_sync_in_a_line_and_ends_with_ctrl_c(
    plain_settings: Path, tiny_models: Path, as_json: bool
) -> None:
    write(plain_settings / "docs", a="El faro guía a los barcos.", b="La lluvia cae.")
    names = {"embedder": str(tiny_models / "embedder"), "device": "cpu"}
    Fuente.configured(models=names).ingest(["docs"])
    variables = {"FUENTE_MODELS__EMBEDDER": names["embedder"], "FUENTE_INGEST__SETTLE_S": str(SETTLE_S)}
    search_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "rag", "ingest", "docs", "--watch", *(["--json"] if as_json else [])]
    process = subprocess.Popen(
        command,
        env={**os.environ, **variables, "PYTHONPATH": search_path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(_PATIENCE_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        (plain_settings / "docs/b.txt").unlink()
        second = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
    finally:
        timer.cancel()
        process.kill()
    assert (process.returncode, rest, errors) == (0, "", "")
    if as_json:
        assert [len(json.loads(first)["unchanged"]), stems(json.loads(second)["removed"])] == [2, ["b"]]
    else:
        assert " 0 added, 0 changed, 2 unchanged, 0 removed, 0 failed " in first
        assert " 0 added, 0 changed, 1 unchanged, 1 removed, 0 failed " in second
