"""Joining and leaving, what operators may do, and the events that tell of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from actors.account_messages import JoinCommunity, LeaveCommunity, ReadMe, Refresh
from actors.messages import GUEST, Failure, Reply
from config.errors import AppError
from storage.accounts import grant_role, suspend, unsuspend
from storage.identity import new_id
from storage.memberships import ban, grant, unban
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration


async def join(world: World, who: Person, community: UUID | str) -> str:
    outcome = await world.ask(JoinCommunity(who.caller, str(community)))
    if isinstance(outcome, Failure):
        return outcome.code
    assert outcome.status == 200
    role: str = msgspec.json.decode(outcome.body)["role"]
    return role


async def leave(world: World, who: Person, community: UUID | str) -> int | str:
    outcome = await world.ask(LeaveCommunity(who.caller, str(community)))
    return outcome.status if isinstance(outcome, Reply) else outcome.code


async def roles_told(world: World, who: Person) -> list[str | None]:
    return [event["role"] for _, event in await world.events(who.channel)]


async def test_joining_twice_counts_once_and_tells_once(world: World) -> None:
    mina = await world.register("mina")
    berlin = await world.community("berlin")
    assert [await join(world, mina, berlin), await join(world, mina, "berlin")] == ["member"] * 2
    assert await world.member_count(berlin) == 1
    ((offset, event),) = await world.events(mina.channel)
    assert (offset, event["type"], event["community_id"], event["role"]) == (
        1,
        "membership.changed",
        str(berlin),
        "member",
    )
    (publication,) = world.published
    live = msgspec.json.decode(publication.data)
    created_us = await world.pool.fetchval(
        "select (extract(epoch from created_at) * 1000000)::bigint from stream_event"
    )
    assert live.pop("committed_ns") >= created_us * 1_000
    assert (publication.channel, publication.offset, live) == (mina.channel, 1, event)


async def test_leaving_twice_counts_once_and_tells_once(world: World) -> None:
    mina = await world.register("mina")
    berlin = await world.community("berlin")
    assert await leave(world, mina, berlin) == 204
    await join(world, mina, berlin)
    assert [await leave(world, mina, "berlin"), await leave(world, mina, berlin)] == [204, 204]
    assert await world.member_count(berlin) == 0
    assert await roles_told(world, mina) == ["member", None]
    assert [p.offset for p in world.published] == [1, 2]


async def test_many_at_once_are_counted_right(world: World) -> None:
    people = [await world.register(f"person_{n}") for n in range(6)]
    berlin = await world.community("berlin")
    outcomes = await world.accounts.handle_batch(
        [JoinCommunity(who.caller, "berlin") for who in people * 3]
    )
    assert all(isinstance(outcome, Reply) for outcome in outcomes)
    assert await world.member_count(berlin) == 6
    mixed = await asyncio.gather(
        *(leave(world, who, berlin) for who in people[:3] * 2),
        *(join(world, who, berlin) for who in people[3:]),
    )
    assert set(mixed) == {204, "member"}
    assert await world.member_count(berlin) == 3


async def test_there_is_no_such_community(world: World) -> None:
    mina = await world.register("mina")
    await world.community("berlin")
    for name in ("nowhere", "", "no\x00where", "\ud800", "Berlin", str(new_id(276))):
        assert await join(world, mina, name) == "not_found"
        assert await leave(world, mina, name) == "not_found"


async def test_guests_and_suspended_people_join_nothing(world: World) -> None:
    berlin = await world.community("berlin")
    assert (await world.failure(JoinCommunity(GUEST, "berlin"))).code == "unauthenticated"
    assert (await world.failure(LeaveCommunity(GUEST, "berlin"))).code == "unauthenticated"
    mina = await world.register("mina")
    await suspend(world.pool, "mina")
    assert await join(world, mina, berlin) == "suspended"
    await world.pool.execute("delete from account")
    assert await join(world, mina, berlin) == "unauthenticated"
    assert await world.member_count(berlin) == 0


async def test_a_private_community_is_entered_by_a_grant_alone(world: World) -> None:
    mina = await world.register("mina")
    secret = await world.community("secret", "private")
    assert await join(world, mina, secret) == "not_found"
    assert await leave(world, mina, secret) == "not_found"
    (event,) = await grant(world.pool, "Mina", "moderator", "secret")
    assert (event.channel, event.offset) == (mina.channel, 1)
    assert await join(world, mina, secret) == "moderator"
    assert await world.member_count(secret) == 1
    assert await leave(world, mina, secret) == 204
    assert await join(world, mina, secret) == "not_found"
    assert await world.member_count(secret) == 0
    assert await roles_told(world, mina) == ["moderator", None]


async def test_who_sees_a_private_community_by_office_does_not_join_it(world: World) -> None:
    mina = await world.register("mina")
    await world.community("secret", "private")
    await grant_role(world.pool, "mina", "admin")
    assert await join(world, mina, "secret") == "not_permitted"
    assert msgspec.json.decode((await world.reply(ReadMe(mina.caller))).body)["role"] == "admin"


async def test_the_banned_neither_join_nor_count(world: World) -> None:
    mina = await world.register("mina")
    berlin = await world.community("berlin")
    await join(world, mina, berlin)
    assert len(await ban(world.pool, "mina", "berlin")) == 1
    assert await ban(world.pool, "mina", "berlin") == []
    assert await world.member_count(berlin) == 0
    assert await join(world, mina, berlin) == "not_permitted"
    assert await leave(world, mina, berlin) == 204
    assert await world.role(mina, berlin) == "banned"
    assert await roles_told(world, mina) == ["member", None]

    await unban(world.pool, "mina", "berlin")
    assert await world.role(mina, berlin) is None
    assert await join(world, mina, berlin) == "member"
    await unban(world.pool, "mina", "berlin")
    assert await world.member_count(berlin) == 1


async def test_a_ban_in_advance_counts_nobody(world: World) -> None:
    mina = await world.register("mina")
    berlin = await world.community("berlin")
    await ban(world.pool, "mina", "berlin")
    assert await world.member_count(berlin) == 0
    await grant(world.pool, "mina", "member", "berlin")
    assert await world.member_count(berlin) == 1
    await grant(world.pool, "mina", "admin", "berlin")
    assert await grant(world.pool, "mina", "admin", "berlin") == []
    assert await world.member_count(berlin) == 1
    assert await roles_told(world, mina) == [None, "member", "admin"]


async def test_suspension_ends_sessions_and_tells_so(world: World) -> None:
    mina = await world.register("mina")
    noor = await world.register("noor")
    (event,) = await suspend(world.pool, "MINA", datetime.now(UTC) + timedelta(days=1))
    ((offset, told),) = await world.events(mina.channel)
    assert (told["type"], told["session_id"], offset) == ("session.ended", None, event.offset)
    assert (await world.failure(Refresh(mina.refresh_token, ""))).code == "suspended"
    assert isinstance(await world.ask(Refresh(noor.refresh_token, "")), Reply)

    await unsuspend(world.pool, "mina")
    assert (await world.failure(Refresh(mina.refresh_token, ""))).code == "unauthenticated"
    assert (await world.reply(ReadMe(mina.caller))).status == 200


async def test_operators_are_told_of_names_that_do_not_exist(world: World) -> None:
    await world.register("mina")
    await world.community("berlin")
    for call in (
        suspend(world.pool, "nobody"),
        unsuspend(world.pool, "nobody"),
        grant_role(world.pool, "nobody", "admin"),
        grant(world.pool, "nobody", "member", "berlin"),
        grant(world.pool, "mina", "member", "nowhere"),
        ban(world.pool, "mina", "nowhere"),
        unban(world.pool, "mina", "nowhere"),
    ):
        with pytest.raises(AppError) as caught:
            await call
        assert caught.value.code == "not_found"
