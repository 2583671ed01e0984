"""The list of notifications: pages, what they show, and the mark up to where they are read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.account_messages import ListNotifications, MarkNotificationsRead
from actors.messages import GUEST
from storage.accounts import grant_role
from storage.identity import new_id
from storage.memberships import ban, grant
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration


async def notify(
    world: World, to: Person, actor: Person, post: UUID, comment: UUID | None = None, at: int = 1
) -> UUID:
    """`at` orders them: milliseconds of the id."""
    id = new_id(0, at)
    await world.pool.execute(
        "insert into notification (id, account_id, kind, actor_id, post_id, comment_id, created_at)"
        " values ($1, $2, 'reply', $3, $4, $5, '2026-11-20T08:15:30.123456Z')",
        id,
        to.id,
        actor.id,
        post,
        comment,
    )
    return id


async def page(world: World, who: Person, limit: int = 50, cursor: str | None = None) -> Any:
    reply = await world.reply(ListNotifications(who.caller, limit, cursor))
    assert not reply.public
    return msgspec.json.decode(reply.body)


async def test_an_item_shows_who_and_where(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    post = await world.post(await world.community("berlin"), mina, "Which papers?")
    comment = new_id(276)
    id = await notify(world, mina, noor, post, comment)
    assert await page(world, mina) == {
        "items": [
            {
                "id": str(id),
                "kind": "reply",
                "count": 1,
                "actor": {"id": str(noor.id), "handle": "noor", "display_name": "noor"},
                "post_id": str(post),
                "comment_id": str(comment),
                "post_title": "Which papers?",
                "community": None,
                "created_at": "2026-11-20T08:15:30.123Z",
                "read": False,
            }
        ],
        "next_cursor": None,
        "unread": 1,
    }
    assert (await page(world, noor))["items"] == []


async def test_pages_neither_skip_nor_repeat(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin = await world.community("berlin")
    post = await world.post(berlin, mina)
    ids = [await notify(world, mina, noor, post, new_id(276), at=n) for n in range(1, 8)]
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        got = await page(world, mina, 3, cursor)
        seen += [item["id"] for item in got["items"]]
        cursor = got["next_cursor"]
        # What comes meanwhile is newer than every page that follows.
        await notify(world, mina, noor, post, new_id(276), at=100 + len(seen))
    assert cursor is None
    assert seen == [str(id) for id in reversed(ids)]


async def test_a_full_last_page_has_no_cursor(world: World) -> None:
    mina = await world.register("mina")
    post = await world.post(await world.community("berlin"), mina)
    for n in range(1, 4):
        await notify(world, mina, mina, post, new_id(276), at=n)
    assert (await page(world, mina, 3))["next_cursor"] is None


async def test_titles_that_may_not_be_read_are_left_out(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    berlin = await world.community("berlin")
    secret = await world.community("secret", "private")
    await grant(world.pool, "mina", "member", "secret")
    posts = [await world.post(c, noor, "Title") for c in (berlin, berlin, secret)]
    for n, post in enumerate(posts, start=1):
        await notify(world, mina, noor, post, at=n)
    await notify(world, mina, noor, new_id(276), at=9)
    await world.pool.execute("update post set deleted_at = now() where id = $1", posts[1])

    async def titles() -> list[str | None]:
        return [item["post_title"] for item in (await page(world, mina))["items"]]

    assert await titles() == [None, "Title", None, "Title"]
    await grant_role(world.pool, "mina", "admin")
    await world.pool.execute("delete from membership")
    assert await titles() == [None, "Title", None, "Title"]
    await grant_role(world.pool, "mina", "member")
    await ban(world.pool, "mina", "secret")
    assert await titles() == [None, None, None, "Title"]
    await world.pool.execute("delete from membership")
    assert await titles() == [None, None, None, "Title"]


async def test_marking_reaches_up_to_one_and_only_my_own(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    post = await world.post(await world.community("berlin"), mina)
    ids = [await notify(world, mina, noor, post, new_id(276), at=n) for n in range(1, 5)]
    await notify(world, noor, mina, post, new_id(276), at=1)
    for _ in range(2):
        reply = await world.reply(MarkNotificationsRead(mina.caller, ids[2]))
        assert (reply.status, msgspec.json.decode(reply.body)) == (200, {"unread": 1})
    got = await page(world, mina)
    assert [item["read"] for item in got["items"]] == [False, True, True, True]
    assert (await page(world, noor))["unread"] == 1


async def test_the_unread_are_counted_up_to_a_hundred(world: World) -> None:
    mina = await world.register("mina")
    await world.pool.execute(
        "insert into notification (id, account_id, kind, actor_id, post_id, created_at)"
        " select gen_random_uuid(), $1, 'mention', $1, gen_random_uuid(), now()"
        " from generate_series(1, 120)",
        mina.id,
    )
    got = await page(world, mina, 100)
    assert (len(got["items"]), got["unread"]) == (100, 100)
    assert got["next_cursor"] is not None


async def test_limits_out_of_bounds_are_invalid(world: World) -> None:
    mina = await world.register("mina")
    for limit in (0, -1, 101):
        failure = await world.failure(ListNotifications(mina.caller, limit, None))
        assert (failure.code, failure.errors[0][0]) == ("invalid", "limit")


async def test_foreign_cursors_and_guests_are_refused(world: World) -> None:
    mina, noor = await world.register("mina"), await world.register("noor")
    post = await world.post(await world.community("berlin"), mina)
    for n in (1, 2):
        await notify(world, mina, noor, post, new_id(276), at=n)
    cursor = (await page(world, mina, 1))["next_cursor"]
    for who, text in ((noor, cursor), (mina, "nonsense")):
        failure = await world.failure(ListNotifications(who.caller, 10, text))
        assert (failure.code, failure.errors[0][0]) == ("invalid", "cursor")
    assert (await world.failure(ListNotifications(GUEST, 10, None))).code == "unauthenticated"
    assert (await world.failure(MarkNotificationsRead(GUEST, post))).code == "unauthenticated"
