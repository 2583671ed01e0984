"""Every kind of job, its worker killed before each of its statements in turn, then run to its end.

Each attempt dies one statement later than the one before, on what that one left behind. In the end
there is as much of everything as after one run that nobody disturbed, and another run changes
nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import pytest

from actors.job_table import ENTRYPOINTS, Entrypoint
from actors.job_tools import JobTools
from actors.search import Search
from config.errors import AppError
from config.settings import Postgres, Settings
from storage.postgres import Pool
from storage.search.engine import SearchEngine
from tests.conditions import wait_until_async
from tests.integration.content import content_on
from tests.integration.search_world import AskedSearch, search_actor
from tests.integration.test_jobs_twice import CASES, snapshot
from tests.stores import PostgresForTests

pytestmark = pytest.mark.integration

# More than any job has; one that has more would never be run to its end.
_MOST_STATEMENTS: Final = 400
_KILLED: Final = "killed"


class Fuse:
    """Lets a number of statements through; then the process counts as dead."""

    def __init__(self, statements: int) -> None:
        self.left = statements

    def burn(self, connection: asyncpg.Connection[Any]) -> None:
        self.left -= 1
        if self.left < 0:
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("the worker was killed")


def _dying(fuse: Fuse) -> type[asyncpg.Connection[Any]]:
    """Connections of a process that dies when `fuse` has burnt: their transactions roll back."""

    class Dying(asyncpg.Connection):
        async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
            if not args:  # else it goes through _do_execute
                fuse.burn(self)
            return await super().execute(query, *args, timeout=timeout)

        async def _do_execute(self, *args: Any, **named: Any) -> Any:
            fuse.burn(self)
            return await super()._do_execute(*args, **named)  # type: ignore[misc]

        async def _executemany(self, *args: Any, **named: Any) -> Any:
            fuse.burn(self)
            return await super()._executemany(*args, **named)  # type: ignore[misc]

    return Dying


async def _until_dead(handler: Awaitable[None]) -> bool:
    """Whether it ran to its end."""
    try:
        await handler
    except AppError as error:
        assert error.retryable, "a worker that died is no reason to give up"
        return False
    except asyncpg.PostgresConnectionError:
        return False
    return True


def _counts(rows: dict[str, list[str]]) -> dict[str, int]:
    """Of each table; attempts are logged by the queue, which is not asked here."""
    return {name: len(of) for name, of in rows.items()}


async def _undisturbed(url: str, entry: Entrypoint, data_dir: str) -> dict[str, int]:
    async with content_on(url) as content:
        payload = msgspec.json.encode(await CASES[entry.name](content))
        settings = Settings(data_dir=data_dir, postgres=Postgres(url=url))
        async with search_actor(content.pool, _index_of(settings)) as (_, engine):
            await entry.make(_tools(content.pool, settings, engine))(payload)
        return _counts(await snapshot(content.pool))


@pytest.fixture
def other_database_url(postgres_server: PostgresForTests) -> Iterator[str]:
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


async def _wait_for_their_end(pool: Pool) -> None:
    """The server notices a moment later; until then it holds the locks of who died."""

    async def gone() -> bool:
        return not await pool.fetchval(
            "select count(*) from pg_stat_activity where application_name = $1"
            " and datname = current_database()",
            _KILLED,
        )

    await wait_until_async(gone)


def _index_of(settings: Settings) -> Path:
    return Path(settings.data_dir) / "search"


def _tools(pool: Pool, settings: Settings, engine: SearchEngine) -> JobTools:
    """Search dies with the worker; what it had written to its index is there."""
    return JobTools(pool, lambda _: None, settings, AskedSearch(Search(pool, engine)))


@pytest.mark.parametrize("entry", ENTRYPOINTS, ids=lambda entry: str(entry.name))
async def test_a_worker_killed_at_any_statement_loses_and_doubles_nothing(
    database_url: str, other_database_url: str, entry: Entrypoint, tmp_path: Any
) -> None:
    expected = await _undisturbed(other_database_url, entry, str(tmp_path / "undisturbed"))

    settings = Settings(data_dir=str(tmp_path / "killed"), postgres=Postgres(url=database_url))
    async with (
        content_on(database_url) as content,
        search_actor(content.pool, _index_of(settings)) as (_, engine),
    ):
        payload = msgspec.json.encode(await CASES[entry.name](content))
        killed = 0
        for statements in range(_MOST_STATEMENTS):
            async with asyncpg.create_pool(
                database_url,
                min_size=1,
                connection_class=_dying(Fuse(statements)),
                server_settings={"application_name": _KILLED},
            ) as pool:
                if await _until_dead(entry.make(_tools(pool, settings, engine))(payload)):
                    break
            killed += 1
            await _wait_for_their_end(content.pool)
        else:
            pytest.fail("it never came to its end")
        assert killed > 0, "the job asked the database for nothing"
        after = await snapshot(content.pool)
        assert _counts(after) == expected
        await entry.make(_tools(content.pool, settings, engine))(payload)
        assert await snapshot(content.pool) == after
