"""Hostile files are refused by a named rule in seconds, or read sensibly, and reach nothing."""

import hashlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest import sandbox
from ingest.errors import IngestError, UnreadableFileError
from ingest.reading import identify
from ingest.sandbox import SandboxedReader
from ingest.types import Document
from tests.ingest.proofs.hostile import cases
from tests.ingest.proofs.specimens import READ

SECRET = "clave-que-nadie-debe-leer"
LIMIT_S = 10.0
ELSEWHERE = Path("/")  # replaced by the test's own paths; the names of the cases do not depend on them
NAMES = [name for name, _, _ in cases(ELSEWHERE, 0)]
# What takes seconds, or needs the gigabyte that a reader has.
COSTLY = (
    "huge.docx",
    "sheets.xlsx",
    "wide.xlsx",
    "far.xlsx",
    "forms.pdf",
    "pages.pdf",
    "rebuilt.pdf",
    "states.pdf",
    "columns.csv",
)


@pytest.fixture(scope="module")
def reader() -> Iterator[SandboxedReader]:
    with SandboxedReader(timeout_s=LIMIT_S) as running:
        yield running


@pytest.fixture(scope="module")
def visitors() -> Iterator[tuple[int, list[object]]]:
    """The port of a server, and who called on it."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    caller, address = server.accept()
                except OSError:
                    return
                calls.append(address)
                caller.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1], calls
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def outcome(reader: SandboxedReader, path: Path) -> tuple[str, Document | IngestError]:
    """The rule that refused the file, or READ, and the error or the document."""
    try:
        result: Document | IngestError = reader.read(path, path.name)
    except IngestError as error:
        result = error
    if isinstance(result, Document):
        return READ, result
    assert result.path == path
    assert result.reason
    assert result.mend
    return result.rule, result


def check(reader: SandboxedReader, visitors: tuple[int, list[object]], folder: Path, name: str) -> None:
    port, calls = visitors
    secret = folder / "secreto.txt"
    secret.write_text(SECRET)
    make, rules = next((make, rules) for found, make, rules in cases(secret, port) if found == name)
    path = folder / name
    path.write_bytes(make())
    rule, result = outcome(reader, path)
    assert rule in rules.split(), result
    if isinstance(result, Document):
        assert SECRET not in result.text
        assert len(result.text) < 10 * len(path.read_bytes()) + 2**20
    assert not calls
    path.unlink()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COSTLY])
def test_a_hostile_file(reader: SandboxedReader, visitors: tuple[int, list[object]], tmp_path: Path, name: str) -> None:
    check(reader, visitors, tmp_path, name)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on memory")
@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_hostile_file(
    reader: SandboxedReader, visitors: tuple[int, list[object]], tmp_path: Path, name: str
) -> None:
    check(reader, visitors, tmp_path, name)


def test_the_server_is_there_to_be_called(visitors: tuple[int, list[object]]) -> None:
    port, calls = visitors
    with socket.create_connection(("127.0.0.1", port)) as caller:
        assert caller.recv(1) == b""
    assert len(calls) == 1
    calls.clear()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(path.parent)  # names of sockets are short
        listener.bind(path.name)


SPECIAL = {
    "tubo.txt": make_fifo,
    "enchufe.txt": make_socket,
    "cero.txt": link_to("/dev/zero"),
    "azar.pdf": link_to("/dev/urandom"),
    "carpeta.pdf": Path.mkdir,
    "bucle.txt": link_to("bucle.txt"),
    "nada.txt": link_to("no-existe.txt"),
    "memoria.txt": link_to("/proc/self/mem"),
    "no\x00hay.txt": lambda path: None,
    "largo" * 100 + ".txt": lambda path: None,
}


@pytest.mark.skipif(sys.platform == "win32", reason="such files are not of Windows")
@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_no_file_is_refused_at_once(
    reader: SandboxedReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    SPECIAL[name](tmp_path / name)
    rule, result = outcome(reader, tmp_path / name)
    assert rule in ("unreadable", "empty"), result


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_that_takes_the_place_of_a_file_holds_nobody(
    reader: SandboxedReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"

    def swap(checked: Path, max_bytes: int) -> None:
        os.mkfifo(checked)

    monkeypatch.setattr("ingest.reading.check_size", swap)
    assert outcome(reader, path)[0] == "unreadable"


@pytest.mark.parametrize(
    "name", ["con\nsalto.md", "con\x1b[31mcolor.md", "con\ttab.md", "\u202egnp.md", "-rf.md", "'.md"]
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses such names")
def test_odd_names_are_read(reader: SandboxedReader, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Hola a todos.")
    _, result = outcome(reader, tmp_path / name)
    assert isinstance(result, Document)
    assert result.text == "Hola a todos."


@pytest.mark.parametrize("change", [lambda path: os.truncate(path, 10), lambda path: path.unlink()])
@pytest.mark.parametrize("suffix", [".txt", ".pdf"])
def test_a_file_that_shrinks_or_goes_while_it_is_read_is_reported_as_changed(
    reader: SandboxedReader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    change: Callable[[Path], None],
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("Hola a todos. " * 1000)
    os.utime(path, (10**9, 10**9))
    identify = sandbox.identify

    def identify_then_change(path: Path, *, max_bytes: int) -> object:
        identity = identify(path, max_bytes=max_bytes)
        change(path)
        return identity

    monkeypatch.setattr(sandbox, "identify", identify_then_change)
    with pytest.raises(UnreadableFileError, match="was changed while it was read"):
        reader.read(path, "a")


def test_of_a_file_that_grows_no_more_is_read_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"

    def grow(checked: Path, max_bytes: int) -> None:
        checked.write_bytes(b"x" * 5000)

    monkeypatch.setattr("ingest.reading.check_size", grow)
    assert identify(path, max_bytes=1000)[0] == hashlib.sha256(b"x" * 1000).hexdigest()


def test_the_limit_on_size_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 1001)
    (tmp_path / "b.txt").write_bytes(b"x" * 1000)
    with SandboxedReader(max_bytes=1000) as reader:
        assert outcome(reader, tmp_path / "a.txt")[0] == "oversize"
        assert outcome(reader, tmp_path / "b.txt")[0] == READ
