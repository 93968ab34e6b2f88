"""Verifying, repairing, backing up and restoring as a person and a program do it."""

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rag.cli import app, main

WATER = "El agua hierve a 100 grados al nivel del mar."
GATES = "A porta de esquecimento da LSTM foi acrescentada em 1999."
Command = Callable[..., str]

runner = CliRunner()


@pytest.fixture
def work(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two ingested documents and an uploaded file; the models are tiny."""
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__GENERATOR", str(tiny_models / "generator"))
    monkeypatch.setenv("FUENTE_MODELS__DEVICE", "cpu")
    (plain_settings / "docs").mkdir()
    Path("docs/agua.txt").write_text(WATER, encoding="utf-8")
    Path("docs/lstm.md").write_text(f"# Redes\n\n{GATES}", encoding="utf-8")
    run("ingest", "docs")
    Path("fuente-index/uploads").mkdir()
    Path("fuente-index/uploads/informe.txt").write_text("Un informe.", encoding="utf-8")
    return plain_settings


def run(*arguments: str, exit_code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == exit_code, (result.output, result.exception)
    return result.stdout


def run_json(*arguments: str, exit_code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", exit_code=exit_code))


@pytest.fixture
def failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command that must fail; returns the one line that it prints."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fuente", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        assert (stopped.value.code, printed.out) == (1, "")
        (line,) = printed.err.strip().splitlines()
        assert line.startswith("error: ")
        return str(line)

    return call


def break_store(statement: str) -> None:
    with closing(sqlite3.connect("fuente-index/fuente.db", isolation_level=None)) as connection:
        connection.execute(statement)


def hits(*arguments: str) -> Any:
    return run_json("search", "¿A cuántos grados hierve el agua?", *arguments)["hits"]


class TestVerify:
    def test_a_sound_index(self, work: Path) -> None:
        found = run_json("verify")
        assert (found["sound"], found["documents"], found["chunks"], found["findings"]) == (True, 2, 2, [])
        assert found["size_bytes"] > 10_000
        assert "savable" not in found
        line = run("verify")
        assert line.startswith(f"2 documents, 2 chunks, {found['files']} files, ")
        assert line.endswith(" checked: sound\n")

    def test_a_stopped_run_is_noted_and_no_failure(self, work: Path) -> None:
        Path("fuente-index/store.seal").unlink()
        assert [finding["kind"] for finding in run_json("verify")["findings"]] == ["information"]
        assert run("verify").startswith("note: fuente-index: the last run was stopped before it ended.")

    def test_a_damaged_file_fails_and_is_named_with_the_mend(self, work: Path) -> None:
        path = next(Path("fuente-index").glob("gen-*/*/dense.faiss"))
        path.write_bytes(path.read_bytes()[:-1])
        found = run_json("verify", exit_code=1)
        (finding,) = found["findings"]
        assert (found["sound"], finding["path"], finding["kind"]) == (False, str(path), "files")
        lines = run("verify", exit_code=1).splitlines()
        assert lines[0] == f"{path}: {finding['what']}. {finding['mend']}"
        assert lines[-1].endswith("checked: damaged")

    def test_a_damaged_store_is_told_with_what_can_be_saved(self, work: Path) -> None:
        break_store("UPDATE texts SET text = 'x' WHERE document = 1")
        found = run_json("verify", exit_code=1)
        savable = found["savable"]
        assert (savable["documents"], savable["chunks"], savable["vectors"]) == (1, 1, 2)
        assert savable["lost"] == [str(work / "docs" / "agua.txt")]
        shown = run("verify", exit_code=1)
        assert "1 documents, 1 chunks and 2 vectors are whole: `fuente repair` saves them" in shown
        assert f"ingest again: {work / 'docs' / 'agua.txt'}" in shown
        Path("fuente-index/fuente.db").write_bytes(b"nothing")
        assert run_json("verify", exit_code=1)["savable"] is None
        assert "Nothing in the store is whole" in run("verify", exit_code=1)

    def test_the_doctor_says_the_same(self, work: Path) -> None:
        assert run_json("doctor")["index"]["state"] == "sound"
        Path("fuente-index/store.seal").unlink()
        assert run_json("doctor")["index"]["state"].startswith("sound; fuente-index: the last run was stopped")
        break_store("UPDATE texts SET text = 'x'")
        assert "differ from their seals" in run_json("doctor", exit_code=1)["index"]["state"]
        assert run_json("doctor", "--index", "none")["index"]["state"] == "none yet"


class TestRepair:
    def test_a_sound_index(self, work: Path) -> None:
        assert run("repair") == "The index is sound: nothing was changed\n"
        assert run_json("repair")["action"] == "nothing"

    def test_derived_files(self, work: Path) -> None:
        Path("fuente-index/CURRENT").unlink()
        assert "were built again from the stored documents (generation 2)" in run("repair")
        assert run_json("verify")["findings"] == []

    def test_a_store(self, work: Path) -> None:
        break_store("UPDATE texts SET text = 'x' WHERE document = 1")
        report = run_json("repair")
        assert (report["action"], report["reindex_needed"]) == ("rebuilt", False)
        assert report["saved"]["kept"] == [str(work / "docs" / "lstm.md")]
        assert report["saved"]["lost"] == [str(work / "docs" / "agua.txt")]
        assert Path(report["damaged"]).is_file()
        assert run_json("verify")["findings"] == []
        assert run_json("ingest", "docs")["added"] == report["saved"]["lost"]
        break_store("UPDATE texts SET text = 'x' WHERE document = 2")
        shown = run("repair").splitlines()
        assert shown[0] == "1 documents, 1 chunks saved (0 embedded)"
        assert shown[1] == "The damaged store is kept as fuente-index/fuente.db.damaged-2"
        assert shown[2].startswith("  ingest again: ")

    def test_lost_vectors_are_computed_with_the_configured_model(self, work: Path) -> None:
        before = hits()
        break_store("DELETE FROM vectors")
        report = run_json("repair")
        assert (report["saved"]["lost"], report["saved"]["embedded"]) == ([], 2)
        assert hits() == before


class TestBackup:
    def test_there_and_back(self, work: Path) -> None:
        before = hits()
        told = run_json("backup", "backup.zip")
        assert (told["file"], told["documents"], told["uploads"]) == ("backup.zip", 2, 1)
        assert told["size_bytes"] == Path("backup.zip").stat().st_size
        assert run_json("restore", "backup.zip", "--index", "again")["index"] == "again"
        assert hits("--index", "again") == before
        assert run_json("verify", "--index", "again")["findings"] == []
        assert Path("again/uploads/informe.txt").read_text(encoding="utf-8") == "Un informe."
        assert run_json("ingest", "docs", "--index", "again")["embedded"] == 0

    def test_in_words(self, work: Path) -> None:
        assert run("backup", "backup.zip").startswith("2 documents, 2 chunks, 1 uploaded files · ")
        shown = run("restore", "backup.zip", "--index", "again").splitlines()
        assert shown[0] == "2 documents, 2 chunks, 1 uploaded files restored into again"
        assert shown[1].startswith("It is searched with the model ")

    def test_an_existing_file_is_replaced_only_when_forced(self, work: Path, failure: Command) -> None:
        Path("backup.zip").write_bytes(b"mine")
        assert "--force" in failure("backup", "backup.zip")
        assert Path("backup.zip").read_bytes() == b"mine"
        run("backup", "backup.zip", "--force")
        run("restore", "backup.zip", "--index", "again")

    def test_an_index_is_never_replaced(self, work: Path, failure: Command) -> None:
        run("backup", "backup.zip")
        assert "holds an index already. Restore into another one with --index" in failure("restore", "backup.zip")

    def test_a_damaged_backup_is_told(self, work: Path, failure: Command) -> None:
        run("backup", "backup.zip")
        content = bytearray(Path("backup.zip").read_bytes())
        content[len(content) // 2] ^= 1
        Path("backup.zip").write_bytes(content)
        assert "differs from its checksum" in failure("restore", "backup.zip", "--index", "again")
        assert not Path("again").exists()


@pytest.mark.parametrize("command", [("verify",), ("repair",), ("backup", "backup.zip")])
def test_a_missing_index_is_told_in_one_line(command: tuple[str, ...], plain_settings: Path, failure: Command) -> None:
    assert "fuente-index: there is no index here. Run `fuente ingest PATH` first" in failure(*command)
    assert list(plain_settings.iterdir()) == []


def test_no_model_is_fetched_to_keep_an_index(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a packaged embedder that is not prepared, nothing is loaded or downloaded."""
    run("backup", "backup.zip")
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", "multilingual-e5-small")
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(work / "empty-cache"))
    run("restore", "backup.zip", "--index", "again")
    run("verify", "--index", "again")
    run("backup", "again.zip", "--index", "again")
    assert run_json("repair", "--index", "again")["action"] == "nothing"
    assert not (work / "empty-cache").exists()


def test_names_in_the_index_cannot_change_the_terminal(work: Path) -> None:
    Path("docs/gato\x1b[31m.txt").write_text("El gato maúlla.", encoding="utf-8")
    run("ingest", "docs")
    break_store("DELETE FROM documents WHERE number = 3")
    for command in ("verify", "doctor"):
        shown = runner.invoke(app, [command])
        assert shown.exit_code == 1
        assert "\x1b" not in shown.output
    assert "\x1b" not in run("repair")
