"""The embedded Valkey: persistence, kills, damaged files."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio as redis

from config.errors import AppError
from storage.embedded.valkey import EmbeddedValkey, running_valkey_url
from tests.conditions import process_ended, wait_until

pytestmark = pytest.mark.integration


@asynccontextmanager
async def server(data_dir: Path) -> AsyncIterator[tuple[EmbeddedValkey, str]]:
    valkey = EmbeddedValkey(data_dir)
    try:
        yield valkey, await valkey.start()
    finally:
        await valkey.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[redis.Redis]:
    async with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client


async def test_a_restart_keeps_the_data_and_the_url(short_directory: Path) -> None:
    data_dir = short_directory / ("a 'deep' place " * 8) / ("d" * 100) / "valkey"
    assert running_valkey_url(data_dir) is None
    async with server(data_dir) as (valkey, url):
        assert running_valkey_url(data_dir) == url
        async with connected(url) as client:
            await client.set("kept", "7")
            assert (await client.config_get("port"))["port"] == "0"
        await valkey.stop()
        assert valkey.pid is None and running_valkey_url(data_dir) is None
        assert await valkey.start() == url
        async with connected(url) as client:
            assert await client.get("kept") == "7"
        with pytest.raises(AppError, match="already runs"):
            await valkey.start()


async def test_a_killed_server_has_what_was_on_disk(short_directory: Path) -> None:
    async with server(short_directory / "valkey") as (valkey, url):
        async with connected(url) as client:
            await client.set("kept", "7")
            # Answers when the write is on this server's disk.
            assert (await client.waitaof(1, 0, 5000))[0] == 1
        assert valkey.pid is not None
        os.kill(valkey.pid, signal.SIGKILL)
        assert await valkey.wait_exit() == -signal.SIGKILL
        assert await valkey.start() == url
        async with connected(url) as client:
            assert await client.get("kept") == "7"


async def test_a_damaged_file_is_put_aside_and_the_server_starts_empty(
    short_directory: Path,
) -> None:
    data_dir = short_directory / "valkey"
    async with server(data_dir) as (_, url), connected(url) as client:
        await client.set("lost", "7")
    (log,) = (data_dir / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"*3\r\nnonsense" + log.read_bytes())
    async with server(data_dir) as (_, url), connected(url) as client:
        assert await client.get("lost") is None
        assert await client.set("new", "1")
    assert list((data_dir / "damaged").rglob("*.incr.aof"))


async def test_an_orphan_is_ended_before_the_next_start(short_directory: Path) -> None:
    data_dir = short_directory / "valkey"
    orphan = EmbeddedValkey(data_dir)
    await orphan.start()
    pid = orphan.pid
    assert pid is not None
    async with server(data_dir) as (valkey, _):
        assert process_ended(pid) and valkey.pid != pid
    await orphan.close()


async def test_a_cancelled_start_leaves_no_server(short_directory: Path) -> None:
    valkey = EmbeddedValkey(short_directory / "valkey")
    starting = asyncio.create_task(valkey.start())
    await wait_until(lambda: valkey.pid is not None)
    pid = valkey.pid
    assert pid is not None
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert process_ended(pid) and valkey.pid is None
    await valkey.close()


async def test_a_directory_that_cannot_be_made_is_reported(short_directory: Path) -> None:
    (short_directory / "file").write_text("")
    with pytest.raises(AppError, match="cannot prepare"):
        await EmbeddedValkey(short_directory / "file" / "valkey").start()
