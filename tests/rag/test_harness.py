"""Evaluation asks the application itself, one passage a paragraph."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from index.embedder import Vectors
from rag.compose import Fuente
from rag.evaluation.harness import Harness, over_paragraphs
from rag.evaluation.questions import Paragraph, Question, QuestionSet
from tests.rag.conftest import ScriptedChooser

TEXTS = {
    "agua": "El agua hierve a 100 grados [3].",
    "redes": "Ian Goodfellow presentó las GAN en 2014. El generador crea muestras.",
    "lstm": "La puerta de olvido de la LSTM es de 1999.",
}
SET = QuestionSet(
    "set",
    "es",
    tuple(Paragraph(name, "título", text) for name, text in TEXTS.items()),
    (Question("1", "¿A cuántos grados hierve el agua?", ("100",), (18,), "agua", impossible=False),),
)


@pytest.fixture
def fuente(plain_settings: Path, tiny_models: Path) -> Fuente:
    return Fuente.configured(
        models={"embedder": str(tiny_models / "embedder")}, retrieval={"k": 2, "dense_weight": 0.0}
    )


def answering(fuente: Fuente, text: str, log_odds: float = 10.0) -> Harness:
    vars(fuente)["generator"] = ScriptedChooser([text], log_odds)  # where the property keeps what it built
    return over_paragraphs(fuente, SET, Path("cache"))


def test_searching_gives_paragraph_ids_best_first(fuente: Fuente) -> None:
    harness = over_paragraphs(fuente, SET, Path("cache"))
    other = replace(SET.questions[0], text="¿Cuándo es la puerta de olvido?")
    found = harness.search([SET.questions[0], other], depth=3)
    assert [ids[0] for ids in found] == ["agua", "lstm"]
    assert all(sorted(ids) == sorted(TEXTS) for ids in found)


def test_an_answer_is_recorded_without_markers(fuente: Fuente) -> None:
    record = answering(fuente, "El agua hierve a 100 grados. Son 100 grados.").answering()(SET.questions[0])
    assert record.text == "El agua hierve a 100 grados. Son 100 grados."
    assert record.cited_paragraph_ids == ("agua",)
    assert record.retrieved_paragraph_ids[0] == "agua"
    assert len(record.retrieved_paragraph_ids) == 2
    assert (record.abstained, record.generated_tokens) == (False, 1)
    assert 0 < (record.time_to_first_token_s or 0) <= record.seconds
    assert record.confidence > 0.5


def test_an_abstention_is_recorded_without_text(fuente: Fuente) -> None:
    record = answering(fuente, "El agua hierve.", -20.0).answering()(SET.questions[0])
    assert (record.text, record.abstained, record.cited_paragraph_ids) == ("", True, ())
    assert record.confidence < 0.5
    assert record.time_to_first_token_s is None


def test_passages_are_indexed_once_per_set_and_language(fuente: Fuente, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = fuente.embedder.encode_passages

    def counted(texts: Sequence[str]) -> Vectors:
        encoded.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(fuente.embedder, "encode_passages", counted)
    over_paragraphs(fuente, SET, Path("cache"))
    over_paragraphs(fuente, SET, Path("cache"))
    assert (encoded, len(list(Path("cache").iterdir()))) == ([3], 1)
    over_paragraphs(fuente, replace(SET, language="pt"), Path("cache"))
    assert len(list(Path("cache").iterdir())) == 2
    over_paragraphs(fuente, replace(SET, paragraphs=SET.paragraphs[:2]), Path("cache"))
    assert len(list(Path("cache").iterdir())) == 3
