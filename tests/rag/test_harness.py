"""Evaluation asks the application itself, one passage a paragraph."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from index.embedder import Vectors
from rag.compose import Fuente
from rag.evaluation.documents import over_documents
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
    record = answering(fuente, "El agua hierve a 100 grados. Hierve el agua.").answering()(SET.questions[0])
    assert record.text == "El agua hierve a 100 grados."
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


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 512] = b"x" * 512
    path.write_bytes(content)


def _no_database(path: Path) -> None:
    path.write_bytes(b"<html>" * 100)


def _damaged(fuente: Fuente, over: Callable[..., Harness], name: str, damage: Callable[[Path], None]) -> None:
    before = over(fuente, SET, Path("cache"))
    found = before.search(SET.questions, depth=3)
    before.index.close()
    (path,) = Path("cache").rglob(name)
    damage(path)
    assert over(fuente, SET, Path("cache")).search(SET.questions, depth=3) == found


@pytest.mark.parametrize("damage", [_truncated, _overwritten, _no_database, Path.unlink])
def test_a_damaged_store_of_a_set_is_made_anew(fuente: Fuente, damage: Callable[[Path], None]) -> None:
    _damaged(fuente, over_paragraphs, "fuente.db", damage)


@pytest.mark.parametrize("name", ["CURRENT", "dense.faiss", "manifest.json"])
def test_damaged_files_of_a_set_are_made_anew(fuente: Fuente, name: str) -> None:
    _damaged(fuente, over_paragraphs, name, _truncated)


def test_a_damaged_index_of_whole_documents_is_made_anew(fuente: Fuente) -> None:
    _damaged(fuente, over_documents, "fuente.db", _truncated)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_half_built_index_is_completed(fuente: Fuente, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    def stopped(texts: Sequence[str]) -> Vectors:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fuente.embedder, "encode_passages", stopped)
        with pytest.raises(KeyboardInterrupt):
            over_paragraphs(fuente, SET, Path("cache"))
    (folder,) = Path("cache").iterdir()
    for path in sorted(folder.iterdir())[left:]:
        if path.is_file():
            path.unlink()  # as if it had been stopped a little earlier
    assert over_paragraphs(fuente, SET, Path("cache")).search(SET.questions, depth=3)[0][0] == "agua"
