"""Backup, loss, restore: all that was acknowledged comes back, and no position of before holds."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from config.errors import AppError
from config.settings import Postgres
from storage.embedded.backup import Follower, back_up, restore
from storage.embedded.postgres import EmbeddedPostgres
from storage.incarnation import settle_epoch
from storage.migrate import migrate
from storage.postgres import connect
from storage.streams import read_epoch
from tests.integration.content import Content, content_on
from tests.stores import copy_with_owners, short_directory


@pytest.fixture
def folder() -> Iterator[Path]:
    """Others may enter it: started by root, Postgres runs as another user."""
    directory = short_directory()
    yield directory
    shutil.rmtree(directory)


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[str]:
    server = EmbeddedPostgres(data_dir, durable=False)
    try:
        yield await server.start()
    finally:
        await server.close()


async def epoch_of(url: str) -> str:
    pool = await connect(url, Postgres(), size=1)
    try:
        return await read_epoch(pool)
    finally:
        await pool.close()


async def slots(url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch("select slot_name from pg_replication_slots")
    finally:
        await connection.close()


async def titles(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {row["title"] for row in await connection.fetch("select title from post")}
    finally:
        await connection.close()


async def write(content: Content, *names: str) -> None:
    ada = await content.member(f"m{names[0].lower()}")
    for name in names:
        await content.post(ada, title=name)


async def test_what_followed_the_backup_comes_back_to_the_end_or_a_moment(
    initialised_postgres: Path, folder: Path
) -> None:
    lost = copy_with_owners(initialised_postgres, folder / "lost")
    target = folder / "backup"
    async with running(lost) as url:
        await migrate(url)
        async with content_on(url) as content:
            await write(content, "Before1", "Before2")
            follower = Follower(url, target)
            await follower.start()
            try:
                await back_up(url, target)
                await write(content, "After1", "After2")
                moment = await content.pool.fetchval("select clock_timestamp()")
                await write(content, "Later1", "Later2")
                await _received(content)
            finally:
                await follower.stop()
        before = await epoch_of(url)
        assert not await slots(url), "nothing is kept for who follows no more"
    everything = {f"{word}{n}" for word in ("Before", "After", "Later") for n in (1, 2)}
    await restore(target, folder / "all")
    async with running(folder / "all") as url:
        assert await titles(url) == everything
        assert await epoch_of(url) != before
        await _stays(url)
    assert isinstance(moment, datetime)
    await restore(target, folder / "part", until=moment)
    async with running(folder / "part") as url:
        assert await titles(url) == everything - {"Later1", "Later2"}
        assert await epoch_of(url) != before


async def _received(content: Content) -> None:
    """Everything that is committed by now."""
    position = await content.pool.fetchval("select pg_current_wal_flush_lsn()::text")
    statement = (
        "select bool_or(flush_lsn >= $1::text::pg_lsn) from pg_stat_replication"
        " where application_name = 'pg_receivewal'"
    )
    async with asyncio.timeout(60):
        while not await content.pool.fetchval(statement, position):  # noqa: ASYNC110 - a query
            await asyncio.sleep(0.05)


async def _stays(url: str) -> None:
    """An epoch is written once for one incarnation, and the restored one can be followed."""
    connection = await asyncpg.connect(url)
    try:
        assert not await settle_epoch(connection)
        assert await connection.fetchval("show hot_standby") == "on"
        assert await connection.fetchval("show restore_command") == ""
    finally:
        await connection.close()


async def test_a_dump_in_another_cluster_is_another_incarnation(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert not await settle_epoch(connection)
        await connection.execute("update incarnation set system_identifier = 1")
        before = await connection.fetchval("select epoch from incarnation")
        assert await settle_epoch(connection)
        assert await connection.fetchval("select epoch from incarnation") != before
        assert not await settle_epoch(connection)
    finally:
        await connection.close()


async def test_refusals(initialised_postgres: Path, folder: Path) -> None:
    data_dir = copy_with_owners(initialised_postgres, folder / "postgres")
    (folder / "backup" / "base").mkdir(parents=True)
    with pytest.raises(AppError, match="no base backup"):
        await restore(folder / "backup", folder / "new")
    (folder / "backup" / "base" / "backup_label").touch()
    with pytest.raises(AppError, match="move it away"):
        await restore(folder / "backup", data_dir)
    with pytest.raises(AppError, match="another place"):
        await back_up("postgresql://nobody@/nothing?host=/nowhere", folder / "backup")
    with pytest.raises(AppError, match="backup failed"):
        await back_up("postgresql://nobody@/nothing?host=/nowhere", folder / "other")
    assert not (folder / "other" / "base").exists()
