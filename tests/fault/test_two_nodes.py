"""Two Ray nodes in network namespaces: a gateway on each, and the loss of the second node."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator

import aiohttp
import pytest

from benchmarks.namespaces import namespaces, why_not
from benchmarks.ray_nodes import ONE_GATEWAY_A_NODE, NodesServer
from tests.e2e.api_client import ApiClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import websocket_url
from tests.stores import short_directory

pytestmark = [pytest.mark.fault, pytest.mark.slow]

_PATIENCE_SECONDS = 120.0
_AGAIN = (aiohttp.ClientError, TimeoutError)


@pytest.fixture(scope="module")
def server() -> Iterator[NodesServer]:
    missing = why_not()
    if missing:
        pytest.skip(missing)
    directory = short_directory()
    env = {
        "SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": "2",
        **ONE_GATEWAY_A_NODE,
        "SERAI_SHARDS__COUNT": "2",
        "SERAI_GATEWAY__DRAIN_SECONDS": "1",
    }
    try:
        with namespaces(2) as nodes:
            server = NodesServer(nodes, directory, env)
            with server.running():
                yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _wait_ready(url: str) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(5)) as answer:
                    if answer.status == 200:
                        return
            except _AGAIN:
                pass
            await asyncio.sleep(0.2)


async def _comment(author: ApiClient, post: str, text: str) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                answer = await author.call(
                    "POST", f"/posts/{post}/comments", {"body_markdown": text}, key=text
                )
            except _AGAIN:
                continue
            if answer.status != 503:
                assert answer.status == 201, answer.body
                return
            await asyncio.sleep(0.2)


async def test_two_nodes_and_then_one(server: NodesServer) -> None:
    first, second = server.url(0), server.url(1)
    await _wait_ready(first)
    await _wait_ready(second)
    addresses = [websocket_url(first), websocket_url(second)]
    async with (
        ApiClient(first) as author,
        PythonClient(addresses[0]) as here,
        PythonClient(addresses[1]) as there,
    ):
        await author.register()
        post = (await author.post())["id"]
        channel = f"thread:{post}"
        following = [await client.follow(channel) for client in (here, there)]
        async with ApiClient(second) as other:
            other.token = author.token
            await _comment(author, post, "from the first node")
            await _comment(other, post, "from the second node")
        for follower in following:
            await follower.wait_offset(2)
            assert follower.offsets == [1, 2]

        # The whole node: what its raylet started goes with it.
        os.kill(server.raylet(1), signal.SIGKILL)
        await asyncio.to_thread(server.nodes[1].end)
        await _comment(author, post, "after the loss")
        # A load balancer in front would send it here; the SDK takes its position along.
        there.sdk._address = addresses[0]
        for follower in following:
            await follower.wait_offset(3)
            assert follower.offsets == [1, 2, 3]
        await _wait_ready(first)
