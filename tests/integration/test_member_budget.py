"""A member's tokens of the day, in Redis and without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from actors.member_budget import MemberBudget
from config.errors import AppError
from storage.redis import RedisGuard, open_redis
from storage.spent_tokens import SpentTokens
from tests.conditions import wait_until

pytestmark = pytest.mark.integration

DAY_SECONDS = 86_400
NOON = 1_795_910_400.0 + DAY_SECONDS / 2


class Clock:
    seconds = NOON

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def spent(redis_url: str) -> AsyncIterator[SpentTokens]:
    guard = RedisGuard(open_redis(redis_url), timeout_seconds=10)
    guard.start()
    await wait_until(lambda: not guard.is_away)
    yield SpentTokens(guard)
    await guard.close()


async def refused(budget: MemberBudget, account: object, tokens: int) -> float:
    with pytest.raises(AppError) as raised:
        await budget.take(account, tokens)  # type: ignore[arg-type]
    assert raised.value.code == "rate_limited"
    return raised.value.retry_after_seconds or 0


async def test_replicas_and_restarts_share_a_budget(spent: SpentTokens) -> None:
    ada, clock = uuid4(), Clock()
    one, other = (MemberBudget(100, spent, clock=clock) for _ in range(2))
    await one.take(ada, 60)
    assert 0 < await refused(other, ada, 60) <= DAY_SECONDS
    await one.give_back(ada, 30)
    await other.take(ada, 60)
    await MemberBudget(100, spent, clock=clock).take(ada, 10)
    await refused(MemberBudget(100, spent, clock=clock), ada, 1)


async def test_midnight_brings_a_new_budget(spent: SpentTokens) -> None:
    ada, clock = uuid4(), Clock()
    budget = MemberBudget(100, spent, clock=clock)
    await budget.take(ada, 100)
    assert await refused(budget, ada, 1) == DAY_SECONDS / 2
    clock.seconds += DAY_SECONDS / 2
    await budget.take(ada, 100)


async def test_without_redis_each_replica_keeps_count(redis_url: str) -> None:
    away = RedisGuard(open_redis("redis://127.0.0.1:9"))  # never started: away
    ada = uuid4()
    budget = MemberBudget(100, SpentTokens(away), clock=Clock())
    await budget.take(ada, 100)
    await refused(budget, ada, 1)
    await budget.give_back(ada, 50)
    await budget.take(ada, 50)
    await away.close()


async def test_no_bound_keeps_no_count() -> None:
    await MemberBudget(0, None).take(uuid4(), 10**9)
