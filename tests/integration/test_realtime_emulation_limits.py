"""Requests to /emulation are limited by address, also those that no session here will take."""

from __future__ import annotations

import aiohttp

from serve_app.gateway.peers import SIGNATURE
from tests.emulated_clients import EmulationServer, stream
from tests.fake_shard import FakeShard


async def test_a_frame_is_charged_once_on_its_way() -> None:
    shard = FakeShard()
    async with (
        EmulationServer(shard) as owner,
        EmulationServer(shard) as other,
        stream(owner.base, "sse") as client,
    ):
        await client.connected()
        assert await client.post(owner.base, {"id": 2, "ping": {}}) == 204
        assert (owner.charged, other.charged) == (["127.0.0.1"], [])
        assert await client.post(other.base, {"id": 3, "ping": {}}) == 204
        assert (owner.charged, other.charged) == (["127.0.0.1"], ["127.0.0.1"])


async def test_sessions_that_somebody_makes_up_are_not_passed_on_without_end() -> None:
    shard = FakeShard()
    async with (
        EmulationServer(shard) as owner,
        EmulationServer(shard) as other,
        stream(owner.base, "sse") as client,
        aiohttp.ClientSession(other.base) as http,
    ):
        await client.connected()
        made_up = {"session": "0" * 32, "node": client.node, "data": "{}"}
        async with http.post("/emulation", json=made_up) as response:
            assert response.status == 404
        other.is_limited = True
        for headers, status in (({}, 429), ({SIGNATURE: "1-" + "0" * 64}, 429)):
            async with http.post("/emulation", json=made_up, headers=headers) as response:
                assert response.status == status
                assert response.headers["Retry-After"] == "3"
        assert len(other.charged) == 3
