"""A realtime server and one raw socket to it, as fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.realtime_server import RawClient, RealtimeServer


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer() as server:
        yield server


@pytest.fixture
async def client(server: RealtimeServer) -> AsyncIterator[RawClient]:
    async with server.socket() as client:
        yield client


def error_of(reply: Any) -> int:
    return int(reply["error"]["code"])
