"""Files read in a worker process."""

import os
import platform
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

from ingest import sandbox, sandbox_worker
from ingest.errors import EmptyFileError, UnreadableFileError, UnsupportedFileError
from ingest.reading import read_document
from ingest.sandbox import SandboxedReader
from ingest.sandbox_worker import frame, receive, send

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


def run_confined(folder: Path, attempt: str, confinement: str = "confine(2**30)") -> subprocess.CompletedProcess[str]:
    code = f"import ctypes, os, socket, subprocess\nfrom ingest.sandbox_worker import *\n{confinement}\n{attempt}"
    env = {"PYTHONPATH": str(Path(sandbox.__file__).parents[1]), "PARENT": str(os.getpid())}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.socket()",
        "socket.getaddrinfo('localhost', 80)",
        "socket.create_connection(('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "subprocess.run(['true'])",
        "os.system('true')",
        "os.fork()",
        "os.kill(int(os.environ['PARENT']), 0)",
        "open('propio', 'w')",
        "open('propio', 'r+')",
        "os.open('nuevo', os.O_CREAT | os.O_RDONLY)",
        "os.truncate('propio', 0)",
        "os.remove('propio')",
        "os.rename('propio', 'otro')",
        "os.mkdir('carpeta')",
        "import sqlite3; sqlite3.connect('base.db')",
        "import tempfile; tempfile.TemporaryFile()",
    ],
)
def test_python_itself_refuses_a_confined_process(tmp_path: Path, attempt: str) -> None:
    (tmp_path / "propio").write_text("contenido")
    done = run_confined(tmp_path, attempt)
    assert done.returncode == 1
    assert "PermissionError" in done.stderr or "No usable temporary directory" in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("propio", "contenido")]


CALLS = {
    "socket": "libc.socket(2, 1, 0)",
    "execv": "libc.execv(b'/bin/true', (ctypes.c_char_p * 2)(b'true', None))",
    "fork": "libc.fork()",
    "system": "libc.system(b'touch nuevo')",
    "kill": "libc.kill(int(os.environ['PARENT']), 0)",
    "open to write": "libc.open(b'propio', os.O_WRONLY)",
    "open to create": "libc.open(b'nuevo', os.O_CREAT, 0o600)",
    "open to truncate": "libc.open(b'propio', os.O_TRUNC)",
    "truncate": "libc.truncate(b'propio', 0)",
    "unlink": "libc.unlink(b'propio')",
    "rename": "libc.rename(b'propio', b'otro')",
    "mkdir": "libc.mkdir(b'carpeta', 0o700)",
    "chmod": "libc.chmod(b'propio', 0)",
    "unshare": "libc.unshare(0x10000000)",
    "ptrace": "libc.ptrace(16, int(os.environ['PARENT']), 0, 0)",
}
KERNEL_FILTERS = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")


@pytest.mark.skipif(not KERNEL_FILTERS, reason="no filter of system calls for this machine")
@pytest.mark.parametrize("name", CALLS)
def test_the_kernel_refuses_libraries_that_do_not_ask_python(tmp_path: Path, name: str) -> None:
    (tmp_path / "propio").write_text("contenido")
    attempt = f"done = {CALLS[name]}\nprint('refused' if done == -1 and ctypes.get_errno() == 1 else done)"
    confinement = "libc = ctypes.CDLL(None, use_errno=True)\nconfine(2**30)"
    shown = run_confined(tmp_path, attempt, confinement).stdout.strip()
    free = run_confined(tmp_path, attempt, "libc = ctypes.CDLL(None, use_errno=True)").stdout.strip()
    assert shown == ("-1" if name == "system" else "refused")
    assert name in ("unshare", "ptrace") or free != shown  # without the filter it would have been done


@pytest.mark.skipif(not KERNEL_FILTERS, reason="no filter of system calls for this machine")
def test_a_confined_process_still_reads_and_starts_threads(tmp_path: Path) -> None:
    (tmp_path / "propio").write_text("contenido")
    attempt = (
        "import threading; thread = threading.Thread(target=lambda: print(open('propio').read()))\n"
        "thread.start(); thread.join()"
    )
    assert run_confined(tmp_path, attempt).stdout.strip() == "contenido"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has networks of processes")
