"""The command line as a person and a program use it."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from index.types import SyncProgress
from rag.cli import app, library, main, preparing, progress
from rag.cli.options import configured
from tests.rag.conftest import ChatServer

ROOT = Path(__file__).parents[2]
WATER = "El agua hierve a 100 grados al nivel del mar."
GATES = "A porta de esquecimento da LSTM foi acrescentada em 1999."
HIT_KEYS = {"rank", "score", "source", "page", "start", "end", "text", "document_id", "chunk_id", "language"}
CITATION_KEYS = {"marker", "source", "page", "start", "end", "quote"}
ANSWER_KEYS = {"answer", "abstained", "confidence", "citations", "hits", "timings_s", "usage", "model"}
# Escape, its 8-bit form and a direction override: each could change what a terminal shows.
EVIL = "\x1b[2J\x1b]0;título\x07 \x9b31m \u202eorejem\u202c \x08\x7f"

runner = CliRunner()
Command = Callable[..., str]


@pytest.fixture
def work(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two documents; the models are tiny, and any confidence will do."""
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    monkeypatch.setenv("FUENTE_MODELS__GENERATOR", str(tiny_models / "generator"))
    monkeypatch.setenv("FUENTE_MODELS__DEVICE", "cpu")
    monkeypatch.setenv("FUENTE_RETRIEVAL__DENSE_WEIGHT", "0")
    monkeypatch.setenv("FUENTE_GENERATION__CAUTION", "0")
    (plain_settings / "docs").mkdir()
    write("docs/agua.txt", WATER)
    write("docs/lstm.md", f"# Redes\n\n{GATES}")
    return plain_settings


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path.absolute()


def run(*arguments: str) -> str:
    """Standard output of a command that succeeds."""
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def run_json(*arguments: str) -> Any:
    """The one JSON object that is all of standard output."""
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command that fails, as `fuente` itself does, and gives what it says about it."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fuente", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        assert stopped.value.code == 1
        assert printed.out == ""
        lines = printed.err.strip().splitlines()
        assert len(lines) == 1, printed.err
        assert lines[0].startswith("error: ")
        return lines[0]

    return call


def commands() -> list[tuple[str, ...]]:
    """Every command, found out from the application itself."""
    root: Any = typer.main.get_command(app)
    found: list[tuple[str, ...]] = []
    for name, command in root.commands.items():
        below = getattr(command, "commands", None)
        found += [(name, inner) for inner in below] if below else [(name,)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: tuple[str, ...]) -> None:
    text = run(*command, "--help")
    assert f"Example: fuente {' '.join(command)}" in " ".join(text.split())
    assert text == run(*command, "-h")


def test_the_version_is_that_of_the_package() -> None:
    assert runner.invoke(app, ["--version"]).output == f"fuente {version('fuente')}\n"


