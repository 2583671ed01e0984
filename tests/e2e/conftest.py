"""One server for most end-to-end tests: two gateways, two shards, accounts and posts per test.

Its profile is the sandbox, which is the laptop and one namespace more: a second server for what
applications of Centrifugo's do would cost another start. The laptop as it is runs in
test_processes.py and tests/fault.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.api_client import ApiClient
from tests.e2e.server import RunningServer
from tests.realtime_tokens import TOKEN_SECRET
from tests.stores import short_directory

TWO_OF_EACH = {"SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": "2", "SERAI_SHARDS__COUNT": "2"}
API_KEY = "the key of an application's own backend"
SANDBOX = {
    "SERAI_PROFILE": "sandbox",
    "SERAI_REALTIME__API_KEY": API_KEY,
    "SERAI_REALTIME__TOKEN_SECRET": TOKEN_SECRET,
}


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """Tests leave it healthy; they may not stop or kill parts of it."""
    directory = short_directory()
    with RunningServer(directory / "data", TWO_OF_EACH | SANDBOX) as running:
        yield running
    shutil.rmtree(directory)


@pytest.fixture
async def guest(server: RunningServer) -> AsyncIterator[ApiClient]:
    async with ApiClient(server.url) as client:
        yield client


@pytest.fixture
async def ada(server: RunningServer) -> AsyncIterator[ApiClient]:
    """A member with an account of this test's own."""
    async with ApiClient(server.url) as client:
        await client.register()
        yield client


@pytest.fixture
async def ben(server: RunningServer) -> AsyncIterator[ApiClient]:
    """A second one."""
    async with ApiClient(server.url) as client:
        await client.register()
        yield client
