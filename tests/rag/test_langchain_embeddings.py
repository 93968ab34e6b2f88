"""The embedder passes LangChain's standard suites for embeddings."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

import models
from index import Embedder

NAME = "multilingual-e5-small"


@pytest.fixture(scope="module")
def sentence_transformer(fuente_cache: Path) -> Any:
    try:
        resolved = models.resolve(NAME, fuente_cache)
    except models.NotPreparedError as error:
        pytest.skip(str(error))
    return models.load_sentence_transformer(resolved, models.plan_device("cpu", role="embedder"))


class _Constructed:
    """How the suites construct the embedder."""

    @pytest.fixture(autouse=True)
    def _use(self, sentence_transformer: Any) -> None:
        self.sentence_transformer = sentence_transformer

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return Embedder

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": self.sentence_transformer, "name": NAME}


@pytest.mark.models
class TestEmbedderStandardUnit(_Constructed, EmbeddingsUnitTests):
    pass


@pytest.mark.models
class TestEmbedderStandardIntegration(_Constructed, EmbeddingsIntegrationTests):
    pass


@pytest.mark.models
def test_langchain_sees_the_vectors_of_the_index(embedder: Embedder) -> None:
    assert embedder.embed_query("¿Qué es un pez?") == embedder.encode_queries(["¿Qué es un pez?"])[0].tolist()
    assert embedder.embed_documents(["Un pez."]) == embedder.encode_passages(["Un pez."]).tolist()
    assert embedder.embed_query("Un pez.") != embedder.embed_documents(["Un pez."])[0]
    assert embedder.embed_documents([]) == []
