"""An application made for Centrifugo, unchanged: `cent` in its backend, the Python SDK outside."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import aiohttp
import jwt
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

from tests.conditions import wait_until
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer, websocket_url
from tests.stores import short_directory

pytestmark = pytest.mark.e2e

API_KEY: Final = "the key of an application's own backend"
TOKEN_SECRET: Final = "the secret of an application's own backend"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningServer]:
    directory = short_directory()
    settings = {
        "SERAI_PROFILE": "sandbox",
        "SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": "2",
        "SERAI_REALTIME__API_KEY": API_KEY,
        "SERAI_REALTIME__TOKEN_SECRET": TOKEN_SECRET,
    }
    with RunningServer(directory / "data", settings) as running:
        yield running
    shutil.rmtree(directory)


@pytest.fixture
async def api(sandbox: RunningServer) -> AsyncIterator[AsyncClient]:
    timeout: Any = aiohttp.ClientTimeout(10)  # a bare number warns
    client = AsyncClient(f"{sandbox.url}/api", API_KEY, timeout=timeout)
    yield client
    await client._session.close()


def client_of(sandbox: RunningServer, user: str, gateway: int) -> PythonClient:
    token = jwt.encode({"sub": user}, TOKEN_SECRET, "HS256")
    return PythonClient(websocket_url(sandbox.gateway_urls()[gateway]), token)


async def test_an_application_runs_unchanged(sandbox: RunningServer, api: AsyncClient) -> None:
    async with client_of(sandbox, "42", 0) as ada, client_of(sandbox, "7", 1) as ben:
        following = [await client.follow("news") for client in (ada, ben)]
        done = await api.publish(PublishRequest(channel="news", data={"text": "hello"}))
        await api.broadcast(BroadcastRequest(channels=["news", "other"], data={"text": "all"}))
        for one in following:
            await wait_until(lambda one=one: len(one.publications) >= 2)  # type: ignore[misc]
            assert [data for _, data in one.publications] == [{"text": "hello"}, {"text": "all"}]
        history = await api.history(HistoryRequest(channel="news", limit=10))
        assert [p.data["text"] for p in history.publications] == ["hello", "all"]
        assert history.epoch == done.epoch

        async with asyncio.timeout(30):
            while True:
                stats = await api.presence_stats(PresenceStatsRequest(channel="news"))
                present = (await api.presence(PresenceRequest(channel="news"))).presence
                if stats.num_users == len(present) == 2:
                    break
                await asyncio.sleep(0.05)
        assert sorted(info.user for info in present.values()) == ["42", "7"]

        await api.subscribe(SubscribeRequest(user="7", channel="private"))
        await wait_until(lambda: "private" in [c.channel for c in ben.events.server_subscribed])
        await api.publish(PublishRequest(channel="private", data=1))
        await wait_until(lambda: ("private", 1) in [(c, d) for c, _, d in ben.events.publications])
        await api.unsubscribe(UnsubscribeRequest(user="7", channel="news"))
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
