"""GET /api/v1/realtime/token: who gets a token for which channel, and what it opens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
import pytest

from actors.access_token import sign
from actors.messages import Caller
from tests.gateway_app import problem_of
from tests.gateways import Gateways, running_gateways

pytestmark = pytest.mark.integration

THREAD = "thread:0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2c"


@pytest.fixture
async def gateways(database_url: str) -> AsyncIterator[Gateways]:
    async with running_gateways(database_url) as gateways:
        yield gateways


async def test_a_token_for_what_the_caller_may_read(gateways: Gateways) -> None:
    caller = Caller(uuid4(), "ada", "Ada", "member", uuid4())
    me = str(caller.account_id)
    access = sign(caller, gateways.secret, time.time(), 900)
    gateways.accounts.open |= {THREAD, f"user:{me}"}
    url = f"{gateways.urls[0]}/api/v1/realtime/token"
    headers = {"Authorization": f"Bearer {access}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        tokens = {}
        for channel in ("chat:a", "free", THREAD, f"#{me}", f"secret:a#7,{me}"):
            async with session.get(url, params={"channel": channel}) as response:
                assert response.status == 200, channel
                page = await response.json()
                assert page["expires_in"] == 900
                tokens[channel] = page["token"]
        for channel, code in (
            ("nowhere:a", "not_found"),
            ("serai-control:all", "not_found"),
            ("secret:a", "not_permitted"),
            ("$chat:a", "not_permitted"),
            (f"$chat:a#{me}", "not_permitted"),
            ("chat:a#7", "not_permitted"),
            (f"chat:a#{me}", "not_permitted"),
            ("#7", "not_permitted"),
            ("#", "not_permitted"),
            ("thread:0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2d", "not_permitted"),
            ("", "invalid"),
        ):
            async with session.get(url, params={"channel": channel}) as response:
                assert (await problem_of(response))["code"] == code, channel
    async with aiohttp.ClientSession() as guest, guest.get(url, params={"channel": "free"}) as r:
        assert (await problem_of(r))["code"] == "unauthenticated"
    statement = "insert into stream (id, channel) values (1, $1)"
    await gateways.shard.pool.execute(statement, f"user:{me}")
    async with gateways.socket() as client:
        assert "connect" in await client.connect(access)
        reply = await client.ask("subscribe", channel="chat:a", token=tokens["chat:a"])
        assert reply["subscribe"]["expires"] and 800 < reply["subscribe"]["ttl"] <= 900
        reply = await client.ask("subscribe", channel="free", token=tokens["chat:a"])
        assert reply["error"]["code"] == 103, "good for its own channel alone"
    async with gateways.connected("42") as other:
        reply = await other.ask("subscribe", channel="chat:a", token=tokens["chat:a"])
        assert reply["error"]["code"] == 103, "good for its own user alone"
