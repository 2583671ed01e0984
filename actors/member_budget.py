"""What a member may have generated in a day (UTC), in tokens.

Redis knows it for all replicas and over restarts. What this process has seen counts as well, and
alone while Redis is away: a budget may then be spent once at each replica.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from config.errors import AppError
from storage.spent_tokens import SpentTokens

_MAX_MEMBERS: Final = 100_000


class MemberBudget:
    def __init__(
        self,
        tokens_per_day: int,
        spent: SpentTokens | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`tokens_per_day` 0: no bound."""
        self._tokens_per_day = tokens_per_day
        self._spent = spent
        self._clock = clock
        self._day = ""
        self._here: dict[UUID, int] = {}

    async def take(self, account_id: UUID, tokens: int) -> None:
        """Takes as much as an answer may need; `give_back` returns the rest. Raises AppError
        'rate_limited' where the day's budget does not hold it, and then has taken nothing."""
        if not self._tokens_per_day:
            return
        if await self._add(account_id, tokens) <= self._tokens_per_day:
            return
        await self._add(account_id, -tokens)
        now = datetime.fromtimestamp(self._clock(), UTC)
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        raise AppError(
            "rate_limited",
            "Your questions of today have used up what the assistant may write for you.",
            retry_after_seconds=max(1.0, (midnight - now).total_seconds()),
        )

    async def give_back(self, account_id: UUID, tokens: int) -> None:
        if self._tokens_per_day and tokens > 0:
            await self._add(account_id, -tokens)

    async def _add(self, account_id: UUID, tokens: int) -> int:
        day = f"{datetime.fromtimestamp(self._clock(), UTC):%Y%m%d}"
        if day != self._day:
            self._day = day
            self._here.clear()
        here = max(0, self._here.pop(account_id, 0) + tokens)
        self._here[account_id] = here  # the last of the order: least likely to be forgotten
        if len(self._here) > _MAX_MEMBERS:
            del self._here[next(iter(self._here))]
        if self._spent is None:
            return here
        try:
            return max(here, await self._spent.add(account_id, day, tokens))
        except AppError:
            return here
