"""Keys and signed addresses go to the server that the operator named, and to no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ai.embedder import load_model
from config.embedding import Embedding
from config.errors import AppError
from storage import bucket_rules
from storage.presigning import Bucket


class _Server(HTTPServer):
    """Answers `reply`, whatever is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = b"HTTP/1.0 200 OK\r\n\r\n<LifecycleConfiguration/>"
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def redirect(self, code: int, location: str) -> None:
        self.reply = f"HTTP/1.0 {code} Elsewhere\r\nLocation: {location}\r\n\r\n".encode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.command)
        self.wfile.write(self.server.reply)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def servers() -> Iterator[tuple[_Server, _Server]]:
    """The one that is named in the settings, and another one."""
    with ExitStack() as stack:
        yield stack.enter_context(serving()), stack.enter_context(serving())


def ask_for_vectors(server: _Server) -> AppError:
    with pytest.raises(AppError) as failed:
        load_model(
            Embedding(engine="openai", model="m", endpoint=f"{server.address}/v1", api_key="k")
        )
    return failed.value


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_the_key_of_the_embedding_server_goes_to_no_other(
    servers: tuple[_Server, _Server], code: int
) -> None:
    named, other = servers
    named.redirect(code, f"{other.address}/v1/embeddings")
    assert ask_for_vectors(named).code == "unavailable"
    assert (named.asked, other.asked) == (["POST"], [])


@pytest.mark.parametrize(
    "reply",
    [b"no HTTP at all\r\n\r\n", b"HTTP/1.0 302 Elsewhere\r\nLocation: http://[\r\n\r\n"],
)
def test_an_answer_that_is_none_is_unavailable(
    servers: tuple[_Server, _Server], reply: bytes
) -> None:
    named, _ = servers
    named.reply = reply
    assert ask_for_vectors(named).code == "unavailable"


def test_the_rules_of_a_bucket_are_read_from_its_own_server(
    servers: tuple[_Server, _Server],
) -> None:
    named, other = servers
    bucket = Bucket(named.address, "b", "r", "k", "s")
    assert bucket_rules.read(bucket) == []
    named.redirect(302, other.address)
    with pytest.raises(AppError, match="takes no rules: 302"):
        bucket_rules.read(bucket)
    assert (named.asked, other.asked) == (["GET", "GET"], [])
    named.reply = b"no HTTP at all\r\n\r\n"
    with pytest.raises(AppError) as failed:
        bucket_rules.read(bucket)
    assert failed.value.code == "unavailable"
