"""The ports of a gateway: shared between gateways, private for operators, drained at the end."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web

from actors.messages import Reply
from config.edge import Gateway
from config.settings import Settings
from serve_app.gateway.server import GatewayServer
from tests.gateway_app import GatewayUnderTest, free_port, problem_of, running_gateway


async def test_two_gateways_share_one_port() -> None:
    async with running_gateway() as (first, _):
        second = GatewayUnderTest(first.settings)
        await second.server.start()
        try:
            assert second.server.port == first.server.port
            assert second.server.private_port != first.server.private_port
            await first.server.stop()
            async with aiohttp.ClientSession(second.url) as session:
                for _ in range(5):
                    async with session.get("/healthz", headers={"Connection": "close"}) as response:
                        assert response.status == 200
        finally:
            await second.server.stop()


async def test_while_draining_an_answer_is_the_last_on_its_connection() -> None:
    async with running_gateway() as (gateway, session):
        async with session.get("/healthz") as response:
            assert "Connection" not in response.headers
        await gateway.server.stop_listening()
        async with session.get("/healthz") as response:  # on the same connection
            assert response.status == 200
            assert response.headers["Connection"] == "close"


async def test_metrics_are_for_operators() -> None:
    async with running_gateway() as (gateway, session):
        async with session.get("/metrics") as response:
            assert response.status == 200
            assert "serai_http_requests_total" in await response.text()
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        async with session.get("/metrics", headers=forwarded) as response:
            assert (await problem_of(response))["code"] == "not_found"
        private = f"http://127.0.0.1:{gateway.server.private_port}"
        async with aiohttp.ClientSession(private) as other:
            async with other.get("/metrics") as response:
                assert response.status == 200
            async with other.get("/metrics", headers=forwarded) as response:
                assert (await problem_of(response))["code"] == "not_found"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_the_private_port_is_for_operators(host: str) -> None:
    """A forwarding header stands for somebody from elsewhere."""
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    async with running_gateway(host=host) as (gateway, shared):
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{gateway.server.private_port}"
        ) as private:
            for path in ("/api/v1/countries", "/connection/websocket", "/nowhere", "/metrics"):
                async with private.get(path, headers=forwarded) as response:
                    assert (await problem_of(response))["code"] == "not_found"
            async with private.post("/api/v1/auth/login", headers=forwarded, json={}) as response:
                assert (await problem_of(response))["code"] == "not_found"
            assert gateway.backends.requests == []
            for path in ("/healthz", "/readyz"):
                async with private.get(path, headers=forwarded) as response:
                    assert response.status == 200
            async with private.get("/api/v1/countries") as response:
                assert response.status == 200
        async with shared.get("/api/v1/countries", headers=forwarded) as response:
            assert response.status == 200


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost"])
async def test_on_a_loopback_address_the_private_port_is_on_loopback(host: str) -> None:
    gateway = GatewayUnderTest(Settings(gateway=Gateway(port=free_port(), host=host)))
    await gateway.server.start()
    try:
        private = gateway.server._sites[0]
        assert private.name == f"http://127.0.0.1:{gateway.server.private_port}"
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.server.private_port)
        writer.close()
    finally:
        await gateway.server.stop()


async def test_stop_lets_requests_end_and_refuses_new_connections() -> None:
    async with running_gateway() as (gateway, session):
        asked, release = asyncio.Event(), asyncio.Event()

        async def slow() -> Reply:
            asked.set()
            await release.wait()
            return Reply(body=b"{}")

        gateway.backends.answer = lambda request: slow()
        request = asyncio.create_task(session.get("/api/v1/countries"))
        await asked.wait()
        await gateway.server.stop_listening()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", gateway.server.port)
        private = f"http://127.0.0.1:{gateway.server.private_port}/readyz"
        async with aiohttp.ClientSession() as other, other.get(private) as response:
            assert (await problem_of(response))["code"] == "unavailable"
        stop = asyncio.create_task(gateway.server.stop())
        await asyncio.sleep(0)
        assert not stop.done()
        release.set()
        async with await request as response:
            assert response.status == 200
        await stop


async def test_taken_port_is_reported_and_leaves_nothing_open() -> None:
    with socket.socket() as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        gateway = GatewayUnderTest(Settings(gateway=Gateway(port=port)))
        with pytest.raises(OSError):
            await gateway.server.start()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", gateway.server.private_port)
        assert isinstance(gateway.server, GatewayServer)


async def test_who_leaves_during_the_handshake_is_no_defect(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands do at once when a storm is answered too slowly: no traceback each."""
    async with running_gateway() as (gateway, session):
        tried = asyncio.Event()

        async def too_late(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            try:
                await web.WebSocketResponse().prepare(request)
            finally:
                tried.set()
            raise AssertionError("there was somebody to answer")

        monkeypatch.setattr(gateway.realtime, "handle_websocket", too_late)
        with pytest.raises(aiohttp.ClientError):
            await session.ws_connect("/connection/websocket")
        await tried.wait()
        async with session.get("/healthz") as response:
            assert response.status == 200
        assert [r for r in caplog.records if r.levelname in ("ERROR", "CRITICAL")] == []
