"""The retriever passes LangChain's standard suite and says where its passages come from."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from index import Embedder
from rag.compose import Fuente
from rag.config import load_config
from rag.retriever import Retriever

TEXTS = {
    "agua.md": "# Agua\n\nEl agua hierve a 100 grados al nivel del mar.",
    "fogo.md": "# Fogo\n\nO fogo precisa de oxigênio, calor e combustível.",
    "air.md": "# Air\n\nAir is mostly nitrogen, with a fifth of oxygen.",
    "tierra.md": "# Tierra\n\nLa Tierra da una vuelta al Sol en un año.",
}


@pytest.fixture(scope="module")
def fuente(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Fuente:
    folder = tmp_path_factory.mktemp("files")
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    application = Fuente(load_config(index=folder / "index"), embedder=embedder)
    report = application.ingest([folder / name for name in TEXTS])
    assert len(report.added) == len(TEXTS)
    return application


@pytest.mark.models
class TestRetrieverStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _use(self, fuente: Fuente) -> None:
        self.fuente = fuente

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"index": self.fuente.index}

    @property
    def retriever_query_example(self) -> str:
        return "¿A cuántos grados hierve el agua?"


@pytest.mark.models
def test_documents_carry_their_origin(fuente: Fuente) -> None:
    (document,) = fuente.retriever.invoke("¿A cuántos grados hierve el agua?", k=1)
    stored = fuente.index.document(document.metadata["document_id"])
    assert stored is not None
    assert Path(document.metadata["source"]).name == "agua.md"
    assert stored.text[document.metadata["start"] : document.metadata["end"]] == document.page_content
    assert document.metadata["language"] == "es"


@pytest.mark.models
async def test_the_number_of_passages_can_be_given_asynchronously(fuente: Fuente) -> None:
    found = await fuente.retriever.ainvoke("oxygen", k=2)
    assert found == fuente.retriever.invoke("oxygen", k=2)
    assert len(found) == 2


@pytest.mark.models
def test_batches_answer_each_question_on_its_own(fuente: Fuente) -> None:
    questions = ["agua", "fogo", "air", "Tierra"] * 4
    assert fuente.retriever.batch(questions) == [fuente.retriever.invoke(question) for question in questions]
