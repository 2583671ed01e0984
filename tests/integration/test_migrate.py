"""The migration runner on a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from config.errors import AppError
from storage import migrate as migrate_module
from storage.migrate import migrate
from tests.stores import PostgresForTests

pytestmark = pytest.mark.integration

FIRST = """-- migrate:up
CREATE TABLE item (id int PRIMARY KEY, body text NOT NULL);
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN n * 2;
END;
$$;

-- migrate:down
DROP TABLE item;
"""
CONCURRENT = """-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS item_body ON item (body);
CREATE INDEX CONCURRENTLY IF NOT EXISTS item_body_id ON item (body, id);
"""


@pytest.fixture
def empty_database_url(postgres_server: PostgresForTests) -> Iterator[str]:
    url = postgres_server.create_database(template="template0")
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
async def connection(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_indexes.sql").write_text(CONCURRENT)
    return tmp_path


async def test_applies_each_file_once_and_in_order(
    empty_database_url: str, connection: asyncpg.Connection, directory: Path
) -> None:
    assert await migrate(empty_database_url, directory) == ["0001_first", "0002_indexes"]
    assert await connection.fetchval("SELECT twice(21)") == 42
    assert (
        await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE tablename = 'item'") == 3
    )
    assert await migrate(empty_database_url, directory) == []
    (directory / "0003_more.sql").write_text("-- migrate:up\nALTER TABLE item ADD n int")
    assert await migrate(empty_database_url, directory) == ["0003_more"]
    rows = await connection.fetch("SELECT version, name FROM schema_migrations ORDER BY version")
    assert [tuple(row) for row in rows] == [
        ("0001", "0001_first"),
        ("0002", "0002_indexes"),
        ("0003", "0003_more"),
    ]


async def test_nodes_that_start_together_share_the_work(
    empty_database_url: str, directory: Path
) -> None:
    # With pg_advisory_lock this deadlocks: CREATE INDEX CONCURRENTLY waits for the waiters.
    async with asyncio.timeout(60):
        applied = await asyncio.gather(*(migrate(empty_database_url, directory) for _ in range(5)))
    assert sorted(applied, key=len)[-1] == ["0001_first", "0002_indexes"]
    assert sum(map(len, applied)) == 2


async def test_a_failing_file_changes_nothing(
    empty_database_url: str, connection: asyncpg.Connection, directory: Path
) -> None:
    bad = directory / "0003_bad.sql"
    bad.write_text("-- migrate:up\nCREATE TABLE half (n int);\nSELECT nonsense;\n")
    with pytest.raises(AppError, match=r"0003_bad \(line 3 of the up part\).*nonsense") as raised:
        await migrate(empty_database_url, directory)
    assert raised.value.code == "invalid"
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    assert await connection.fetchval("SELECT count(*) FROM schema_migrations") == 2
    bad.write_text("-- migrate:up\nCREATE TABLE whole (n int);\n")
    assert await migrate(empty_database_url, directory) == ["0003_bad"]


async def test_a_changed_file_is_refused_before_anything_runs(
    empty_database_url: str, connection: asyncpg.Connection, directory: Path
) -> None:
    await migrate(empty_database_url, directory)
    (directory / "0001_first.sql").write_text(FIRST + "-- changed\n")
    (directory / "0003_more.sql").write_text("-- migrate:up\nCREATE TABLE more (n int)")
    with pytest.raises(AppError, match="0001_first was changed") as raised:
        await migrate(empty_database_url, directory)
    assert raised.value.code == "conflict"
    assert await connection.fetchval("SELECT to_regclass('more')") is None
    # Line ends alone are no change: a checkout on Windows has others.
    (directory / "0001_first.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
    assert await migrate(empty_database_url, directory) == ["0003_more"]


async def test_a_locked_table_is_waited_for_and_not_for_ever(
    empty_database_url: str,
    connection: asyncpg.Connection,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate_module, "_LOCK_TIMEOUT", "50ms")
    await migrate(empty_database_url, directory)
    (directory / "0003_more.sql").write_text("-- migrate:up\nALTER TABLE item ADD n int")
    async with connection.transaction():
        await connection.execute("LOCK TABLE item IN ACCESS SHARE MODE")
        with pytest.raises(AppError, match="tables stay locked") as raised:
            await migrate(empty_database_url, directory)
    assert raised.value.code == "unavailable"
    assert await migrate(empty_database_url, directory) == ["0003_more"]


async def test_a_newer_database_is_accepted(empty_database_url: str, directory: Path) -> None:
    await migrate(empty_database_url, directory)
    (directory / "0002_indexes.sql").unlink()
    assert await migrate(empty_database_url, directory) == []


async def test_an_unreachable_server_is_reported(short_directory: Path, directory: Path) -> None:
    with pytest.raises(AppError, match="cannot connect") as raised:
        await migrate(f"postgresql://serai@/serai?host={short_directory}", directory)
    assert raised.value.code == "unavailable"


async def test_the_projects_own_schema_is_complete(database_url: str) -> None:
    assert await migrate(database_url) == []


@pytest.mark.parametrize("function", ["write_comments", "write_posts", "cast_votes"])
async def test_write_functions_keep_how_they_are_planned(database_url: str, function: str) -> None:
    """Who replaces one of them must say it again: `create or replace` drops what was set beside."""
    connection = await asyncpg.connect(database_url)
    try:
        (kept,) = [
            row["proconfig"] or []
            for row in await connection.fetch(
                "select proconfig from pg_proc where proname = $1", function
            )
        ]
    finally:
        await connection.close()
    assert {"enable_seqscan=off", "plan_cache_mode=force_generic_plan"} <= set(kept)