def test_the_commands_are_those_of_the_documentation() -> None:
    names = {command[0] for command in commands()}
    assert names == {
        "ingest",
        "reindex",
        "status",
        "remove",
        "verify",
        "repair",
        "backup",
        "restore",
        "search",
        "ask",
        "chat",
        "demo",
        "serve",
        "eval",
        "tune",
        "finetune",
        "models",
        "doctor",
        "transcribe",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("search",),
        ("ingest",),
        ("nonsense",),
        ("search", "¿Qué?", "-k", "0"),
        ("search", "¿Qué?", "-k", "101"),
        ("ask", "¿Qué?", "--temperature", "3"),
        ("ask", "¿Qué?", "--max-tokens", "0"),
        ("status", "--unknown"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: Sequence[str]) -> None:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == 2
    assert result.stdout == ""


def test_from_ingest_to_removal(work: Path, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_SERVER__URL", chat_server.url)
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    chat_server.pieces = (WATER[:10], WATER[10:], " Se sabe desde 1724 [4].")
    water, gates = str(work / "docs/agua.txt"), str(work / "docs/lstm.md")

    report = run_json("ingest", "docs")
    assert (report["added"], report["failed"], report["chunks"]) == ([water, gates], [], 2)
    state = run_json("status", "--sources")
    assert (state["documents"], state["chunks"], state["sources_count"]) == (2, 2, 2)
    assert [source["source"] for source in state["sources"]] == [water, gates]

    hits = run_json("search", "¿A cuántos grados hierve el agua?")["hits"]
    assert hits[0]["source"] == water
    found = run_json("ask", "¿A cuántos grados hierve el agua?")
    assert found["answer"] == f"{WATER} [1]"
    assert [citation["quote"] for citation in found["citations"]] == [WATER]
    assert (found["abstained"], found["model"]) == (False, "m")

    told = run_json("search", "¿A cuántos grados hierve el agua?", "-k", "1", "--expect", "lstm.md")["explanation"]
    assert [(each["rank"], each["source"]) for each in told["candidates"] if each["fate"] == "taken"] == [(1, water)]
    (missed,) = told["expected"]
    assert (missed["source"], missed["rank"], missed["dense"]["rank"]) == (gates, None, 2)
    assert missed["fate"] in {"first stage", "second stage"}
    shown = run("search", "¿A cuántos grados hierve el agua?", "-k", "1", "--expect", "lstm.md")
    assert "expected: docs/lstm.md" in shown
    assert "lost: others were" in shown

    assert run("remove", "agua.txt") == "1 removed\n"
    assert [hit["source"] for hit in run_json("search", "agua hierve")["hits"]] == [gates]
    assert run_json("ask", "¿A cuántos grados hierve el agua?")["abstained"]


def test_the_json_of_search_is_as_documented(work: Path) -> None:
    run("ingest", "docs")
    found = run_json("search", "¿Qué puerta tiene la LSTM?", "-k", "1")
    assert found.keys() == {"hits"}
    (hit,) = found["hits"]
    assert hit.keys() >= HIT_KEYS
    text = Path(hit["source"]).read_text(encoding="utf-8")
    assert (hit["rank"], hit["page"], hit["text"]) == (1, None, text[hit["start"] : hit["end"]])
    assert isinstance(hit["score"], float)
    assert isinstance(hit["chunk_id"], int)
    assert re.fullmatch(r"[0-9a-f]{16}", hit["document_id"])
    assert hit["language"] in {"es", "pt", "en"}


def test_the_json_of_ask_is_as_documented(work: Path, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_SERVER__URL", chat_server.url)
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    chat_server.pieces = (GATES,)
    run("ingest", "docs")
    found = run_json("ask", "Quando foi acrescentada a porta de esquecimento?", "--seed", "3", "--max-tokens", "50")
    jsonschema.validate(found, json.loads(run("ask", "--json-schema")))
    assert found.keys() >= ANSWER_KEYS
    (citation,) = found["citations"]
    assert citation.keys() >= CITATION_KEYS
    assert f"[{citation['marker']}]" in found["answer"]
    text = Path(citation["source"]).read_text(encoding="utf-8")
    assert text[citation["start"] : citation["end"]] == citation["quote"] == GATES
    assert 0.0 <= found["confidence"] <= 1.0
    assert found["usage"].keys() >= {"prompt_tokens", "answer_tokens"}
    assert all(seconds >= 0 for seconds in found["timings_s"].values())
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    assert (chat_server.requests[0]["seed"], chat_server.requests[0]["max_tokens"]) == (3, 50)


def test_a_conversation_is_held_line_by_line(
    work: Path, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUENTE_SERVER__URL", chat_server.url)
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    chat_server.pieces = (WATER,)
    run("ingest", "docs")
    first, follow_up = "¿A cuántos grados hierve el agua?", "¿Y por qué?"
    result = runner.invoke(app, ["chat", "--json"], input=f"{first}\n{follow_up}\n\nnever asked\n")
    assert result.exit_code == 0, (result.output, result.exception)
    one, two = map(json.loads, result.stdout.splitlines())
    assert (one["standalone_question"], one["rewriting"]) == (first, None)
    # The server repeats its sentence whatever it is asked, which is no question about the water.
    assert (two["question"], two["rewriting"]) == (follow_up, "joined")
    assert two["standalone_question"] == f"{first} {follow_up}"
    assert two["answer"] == f"{WATER} [1]"
    shown = runner.invoke(app, ["chat"], input=f"{first}\n")
    assert shown.stdout.startswith(f"{WATER} [1]\n")


def test_an_abstention_is_a_success(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("ingest", "docs")
    monkeypatch.setenv("FUENTE_GENERATION__CAUTION", "1")
    found = run_json("ask", "¿Quién ganó la copa?", "--max-tokens", "5")
    assert (found["abstained"], found["citations"]) == (True, [])
    assert found["answer"] == "No encuentro la respuesta en tus documentos."
    shown = run("ask", "¿Quién ganó la copa?", "--max-tokens", "5")
    assert shown.startswith("No encuentro la respuesta en tus documentos.\n")
    assert "agua.txt" in shown


def test_an_answer_is_shown_with_its_sources(
    work: Path, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUENTE_SERVER__URL", chat_server.url)
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    chat_server.pieces = (WATER,)
    run("ingest", "docs")
    lines = run("ask", "¿A cuántos grados hierve el agua?").splitlines()
    assert lines[0] == f"{WATER} [1]"
    assert f"[1] {Path('docs/agua.txt')}" in lines
    assert f"   “{WATER}”" in lines


@pytest.mark.parametrize("command", ["search", "ask", "status", "remove"])
def test_a_missing_index_is_told_in_one_line(command: str, work: Path, failure: Command) -> None:
    arguments = {"status": ("status",)}.get(command, (command, "algo"))
    assert "fuente-index: there is no index here. Run `fuente ingest PATH` first" in failure(*arguments)


def test_an_unknown_source_is_told_and_nothing_is_removed(work: Path, failure: Command) -> None:
    run("ingest", "docs")
    write("docs/otra.txt", "Nada.")
    assert "otra.txt is not in this index" in failure("remove", "agua.txt", "docs/otra.txt")
    assert run_json("status")["documents"] == 2


def test_a_name_that_two_files_have_is_not_guessed(work: Path, failure: Command) -> None:
    Path("docs/more").mkdir()
    write("docs/more/agua.txt", "El agua moja.")
    run("ingest", "docs")
    assert "agua.txt names 2 files in this index" in failure("remove", "agua.txt")
    assert run("remove", "docs/more") == "1 removed\n"
    assert run("remove", "agua.txt", "docs/agua.txt") == "1 removed\n"


def test_a_missing_path_is_told(work: Path, failure: Command) -> None:
    assert "nowhere.txt: does not exist" in failure("ingest", "docs", "nowhere.txt")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[retrieval]\nkk = 3", "retrieval.kk: no such key"),
        ("k = = 3", "fuente.toml: Invalid value"),
        (None, "no such"),
    ],
)
def test_a_bad_configuration_is_told(text: str | None, told: str, work: Path, failure: Command) -> None:
    if text is None:
        assert told in failure("--config", "missing.toml", "status")
        return
    write("fuente.toml", text)
    assert told in failure("status")


def test_a_named_configuration_is_used(work: Path) -> None:
    write("other.toml", 'index = "elsewhere"\n')
    run("--config", "other.toml", "ingest", "docs")
    assert Path("elsewhere/fuente.db").is_file()
    assert not Path("fuente-index").exists()
    assert run_json("status", "--index", "elsewhere")["index"] == "elsewhere"


def test_an_empty_question_is_told(work: Path, failure: Command) -> None:
    run("ingest", "docs")
    assert "the question is empty" in failure("ask", "  ")


def test_a_server_that_is_not_there_is_told(work: Path, failure: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    run("ingest", "docs")
    monkeypatch.setenv("FUENTE_SERVER__URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    assert "http://127.0.0.1:9/v1" in failure("ask", "¿Qué?")


def test_unreadable_files_are_named_with_their_rule_and_the_rest_goes_in(work: Path) -> None:
    write("docs/empty.txt", "")
    Path("docs/broken.pdf").write_bytes(b"%PDF-1.7 not really")
    report = run_json("ingest", "docs")
    assert len(report["added"]) == 2
    assert {(Path(item["source"]).name, item["rule"]) for item in report["failed"]} == {
        ("empty.txt", "empty"),
        ("broken.pdf", "unreadable"),
    }
    assert all(item["reason"] for item in report["failed"])
    result = runner.invoke(app, ["ingest", "docs"])
    assert result.exit_code == 0
    assert "0 added, 0 changed, 2 unchanged, 0 removed, 2 failed" in result.stdout
    assert "broken.pdf" in result.stderr


def test_a_named_file_that_fails_makes_the_command_fail_and_the_rest_goes_in(work: Path) -> None:
    write("docs/empty.txt", "")
    result = runner.invoke(app, ["ingest", "docs", "docs/../docs/empty.txt", "--json"])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (len(report["added"]), len(report["failed"])) == (2, 1)


def test_a_second_ingest_embeds_nothing(work: Path) -> None:
    assert run_json("ingest", "docs")["embedded"] == 2
    report = run_json("ingest", "docs")
    assert (report["embedded"], len(report["unchanged"]), report["generation"]) == (0, 2, 1)
    report = run_json("reindex")
    assert (report["chunks"], report["embedded"]) == (2, 0)


def test_control_characters_of_documents_never_reach_the_terminal(
    work: Path, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUENTE_SERVER__URL", chat_server.url)
    monkeypatch.setenv("FUENTE_SERVER__MODEL", "m")
    sentence = f"El gato maúlla {EVIL} de noche."
    chat_server.pieces = (sentence,)
    name = "docs/gato\x1b[31m.txt" if os.name != "nt" else "docs/gato.txt"
    write(name, f"# {EVIL}\n\n{sentence}")
    found = {
        arguments: runner.invoke(app, list(arguments))
        for arguments in (
            ("ingest", "docs"),
            ("status", "--sources"),
            ("status", "--sources", "--json"),
            ("search", "¿Qué hace el gato?"),
            ("search", "¿Qué hace el gato?", "--json"),
            ("ask", "¿Qué hace el gato?"),
            ("ask", "¿Qué hace el gato?", "--json"),
        )
    }
    for arguments, result in found.items():
        assert result.exit_code == 0, (arguments, result.output)
        shown = result.stdout + result.stderr if "ingest" in arguments else result.stdout
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown), (arguments, shown)
    assert "El gato maúlla" in found["ask", "¿Qué hace el gato?"].stdout
    # A program gets the text as it is: escaped, not cut.
    hits = json.loads(found["search", "¿Qué hace el gato?", "--json"].stdout)["hits"]
    assert any("\x9b31m" in hit["text"] for hit in hits) == ("\x9b31m" in stored_text(name))


def stored_text(name: str) -> str:
    """The text of a file as the index has it."""
    from index.store import Store

    store = Store.open(Path("fuente-index/fuente.db"))
    return next(iter(store.documents_of([str(Path(name).absolute())], 1).values())).text


def test_control_characters_in_an_error_never_reach_the_terminal(work: Path, failure: Command) -> None:
    told = failure("ingest", "a\x1b[31m\nb.txt")
    assert "\x1b" not in told
    assert "b.txt: does not exist" in told


def test_a_colon_in_a_name_is_no_emoji(work: Path) -> None:
    run("ingest", str(write("docs/x :smile: y.txt", "Una cara.")))
    assert ":smile:" in run("status", "--sources")


def test_models_are_listed_with_their_state(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(work / "cache"))
    found = run_json("models", "list")
    assert found["cache"] == str(work / "cache")
    assert {"multilingual-e5-small", "smollm2-135m-instruct"} <= {row["name"] for row in found["models"]}
    assert not any(row["prepared"] for row in found["models"])


def test_an_unknown_model_is_told(work: Path, failure: Command) -> None:
    assert "Unknown model 'nonsense'" in failure("models", "prepare", "nonsense")


def test_the_doctor_finds_a_damaged_index(work: Path) -> None:
    assert run_json("doctor")["index"]["state"] == "none yet"
    run("ingest", "docs")
    assert run_json("doctor")["index"]["state"] == "sound"
    faiss = Path("fuente-index/gen-000001/shard-0000/dense.faiss")
    data = bytearray(faiss.read_bytes())
    data[-1] ^= 1
    faiss.write_bytes(data)
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert "dense.faiss" in json.loads(result.stdout)["index"]["state"]


def test_samples_fill_an_empty_index_only(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_GENERATION__MAX_TOKENS", "4")
    first = runner.invoke(app, ["demo", "--samples", "docs"])
    assert first.exit_code == 0, first.output
    assert first.stdout.count("\n? ") == 3
    write("docs/nuevo.txt", "Algo nuevo.")
    run("demo", "--samples", "docs")
    assert run_json("status")["documents"] == 2


def test_a_question_set_is_measured(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def paragraph(text: str, question: str, answer: str) -> dict[str, Any]:
        answers = [{"text": answer, "answer_start": text.index(answer)}]
        return {"context": text, "qas": [{"id": question, "question": question, "answers": answers}]}

    paragraphs = [
        paragraph(WATER, "¿A cuántos grados hierve el agua?", "100"),
        paragraph(GATES, "¿Cuándo foi acrescentada a porta?", "1999"),
    ]
    data = {"version": "1", "data": [{"title": "t", "paragraphs": paragraphs}]}
    path = write("set.json", json.dumps(data))
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(work / "cache"))
    report = run_json("eval", str(path), "--retrieval-only")
    assert report["set"]["questions"] == 2
    assert report["retrieval"]["recall@1"]["value"] == 1.0
    assert "recall@1" in run("eval", str(path), "--retrieval-only")


def test_rankings_are_kept_and_gone_on_from(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qas = [{"id": "q", "question": "¿Cuándo hierve?", "answers": [{"text": WATER.split()[0], "answer_start": 0}]}]
    data = {"data": [{"title": "t", "paragraphs": [{"context": WATER, "qas": qas}]}]}
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(work / "cache"))
    command = ("eval", str(write("set.es.json", json.dumps(data))), "--retrieval-only", "--records", "kept.jsonl")
    assert run_json(*command)["retrieval"]["recall@1"]["value"] == 1.0
    kept = Path("kept.jsonl")
    kept.write_text(kept.read_text().replace("p00000", "another"))
    assert run_json(*command)["retrieval"]["recall@1"]["value"] == 0.0


def test_a_bar_moves_a_few_times_a_second_and_stays_where_its_stage_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(progress, "notes", Console(file=shown, force_terminal=True, width=100))
    moves: list[Any] = []
    update = progress.Progress.update

    def counted(bar: Any, task: Any, **fields: Any) -> None:
        moves.append(fields["completed"])
        update(bar, task, **fields)

    monkeypatch.setattr(progress.Progress, "update", counted)
    started = time.monotonic()
    with progress.sync_progress() as show:
        for number in range(5000):
            show(SyncProgress("read", number, 5000))
        show(SyncProgress("publish", 5000, 5000))
    assert len(moves) <= 3 + (time.monotonic() - started) / 0.1
    assert moves[-2:] == [4999, 5000]
    assert "reading files" in shown.getvalue()


@pytest.mark.usefixtures("plain_settings")
def test_ingesting_prepares_no_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(preparing, "prepare_models", lambda names, cache: prepared.extend(names))
    monkeypatch.setenv("FUENTE_MODELS__CACHE", "empty")
    library.prepare_missing(configured(None), embedder_only=True)
    assert prepared == ["multilingual-e5-small"]
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", "a folder")
    library.prepare_missing(configured(None), embedder_only=True)
    assert prepared == ["multilingual-e5-small"]


def process(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, in the working folder of the test."""
    search_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": search_path, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_in_processes_of_their_own(work: Path) -> None:
    ingested = process("-m", "ingest", "docs", str(write("ñandú.txt", "El ñandú corre.")), "--json")
    assert (ingested.returncode, len(json.loads(ingested.stdout)["added"])) == (0, 3), ingested.stderr
    # A locale without accents changes nothing.
    found = process("-m", "rag", "status", "--sources", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert found.returncode == 0, found.stderr
    names = {Path(source["source"]).name for source in json.loads(found.stdout)["sources"]}
    assert names == {"agua.txt", "lstm.md", "ñandú.txt"}


def test_a_failure_of_a_process(work: Path) -> None:
    missing = process("-m", "rag", "ask", "¿Qué?")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: ")
    assert "Traceback" not in missing.stderr
