"""The ports of a gateway: shared between gateways, private for operators, drained at the end."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from actors.messages import Reply
from config.settings import Gateway, Settings
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


async def test_metrics_are_for_operators() -> None:
    async with running_gateway() as (gateway, session):
        async with session.get("/metrics") as response:
            assert response.status == 200
            assert "serai_http_requests_total" in await response.text()
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        async with session.get("/metrics", headers=forwarded) as response:
            assert (await problem_of(response))["code"] == "not_found"
        private = f"http://127.0.0.1:{gateway.server.private_port}/metrics"
        async with (
            aiohttp.ClientSession() as other,
            other.get(private, headers=forwarded) as response,
        ):
            assert response.status == 200


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
