"""An application made for Centrifugo, unchanged: `cent` in its backend, the Python SDK outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from cent import (
    AsyncClient,
    BroadcastRequest,
    DisconnectRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)

from storage.identity import new_id
from tests.conditions import wait_until
from tests.e2e.conftest import API_KEY
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer, websocket_url
from tests.realtime_tokens import connection_token

pytestmark = pytest.mark.e2e
NEWS = f"news-{new_id(276)}"


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[AsyncClient]:
    timeout: Any = aiohttp.ClientTimeout(10)  # a bare number warns
    client = AsyncClient(f"{server.url}/api", API_KEY, timeout=timeout)
    yield client
    await client._session.close()


def client_of(server: RunningServer, user: str, gateway: int) -> PythonClient:
    url = websocket_url(server.gateway_urls()[gateway])
    return PythonClient(url, connection_token(user))


async def test_an_application_runs_unchanged(server: RunningServer, api: AsyncClient) -> None:
    async with client_of(server, "42", 0) as ada, client_of(server, "7", 1) as ben:
        following = [await client.follow(NEWS) for client in (ada, ben)]
        done = await api.publish(PublishRequest(channel=NEWS, data={"text": "hello"}))
        await api.broadcast(BroadcastRequest(channels=[NEWS, "other"], data={"text": "all"}))
        for one in following:
            await wait_until(lambda one=one: len(one.publications) >= 2)  # type: ignore[misc]
            assert [data for _, data in one.publications] == [{"text": "hello"}, {"text": "all"}]
        history = await api.history(HistoryRequest(channel=NEWS, limit=10))
        assert [p.data["text"] for p in history.publications] == ["hello", "all"]
        assert history.epoch == done.epoch

        async with asyncio.timeout(30):
            while True:
                stats = await api.presence_stats(PresenceStatsRequest(channel=NEWS))
                present = (await api.presence(PresenceRequest(channel=NEWS))).presence
                if stats.num_users == len(present) == 2:
                    break
                await asyncio.sleep(0.05)
        assert sorted(info.user for info in present.values()) == ["42", "7"]

        await api.subscribe(SubscribeRequest(user="7", channel="private"))
        await wait_until(lambda: "private" in [c.channel for c in ben.events.server_subscribed])
        await api.publish(PublishRequest(channel="private", data=1))
        await wait_until(lambda: ("private", 1) in [(c, d) for c, _, d in ben.events.publications])
        await api.unsubscribe(UnsubscribeRequest(user="7", channel=NEWS))
        await wait_until(lambda: following[1].unsubscribed == [2000])

        async with asyncio.timeout(30):
            while True:
                nodes = (await api.info(InfoRequest())).nodes
                if sum(node.num_clients for node in nodes) == 2:
                    break
                await asyncio.sleep(0.1)
        assert len(nodes) == 2

        await api.disconnect(DisconnectRequest(user="7"))
        await wait_until(lambda: ben.events.disconnected == [3503])
        assert not ada.events.disconnected
