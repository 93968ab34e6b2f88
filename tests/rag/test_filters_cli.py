"""Collections and filters as a person gives them on the command line."""

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rag.cli import app, main
from tests.rag.conftest import ChatServer

QUESTION = "¿Qué hace el agua del mar?"
SPANISH = "El agua del mar hierve a más de cien grados porque lleva sal."
PORTUGUESE = "A água do mar não congela a zero graus porque leva sal e outros minerais."
ENGLISH = "The water of the sea does not freeze at zero degrees because of its salt."
Command = Callable[..., str]

runner = CliRunner()


@pytest.fixture
def settings(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; the models are tiny, and any confidence will do."""
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__GENERATOR", str(tiny_models / "generator"))
    monkeypatch.setenv("FUENTE_MODELS__DEVICE", "cpu")
    monkeypatch.setenv("FUENTE_GENERATION__CAUTION", "0")
    return plain_settings


@pytest.fixture
def fresh(settings: Path) -> Path:
    """A folder whose documents are in two collections; each file was changed at noon of a day of its own."""
    fill()
    return settings


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FUENTE_")]:
            patch.delenv(name)
        patch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
        patch.chdir(folder)
        fill()
    return folder


@pytest.fixture
def work(settings: Path, filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, made once for the tests that change nothing."""
    monkeypatch.chdir(filled)
    return filled


def fill() -> None:
    write("docs/mar.txt", SPANISH, day=1)
    write("docs/agua.html", f"<html><head><title>Águas</title></head><body><p>{PORTUGUESE}</p></body></html>", day=2)
    write("tesis/mar.txt", SPANISH, day=3)
    write("tesis/sea.md", ENGLISH, day=4)
    run("ingest", "docs")
    run("ingest", "--collection", "tesis", "tesis")


def write(name: str, text: str, *, day: int) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    noon = datetime(2026, 3, day, 12).astimezone().timestamp()
    os.utime(path, (noon, noon))


def run(*arguments: str) -> str:
    """Standard output of a command that succeeds."""
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command that fails as `fuente` itself does, and gives its one line."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fuente", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        assert (stopped.value.code, printed.out) == (1, "")
        (line,) = printed.err.strip().splitlines()
        return line

    return call


def found(*options: str) -> set[str]:
    """Files, from the working folder, that a search with these options finds."""
    hits = run_json("search", QUESTION, "-k", "50", *options)["hits"]
    return {str(Path(hit["source"]).relative_to(Path.cwd())) for hit in hits}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("", {"docs/mar.txt", "docs/agua.html", "tesis/sea.md"}),
        ("--collection tesis", {"tesis/mar.txt", "tesis/sea.md"}),
        ("--collection tesis --collection default", {"docs/mar.txt", "docs/agua.html", "tesis/sea.md"}),
        ("--language en", {"tesis/sea.md"}),
        ("--language EN --language pt", {"tesis/sea.md", "docs/agua.html"}),
        ("--language es --collection tesis", {"tesis/mar.txt"}),
        ("--source *.html", {"docs/agua.html"}),
        ("--source docs", {"docs/mar.txt", "docs/agua.html"}),
        ("--source ./tesis/", {"tesis/mar.txt", "tesis/sea.md"}),
        ("--source tesis/../docs/mar.txt", {"docs/mar.txt"}),
        ("--source sea.md --source agua.html", {"tesis/sea.md", "docs/agua.html"}),
        ("--source tesis/*", {"tesis/mar.txt", "tesis/sea.md"}),
        ("--from 2026-03-03", {"tesis/mar.txt", "tesis/sea.md"}),
        ("--until 2026-03-01", {"docs/mar.txt"}),
        ("--from 2026-03-02 --until 2026-03-03", {"docs/agua.html", "tesis/mar.txt"}),
        ("--from 2026-03-04T12:00 --until 2026-03-04T12:00:01", {"tesis/sea.md"}),
        ("--where title=Águas", {"docs/agua.html"}),
        ("--where title=Águas --language pt", {"docs/agua.html"}),
    ],
)
def test_each_option(work: Path, options: str, names: set[str]) -> None:
    assert found(*options.split()) == names


