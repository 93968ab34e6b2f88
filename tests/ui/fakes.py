"""An application without models: what it finds and says is decided by the test."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import streamlit as st
from streamlit.testing.v1 import AppTest

import ui
from index.manifest import Current, current_number
from index.types import Failure, Hit, SourceInfo, SyncProgress, SyncReport
from ingest.types import Chunk, Document
from rag import Answer, Citation, Config
from rag.types import Draft, Finished, Retrieved, TextDelta
from ui import state

APP = Path(ui.__file__).with_name("app.py")
TEXT = "Before the quote. The moon is made of cheese. After the quote."
QUOTE = "The moon is made of cheese."


def chunk(text: str = TEXT, *, document_id: str = "d1", number: int = 1) -> Chunk:
    return Chunk(number, document_id, text, 0, len(text), 3, ("Moon", "Matter"))


def hit(text: str = TEXT, *, source: str = "/library/moon.txt", rank: int = 1) -> Hit:
    return Hit(chunk(text, number=rank), 1.5, rank, "fused", source, "en", 0.81, 7.25)


def citation(text: str = TEXT, quote: str = QUOTE, *, source: str = "/library/moon.txt") -> Citation:
    start = text.index(quote)
    return Citation("1", 1, "d1", source, 3, start, start + len(quote), quote, 0.9)


def answer(question: str = "What?", *, text: str = f"{QUOTE} [1]", **changes: Any) -> Answer:
    values: dict[str, Any] = {
        "question": question,
        "text": text,
        "citations": (citation(),),
        "hits": (hit(),),
        "abstained": False,
        "confidence": 0.87,
        "language": "en",
        "model": "fake",
        "timings_s": {"total": 1.25},
    }
    return Answer(**{**values, **changes})


def info(source: str, *, chunks: int = 2, language: str = "en", collection: str = "default") -> SourceInfo:
    return SourceInfo(source, "d1", language, chunks, 1234, 0, collection=collection)


class FakeAnswerer:
    """Replays events; with `gate` it waits before the end, or until it is cancelled."""

    def __init__(self, events: Sequence[Any], error: Exception | None = None) -> None:
        self.events = list(events)
        self.error = error
        self.gate: Event | None = None
        self.reached_gate = Event()
        self.calls: list[dict[str, Any]] = []

    def stream(self, question: str, *, cancel: Event, **options: Any) -> Iterator[Any]:
        self.calls.append({"question": question, **options})
        for event in self.events:
            if isinstance(event, Finished) and self.gate is not None:
                self.reached_gate.set()
                while not (self.gate.is_set() or cancel.is_set()):
                    self.gate.wait(0.01)
            yield event
        if self.error is not None:
            raise self.error


class FakeFuente:
    """Stands in for `rag.Fuente`; its files are really in the folder of uploads."""

    def __init__(self, config: Config, events: Sequence[Any] = (), error: Exception | None = None) -> None:
        self.config = config
        self.embedder = object()
        self.media = SimpleNamespace()
        self.answerer = FakeAnswerer(events, error)
        self.infos: list[SourceInfo] = []
        self.documents = {"d1": Document("d1", "/library/moon.txt", TEXT, (), "en", {}, "0")}
        self.removed: list[str] = []
        self.ingested: list[tuple[list[Path], str]] = []
        self.failures: tuple[Failure, ...] = ()
        self.opened_with: list[str] = []

    @property
    def index(self) -> Any:
        return SimpleNamespace(
            generation=SimpleNamespace(number=self.number()), document=self.documents.get, sources=lambda: self.infos
        )

    def number(self) -> int:
        return current_number(self.config.index)

    def publish(self, infos: Sequence[SourceInfo]) -> None:
        self.infos = list(infos)
        self.config.index.mkdir(parents=True, exist_ok=True)
        (self.config.index / "CURRENT").write_bytes(Current(self.number() + 1, "0" * 64).to_text())

    def ingest(self, paths: Sequence[Path], *, collection: str, progress: Any) -> SyncReport:
        self.ingested.append((list(paths), collection))
        files = sorted(path for folder in paths for path in folder.iterdir())
        known = {entry.source for entry in self.infos if entry.collection == collection}
        others = [entry for entry in self.infos if entry.collection != collection]
        progress(SyncProgress("read", 0, len(files), str(files[0]) if files else ""))
        failed = {failure.source for failure in self.failures}
        good = [str(path) for path in files if path.name not in failed]
        self.publish([*others, *(info(source, collection=collection) for source in {*known, *good})])
        added = [source for source in good if source not in known]
        return SyncReport(added=added, changed=[s for s in good if s in known], failed=self.failures, generation=1)

    def remove(self, sources: Sequence[str], *, collection: str) -> None:
        self.removed += sources
        self.publish([entry for entry in self.infos if entry.source not in sources or entry.collection != collection])


def events(reply: Answer, *, draft: str = "The mo") -> list[Any]:
    return [Retrieved(reply.hits), Draft(draft), TextDelta(reply.text), Finished(reply)]


def page(fuente: FakeFuente, monkeypatch: Any, script: str = "") -> AppTest:
    """The page over that application, or a script that draws a part of it; not run yet."""

    def opened(config: Config, _embedder: object) -> FakeFuente:
        fuente.opened_with.append(config.models.generator)
        return fuente

    monkeypatch.setattr(state, "open_fuente", opened)
    st.cache_resource.clear()
    if script:
        return AppTest.from_string(script, default_timeout=20)
    return AppTest.from_file(str(APP), default_timeout=20)


def html(app: AppTest) -> str:
    """All HTML of the page but the style."""
    bodies = [element.proto.body for element in app.get("html")]
    return "\n".join(body for body in bodies if not body.startswith("<style"))


def finish(app: AppTest) -> AppTest:
    """The page once the newest answer is there."""
    app.session_state["turns"][-1].wait(10)
    return app.run()
