"""Pools of connections, and what its failures mean to the layers above.

asyncpg's own codecs already do what we need: parameters of type uuid take UUID or str, results are
`uuid.UUID` (a subclass that msgspec encodes), so no Python codec slows every row down.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg

from config.errors import AppError
from config.settings import Postgres

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

T = TypeVar("T")

ACQUIRE_TIMEOUT_SECONDS: Final = 5.0
CONNECT_TIMEOUT_SECONDS: Final = 5.0
# Over the server's own limit: only a server that no longer answers at all reaches it.
_CLIENT_MARGIN_SECONDS: Final = 5.0
_ATTEMPTS: Final = 8
_WAL_POSITION: Final = """
    select ((case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                  else pg_current_wal_insert_lsn() end) - '0/0'::pg_lsn)::bigint"""
_BACKOFF_SECONDS: Final = 0.005
_MAX_BACKOFF_SECONDS: Final = 0.2

# 40001, 40P01: the transaction was rolled back for the sake of a rival. The other two: the schema
# changed under a prepared statement, and asyncpg has by now forgotten the statement.
_RETRIED: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
_UNAVAILABLE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.PostgresIOError,
    asyncpg.ReadOnlySQLTransactionError,  # a demoted primary
    asyncpg.InternalClientError,  # the connection broke while the pool was resetting it
)


async def connect(
    url: str,
    settings: Postgres,
    *,
    application_name: str = "serai",
    size: int | None = None,
    statement_timeout_seconds: float | None = None,
    more_settings: Mapping[str, str] | None = None,
    keeps_session: bool = False,
) -> Pool:
    """A pool of `size` (default: `settings.pool_size`) connections, opened as they are needed.

    `statement_timeout_seconds`: that of the settings where none is given, 0 none. `more_settings`:
    of the server, for all that the pool's connections do. `keeps_session`: whoever uses the pool
    leaves the session as it was (no `set` outside of a transaction, no lock of the session), so
    that a connection goes back without a round trip that resets it. Raises AppError `unavailable`
    when the server can't be reached. Close it with `pool.close()`.
    """
    seconds = statement_timeout_seconds
    if seconds is None:
        seconds = settings.statement_timeout_seconds
    server_settings = {
        **(more_settings or {}),
        "application_name": application_name,
        "statement_timeout": str(round(seconds * 1000)),
    }
    command_timeout = seconds + _CLIENT_MARGIN_SECONDS if seconds else None
    with translate():
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size or settings.pool_size,
            # A connection keeps the plans of its statements: closing an idle one throws them away.
            max_inactive_connection_lifetime=0,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=command_timeout,
            server_settings=server_settings,
            reset=_keep if keeps_session else None,
        )


async def _keep(_: asyncpg.Connection[asyncpg.Record]) -> None:
    """asyncpg itself has rolled back what was left open."""


@asynccontextmanager
async def acquire(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for reads; `overloaded` when none gets free in time. Errors are translated."""
    with translate():
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            yield connection


async def in_transaction(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Runs `work` in one READ COMMITTED transaction, again from the start after a deadlock or a
    serialization failure, so it must have no effect outside of the database.

    Gives up with `overloaded`. After `unavailable` the commit may or may not have happened.
    """
    result, _ = await _run(pool, work, with_position=False)
    return result


async def in_transaction_at(
    pool: Pool, work: Callable[[Connection], Awaitable[T]]
) -> tuple[T, int]:
    """`in_transaction`, and a WAL position behind the commit (0: it could not be asked)."""
    return await _run(pool, work, with_position=True)


async def in_statement_at(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> tuple[T, int]:
    """`in_transaction_at` for work that is one statement: that is a transaction of its own, and
    two round trips shorter."""
    return await _run(pool, work, with_position=True, in_block=False)


async def wal_position(connection: Connection) -> int:
    """Bytes of the log that this server has written, or replayed where it is a replica. Later
    snapshots show all commits up to there; on the primary one that ends just there may be missing.
    """
    return int(await connection.fetchval(_WAL_POSITION))


@contextmanager
def translate() -> Iterator[None]:
    """Turns what asyncpg raises about the server's state into AppError; all else passes through."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
    ) as error:
        translated = _translated(error)
        if translated is None:
            raise
        raise translated from error


async def _run(
    pool: Pool,
    work: Callable[[Connection], Awaitable[T]],
    *,
    with_position: bool,
    in_block: bool = True,
) -> tuple[T, int]:
    for attempt in range(_ATTEMPTS):
        try:
            async with acquire(pool) as connection:
                async with connection.transaction() if in_block else nullcontext():
                    result = await work(connection)
                return result, await _position(connection) if with_position else 0
        except _RETRIED as error:
            if attempt == _ATTEMPTS - 1:
                raise AppError(
                    "overloaded", "Too many changes at the same place.", retry_after_seconds=1.0
                ) from error
        pause = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2**attempt)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


async def _position(connection: Connection) -> int:
    try:
        with translate():
            return await wal_position(connection)
    except AppError:
        # The transaction is committed: its success must not become a failure now.
        return 0


def _translated(error: Exception) -> AppError | None:
    if isinstance(error, (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError)):
        # TimeoutError is an OSError: no free connection, or a server that doesn't answer.
        return AppError("overloaded", "The database took too long.", retry_after_seconds=1.0)
    unavailable = isinstance(error, (*_UNAVAILABLE, OSError))
    if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError):
        # A use after the connection or the pool was closed; other misuse is a defect of ours.
        unavailable = "clos" in str(error)
    if unavailable:
        return AppError("unavailable", "The database can't be reached.", retry_after_seconds=1.0)
    return None
