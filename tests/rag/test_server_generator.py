"""Replies of a server, over real HTTP on this machine."""

import socket
import sys
from threading import Event

import pytest

from rag.errors import ConfigurationError, GenerationError
from rag.generator import Chooser, Generator
from rag.server_generator import ServerGenerator
from rag.types import Message, Sampling
from tests.rag.conftest import ChatServer

MESSAGES = [Message("system", "Responde."), Message("user", "¿Qué?")]


def generator(server: ChatServer, **options: str) -> ServerGenerator:
    return ServerGenerator(server.url, "m", **options)  # type: ignore[arg-type]


def test_pieces_come_as_the_server_sends_them(chat_server: ChatServer) -> None:
    chat_server.pieces = ("El ñandú", " corre", "", " 🙂.\n")
    assert list(generator(chat_server).stream(MESSAGES, Sampling())) == ["El ñandú", " corre", " 🙂.\n"]


def test_the_request_says_what_was_asked(chat_server: ChatServer) -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=3, stop=("FIN",))
    list(generator(chat_server, api_key="sk-1").stream(MESSAGES, sampling))
    assert chat_server.requests == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Responde."}, {"role": "user", "content": "¿Qué?"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 7,
            "seed": 3,
            "stop": ["FIN"],
            "stream": True,
        }
    ]
    assert chat_server.headers[0]["authorization"] == "Bearer sk-1"


def test_what_was_not_asked_is_not_sent(chat_server: ChatServer) -> None:
    list(generator(chat_server).stream(MESSAGES, Sampling()))
    assert not {"seed", "stop", "min_p", "repetition_penalty"} & chat_server.requests[0].keys()


def test_what_openai_does_not_know_is_sent_when_it_is_asked_for(chat_server: ChatServer) -> None:
    list(generator(chat_server).stream(MESSAGES, Sampling(min_p=0.1, repetition_penalty=1.2)))
    assert (chat_server.requests[0]["min_p"], chat_server.requests[0]["repetition_penalty"]) == (0.1, 1.2)


def test_it_writes_but_cannot_choose(chat_server: ChatServer) -> None:
    assert isinstance(generator(chat_server), Generator)
    assert not isinstance(generator(chat_server), Chooser)


def test_counts_are_on_the_high_side(chat_server: ChatServer) -> None:
    text = "Las redes generativas adversarias aprenden de dos redes que compiten entre sí. " * 20
    words = len(text.split())
    assert 1.5 * words < generator(chat_server).count_tokens([Message("user", text)]) < 4 * words


def test_a_refusal_is_told_with_the_address_and_the_mend(chat_server: ChatServer) -> None:
    chat_server.behaviour = "refuse"
    with pytest.raises(GenerationError, match="the model `x` does not exist") as caught:
        list(generator(chat_server).stream(MESSAGES, Sampling()))
    assert chat_server.url in str(caught.value)
    assert "server.model" in str(caught.value)


@pytest.mark.parametrize("behaviour", ["break", "garbage"])
def test_a_reply_that_breaks_off_is_an_error(behaviour: str, chat_server: ChatServer) -> None:
    chat_server.behaviour = behaviour
    pieces: list[str] = []
    with pytest.raises(GenerationError, match=r"server\.url"):
        pieces.extend(generator(chat_server).stream(MESSAGES, Sampling()))
    assert pieces == list(chat_server.pieces)


def test_a_server_that_is_not_there_is_told(chat_server: ChatServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can be there
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(GenerationError, match=rf"{address}.*Check server\.url"):
            list(ServerGenerator(address, "m").stream(MESSAGES, Sampling()))


def test_cancelled_before_it_begins_nothing_is_asked(chat_server: ChatServer) -> None:
    cancel = Event()
    cancel.set()
    assert list(generator(chat_server).stream(MESSAGES, Sampling(), cancel=cancel)) == []
    assert chat_server.requests == []


def test_cancelled_in_the_middle_it_hangs_up(chat_server: ChatServer) -> None:
    chat_server.pieces = ["palabra "] * 10_000
    cancel = Event()
    pieces = generator(chat_server).stream(MESSAGES, Sampling(), cancel=cancel)
    assert next(pieces) == "palabra "
    cancel.set()
    assert list(pieces) == []
    assert chat_server.sent < 10_000


def test_a_model_must_be_named() -> None:
    with pytest.raises(ConfigurationError, match=r"server\.model is empty"):
        ServerGenerator("http://127.0.0.1:1/v1", "")


def test_without_the_client_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'fuente\[server\]'"):
        ServerGenerator("http://127.0.0.1:1/v1", "m")
