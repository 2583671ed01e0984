"""The client of a Redis protocol server or of a cluster, and the guard that lets it be away.

Nothing lives in Redis alone, so nobody waits for it: a call gets a tenth of a second, and after one
that failed nobody asks until a probe in the background has got an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.errors import AppError

_log = logging.getLogger(__name__)

T = TypeVar("T")
RedisClient = Redis | RedisCluster

CLUSTER: Final = "+cluster"
_PORT: Final = 6379
# What is tried again at once: a connection that the server closed while nobody used it, and, in a
# cluster, a slot that has moved.
_RETRIES: Final = 2
_FAILURES: Final = (RedisError, OSError, TimeoutError)
_PROBE_SECONDS: Final = 5.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0


def open_redis(url: str) -> RedisClient:
    """Connects at its first use. A cluster is named by some of its nodes,
    `redis+cluster://user:password@one:6379,two:6379`; its commands must keep to one hash tag each.
    """
    scheme, _, rest = url.partition("://")
    if not scheme.endswith(CLUSTER):
        return Redis.from_url(url, retry=Retry(NoBackoff(), _RETRIES))
    credentials, _, places = rest.rpartition("@")
    user, _, password = credentials.partition(":")
    nodes = [
        urlsplit(f"//{place}") for place in places.partition("/")[0].partition("?")[0].split(",")
    ]
    return RedisCluster(
        startup_nodes=[ClusterNode(node.hostname or "", node.port or _PORT) for node in nodes],
        username=unquote(user) or None,
        password=unquote(password) or None,
        ssl=scheme.startswith("rediss"),
        retry=Retry(NoBackoff(), _RETRIES),
    )


async def greet(client: RedisClient, seconds: float = _PROBE_SECONDS) -> bool:
    """Whether it answers. A cluster's client learns the cluster here, which takes longer than the
    calls that come later may."""
    with contextlib.suppress(*_FAILURES):
        async with asyncio.timeout(seconds):
            if isinstance(client, RedisCluster):
                await client.initialize()
            await client.ping()
            return True
    return False


class RedisGuard:
    """Calls with a deadline, and none while Redis is away. Used from one event loop."""

    def __init__(self, client: RedisClient, *, timeout_seconds: float = 0.1) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._away = True
        self._prober: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        return self._away

    def start(self) -> None:
        """Begin to look for Redis; until it answers it counts as away."""
        if self._prober is None:
            self._prober = asyncio.create_task(self._probe(), name="redis-probe")

    async def ask(self, work: Callable[[RedisClient], Awaitable[T]]) -> T:
        """Raises AppError `unavailable`, at once while Redis is away."""
        if self._away:
            raise AppError("unavailable", "Redis is away")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await work(self._client)
        except _FAILURES as error:
            if not self._away:
                _log.warning("Redis did not answer, going on without it: %r", error)
            self._away = True
            self.start()
            raise AppError("unavailable", "Redis did not answer") from error

    async def close(self) -> None:
        if self._prober is not None:
            self._prober.cancel()
            await asyncio.wait([self._prober])
        await self._client.aclose()

    async def _probe(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not await greet(self._client):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            self._away = False
        finally:
            self._prober = None
