"""LangChain's components as parts of Fuente: a chat model that writes, a store or retriever that finds."""

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import Field

from index import Embedder
from rag.answerer import Answerer
from rag.generator import Chooser, Generator
from rag.langchain import ChatFuente, LangChainGenerator, LangChainSearch
from rag.types import Message, Options, Sampling

DOCUMENTS = [
    Document(
        page_content="El faro de Punta Roja se construyó en 1894. Su torre mide 32 metros.",
        metadata={"source": "faros.pdf", "page": 3, "start_index": 120},
    ),
    Document(page_content="La lluvia cae sobre los campos y los ríos crecen.", metadata={"source": "lluvia.txt"}),
    Document(page_content="O farol do Cabo Frio foi aceso em 1861.", id="farol"),
]


class Scripted(BaseChatModel):
    """Streams its words and remembers what it was asked."""

    words: list[str]
    asked: list[tuple[list[BaseMessage], dict[str, Any]]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        self.asked.append((messages, {"stop": stop, **kwargs}))
        for word in self.words:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


class Listed(BaseRetriever):
    """Always finds the same documents."""

    found: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.found


def test_any_chat_model_is_a_generator() -> None:
    model = Scripted(words=["uno ", "", "dos"])
    generator = LangChainGenerator(model, parameters=("temperature", "seed"))
    assert isinstance(generator, Generator)
    assert not isinstance(generator, Chooser)
    messages = [Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "v")]
    assert list(generator.stream(messages, Sampling(0.3, 0.9, 5, None, ("fin",)))) == ["uno ", "dos"]
    ((asked, options),) = model.asked
    assert [(type(message), message.content) for message in asked] == [
        (SystemMessage, "s"), (HumanMessage, "u"), (AIMessage, "a"), (HumanMessage, "v"),
    ]  # fmt: skip
    assert options == {"stop": ["fin"], "temperature": 0.3}
    assert generator.name == "Scripted"


def test_a_generator_stops_when_it_is_cancelled() -> None:
    cancel = Event()
    pieces = LangChainGenerator(Scripted(words=["a", "b", "c"])).stream(
        [Message("user", "hi")], Sampling(), cancel=cancel
    )
    assert next(pieces) == "a"
    cancel.set()
    assert list(pieces) == []


def test_a_model_that_does_not_stream_is_a_generator_too() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("hola mundo")]), disable_streaming=True)
    assert list(LangChainGenerator(model, name="fake").stream([Message("user", "hi")], Sampling())) == ["hola mundo"]


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="top_k"):
        LangChainGenerator(Scripted(words=[]), parameters=("top_k",))


@pytest.mark.models
def test_the_token_estimate_is_on_the_high_side(embedder: Embedder) -> None:
    texts = [document.page_content for document in DOCUMENTS]
    exact = sum(embedder.token_counter().counts(texts))
    estimate = LangChainGenerator(Scripted(words=[])).count_tokens([Message("user", text) for text in texts])
    assert exact < estimate < 3 * exact


@pytest.mark.models
def test_there_and_back_the_reply_is_the_same(small_generator: Generator) -> None:
    around = LangChainGenerator(ChatFuente(generator=small_generator))
    messages, sampling = [Message("user", "Hello")], Sampling(temperature=0.0, max_tokens=15, stop=("today",))
    assert "".join(around.stream(messages, sampling)) == "".join(small_generator.stream(messages, sampling))


def test_hits_of_a_retriever_keep_order_and_origin() -> None:
    search = LangChainSearch(Listed(found=DOCUMENTS), k=2)
    first, second = search.search("faro")
    assert (first.rank, first.source, first.chunk.page, first.language) == (1, "faros.pdf", 4, "es")
    assert (first.chunk.start, first.chunk.end) == (120, 120 + len(DOCUMENTS[0].page_content))
    assert (second.rank, second.source, second.chunk.page, second.chunk.start) == (2, "lluvia.txt", None, 0)
    assert first.score > second.score
    third = search.search("faro", k=3)[2]
    assert (third.source, third.language) == ("farol", "pt")
    assert len({hit.chunk.id for hit in (first, second, third)}) == 3
    assert search.search("faro") == [first, second]


def test_the_first_page_can_be_one() -> None:
    assert LangChainSearch(Listed(found=DOCUMENTS), first_page=1).search("faro")[0].chunk.page == 3


@pytest.fixture
def search(embedder: Embedder) -> LangChainSearch:
    store = InMemoryVectorStore(embedder)
    store.add_documents(DOCUMENTS)
    return LangChainSearch(store, k=2)


@pytest.mark.models
def test_an_answer_from_langchain_parts_alone_is_cited(search: LangChainSearch, embedder: Embedder) -> None:
    reply = Scripted(words=["El faro se construyó ", "en 1894. ", "Lo diseñó Gustave ", "Eiffel en 1822."])
    answerer = Answerer(search, LangChainGenerator(reply, name="scripted"), embedder.encode_queries)
    answer = answerer.answer("¿Cuándo se construyó el faro de Punta Roja?")
    assert answer.text == "El faro se construyó en 1894. [1]"
    (citation,) = answer.citations
    assert (citation.source, citation.page) == ("faros.pdf", 4)
    assert citation.quote == "El faro de Punta Roja se construyó en 1894."
    assert citation.start == 120
    assert answer.model == "scripted"


@pytest.mark.models
def test_a_model_that_finds_no_answer_abstains(search: LangChainSearch, embedder: Embedder) -> None:
    generator = LangChainGenerator(Scripted(words=["NO_", "ANSWER"]))
    answer = Answerer(search, generator, embedder.encode_queries).answer("¿Quién pintó Las Meninas?")
    assert answer.abstained
    assert not answer.citations


@pytest.mark.models
def test_the_local_model_answers_from_a_langchain_store(
    search: LangChainSearch, embedder: Embedder, small_generator: Generator
) -> None:
    sampling = Sampling(temperature=0.0, max_tokens=60)
    answerer = Answerer(
        search, small_generator, embedder.encode_queries, sampling=sampling, options=Options(caution=0.0)
    )
    answer = answerer.answer("¿Cuándo se construyó el faro de Punta Roja?")
    assert answer.hits[0].source == "faros.pdf"
    assert 0.0 < answer.confidence < 1.0
    for citation in answer.citations:
        hit = next(hit for hit in answer.hits if hit.chunk.id == citation.chunk_id)
        begin = citation.start - hit.chunk.start
        assert hit.chunk.text[begin : begin + len(citation.quote)] == citation.quote
