"""What an external Postgres or Redis server says about itself, for `doctor` and start-up checks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import asyncpg
from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from config.errors import AppError
from storage.redis import open_redis

_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True)
class PostgresFacts:
    version: int
    """Major version."""
    text: str
    """As the server words it, e.g. "18.6"."""
    extensions: frozenset[str]
    """Names that CREATE EXTENSION would accept, and those already created."""
    writable: bool
    """False on a standby."""


@dataclass(frozen=True)
class RedisFacts:
    version: tuple[int, int]
    """Of the Redis protocol level that the server claims: Valkey 9 says 7.2."""
    writable: bool


async def probe_postgres(url: str) -> PostgresFacts:
    """Raises `AppError("unavailable")` with the reason, never with the password."""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            connection = await asyncpg.connect(url)
            try:
                row = await connection.fetchrow(
                    "SELECT current_setting('server_version_num')::int / 10000 AS version,"
                    " current_setting('server_version') AS text,"
                    " NOT pg_is_in_recovery() AS writable,"
                    " array(SELECT name::text FROM pg_available_extensions) AS extensions"
                )
            finally:
                await connection.close()
    except TimeoutError as error:
        raise AppError("unavailable", f"no answer within {_TIMEOUT_SECONDS:.0f} s") from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise AppError("unavailable", str(error)) from error
    assert row is not None  # a SELECT without FROM has one row
    return PostgresFacts(
        row["version"], row["text"], frozenset(row["extensions"]), bool(row["writable"])
    )


async def probe_redis(url: str) -> RedisFacts:
    """Of a cluster, what one of its primaries says. Raises `AppError("unavailable")` with the
    reason, never with the password."""
    try:
        client = open_redis(url)
    except ValueError as error:
        raise AppError("unavailable", str(error)) from error
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            is_cluster = isinstance(client, RedisCluster)
            node = {"target_nodes": RedisCluster.DEFAULT_NODE} if is_cluster else {}
            server = await client.info("server", **node)
            replication = await client.info("replication", **node)
    except TimeoutError as error:
        raise AppError("unavailable", f"no answer within {_TIMEOUT_SECONDS:.0f} s") from error
    except (OSError, RedisError) as error:
        raise AppError("unavailable", str(error)) from error
    finally:
        await client.aclose()
    major, minor = str(server["redis_version"]).split(".")[:2]
    return RedisFacts((int(major), int(minor)), replication.get("role") == "master")
