"""Small real parts for tests of answering: random models with real tokenizers, passages, scripted replies."""

import hashlib
import http.server
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, Literal

import numpy as np
import pytest

from index.embedder import Vectors
from index.filters import Filter
from index.types import Hit
from ingest.types import Chunk, Document
from rag.spans import Piece, standing_in
from rag.types import Message, Sampling

TURN, END = "<|im_start|>", "<|im_end|>"
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CORPUS = (
    "Las redes generativas adversarias aprenden de dos redes que compiten. "
    "O codificador comprime os dados num espaço latente. "
    "The decoder writes one token after another and the encoder reads them all. "
)
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def tiny_tokenizer() -> Any:
    """A byte-level BPE tokenizer with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    load: Any = PreTrainedTokenizerFast
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=["<|endoftext|>", TURN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator([_CORPUS] * 4, trainer)
    fast = load(tokenizer_object=tokenizer, eos_token=END, pad_token="<|endoftext|>")
    fast.chat_template = _TEMPLATE
    return fast


def tiny_causal_lm(vocabulary: int, end_id: int, **settings: Any) -> Any:
    """A Qwen2 network of two layers with random weights, large enough for replies that vary."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(7)
    fields = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
        "eos_token_id": end_id,
    }
    model: Any = Qwen2ForCausalLM(Qwen2Config(**{**fields, **settings}))
    return model.eval()


def tiny_writer(tokenizer: Any) -> Any:
    """The same with the attention that models write with on a CPU."""
    from models.attention import use_grouped_attention

    model = tiny_causal_lm(len(tokenizer), tokenizer.convert_tokens_to_ids(END))
    use_grouped_attention(model)
    return model


def _save_tiny_embedder(folder: Path) -> None:
    """A mean-pooled BERT of one layer: equal words give near vectors, which is all that tests of plumbing need."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder / "bert")
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    SentenceTransformer(modules=[transformer, Pooling(32)]).save(str(folder / "embedder"))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks so small are slower on several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `embedder/` and `generator/`: random weights in the files of real models."""
    folder = tmp_path_factory.mktemp("tiny-models")
    _save_tiny_embedder(folder)
    tokenizer = tiny_tokenizer()
    tiny_causal_lm(len(tokenizer), tokenizer.convert_tokens_to_ids(END)).save_pretrained(folder / "generator")
    tokenizer.save_pretrained(folder / "generator")
    return folder


