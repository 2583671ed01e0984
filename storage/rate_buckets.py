"""Rate-limit buckets in Redis: they outlive a restart of their owner, and nothing more.

One string per bucket holds its state, an integer; the key expires when the bucket is full again.
Plain GET and SET in a pipeline, not MGET: they work on a cluster too, where keys lie apart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from redis.exceptions import RedisError

from config.errors import AppError
from storage.redis import RedisClient

_PREFIX = "serai:rate:"
# Lets the owner's clock and Redis's differ a little without losing a bucket too early.
_TTL_MARGIN_MS = 1_000


class RateBuckets:
    """Loads and saves buckets; AppError("unavailable") when Redis does not answer in time."""

    def __init__(self, redis: RedisClient, *, timeout_seconds: float = 0.25) -> None:
        self._redis = redis
        self._timeout_seconds = timeout_seconds

    async def load(self, keys: Sequence[str]) -> dict[str, int]:
        """States by key; keys that are absent or hold something else are left out."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                pipeline = self._redis.pipeline(transaction=False)
                for key in keys:
                    pipeline.get(_PREFIX + key)
                values = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            raise AppError("unavailable", "Redis did not answer") from error
        states: dict[str, int] = {}
        for key, value in zip(keys, values, strict=True):
            if isinstance(value, str | bytes):
                with contextlib.suppress(ValueError):
                    states[key] = int(value)
        return states

    async def save(self, states: Mapping[str, int], now_ns: int) -> None:
        """Write states whose buckets are not full at `now_ns`; the others need no record."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                pipeline = self._redis.pipeline(transaction=False)
                for key, tat_ns in states.items():
                    if tat_ns > now_ns:
                        ttl_ms = (tat_ns - now_ns) // 1_000_000 + _TTL_MARGIN_MS
                        pipeline.set(_PREFIX + key, tat_ns, px=ttl_ms)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise AppError("unavailable", "Redis did not answer") from error
