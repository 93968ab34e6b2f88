"""What is searched besides a question: written by a generator, checked, and off unless asked for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag.compose import Fuente
from rag.expansion import QueryExpander
from tests.rag.conftest import InTurn, ScriptedGenerator

TEXTS = {
    "faro.txt": "El faro de Almenara se construyó en 1884.",
    "puente.txt": "El puente de Arce lo diseñó Florencio Gil.",
    "agua.txt": "El agua hierve a cien grados al nivel del mar.",
    "trem.txt": "O comboio de Beja tem quarenta lugares.",
}
COMPOUND = "¿Cuándo se construyó el faro de Almenara y quién diseñó el puente de Arce?"
PARTS = "¿Cuándo se construyó el faro de Almenara?\n¿Quién diseñó el puente de Arce?"


def expander(written: str, **chosen: bool) -> QueryExpander:
    return QueryExpander(lambda: ScriptedGenerator([written]), **{"hypothetical": False, "decompose": False, **chosen})


@pytest.fixture
def fuente(plain_settings: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Fuente:
    monkeypatch.setenv("FUENTE_MODELS__EMBEDDER", str(tiny_models / "embedder"))
    for name, text in TEXTS.items():
        Path(name).write_text(text, encoding="utf-8")
    found = Fuente.configured(retrieval={"k": 2, "dense_weight": 0.0, "rerank": "none"})
    found.ingest(list(TEXTS))
    return found


def changed(fuente: Fuente, written: Sequence[str], **retrieval: object) -> Fuente:
    section = fuente.config.retrieval.model_copy(update=retrieval)
    other = Fuente(fuente.config.model_copy(update={"retrieval": section}), embedder=fuente.embedder)
    vars(other)["generator"] = InTurn(written)
    return other


def names(fuente: Fuente, question: str) -> list[str]:
    return [Path(hit.source).name for hit in fuente.retriever.search(question)]


class TestParts:
    def test_a_compound_question_is_divided(self) -> None:
        assert expander(PARTS, decompose=True).parts(COMPOUND) == tuple(PARTS.splitlines())

    def test_off_nothing_is_asked(self) -> None:
        assert QueryExpander(lambda: pytest.fail("loaded"), hypothetical=True, decompose=False).parts(COMPOUND) == ()

    @pytest.mark.parametrize("question", ["¿Quién diseñó el puente?", "Who designed it?", "Quem o desenhou?", ""])
    def test_a_simple_question_costs_nothing(self, question: str) -> None:
        asking = QueryExpander(lambda: pytest.fail("loaded"), hypothetical=False, decompose=True)
        assert asking.parts(question) == ()

    @pytest.mark.parametrize(
        "written",
        [
            "",
            COMPOUND,
            f"{PARTS}\n¿Dónde está el faro de Almenara?\n¿Dónde está el puente de Arce?",
            "¿Cuándo se construyó el faro de Almenara?\n¿Quién diseñó el puente de Brooklyn?",
            "¿Cuándo se construyó el faro de Almenara?\nFlorencio diseñó el puente de Arce",
            "When was the lighthouse of Almenara built?\nWho designed the bridge of Arce?",
        ],
        ids=["nothing", "the same", "too many", "another name", "an answer", "another language"],
    )
    def test_what_is_of_no_use_is_not_used(self, written: str) -> None:
        assert expander(written, decompose=True).parts(COMPOUND) == ()

    def test_every_part_is_searched_and_the_best_of_each_found(self, fuente: Fuente) -> None:
        divided = changed(fuente, [PARTS], decompose=True)
        hits = divided.retriever.search(COMPOUND)
        assert {Path(hit.source).name for hit in hits} == {"faro.txt", "puente.txt"}
        assert [hit.rank for hit in hits] == [1, 2]
        assert len({hit.chunk.id for hit in hits}) == 2

    def test_a_simple_question_finds_what_it_always_finds(self, fuente: Fuente) -> None:
        question = "¿A cuántos grados hierve el agua?"
        assert changed(fuente, [], decompose=True).retriever.search(question) == fuente.retriever.search(question)


class TestHypotheticalPassage:
    def test_off_nothing_is_written(self) -> None:
        assert expander("Un pasaje.").passage("¿Quién?") is None

    @pytest.mark.parametrize("written", ["", "  \n"])
    def test_nothing_written_is_nothing_searched(self, written: str) -> None:
        assert expander(written, hypothetical=True).passage("¿Quién?") is None

    def test_what_is_written_is_searched_beside_the_question(self, fuente: Fuente) -> None:
        question, passage = "¿Qué pasa con el calor?", TEXTS["agua.txt"]
        plain = changed(fuente, [], channel="dense")
        beside = changed(fuente, [passage], channel="dense", hypothetical=True)
        hits = {hit.source: hit.dense for hit in beside.retriever.search(question, k=4)}
        embedder = fuente.embedder
        mean = embedder.encode_queries([question])[0] + embedder.encode_passages([passage])[0]
        mean /= np.linalg.norm(mean)
        for hit in plain.retriever.search(question, k=4):
            vector = embedder.encode_passages([hit.chunk.text])[0]
            assert hits[hit.source] == pytest.approx(float(vector @ mean), abs=1e-5)
        assert Path(max(hits, key=lambda source: hits[source])).name == "agua.txt"

    def test_the_explanation_is_that_of_the_same_search(self, fuente: Fuente) -> None:
        question, passage = "¿Qué pasa con el calor?", TEXTS["agua.txt"]
        asked = changed(fuente, [passage, passage], channel="dense", hypothetical=True)
        found = asked.retriever.search(question)
        assert [each.hit for each in asked.retriever.explain(question).taken] == found
