"""Files that cannot be read are reported by name and rule, and never keep the others out."""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from index.types import SyncReport
from ingest.sandbox import SandboxedReader
from ingest.types import Document
from tests.index.library import Library, found
from tests.ingest.proofs.hostile import cases
from tests.ingest.proofs.hostile_pdf import pdf_killer

WORDS = ("gato", "perro", "barco", "puerto", "lluvia", "órgano", "ceniza", "madera", "faro", "viento")

BAD = (
    "bomb.docx", "nested-3.pdf", "encrypted.pdf", "encrypted.odt", "deep.odt", "zero.txt", "blank.txt",
    "laughs-word-document.xml.docx",
)  # fmt: skip


@pytest.fixture
def library(tmp_path: Path) -> Library:
    files = tmp_path / "files"
    files.mkdir()
    return Library(files, tmp_path / "index")


def write_notes(library: Library, count: int) -> None:
    """Text and Markdown files, each with a word of its own."""
    for number in range(count):
        suffix = (".txt", ".md")[number % 2]
        text = f"La nota{number} habla de {WORDS[number % 10]} y de {WORDS[number // 10 % 10]}."
        (library.files / f"nota{number:04}{suffix}").write_text(text)


def sync(library: Library, read: Callable[[Path, str], Document]) -> SyncReport:
    with library.writer() as writer:
        return writer.sync(sorted(library.files.iterdir()), [library.files], read)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on memory")
def test_of_a_thousand_files_the_one_that_kills_its_reader_stays_out(library: Library) -> None:
    write_notes(library, 999)
    poisoned = library.files / "nota0500-envenenada.pdf"
    poisoned.write_bytes(pdf_killer())
    workers: list[int] = []
    with SandboxedReader(memory_mib=320) as reader:

        def read(path: Path, source: str) -> Document:
            document = reader.read(path, source)
            assert reader._process is not None
            workers.append(reader._process.pid)
            return document

        report = sync(library, read)
    assert len(workers) == 999
    assert len(set(workers)) == 2  # one until the poison, one after it
    assert [(failure.source, failure.rule) for failure in report.failed] == [(str(poisoned), "crash")]
    assert "ended its reader" in report.failed[0].reason
    assert len(report.added) == 999
    assert str(poisoned) not in report.added
    with closing(library.index()) as index:
        assert found(index, "nota0 nota998 nota501", "lexical") == {"nota0000", "nota0998", "nota0501"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on memory")
def test_every_kind_of_bad_file_is_reported_under_its_own_name_and_rule(library: Library) -> None:
    write_notes(library, 20)
    bad = {name: (make(), rule) for name, make, rule in cases(library.files, 0) if name in BAD}
    bad["lento.py"] = (b"x = 1 + 2 * (3 - 4)\n" * 500_000, "timeout")
    bad["pesado.txt"] = ("ñ" * 60_000_000).encode(), "memory"
    bad["mortal.pdf"] = pdf_killer(), "crash"
    bad["grande.txt"] = b"x" * (130 * 2**20), "oversize"
    bad["sin-lector.xyz"] = b"x", "unsupported"
    bad["binario.txt"] = bytes(range(256)) * 100, "unreadable"
    for name, (content, _) in bad.items():
        (library.files / name).write_bytes(content)
    with SandboxedReader(memory_mib=320, timeout_s=4, max_bytes=128 * 2**20) as reader:
        report = sync(library, reader.read)
    assert {Path(failure.source).name: failure.rule for failure in report.failed} == {
        name: rule for name, (_, rule) in bad.items()
    }
    assert len(report.added) == 20


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_what_is_no_file_does_not_stop_the_rest(library: Library) -> None:
    write_notes(library, 4)
    os.mkfifo(library.files / "tubo.txt")
    (library.files / "bucle.txt").symlink_to("bucle.txt")
    (library.files / "carpeta.pdf").mkdir()
    (library.files / os.fsdecode(b"ma\xf1ana.txt")).write_text("Hola.")
    with SandboxedReader() as reader:
        report = sync(library, reader.read)
    assert {failure.rule for failure in report.failed} == {"unreadable"}
    assert len(report.failed) == 4
    assert len(report.added) == 4
