"""`search --explain` tells the way of each passage, and what of it the generator is given to read."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rag.compose import Fuente
from tests.rag.test_cli import run, run_json, work, write

__all__ = ["work"]

QUESTION = "¿A cuántos grados hierve el agua?"


@pytest.fixture
def asked(work: Path) -> Path:
    for number in range(4):
        write(f"docs/nota{number}.txt", f"La nota {number} dice que el agua del lago {number} hierve a más grados.")
    run("ingest", "docs")
    return work


def prompt_of(*options: str) -> Any:
    return run_json("search", QUESTION, "--explain", *options)["explanation"]["prompt"]


def test_the_prompt_is_told_passage_by_passage(asked: Path) -> None:
    told = run_json("search", QUESTION, "-k", "4", "--explain")
    prompt = told["explanation"]["prompt"]
    assert [one["chunk_id"] for one in prompt["passages"]] == [hit["chunk_id"] for hit in told["hits"]]
    assert all(one["in_prompt"] for one in prompt["passages"])
    totals = [prompt["instructions_and_question"], *(one["total"] for one in prompt["passages"])]
    steps = [after - before for before, after in pairwise(totals)]
    assert steps == [one["tokens"] for one in prompt["passages"]]
    answer = run_json("ask", QUESTION, "-k", "4", "--max-tokens", "3")
    assert answer["usage"]["prompt_tokens"] < prompt["passages"][-1]["total"] <= prompt["budget"]


def test_what_has_no_room_is_told(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    totals = [one["total"] for one in prompt_of("-k", "4")["passages"]]
    monkeypatch.setenv("FUENTE_GENERATION__PROMPT_TOKENS", str(totals[1]))
    prompt = prompt_of("-k", "4")
    assert [one["in_prompt"] for one in prompt["passages"]] == [True, True, False, False]
    assert run_json("ask", QUESTION, "-k", "4", "--max-tokens", "3")["usage"]["dropped_passages"] == 2
    table = run("search", QUESTION, "-k", "4", "--explain")
    assert table.count("left out: no room") == 2
    assert f"budget of the prompt: {totals[1]} tokens" in table


def test_weights_are_not_loaded_to_count_tokens(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fuente, "generator", property(lambda _: pytest.fail("the generator was loaded")))
    assert prompt_of()["passages"]


def test_without_a_generator_the_rest_is_told(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUENTE_MODELS__GENERATOR", "qwen2.5-coder-1.5b-instruct")
    monkeypatch.setenv("FUENTE_MODELS__CACHE", str(asked / "empty"))
    told = run_json("search", QUESTION, "--explain")
    assert told["explanation"]["prompt"] is None
    assert told["explanation"]["candidates"]


def test_what_is_read_around_a_passage_tells_what_was_matched(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run_json("search", QUESTION, "-k", "2")["hits"]
    assert [hit["matched"] for hit in plain] == [None, None]
    monkeypatch.setenv("FUENTE_RETRIEVAL__SURROUNDINGS_TOKENS", "300")
    for hit, read in zip(plain, run_json("search", QUESTION, "-k", "2")["hits"], strict=True):
        assert read["matched"] == {"start": hit["start"], "end": hit["end"]}
        assert read["start"] <= hit["start"] < hit["end"] <= read["end"]
