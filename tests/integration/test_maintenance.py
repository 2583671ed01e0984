from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from actors.job_tools import JobTools
from actors.maintenance import MAINTENANCE_LOCK, Maintenance
from config.settings import Settings, Streams
from tests.integration.content import Content, content_on


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as content:
        yield content


def maintenance(content: Content, now: datetime) -> Maintenance:
    settings = Settings(streams=Streams(retention_days=7, partitions_ahead_days=3))
    return Maintenance(JobTools(content.pool, lambda _: None, settings), lambda: now)


async def _partitions(content: Content) -> set[str]:
    rows = await content.pool.fetch(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'stream_event'::regclass"
    )
    return {row["name"] for row in rows}


async def test_partitions_move_with_the_days(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana)
    await content.comment(ana, post["id"])
    now = datetime.now(UTC)
    later = now + timedelta(days=9)
    await maintenance(content, later).maintain_streams(b"")
    names = await _partitions(content)
    assert f"stream_event_{now:%Y%m%d}" not in names  # nine days old, kept for seven
    assert f"stream_event_{later + timedelta(days=3):%Y%m%d}" in names
    # What was dropped is only the log: content and positions stay.
    assert await content.pool.fetchval("select count(*) from comment") == 1
    top = await content.pool.fetchval(
        "select top_offset from stream where channel = $1", f"thread:{post['id']}"
    )
    assert top == 1


async def test_old_idempotency_records_go(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, key="old")
    await content.pool.execute("update idempotency set created_at = now() - interval '25 hours'")
    await content.comment(ana, post["id"], key="new")
    await maintenance(content, datetime.now(UTC)).forget_idempotency(b"")
    keys = [row["key"] for row in await content.pool.fetch("select key from idempotency")]
    assert keys == ["new"]


async def test_one_process_at_a_time_moves_partitions(content: Content) -> None:
    later = datetime.now(UTC) + timedelta(days=9)
    before = await _partitions(content)
    async with content.pool.acquire() as rival:
        await rival.execute("select pg_advisory_lock($1)", MAINTENANCE_LOCK)
        await maintenance(content, later).maintain_streams(b"")
        assert await _partitions(content) == before
        await rival.execute("select pg_advisory_unlock($1)", MAINTENANCE_LOCK)
    await maintenance(content, later).maintain_streams(b"")
    assert await _partitions(content) != before
