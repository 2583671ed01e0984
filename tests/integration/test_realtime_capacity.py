"""A gateway that is full, and an address with too many connections, over real ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from serve_app.api import connections
from serve_app.api.route import Route
from tests.conditions import wait_until
from tests.emulated_clients import EmulationServer, stream
from tests.gateway_app import REFUSED, problem_of, running_gateway

SOCKETS = ["websocket", "uni_websocket"]
STREAMS = ["sse", "http_stream", "uni_sse", "uni_http_stream"]


@asynccontextmanager
async def _answer(server: EmulationServer, kind: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """To a handshake that is refused."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    method = "POST" if kind.endswith("http_stream") else "GET"
    url = f"{server.base}/connection/{kind}"
    headers = upgrade if kind in SOCKETS else {}
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, headers=headers) as response,
    ):
        yield response


@pytest.mark.parametrize("kind", [*SOCKETS, *STREAMS])
@pytest.mark.parametrize(
    ("limit", "status"), [("max_sockets", 503), ("max_sockets_per_address", 429)]
)
async def test_beyond_the_bound_there_is_no_handshake(kind: str, limit: str, status: int) -> None:
    bounds: dict[str, Any] = {limit: 2}
    async with EmulationServer(**bounds) as server, aiohttp.ClientSession() as http:
        async with (
            http.ws_connect(f"{server.base}/connection/websocket"),
            stream(server.base, "sse") as client,
        ):
            await client.connected()
            async with _answer(server, kind) as response:
                assert response.status == status
                assert 1 <= int(response.headers["Retry-After"]) <= 10
            assert server.sockets == 2
            # What the connections say is no connection.
            assert (await client.ask(server.base, "ping"))["ping"] == {}
        await wait_until(lambda: server.realtime.statistics()["connections_held"] == 0)
        async with stream(server.base, "sse") as client:
            await client.connected()


async def test_a_refused_handshake_leaves_its_place() -> None:
    async with EmulationServer(max_sockets=1) as server:
        async with AsyncExitStack() as stack:
            for _ in range(3):  # no handshakes: their place is free at once
                response = await stack.enter_async_context(_answer(server, "sse"))
                assert response.status == 400
        async with stream(server.base, "http_stream") as client:
            await client.connected()


@pytest.mark.parametrize("route", connections.ROUTES, ids=lambda route: str(route.path))
async def test_handshakes_are_charged_to_their_address(route: Route[Any, Any]) -> None:
    async with running_gateway() as (gateway, http):
        gateway.limiter.verdict = REFUSED
        async with http.request(route.method, route.path) as response:
            if route.path == "/emulation":
                assert gateway.limiter.charged == []
                return
            assert gateway.limiter.charged == [("connect", None, "127.0.0.1")]
            assert (await problem_of(response))["code"] == "rate_limited"
            assert response.status == 429
            assert response.headers["Retry-After"] == "7"


async def test_stopping_ends_the_fetching_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    async with EmulationServer() as server:
        tokens = server.services.tokens
        close = tokens.close

        async def closed() -> None:
            await close()
            ended.append("tokens")

        monkeypatch.setattr(tokens, "close", closed)
    assert ended == ["tokens"]
