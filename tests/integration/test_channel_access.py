"""Who may read which channel."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from actors.account_messages import (
    AccountsRequest,
    AuthorizeChannel,
    ChannelGrant,
    JoinCommunity,
    Logout,
)
from actors.channel_access import authorize
from actors.messages import GUEST, Caller, Outcome, Reply
from storage.accounts import grant_role, suspend
from storage.identity import new_id
from storage.memberships import ban, grant
from storage.postgres import Pool
from tests.integration.people import Person, World, pool, world

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

PUBLIC = (True, False)
PUBLIC_TYPING = (True, True)
PRIVATE = (False, False)
PRIVATE_TYPING = (False, True)


def shown(outcome: Outcome, channel: str) -> tuple[bool, bool] | str:
    """(public, may_publish_typing), or the code of the failure."""
    if not isinstance(outcome, Reply):
        return outcome.code
    grant = msgspec.msgpack.decode(outcome.body, type=ChannelGrant)
    assert (grant.channel, grant.public) == (channel, outcome.public)
    return grant.public, grant.may_publish_typing


async def may(world: World, who: Person | None, channel: str) -> tuple[bool, bool] | str:
    caller = GUEST if who is None else who.caller
    return shown(await world.ask(AuthorizeChannel(caller, channel)), channel)


async def test_public_channels_are_for_all_and_typing_for_accounts(world: World) -> None:
    mina = await world.register("mina")
    berlin = await world.community("berlin")
    thread = f"thread:{await world.post(berlin, mina)}"
    assert await may(world, None, f"community:{berlin}") == PUBLIC
    assert await may(world, mina, f"community:{berlin}") == PUBLIC
    assert await may(world, None, thread) == PUBLIC
    assert await may(world, mina, thread) == PUBLIC_TYPING
    await ban(world.pool, "mina", "berlin")
    assert await may(world, mina, thread) == PUBLIC


async def test_deleted_posts_keep_their_channel(world: World) -> None:
    mina = await world.register("mina")
    post = await world.post(await world.community("berlin"), mina)
    await world.pool.execute("update post set deleted_at = now()")
    assert await may(world, None, f"thread:{post}") == PUBLIC


async def test_private_channels_are_for_members(world: World) -> None:
    mina, noor, root = [await world.register(handle) for handle in ("mina", "noor", "chief")]
    secret = await world.community("secret", "private")
    community, thread = f"community:{secret}", f"thread:{await world.post(secret, mina)}"
    await grant(world.pool, "mina", "member", "secret")
    await grant(world.pool, "noor", "member", "secret")
    await ban(world.pool, "noor", "secret")
    await grant_role(world.pool, "chief", "admin")
    assert [await may(world, who, community) for who in (None, mina, noor, root)] == [
        "not_permitted",
        PRIVATE,
        "not_permitted",
        PRIVATE,
    ]
    assert [await may(world, who, thread) for who in (None, mina, noor, root)] == [
        "not_permitted",
        PRIVATE_TYPING,
        "not_permitted",
        PRIVATE_TYPING,
    ]


async def test_user_channels_are_for_their_owner(world: World) -> None:
    mina = await world.register("mina")
    noor = await world.register("noor")
    assert await may(world, mina, mina.channel) == PRIVATE
    assert await may(world, noor, mina.channel) == "not_permitted"
    assert await may(world, None, mina.channel) == "not_permitted"
    assert await may(world, noor, f"user:{new_id(0)}") == "not_permitted"


async def test_what_is_no_channel_is_invalid(world: World) -> None:
    id, one_with_letters = str(new_id(276)), str(UUID(int=new_id(276).int | 15))
    channels = ["", ":", "community", "community:", "community:berlin", "chat:1", f"users:{id}"]
    channels += [f"thread:{id}\x00", f"Thread:{id}", "thread:\ud800", "user:" + "0" * 36]
    channels += [f"thread:{one_with_letters.upper()}", f" thread:{id}", f"thread:{id}:{id}"]
    for channel in channels:
        failure = await world.failure(AuthorizeChannel(GUEST, channel))
        assert (failure.code, [path for path, _ in failure.errors]) == ("invalid", ["channel"])


async def test_channels_of_nothing_are_not_found(world: World) -> None:
    mina = await world.register("mina")
    for id in (new_id(276), new_id(0), new_id(4095)):
        assert await may(world, mina, f"thread:{id}") == "not_found"
        assert await may(world, mina, f"community:{id}") == "not_found"


async def test_those_who_may_not_act_may_not_follow(world: World) -> None:
    berlin = await world.community("berlin")
    mina, noor, gone = [await world.register(handle) for handle in ("mina", "noor", "gone")]
    await suspend(world.pool, "mina")
    await world.reply(Logout(noor.caller, None))
    await world.pool.execute("delete from account where handle = 'gone'")
    for who, code in ((mina, "suspended"), (noor, "unauthenticated"), (gone, "unauthenticated")):
        assert await may(world, who, who.channel) == code
        assert await may(world, who, f"community:{berlin}") == code
    await world.pool.execute("update account set suspended_until = now() where handle = 'mina'")
    await world.pool.execute("update session set ended_at = null")
    assert await may(world, mina, mina.channel) == PRIVATE


async def test_a_batch_keeps_its_order_and_costs_few_queries(world: World, pool: Pool) -> None:
    mina = await world.register("mina")
    berlin = await world.community("berlin")
    secret = await world.community("secret", "private")
    post = await world.post(berlin, mina)
    asked: list[tuple[Caller, str]] = [
        (caller, channel)
        for caller in (GUEST, mina.caller)
        for channel in (
            f"thread:{post}",
            f"community:{secret}",
            "nonsense",
            mina.channel,
            f"community:{berlin}",
            f"thread:{new_id(276)}",
        )
    ]
    questions = [AuthorizeChannel(*one) for one in asked] * 10
    queries: list[str] = []
    async with pool.acquire() as connection:
        await authorize(connection, questions)  # asyncpg learns the types of a new connection
        with connection.query_logger(lambda record: queries.append(record.query)):
            await authorize(connection, questions)
    assert len(queries) == 3

    requests: list[AccountsRequest] = [*questions]
    requests.insert(1, JoinCommunity(mina.caller, "nowhere"))
    outcomes = await world.accounts.handle_batch(requests)
    assert shown(outcomes.pop(1), "") == "not_found"
    once = [
        shown(outcome, channel)
        for outcome, (_, channel) in zip(outcomes[: len(asked)], asked, strict=True)
    ]
    assert once == [
        PUBLIC,
        "not_permitted",
        "invalid",
        "not_permitted",
        PUBLIC,
        "not_found",
        PUBLIC_TYPING,
        "not_permitted",
        "invalid",
        PRIVATE,
        PUBLIC,
        "not_found",
    ]
    assert outcomes == outcomes[: len(asked)] * 10


async def test_a_database_in_trouble_fails_the_items_and_not_the_batch(world: World) -> None:
    await world.pool.execute("alter table community rename to elsewhere")
    channel = f"community:{new_id(276)}"
    assert (await world.failure(AuthorizeChannel(GUEST, channel))).code == "internal"
    await world.pool.close()
    assert (await world.failure(AuthorizeChannel(GUEST, channel))).code == "unavailable"
