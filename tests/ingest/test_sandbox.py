"""Files read in a worker process."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from ingest import sandbox
from ingest.errors import EmptyFileError, UnreadableFileError, UnsupportedFileError
from ingest.reading import read_document
from ingest.sandbox import SandboxedReader
from ingest.sandbox_worker import receive, send

TEXT = "# Índice 😀\n\nEl órgano sonó toda la noche en la catedral.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"


@pytest.fixture
def reader() -> Iterator[SandboxedReader]:
    with SandboxedReader() as running:
        yield running


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "nota.md"
    path.write_text(TEXT)
    return path


def worker_pid(reader: SandboxedReader) -> int:
    assert reader._process is not None
    return reader._process.pid


def test_reads_as_in_process(reader: SandboxedReader, note: Path) -> None:
    assert reader.read(note, "nota") == read_document(note, source="nota")


def test_one_worker_reads_many_files(reader: SandboxedReader, note: Path) -> None:
    pid = worker_pid(reader)
    for _ in range(5):
        reader.read(note, "nota")
    assert worker_pid(reader) == pid


def test_relative_paths(reader: SandboxedReader, note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(note.parent)
    assert reader.read(Path(note.name), "nota").text == TEXT


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_unicode(reader: SandboxedReader, note: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(note.parent) + b"/ma\xf1ana.md"))
    note.rename(odd)
    assert reader.read(odd, "nota").text == TEXT


def test_errors_come_through(reader: SandboxedReader, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"no soy un PDF")
    (tmp_path / "a.txt").write_text("   ")
    (tmp_path / "a.bin").write_text("x")
    with pytest.raises(UnreadableFileError, match=r"damaged or no PDF.*Export it again") as caught:
        reader.read(tmp_path / "a.pdf", "a")
    assert caught.value.path == tmp_path / "a.pdf"
    with pytest.raises(EmptyFileError):
        reader.read(tmp_path / "a.txt", "a")
    with pytest.raises(UnsupportedFileError):
        reader.read(tmp_path / "a.bin", "a")


def test_a_file_that_takes_too_long(tmp_path: Path, note: Path) -> None:
    slow = tmp_path / "lento.py"
    slow.write_text("x = 1 + 2 * (3 - 4)\n" * 200_000)
    with SandboxedReader(timeout_s=0.5) as reader:
        started = time.monotonic()
        with pytest.raises(UnreadableFileError, match=r"took longer than 0\.5 s"):
            reader.read(slow, "lento")
        assert time.monotonic() - started < 10
        assert reader.read(note, "nota").text == TEXT


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on memory")
def test_a_file_that_needs_too_much_memory(tmp_path: Path, note: Path) -> None:
    large = tmp_path / "grande.txt"
    large.write_text("ñ" * 50_000_000)
    with SandboxedReader(memory_mib=320) as reader:
        with pytest.raises(UnreadableFileError, match="needed more than 320 MiB"):
            reader.read(large, "grande")
        assert reader.read(note, "nota").text == TEXT


def test_a_worker_that_cannot_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(RuntimeError, match=r"did not start \(exit status 1\)"), SandboxedReader():
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps only the limit on time")
@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket()",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
        "open('escrito', 'w').write('x' * 100_000)",
    ],
)
def test_a_confined_process_reaches_nothing(tmp_path: Path, attempt: str) -> None:
    code = f"from ingest.sandbox_worker import _confine; _confine(2**30)\n{attempt}"
    env = {"PYTHONPATH": str(Path(sandbox.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "PermissionError" in done.stderr or "File too large" in done.stderr


def test_a_worker_that_dies_over_a_file(reader: SandboxedReader, tmp_path: Path, note: Path) -> None:
    slow = tmp_path / "lento.py"
    slow.write_text("x = 1 + 2 * (3 - 4)\n" * 200_000)
    killer = threading.Timer(0.5, os.kill, (worker_pid(reader), signal.SIGKILL))
    killer.start()
    with pytest.raises(UnreadableFileError, match=r"ended its reader \(exit status -9\)"):
        reader.read(slow, "lento")
    killer.join()
    assert reader.read(note, "nota").text == TEXT


def test_a_dead_worker_is_replaced(reader: SandboxedReader, note: Path) -> None:
    pid = worker_pid(reader)
    os.kill(pid, signal.SIGKILL)
    while reader._process is not None and reader._process.poll() is None:
        time.sleep(0.01)
    assert reader.read(note, "nota").text == TEXT
    assert worker_pid(reader) != pid


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_worker_has_no_torch_no_sockets_and_no_secrets(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_SECRET", "clave")
    with socket.socket() as open_socket, SandboxedReader() as reader:
        os.set_inheritable(open_socket.fileno(), True)
        reader.read(note, "nota")
        proc = Path(f"/proc/{worker_pid(reader)}")
        assert b"FUENTE_SECRET" not in (proc / "environ").read_bytes()
        opened = [link.readlink().name for link in (proc / "fd").iterdir()]
        assert opened
        assert not any(name.startswith("socket:") for name in opened)
        assert "torch" not in (proc / "maps").read_text()


def test_a_module_among_the_documents_is_not_imported(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (note.parent / "json.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(note.parent)
    with SandboxedReader() as reader:
        assert reader.read(note, "nota").text == TEXT


def test_the_worker_ends_with_its_reader(note: Path) -> None:
    with SandboxedReader() as reader:
        process = reader._process
        assert process is not None
    assert process.returncode is not None


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"extract": None},
        {"extract": {"text": "abc", "pages": [], "headings": [], "blocks": []}},
        {"extract": {"text": "abc", "pages": [], "headings": [], "blocks": [], "metadata": {"a": 1}}},
        {"extract": {"text": 3, "pages": [], "headings": [], "blocks": [], "metadata": {}}},
        {"extract": {"text": "a", "pages": [], "headings": [], "blocks": [{"start": 0, "end": 9}], "metadata": {}}},
        {"extract": {"text": "a", "pages": [], "headings": [], "blocks": [{"start": "0", "end": 1}], "metadata": {}}},
        {"rule": "no such rule", "reason": ["x"]},
    ],
)
def test_a_forged_answer_is_refused(note: Path, monkeypatch: pytest.MonkeyPatch, reply: dict[str, object]) -> None:
    monkeypatch.setattr(sandbox, "receive", lambda stream, max_bytes: reply)
    with SandboxedReader() as reader, pytest.raises(UnreadableFileError):
        reader.read(note, "nota")


def test_messages_survive_the_wire_and_broken_ones_are_noticed() -> None:
    message = {"text": "ñ😀\udcf1\n", "pages": [1, None]}
    wire = BytesIO()
    send(wire, message)
    whole = wire.getvalue()
    assert receive(BytesIO(whole), 1000) == message
    assert receive(BytesIO(whole[:-1]), 1000) is None
    assert receive(BytesIO(b""), 1000) is None
    with pytest.raises(ValueError, match="more than 10"):
        receive(BytesIO(whole), 10)
    with pytest.raises(TypeError, match="no object"):
        receive(BytesIO(b"\0\0\0\0\0\0\0\x01" + b"3"), 1000)


def test_a_zip_bomb_never_reaches_the_memory_limit(reader: SandboxedReader, tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("word/document.xml", bytes(20 * 2**20))
    pid = worker_pid(reader)
    with pytest.raises(sandbox.OversizeFileError, match="zip bomb"):
        reader.read(path, "a")
    assert worker_pid(reader) == pid