@pytest.fixture
def plain_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder and an environment without settings of this machine."""
    for name in [name for name in os.environ if name.startswith("FUENTE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FUENTE_CONFIG", "")  # commands set it; this takes it back afterwards
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def document(text: str, source: str = "notes.txt", language: str = "es") -> Document:
    """A document of one page."""
    digest = hashlib.sha256(f"{source}\0{text}".encode()).hexdigest()
    return Document(digest[:16], source, text, (), language, {}, digest)


def hits_of(*documents: Document, channel: Literal["fused", "external"] = "fused") -> list[Hit]:
    """Each paragraph of each document as a hit, in order, with falling scores."""
    chunks = [
        (given, Chunk(int(given.id[:8], 16) + found.start(), given.id, found[0], *found.span(), None, ()))
        for given in documents
        for found in re.finditer(r"\S(?:.|\n(?!\n))*", given.text)
    ]
    return [
        Hit(chunk, 5.0 - rank, rank, channel, given.source, given.language, 0.9, 3.0)
        for rank, (given, chunk) in enumerate(chunks, 1)
    ]


def bag_of_words(texts: Sequence[str]) -> Vectors:
    """Unit vectors (N, 256) that count hashed words: equal texts have cosine 1, texts without a common word 0."""
    vectors = np.zeros((len(texts), 256), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.casefold()):
            vectors[row, hashlib.sha256(word.encode()).digest()[0]] += 1.0
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-9), np.float32)


class FixedSearch:
    """Always the same passages, as out of a corpus of that size."""

    def __init__(self, hits: Sequence[Hit], corpus_size: int | None = 200) -> None:
        self.hits = list(hits)
        self.corpus_size = corpus_size
        self.asked: list[tuple[str, int | None, Filter | None]] = []

    def page_at(self, hit: Hit, offset: int) -> int | None:
        return hit.chunk.page

    def search(self, question: str, *, k: int | None = None, where: Filter | None = None) -> list[Hit]:
        self.asked.append((question, k, where))
        return self.hits[: k or len(self.hits)]


class ScriptedGenerator:
    """Writes the given pieces, whatever it is asked; `on_piece` is called after each."""

    def __init__(self, pieces: Sequence[str], *, on_piece: Callable[[int], None] | None = None) -> None:
        self.name = "scripted"
        self.context_tokens = 4096
        self.prompts: list[Sequence[Message]] = []
        self._pieces = pieces
        self._on_piece = on_piece

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        self.prompts.append(messages)
        for number, piece in enumerate(self._pieces):
            if cancel is not None and cancel.is_set():
                return
            yield piece
            if self._on_piece:
                self._on_piece(number)


class ScriptedChooser(ScriptedGenerator):
    """Also says how sure it is that the passages hold the answer."""

    def __init__(self, pieces: Sequence[str], log_odds: float, **options: Any) -> None:
        super().__init__(pieces, **options)
        self.checks: list[Sequence[Message]] = []
        self._log_odds = log_odds

    def log_odds(self, messages: Sequence[Message], first: str, second: str, *, cancel: Event | None = None) -> float:
        self.checks.append(messages)
        return self._log_odds


class ScriptedExtractor(ScriptedChooser):
    """Is sure that the passages hold the answer, and finds it in the first text in which its words stand.

    `found` are these words, with their ln P where it is not 0. It then writes `pieces`, or `told` once words are told.
    """

    def __init__(
        self, found: str | dict[str, float], pieces: Sequence[str] = (), *, told: Sequence[str] | None = None
    ) -> None:
        super().__init__(pieces, 10.0)
        self._found = {found: 0.0} if isinstance(found, str) else found
        self._replies = (pieces, pieces if told is None else told)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        self._pieces = self._replies["\u00ab" in messages[-1].content.rpartition("\n")[2]]
        return super().stream(messages, sampling, cancel=cancel)

    def extract(self, messages: Sequence[Message], texts: Sequence[str], *, cancel: Event | None = None) -> list[Piece]:
        self.prompts.append(messages)
        found = ((standing_in(texts, words), log_likelihood) for words, log_likelihood in self._found.items())
        return [replace(piece, log_likelihood=log_likelihood) for piece, log_likelihood in found if piece]


class InTurn(ScriptedChooser):
    """Writes another text at each call, and is sure that the passages hold the answer."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__([], 10.0)
        self._texts = iter(texts)

    def stream(self, messages: Sequence[Message], sampling: Sampling, *, cancel: Event | None = None) -> Iterator[str]:
        text = next(self._texts)
        self._pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        return super().stream(messages, sampling, cancel=cancel)


class ChatServer(http.server.ThreadingHTTPServer):
    """Speaks the streaming chat-completions protocol on 127.0.0.1; `behaviour` decides how a request ends."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ChatHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.pieces: Sequence[str] = ("Hola", " mundo", ".")
        self.behaviour = "answer"
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.sent = 0
        self.go_on = Event()
        self.go_on.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class _ChatHandler(http.server.BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if server.behaviour == "refuse":
            self._refuse()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._event({"role": "assistant"})
        for piece in server.pieces:
            server.go_on.wait(10)
            self._event({"content": piece})
            server.sent += 1
        if server.behaviour == "garbage":
            self._write("data: {not json\n\n")
        if server.behaviour == "break":
            self.close_connection = True  # without the chunk that ends a reply
            return
        self._write("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self) -> None:
        body = json.dumps({"error": {"message": "the model `x` does not exist", "code": 404}}).encode()
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _event(self, delta: dict[str, str]) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        event = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
        self._write(f"data: {json.dumps(event)}\n\n")

    def _write(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def chat_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A running server; no proxy stands between it and the client."""
    for name in _PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with ChatServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()
