"""Gateways come and go with their sockets, and nobody who is connected loses anything."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.e2e.api_client import ApiClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer
from tests.stores import short_directory

pytestmark = pytest.mark.slow

_PATIENCE_SECONDS = 120.0
SOCKETS = 8
STAYING = 3


@pytest.fixture
def scaling_server() -> Iterator[RunningServer]:
    directory = short_directory()
    env = {
        "SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": "1",
        "SERAI_DEPLOYMENTS__GATEWAY__MAX_REPLICAS": "2",
        "SERAI_GATEWAY__SOCKETS_PER_REPLICA": "5",
        "SERAI_GATEWAY__SCALE_UP_SECONDS": "0",
        "SERAI_GATEWAY__SCALE_DOWN_SECONDS": "1",
        "SERAI_GATEWAY__DRAIN_SECONDS": "1",
    }
    with RunningServer(directory / "data", env) as running:
        yield running
    shutil.rmtree(directory)


async def _wait_gateways(server: RunningServer, count: int) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            if len(await asyncio.to_thread(server.pids, "gateway")) == count:
                return
            await asyncio.sleep(0.2)


async def test_gateways_follow_the_sockets(scaling_server: RunningServer) -> None:
    server = scaling_server
    async with AsyncExitStack() as staying, ApiClient(server.url) as author:
        await author.register()
        post = (await author.post())["id"]
        channel = f"thread:{post}"
        followers = []

        async def connect(stack: AsyncExitStack) -> None:
            client = await stack.enter_async_context(PythonClient(server.ws_url))
            followers.append(await client.follow(channel))

        async def comment() -> None:
            answer = None
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while answer is None or answer.status == 503:
                    answer = await author.call(
                        "POST", f"/posts/{post}/comments", {"body_markdown": "one more"}
                    )
            assert answer.status == 201

        async with AsyncExitStack() as leaving:
            for _ in range(STAYING):
                await connect(staying)
            for _ in range(SOCKETS - STAYING):
                await connect(leaving)
            await comment()
            await _wait_gateways(server, 2)
            # New connections are spread by the kernel; some of these reach the new gateway.
            for _ in range(SOCKETS):
                await connect(leaving)
            await comment()
            for follower in followers:
                await follower.wait_offset(2)
        await comment()
        await _wait_gateways(server, 1)
        await comment()
        for follower in followers[:STAYING]:
            await follower.wait_offset(4)
            assert follower.offsets == [1, 2, 3, 4]
            assert follower.unsubscribed == []
