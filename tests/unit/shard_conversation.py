"""A shard on a log in memory, and the messages of one gateway to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from actors import shard_messages as m
from actors.community import CommunityShard
from config.settings import Settings
from storage.postgres import Pool
from tests.shard_model import StreamLog

A, B = "thread:a", "thread:b"


@asynccontextmanager
async def running(log: StreamLog, **options: Any) -> AsyncIterator[CommunityShard]:
    settings = options.pop("settings", Settings())
    defaults = {"sweep_seconds": 3600, "gap_grace_seconds": 0, "sweep_grace_seconds": 0}
    with log.installed():
        shard = CommunityShard(0, 1, cast(Pool, None), settings, **{**defaults, **options})
        await shard.start()
        try:
            yield shard
        finally:
            await shard.stop()


async def hello(shard: CommunityShard, *channels: str, gateway: str = "g") -> m.HelloReply:
    reply = await shard.handle(m.Hello(gateway, list(channels)))
    assert isinstance(reply, m.HelloReply)
    return reply


async def poll(
    shard: CommunityShard, incarnation: str, ack: int = 0, *, wait: float = 0, gateway: str = "g"
) -> m.PollReply:
    reply = await shard.handle(m.Poll(gateway, incarnation, ack, wait))
    assert isinstance(reply, m.PollReply)
    return reply


async def history(shard: CommunityShard, *arguments: Any, **options: Any) -> m.HistoryReply:
    reply = await shard.handle(m.ReadHistory(*arguments, **options))
    assert isinstance(reply, m.HistoryReply)
    return reply


def event(n: int) -> bytes:
    return b'{"n":%d}' % n


async def commit(shard: CommunityShard, log: StreamLog, channel: str, *numbers: int) -> None:
    await shard.handle(m.Publish([log.commit(channel, event(n)) for n in numbers]))
