"""Files read in a worker process."""

import errno
import json
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
from ingest.errors import EmptyFileError, ReaderCrashError, UnreadableFileError, UnsupportedFileError
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


PREAMBLE = """
import ctypes, json, os, socket, subprocess, sys
from ingest.sandbox_worker import *
libc = ctypes.CDLL(None, use_errno=True)
"""
IN_PYTHON = [
    "socket.socket()",
    "socket.getaddrinfo('localhost', 80)",
    "socket.create_connection(('127.0.0.1', 9))",
    "subprocess.run(['true'])",
    "os.system('true')",
    "os.fork()",
    "os.execv('/bin/true', ['true'])",
    "os.kill(os.getppid(), 0)",
    "open('propio', 'w')",
    "open('propio', 'r+')",
    "os.open('nuevo', os.O_CREAT | os.O_RDONLY)",
    "os.truncate('propio', 0)",
    "os.remove('propio')",
    "os.rename('propio', 'otro')",
    "os.mkdir('carpeta')",
    "__import__('sqlite3').connect('base.db')",
    "__import__('shutil').rmtree('.')",
]
IN_C = [
    "libc.socket(2, 1, 0)",
    "libc.fork()",
    "libc.kill(os.getppid(), 0)",
    "libc.open(b'propio', os.O_WRONLY)",
    "libc.open(b'nuevo', os.O_CREAT, 0o600)",
    "libc.open(b'propio', os.O_TRUNC)",
    "libc.truncate(b'propio', 0)",
    "libc.rename(b'propio', b'otro')",
    "libc.unlink(b'propio')",
    "libc.mkdir(b'carpeta', 0o700)",
    "libc.chmod(b'.', 0o700)",
    "libc.unshare(0x10000000)",
    "libc.ptrace(0, 0, 0, 0)",
    "libc.execv(b'/bin/true', (ctypes.c_char_p * 2)(b'true', None))",
]
KERNEL_FILTERS = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "propio").write_text("contenido")
    return tmp_path


def run_confined(folder: Path, code: str, *, confinement: str = "confine(2**30)") -> str:
    """What a process prints that imports the worker, is confined, and then runs `code`."""
    env = {"PYTHONPATH": str(Path(sandbox.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    script = f"{PREAMBLE}\n{confinement}\n{code}"
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def attempts(codes: list[str]) -> str:
    """Code that runs each one and prints, as JSON, the error number by which it was refused, or 0."""
    script = """
found = {}
for code in CODES:
    ctypes.set_errno(0)
    try:
        result = eval(code)
        found[code] = ctypes.get_errno() if result == -1 else 0
    except OSError as error:
        found[code] = error.errno
    except ForbiddenError:
        found[code] = "forbidden"
print(json.dumps(found))
"""
    return script.replace("CODES", repr(codes))


def test_python_itself_refuses_a_confined_process(folder: Path) -> None:
    audited = "from ingest.sandbox_worker import _refuse; sys.addaudithook(_refuse)"
    shown = json.loads(run_confined(folder, attempts(IN_PYTHON), confinement=audited))
    assert {code for code in IN_PYTHON if shown[code] != "forbidden"} == set()
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("propio", "contenido")]


@pytest.mark.skipif(not KERNEL_FILTERS, reason="no filter of system calls for this machine")
def test_the_kernel_refuses_libraries_that_do_not_ask_python(folder: Path) -> None:
    shown = json.loads(run_confined(folder, attempts(IN_C)))
    assert {code for code in IN_C if shown[code] != errno.EPERM} == set()
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("propio", "contenido")]


@pytest.mark.skipif(not KERNEL_FILTERS, reason="no filter of system calls for this machine")
def test_the_calls_that_are_refused_would_have_been_done(folder: Path) -> None:
    harmless = [code for code in IN_C if not any(name in code for name in ("fork", "unshare", "ptrace", "execv"))]
    shown = json.loads(run_confined(folder, attempts(harmless), confinement=""))
    assert {code for code in harmless if shown[code] == errno.EPERM} == set()


@pytest.mark.skipif(not KERNEL_FILTERS, reason="no filter of system calls for this machine")
def test_a_confined_process_still_reads_and_starts_threads(folder: Path) -> None:
    code = (
        "import threading; thread = threading.Thread(target=lambda: print(open('propio').read()))\n"
        "thread.start(); thread.join()"
    )
    assert run_confined(folder, code) == "contenido"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has networks of processes")
def test_where_calls_cannot_be_filtered_the_network_is_an_empty_one(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = attempts([f"socket.create_connection({server.getsockname()!r}, timeout=5)"])
        (reached,) = json.loads(run_confined(folder, code, confinement="")).values()
        assert reached == 0
        confinement = "if not leave_network(libc): sys.exit()"
        shown = run_confined(folder, code, confinement=confinement)
    if not shown:
        pytest.skip("this machine does not let a person make networks")
    (reached,) = json.loads(shown).values()
    assert reached == errno.ENETUNREACH


@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('socket').create_connection(('127.0.0.1', 9))",
        "__import__('os').system('true')",
        "open('escrito', 'w')",
    ],
)
def test_a_reader_that_reaches_out_is_refused_and_its_file_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, attempt: str
) -> None:
    """A reader is put in the place of the real one, as a library that was tampered with would be."""
    rogue = folder / "rogue"
    rogue.mkdir()
    (rogue / "sitecustomize.py").write_text(
        f"import ingest.readers as readers\nreaders.READERS = {{**readers.READERS, '.txt': lambda path: {attempt}}}\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{Path(sandbox.__file__).parents[1]}{os.pathsep}{rogue}")
    monkeypatch.chdir(folder)
    (folder / "hostil.txt").write_text("hola")
    (folder / "bueno.md").write_text(TEXT)
    with SandboxedReader() as reader:
        with pytest.raises(ReaderCrashError, match=r"ForbiddenError: .* is not allowed while reading") as caught:
            reader.read(folder / "hostil.txt", "hostil")
        assert caught.value.path == folder / "hostil.txt"
        assert reader.read(folder / "bueno.md", "bueno").text == TEXT
    assert not (folder / "escrito").exists()


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