def test_a_path_from_here_comes_before_a_name_of_elsewhere(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = str(work / "fuente-index")
    monkeypatch.chdir(work / "docs")
    hits = run_json("search", QUESTION, "--index", index, "--source", "mar.txt")["hits"]
    assert {hit["source"] for hit in hits} == {str(work / "docs/mar.txt")}
    monkeypatch.chdir(work)
    assert found("--source", "mar.txt", "--collection", "tesis") == {"tesis/mar.txt"}


def test_times_are_those_of_this_place(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 3, 4, 12).astimezone()
    assert found("--from", noon.isoformat()) == {"tesis/sea.md"}
    elsewhere = noon.astimezone(datetime.strptime("+0900", "%z").tzinfo)
    assert elsewhere.utcoffset() != noon.utcoffset()
    assert found("--from", elsewhere.isoformat()) == {"tesis/sea.md"}


def test_hits_tell_their_collection(work: Path) -> None:
    hits = run_json("search", QUESTION, "-k", "50")["hits"]
    assert {Path(hit["source"]).name: hit["collection"] for hit in hits} == {
        "mar.txt": "default", "agua.html": "default", "sea.md": "tesis",
    }  # fmt: skip
    shown = run("search", QUESTION, "-k", "50").splitlines()
    assert any("sea.md  tesis" in line for line in shown)
    assert not any("default" in line for line in shown)


def test_an_answer_comes_from_the_scope_alone(
    work: Path, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUENTE_SERVER__URL", chat_server.url)
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    chat_server.pieces = (SPANISH,)
    answer = run_json("ask", QUESTION, "--collection", "tesis", "--language", "es")
    assert {hit["collection"] for hit in answer["hits"]} == {"tesis"}
    assert [citation["source"] for citation in answer["citations"]] == [str(work / "tesis/mar.txt")]
    monkeypatch.setenv("FUENTE_GENERATION__CAUTION", "1")
    for options, told in ((("--collection", "tesis"), True), ((), False)):
        result = runner.invoke(app, ["ask", QUESTION, *options])
        assert result.exit_code == 0
        assert ("Only part of the documents was asked: --collection tesis" in result.stderr) == told


@pytest.mark.parametrize("command", ["search", "ask"])
class TestNothingMeets:
    def test_an_unknown_collection(self, work: Path, failure: Command, command: str) -> None:
        told = failure(command, QUESTION, "--collection", "tesis", "--collection", "Tesis")
        assert told == "error: no document is of collection 'Tesis'. There is: default, tesis"

    def test_an_unknown_language(self, work: Path, failure: Command, command: str) -> None:
        told = failure(command, QUESTION, "--language", "fr", "--json")
        assert told == "error: no document is of language 'fr'. There is: en, es, pt"

    def test_conditions_that_exclude_each_other(self, work: Path, failure: Command, command: str) -> None:
        told = failure(command, QUESTION, "--collection", "tesis", "--source", "*.html", "--from", "2026-01-01")
        assert told.startswith(
            "error: no document meets --collection tesis --source *.html --from 2026-01-01."
            " There are the collections default, tesis and the languages en, es, pt"
        )
        assert "fuente status --sources" in told

    def test_control_characters_do_not_reach_the_terminal(self, work: Path, failure: Command, command: str) -> None:
        assert "\x1b" not in failure(command, QUESTION, "--source", "a\x1b[31mb")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "yesterday"), "'yesterday' must be a date such as 2026-01-31"),
        (("--until", "2026-02-30"), "'2026-02-30' must be a date"),
        (("--until", "9999-12-31"), "'9999-12-31' must be a date"),
        (("--where", "title"), "'title' must have the form KEY=VALUE"),
        (("--where", "=x"), "'=x' must have the form KEY=VALUE"),
    ],
)
def test_wrong_values_are_wrong_usage(work: Path, options: tuple[str, ...], told: str) -> None:
    result = runner.invoke(app, ["search", QUESTION, *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in " ".join(result.stderr.split())


@pytest.mark.parametrize("option", ["--collection", "--language", "--source"])
def test_an_empty_name_is_told(work: Path, failure: Command, option: str) -> None:
    assert "must not hold an empty name" in failure("search", QUESTION, option, "")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 65, " a"])
def test_a_name_that_no_collection_can_have(plain_settings: Path, name: str) -> None:
    for command in (("ingest", "docs"), ("remove", "docs")):
        result = runner.invoke(app, [*command, "--collection", name])
        assert result.exit_code == 2
        assert "1 to 64 printable characters" in " ".join(result.stderr.split())
    assert not Path("fuente-index").exists()


def test_status_counts_each_collection(work: Path) -> None:
    state = run_json("status", "--sources")
    assert state["collections"] == [
        {"name": "default", "documents": 2, "chunks": 2},
        {"name": "tesis", "documents": 2, "chunks": 2},
    ]
    # One document is in both.
    assert (state["documents"], state["sources_count"]) == (3, 4)
    of = {str(Path(source["source"]).relative_to(work)): source["collection"] for source in state["sources"]}
    assert of == {
        "docs/mar.txt": "default", "docs/agua.html": "default", "tesis/mar.txt": "tesis", "tesis/sea.md": "tesis",
    }  # fmt: skip
    shown = run("status", "--sources")
    assert "collections      default (2 documents, 2 chunks), tesis (2 documents, 2 chunks)" in shown
    assert f"{work / 'tesis/sea.md'}  (tesis, en, 1 chunks)" in shown
    assert f"{work / 'docs/mar.txt'}  (es, 1 chunks)" in shown


def test_a_folder_leaves_its_own_collection_alone(fresh: Path) -> None:
    Path("docs/agua.html").unlink()
    run("ingest", "--collection", "tesis", "docs")
    assert found("--collection", "default") == {"docs/mar.txt", "docs/agua.html"}
    assert found("--collection", "tesis") == {"docs/mar.txt", "tesis/sea.md"}
    assert run_json("ingest", "docs")["removed"] == [str(fresh / "docs/agua.html")]


def test_removal_from_one_collection_and_from_all(fresh: Path, failure: Command) -> None:
    run("ingest", "--collection", "tesis", "docs")
    assert "docs is not in collection 'otra'" in failure("remove", "docs", "--collection", "otra")
    assert run("remove", "docs", "--collection", "tesis") == "2 removed\n"
    assert found("--collection", "default") == {"docs/mar.txt", "docs/agua.html"}
    run("ingest", "--collection", "tesis", "docs")
    # One file in two collections is one file.
    assert run("remove", "agua.html") == "1 removed\n"
    assert found() == {"docs/mar.txt", "tesis/sea.md"}


def test_a_watch_belongs_to_its_collection(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.watching.settled_changes", lambda *_, **__: iter(()))
    write("notas/a.txt", "Una nota sobre el agua.", day=5)
    run("ingest", "--watch", "--collection", "notas", "notas")
    assert found("--collection", "notas") == {"notas/a.txt"}