def test_where_calls_cannot_be_filtered_the_network_is_an_empty_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        confinement = "print(leave_network(ctypes.CDLL(None, use_errno=True)))"
        attempt = f"socket.create_connection({address!r}, timeout=5)"
        done = run_confined(tmp_path, attempt, confinement)
        if done.stdout.strip() == "False":
            pytest.skip("this machine does not let a person make networks")
        assert done.returncode == 1
        assert "OSError" in done.stderr
        assert run_confined(tmp_path, attempt, "pass").returncode == 0


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


WHOLE = {"pages": [1, 0, 3], "headings": [1, "abc", 0], "blocks": [0, 3], "metadata": {"title": "abc"}}


def forged(**changes: object) -> dict[str, object]:
    return {**WHOLE, **changes}


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({}, "abc"),
        ({"pages": [], "headings": [], "blocks": []}, "abc"),
        (forged(metadata={"a": 1}), "abc"),
        (forged(metadata={"a": "\ud800"}), "abc"),
        (forged(metadata=[]), "abc"),
        (forged(blocks=[0, 9]), "abc"),
        (forged(blocks=["0", 1]), "abc"),
        (forged(blocks=[0, 1, 2]), "abc"),
        (forged(blocks=[True, 1]), "abc"),
        (forged(blocks="01"), "abc"),
        (forged(pages=[2**63, 0, 3]), "abc"),
        (forged(pages=[0, 0, 3]), "abc"),
        (forged(pages=[1.0, 0, 3]), "abc"),
        (forged(headings=[7, "abc", 0]), "abc"),
        (forged(headings=[1, "\ud800", 0]), "abc"),
        (forged(headings=[1, 3, 0]), "abc"),
        (WHOLE, "a\0c"),
        ({"rule": "no such rule", "reason": ["x"]}, ""),
        ({"rule": "timeout\x1b[2J", "reason": "\x1b[2J", "mend": "\0"}, ""),
    ],
)
def test_a_forged_answer_is_refused(
    note: Path, monkeypatch: pytest.MonkeyPatch, reply: dict[str, object], text: str
) -> None:
    monkeypatch.setattr(sandbox, "receive", lambda stream: (reply, text))
    with SandboxedReader() as reader, pytest.raises(UnreadableFileError) as caught:
        reader.read(note, "nota")
    assert caught.value.rule == "unreadable"
    assert "\x1b" not in caught.value.reason


def test_a_whole_answer_is_taken(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "receive", lambda stream: (WHOLE, "abc"))
    with SandboxedReader() as reader:
        assert reader.read(note, "nota").text == "abc"


def test_messages_survive_the_wire_and_broken_ones_are_noticed() -> None:
    message, text = {"text": "ñ😀\udcf1\n", "pages": [1, None]}, "El órgano 😀\n"
    wire = BytesIO()
    send(wire, frame(message, text))
    whole = wire.getvalue()
    assert receive(BytesIO(whole)) == (message, text)
    assert all(receive(BytesIO(whole[:length])) is None for length in range(len(whole)))
    with pytest.raises(TypeError, match="no object"):
        receive(BytesIO(bytes(7) + b"\x01" + bytes(8) + b"3"))


@pytest.mark.parametrize("name", ["MAX_MESSAGE_BYTES", "MAX_TEXT_BYTES"])
def test_messages_have_a_length_that_neither_side_passes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    wire = BytesIO()
    send(wire, frame({"blocks": [1] * 9}, "x" * 30))
    monkeypatch.setattr(sandbox_worker, name, 20)
    with pytest.raises(ValueError, match="more than one may have"):
        receive(BytesIO(wire.getvalue()))
    with pytest.raises(OverflowError, match="more than one may have"):
        frame({"blocks": [1] * 9}, "x" * 30)


def test_a_zip_bomb_never_reaches_the_memory_limit(reader: SandboxedReader, tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("word/document.xml", bytes(20 * 2**20))
    pid = worker_pid(reader)
    with pytest.raises(sandbox.OversizeFileError, match="zip bomb"):
        reader.read(path, "a")
    assert worker_pid(reader) == pid
