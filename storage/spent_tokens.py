"""How many tokens each member has had generated today, in Redis: a restart forgets none of it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from storage.redis import RedisClient, RedisGuard

_KEEP_SECONDS: Final = 2 * 86_400


class SpentTokens:
    def __init__(self, redis: RedisGuard) -> None:
        self._redis = redis

    async def add(self, account_id: UUID, day: str, tokens: int) -> int:
        """The sum after it; `tokens` may be negative. Raises AppError 'unavailable'."""
        key = f"serai:llm:spent:{day}:{account_id}"

        async def work(client: RedisClient) -> int:
            pipeline = client.pipeline(transaction=False)
            pipeline.incrby(key, tokens)
            pipeline.expire(key, _KEEP_SECONDS)
            total, _ = await pipeline.execute()
            return int(total)

        return await self._redis.ask(work)
