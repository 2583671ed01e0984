"""History, presence, typing and refresh on a real socket."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.conditions import wait_until
from tests.integration.realtime_socket import client, error_of, server
from tests.realtime_server import RawClient, RealtimeServer, member, thread

__all__ = ["client", "server"]


async def test_history(server: RealtimeServer, client: RawClient) -> None:
    channel = thread()
    server.shard.create(channel, 400)
    await client.connect()

    async def offsets(**fields: Any) -> list[int]:
        result = (await client.ask("history", channel=channel, **fields))["history"]
        assert (result["epoch"], result["offset"]) == ("epoch-1", 400)
        return [p["offset"] for p in result.get("publications", [])]

    assert await offsets() == []
    assert await offsets(limit=3) == [1, 2, 3]
    assert await offsets(limit=-1) == list(range(1, 301))
    assert await offsets(limit=10_000) == list(range(1, 301))
    assert await offsets(limit=2, reverse=True) == [400, 399]
    since = {"epoch": "epoch-1", "offset": 10}
    assert await offsets(limit=2, since=since) == [11, 12]
    assert await offsets(limit=2, since=since, reverse=True) == [9, 8]
    assert await offsets(limit=2, since={"offset": 400}) == []
    assert await offsets(limit=2, since={"offset": 1}, reverse=True) == []
    for wrong in ({"epoch": "other", "offset": 10}, {"epoch": "epoch-1", "offset": 401}):
        assert error_of(await client.ask("history", channel=channel, limit=1, since=wrong)) == 112
    server.shard.trim(channel, 100)
    reply = await client.ask("history", channel=channel, limit=1, since=since)
    assert error_of(reply) == 112
    server.denied.add((None, channel))
    assert error_of(await client.ask("history", channel=channel, limit=1)) == 103


async def test_presence_stats(server: RealtimeServer, client: RawClient) -> None:
    channel = thread()
    server.shard.create(channel)
    ada = member()
    token = server.sign_in(ada)
    async with server.socket() as second, server.socket() as third:
        for one in (second, third):
            await one.connect(token)
            await one.ask("subscribe", channel=channel)
        await client.connect()
        await client.ask("subscribe", channel=channel)
        await wait_until(lambda: sum(server.shard.presence.values()) == 3)
        reply = await client.ask("presence_stats", channel=channel)
        assert reply["presence_stats"] == {"num_clients": 3, "num_users": 2}
        server.shard.restart()
        await wait_until(lambda: sum(server.shard.presence.values()) == 3)
    await wait_until(lambda: sum(server.shard.presence.values()) == 1)


async def test_what_is_not_available(client: RawClient) -> None:
    await client.connect()
    for member_name in ("rpc", "presence", "sub_refresh"):
        assert error_of(await client.ask(member_name, channel=thread())) == 108
    assert error_of(await client.ask("subscribe", channel=thread(), type=1)) == 108
    tags = {"key": "lang", "cmp": "eq", "val": "de"}
    assert error_of(await client.ask("subscribe", channel=thread(), tf=tags)) == 108
    await client.send({"send": {"data": {"hello": 1}}})
    assert (await client.ask("ping"))["ping"] == {}


async def test_typing(server: RealtimeServer, client: RawClient) -> None:
    channel = thread()
    server.shard.create(channel)
    ada = member("ada")
    assert ada.account_id is not None
    server.typists.add(ada.account_id)
    await client.connect(server.sign_in(ada))
    await client.ask("subscribe", channel=channel)
    await client.send({"id": 9, "publish": {"channel": channel, "data": {"type": "typing"}}})
    messages = sorted([await client.next(), await client.next()], key=lambda m: "push" in m)
    assert messages[0] == {"id": 9, "publish": {}}
    pub = messages[1]["push"]["pub"]
    assert "offset" not in pub
    assert pub["data"].pop("at").endswith("Z")
    assert pub["data"] == {
        "type": "typing",
        "account_id": str(ada.account_id),
        "handle": "ada",
        "expires_in": 6,
    }
    (event,) = server.shard.ephemeral
    assert (event.key, event.interval_seconds) == (f"typing:{ada.account_id}", 1.0)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"type": "typing", "handle": "root"}, 103),
        ({"type": "comment.created"}, 103),
        ([1], 103),
        (None, 103),
    ],
)
async def test_nothing_else_can_be_published(
    server: RealtimeServer, client: RawClient, data: Any, code: int
) -> None:
    channel = thread()
    server.shard.create(channel)
    ada = member()
    assert ada.account_id is not None
    server.typists.add(ada.account_id)
    await client.connect(server.sign_in(ada))
    assert error_of(await client.ask("publish", channel=channel, data=data)) == code
    assert not server.shard.ephemeral


async def test_who_may_not_type(server: RealtimeServer, client: RawClient) -> None:
    channel, community = thread(), f"community:{uuid4()}"
    server.shard.create(channel)
    server.shard.create(community)
    typing = {"type": "typing"}
    await client.connect()
    assert error_of(await client.ask("publish", channel=channel, data=typing)) == 103
    async with server.socket() as stranger:
        ben = member("ben")
        assert ben.account_id is not None
        await stranger.connect(server.sign_in(ben))
        assert error_of(await stranger.ask("publish", channel=channel, data=typing)) == 103
        server.typists.add(ben.account_id)
        assert error_of(await stranger.ask("publish", channel=community, data=typing)) == 103
        assert error_of(await stranger.ask("publish", channel=channel)) == 107
        assert "publish" in await stranger.ask("publish", channel=channel, data=typing)


async def test_refresh(server: RealtimeServer, client: RawClient) -> None:
    ada = member()
    await client.connect(server.sign_in(ada, seconds=100))
    reply = await client.ask("refresh", token=server.sign_in(ada, seconds=900))
    assert reply["refresh"]["expires"] is True and reply["refresh"]["ttl"] > 800
    await client.send({"id": 8, "refresh": {"token": server.sign_in(member("eve"))}})
    assert await client.close_code() == 3500


async def test_refresh_with_an_expired_token(server: RealtimeServer, client: RawClient) -> None:
    ada = member()
    await client.connect(server.sign_in(ada))
    await client.send({"id": 8, "refresh": {"token": server.sign_in(ada, seconds=-1)}})
    assert await client.close_code() == 3005
