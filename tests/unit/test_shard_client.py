"""Calls to shards where Ray itself is slow or its actors are gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError

from actors.shard_messages import (
    PresenceReply,
    Publication,
    Publish,
    ReadPresence,
    ShardReply,
    ShardRequest,
)
from config.errors import AppError
from serve_app.lines import Address, LineServer, line_key
from serve_app.shard_client import ShardClient, ShardPublisher
from tests.conditions import wait_until

SECRET = "secret"
QUESTION = ReadPresence("thread:a")
ANSWER: ShardReply = PresenceReply(2, 1)


async def answer(payload: bytes) -> bytes:
    return msgspec.msgpack.encode(ANSWER)


class Directory:
    """What Ray answers, and one shard behind it: `faults` are raised by those who ask next where it
    listens, one each."""

    def __init__(self) -> None:
        self.lookups: list[str] = []
        self.known = True
        self.faults: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.shard = LineServer(answer, line_key(SECRET, "shard-1"))

    def get_actor(self, name: str, namespace: str) -> Any:
        self.lookups.append(name)
        assert self.open.wait(10), "the event loop was blocked by a lookup"
        if not self.known:
            raise ValueError(f"no actor {name}")
        return self

    @property
    def line(self) -> Directory:
        return self

    async def remote(self) -> Address:
        if self.faults:
            raise self.faults.pop()
        return self.shard.address

    async def restart_shard(self) -> None:
        await self.shard.close()
        self.shard = LineServer(answer, line_key(SECRET, "shard-1"))
        await self.shard.start("127.0.0.1")


@pytest.fixture
async def directory(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    directory = Directory()
    await directory.shard.start("127.0.0.1")
    monkeypatch.setattr(ray, "get_actor", directory.get_actor)
    yield directory
    await directory.shard.close()


async def test_a_lookup_that_hangs_blocks_nobody_else(directory: Directory) -> None:
    directory.open.clear()
    client = ShardClient(SECRET)
    calls = [asyncio.create_task(client.call(1, QUESTION)) for _ in range(5)]
    await wait_until(lambda: bool(directory.lookups))
    calls.pop().cancel()
    directory.open.set()
    assert await asyncio.gather(*calls) == [ANSWER] * 4
    assert directory.lookups == ["shard-1"]


async def test_where_a_shard_listens_is_asked_anew_after_its_restart(directory: Directory) -> None:
    client = ShardClient(SECRET)
    assert [await client.call(1, QUESTION) for _ in range(3)] == [ANSWER] * 3
    assert len(directory.lookups) == 1
    await directory.restart_shard()
    directory.faults = [ActorUnavailableError("restarting", None)]
    with pytest.raises(AppError) as raised:
        await client.call(1, QUESTION)
    assert (raised.value.code, raised.value.retry_after_seconds) == ("unavailable", 1)
    assert await client.call(1, QUESTION) == ANSWER
    assert len(directory.lookups) == 3


async def test_a_dead_or_unknown_actor_is_looked_up_again(directory: Directory) -> None:
    client = ShardClient(SECRET)
    directory.known = False
    with pytest.raises(AppError, match="unavailable"):
        await client.call(1, QUESTION)
    directory.known = True
    assert await client.call(1, QUESTION) == ANSWER
    await directory.restart_shard()
    directory.faults = [ActorDiedError()]
    with pytest.raises(AppError, match="unavailable"):
        await client.call(1, QUESTION)
    assert await client.call(1, QUESTION) == ANSWER
    assert len(directory.lookups) == 4


class HangingClient(ShardClient):
    """Takes calls and answers them when the test lets it."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.calls: list[Publish] = []
        self.answers = asyncio.Semaphore(0)

    async def call(self, index: int, request: ShardRequest) -> ShardReply:
        assert isinstance(request, Publish)
        self.calls.append(request)
        await self.answers.acquire()
        return None


async def test_what_waits_for_a_shard_that_hangs_is_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.shard_client._MAX_WAITING_BYTES", 10_000)
    monkeypatch.setattr("serve_app.shard_client._MAX_SENT_BYTES", 2_000)
    client = HangingClient()
    publisher = ShardPublisher(client, 1)
    events = [Publication("thread:a", n, b"x" * 1_000) for n in range(1, 16)]
    for event in events:
        publisher.publish([event])
    await wait_until(lambda: len(client.calls) == 1)
    for _ in range(4):
        client.answers.release()
    await publisher.close()
    sent = [event.offset for call in client.calls for event in call.publications]
    assert sent == list(range(1, 11)), "those that there was room for, in order"
    assert [len(call.publications) for call in client.calls] == [3, 3, 3, 1]
    publisher.publish(events[:10])
    for _ in range(4):
        client.answers.release()
    await publisher.close()
    assert sum(len(call.publications) for call in client.calls) == 20, "there is room again"
