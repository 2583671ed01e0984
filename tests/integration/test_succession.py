"""Groups whose last owner has their account erased: they get another, or are archived."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.erasing import AccountEraser
from actors.job_tools import JobTools
from config.settings import Settings
from storage import account_tasks
from storage.account_tasks import TaskJob
from tests.integration.group_world import Groups
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world)


async def end(world: World, handle: str, folder: Path) -> None:
    task_id = await account_tasks.erase_handle(world.pool, handle, erase_content=False)
    tools = JobTools(world.pool, world.published.extend, Settings(data_dir=str(folder)))
    await AccountEraser(tools).run(msgspec.json.encode(TaskJob(task_id)))


async def told(world: World, who: Person) -> list[Any]:
    """The roles that the account's own stream tells of."""
    events = [event for _, event in await world.events(who.channel)]
    return [event["role"] for event in events if event["type"] == "membership.changed"]


async def test_the_longest_serving_moderator_becomes_owner(
    groups: Groups, world: World, tmp_path: Path
) -> None:
    mina, old, first, second = [
        await world.register(name) for name in ("mina", "old", "first", "second")
    ]
    made = await groups.make(mina)
    slug = made["slug"]
    for who in (old, first, second):
        await groups.join(who, slug)
    for who in (second, first):
        await groups.role(mina, slug, who, "moderator")
    await end(world, "mina", tmp_path)
    assert await groups.members(None, slug, "admin") == [("first", "admin")]
    assert await groups.members(None, slug, "moderator") == [("second", "moderator")]
    assert await groups.count(made) == 3
    assert (await groups.log(first, slug))[-1] == (
        "role", None, "first", {"from": "moderator", "to": "admin"},
    )  # fmt: skip
    assert await told(world, first) == ["member", "moderator", "admin"]
    assert [p.channel for p in world.published][-1] == first.channel
    # The next ones in turn, members too.
    await end(world, "first", tmp_path)
    await end(world, "second", tmp_path)
    assert await groups.members(None, slug) == [("old", "admin")]
    assert await told(world, old) == ["member", "admin"]


async def test_a_group_that_has_another_owner_is_left_as_it_is(
    groups: Groups, world: World, tmp_path: Path
) -> None:
    mina, noor, ola = [await world.register(name) for name in ("mina", "noor", "ola")]
    slug = (await groups.make(mina))["slug"]
    for who in (noor, ola):
        await groups.join(who, slug)
    await groups.role(mina, slug, noor, "admin")
    await end(world, "mina", tmp_path)
    assert await groups.members(None, slug) == [("ola", "member"), ("noor", "admin")]
    assert await told(world, ola) == ["member"]


async def test_an_empty_group_is_archived(groups: Groups, world: World, tmp_path: Path) -> None:
    """Who was banned inherits nothing."""
    mina, rude = await world.register("mina"), await world.register("rude")
    made = await groups.make(mina)
    await groups.join(rude, made["slug"])
    await groups.ban(mina, made["slug"], rude)
    await end(world, "mina", tmp_path)
    assert await groups.count(made) == 0
    row = await world.pool.fetchrow(
        "select action, actor_id from community_log order by id desc limit 1"
    )
    assert row is not None and tuple(row) == ("archived", None)
    ((_, event),) = await world.events(f"community:{made['id']}")
    assert (event["type"], event["archived"]) == ("community.updated", True)
    assert await world.pool.fetchval(
        "select archived_at is not null from community where slug = $1", made["slug"]
    )
