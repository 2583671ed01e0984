"""One rule of who may read, in SQL and in Python."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from storage.communities import Relation, may_read
from storage.identity import new_id
from tests.integration.feed_world import World, world


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as made:
        yield made


async def test_sql_and_python_judge_alike(here: World) -> None:
    for visibility, site, role in itertools.product(
        ("public", "private"),
        ("member", "moderator", "admin"),
        (None, "member", "moderator", "admin", "banned"),
    ):
        judged = await here.pool.fetchval("select may_read($1, $2, $3)", site, visibility, role)
        relation = Relation(new_id(0), visibility, role)  # type: ignore[arg-type]
        assert judged is relation.visible(site), (visibility, site, role)


async def test_who_may_read_a_community(here: World) -> None:
    public, secret = await here.community("c"), await here.community("s", private=True)
    ada, ben, cem, root = [await here.account(name) for name in ("ada", "ben", "cem", "root")]
    await here.join(ada, secret)
    await here.join(ben, secret, "banned")
    await here.pool.execute("update account set role = 'admin' where handle = 'root'")
    async with here.pool.acquire() as connection:
        for id, allowed in (
            (None, False), (ada.account_id, True), (ben.account_id, False),
            (cem.account_id, False), (root.account_id, True), (new_id(0), False),
        ):  # fmt: skip
            assert await may_read(connection, public, id)
            assert await may_read(connection, secret, id) is allowed
        assert not await may_read(connection, new_id(0), root.account_id)
