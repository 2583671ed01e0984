"""Operators' channels: who may follow, publish and read, and what each row of the table changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import pytest

from config.channels import CONTROL, Namespace
from tests.conditions import wait_until
from tests.integration.realtime_socket import error_of
from tests.realtime_server import RawClient, RealtimeServer, member, thread
from tests.realtime_tokens import TOKEN_SECRET, connection_token, subscription_token

MEMORY: Final[dict[str, Any]] = {
    "history": "memory",
    "history_size": 5,
    "history_ttl_seconds": 60.0,
}
CHANNELS: Final = {
    "default": Namespace(
        subscribe="anyone", user_limited=True, publish="subscribers",
        presence="clients", join_leave=True, recovery="stream", delta=True, **MEMORY,
    ),
    "members": Namespace(user_limited=True, publish="readers",
                         presence="counts", read_presence="readers"),
    "signed": Namespace(subscribe="token", publish="readers"),
    "pairs": Namespace(subscribe="token", user_limited=True),
    "quiet": Namespace(subscribe="anyone", read_history="nobody", read_presence="nobody",
                       presence="clients", **MEMORY),
    "open": Namespace(subscribe="anyone", read_history="readers", read_presence="readers",
                      presence="clients", **MEMORY),
}  # fmt: skip

Connect = Callable[..., AbstractAsyncContextManager[RawClient]]


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(channels=CHANNELS, token_secret=TOKEN_SECRET) as server:
        yield server


@pytest.fixture
def connect(server: RealtimeServer) -> Connect:
    @asynccontextmanager
    async def connected(user: str = "", **claims: Any) -> AsyncIterator[RawClient]:
        async with server.socket() as client:
            await client.connect(connection_token(user, **claims) if user else "")
            yield client

    return connected


async def subscribe(client: RawClient, channel: str, **fields: Any) -> Any:
    return (await client.ask("subscribe", channel=channel, **fields))["subscribe"]


# ---------------------------------------------------------------- who may subscribe


@pytest.mark.parametrize(
    ("user", "channel", "code"),
    [
        ("", "news", 0),
        ("", "members:1", 103),
        ("42", "members:1", 0),
        ("42", "signed:1", 103),
        ("42", "default:news", 102),
        ("42", "games:1", 102),
        ("42", "$news", 103),
        ("42", f"{CONTROL}:all", 102),
        ("42", f"${CONTROL}:all", 102),
        ("42", "news\n", 107),
        ("42", "x" * 256, 107),
        ("42", "#42", 0),
        ("42", "members:talk#7,42", 0),
        ("7", "#42", 103),
        ("4", "#42", 103),
        ("", "#", 103),
        ("", "#42,", 103),
        ("42", "pairs:talk#42,7", 0),
        ("7", "pairs:talk#42", 103),
        ("42", "signed:pair#42,7", 103),
        ("42", "open:room#42", 103),
        ("42", "$pair#42", 103),
    ],
)
async def test_who_may_subscribe(connect: Connect, user: str, channel: str, code: int) -> None:
    async with connect(user) as client:
        reply = await client.ask("subscribe", channel=channel)
        assert (error_of(reply) if "error" in reply else 0) == code


@pytest.mark.parametrize("channel", ["signed:1", "$news", "members:1", "#42"])
async def test_a_subscription_token_opens(connect: Connect, channel: str) -> None:
    async with connect("42") as client:
        assert await subscribe(client, channel, token=subscription_token("42", channel)) is not None


async def test_a_token_opens_neither_content_nor_other_peoples_channels(
    server: RealtimeServer, connect: Connect
) -> None:
    content = thread()
    server.shard.create(content)
    server.denied.add((None, content))
    async with connect("42") as client:
        for channel in (content, "#7"):
            token = subscription_token("42", channel)
            assert error_of(await client.ask("subscribe", channel=channel, token=token)) == 103
        for token in (
            subscription_token("7", "signed:1"),
            subscription_token("42", "signed:2"),
            connection_token("42"),
            "forged",
        ):
            assert error_of(await client.ask("subscribe", channel="signed:1", token=token)) == 103
        token = subscription_token("42", "signed:1", exp=1)
        assert error_of(await client.ask("subscribe", channel="signed:1", token=token)) == 109


# ---------------------------------------------------------------- publishing


async def test_a_publication_carries_its_publisher(connect: Connect) -> None:
    async with connect("42", info={"name": "Ada"}) as ada, connect() as guest:
        token = subscription_token("42", "news", info={"role": "host"})
        await subscribe(ada, "news", token=token)
        await subscribe(guest, "news")
        reply = await ada.ask("publish", channel="news", data={"text": "hello\n"})
        assert reply["publish"] == {}
        push = (await guest.next())["push"]
        info = push["pub"].pop("info")
        assert push == {"channel": "news", "pub": {"data": {"text": "hello\n"}, "offset": 1}}
        assert info.pop("client")
        assert info == {
            "user": "42",
            "conn_info": {"name": "Ada"},
            "chan_info": {"role": "host"},
        }


async def test_who_may_publish(server: RealtimeServer, connect: Connect) -> None:
    async with connect("42") as client, connect() as guest:
        assert error_of(await client.ask("publish", channel="news", data=1)) == 103
        assert error_of(await client.ask("publish", channel="open:1", data=1)) == 103
        assert error_of(await client.ask("publish", channel="signed:1", data=1)) == 103
        assert error_of(await guest.ask("publish", channel="members:1", data=1)) == 103
        assert not server.shard.calls["PublishToChannel"]
        assert "publish" in await client.ask("publish", channel="members:1", data=1)
        assert error_of(await client.ask("publish", channel="members:1")) == 107
        server.shard.away = True
        error = (await client.ask("publish", channel="members:1", data=1))["error"]
        assert error["code"] == 100 and error["temporary"] is True


# ---------------------------------------------------------------- presence, joins, leaves


async def test_presence_lists_who_is_there(server: RealtimeServer, connect: Connect) -> None:
    async with connect("42", info={"name": "Ada"}) as ada, connect() as guest:
        await subscribe(ada, "news")
        await subscribe(guest, "news")
        await wait_until(lambda: len(server.shard.clients) == 2)
        presence = (await ada.ask("presence", channel="news"))["presence"]["presence"]
        assert all(client == info.pop("client") for client, info in presence.items())
        ada_seen = {"user": "42", "conn_info": {"name": "Ada"}}
        assert sorted(presence.values(), key=len) == [{"user": ""}, ada_seen]
        stats = (await ada.ask("presence_stats", channel="news"))["presence_stats"]
        assert stats == {"num_clients": 2, "num_users": 2}
        await guest.ask("unsubscribe", channel="news")
        await wait_until(lambda: len(server.shard.clients) == 1)
    await wait_until(lambda: not server.shard.clients and not server.shard.presence)


async def test_who_may_read(connect: Connect) -> None:
    async with connect("42") as client, connect() as guest:
        for name in ("presence", "presence_stats", "history"):
            assert error_of(await client.ask(name, channel="news")) == 103
            assert error_of(await client.ask(name, channel="quiet:1")) == 103
            assert name in await guest.ask(name, channel="open:1")
        await subscribe(client, "quiet:1")
        for name in ("presence", "presence_stats", "history"):
            assert error_of(await client.ask(name, channel="quiet:1")) == 103
        await subscribe(client, "news")
        for name in ("presence", "presence_stats", "history"):
            assert name in await client.ask(name, channel="news")
        assert error_of(await client.ask("presence", channel="members:1")) == 108
        assert "presence_stats" in await client.ask("presence_stats", channel="members:1")
        assert error_of(await guest.ask("presence_stats", channel="members:1")) == 103
        assert error_of(await client.ask("history", channel="members:1")) == 108
        assert error_of(await client.ask("presence_stats", channel="signed:1")) == 108


async def test_joins_and_leaves_are_told_to_who_asks(connect: Connect) -> None:
    async with connect("42") as ada, connect() as deaf:
        await subscribe(ada, "news", join_leave=True)
        own = (await ada.next())["push"]["join"]["info"]
        assert own["user"] == "42"
        await subscribe(deaf, "news")
        assert (await ada.next())["push"]["join"]["info"]["client"] != own["client"]
        async with connect("7") as ben:
            await subscribe(ben, "news")
            assert (await ada.next())["push"]["join"]["info"]["user"] == "7"
        assert (await ada.next())["push"]["leave"]["info"]["user"] == "7"
        await ada.ask("publish", channel="news", data=1)
        assert "pub" in (await deaf.next())["push"]


# ---------------------------------------------------------------- history, continuity


async def test_history_in_memory(server: RealtimeServer, connect: Connect) -> None:
    async with connect() as client:
        await subscribe(client, "news")
        for n in range(8):
            await client.ask("publish", channel="news", data=n)

        async def read(**fields: Any) -> list[Any]:
            result = (await client.ask("history", channel="news", **fields))["history"]
            assert (result["epoch"], result["offset"]) == ("epoch-1", 8)
            return [p["data"] for p in result.get("publications", [])]

        assert await read() == []
        assert await read(limit=-1) == [0, 1, 2, 3, 4]
        assert await read(limit=100, reverse=True) == [7, 6, 5, 4, 3]
        assert await read(limit=2, since={"offset": 5, "epoch": "epoch-1"}) == [5, 6]
        history = (await client.ask("history", channel="news", limit=1))["history"]
        assert history["publications"][0]["info"]["client"]
        server.shard.trim("news", 5)
        reply = await client.ask("history", channel="news", limit=1, since={"offset": 1})
        assert error_of(reply) == 112


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({}, {}),
        ({"positioned": True}, {"positioned": True}),
        ({"recoverable": True}, {"recoverable": True}),
        ({"recoverable": True, "positioned": True}, {"recoverable": True, "positioned": True}),
        ({"recoverable": True, "data": {"passive": True}}, {}),
        (
            {"recover": True, "positioned": True, "offset": 9},
            {"recoverable": True, "positioned": True, "was_recovering": True},
        ),
        ({"recoverable": True, "data": {"passive": False}}, {"recoverable": True}),
        ({"recoverable": True, "data": [1]}, {"recoverable": True}),
        ({"delta": "fossil"}, {}),
        ({"delta": "fossil", "positioned": True}, {"positioned": True, "delta": True}),
        ({"delta": "zstd", "positioned": True}, {"positioned": True}),
    ],
)
async def test_continuity_as_asked_for(connect: Connect, asked: Any, answered: Any) -> None:
    async with connect() as client:
        result = await subscribe(client, "news", **asked)
        position = {"epoch": "epoch-1"} if answered else {}
        assert result == {**answered, **position}


async def test_a_channel_without_history_has_no_position(connect: Connect) -> None:
    async with connect("42") as client:
        flags = {"recoverable": True, "positioned": True, "recover": True, "offset": 3}
        # Who wanted to recover hears that it did not, and reads everything anew.
        assert await subscribe(client, "members:1", **flags) == {"was_recovering": True}
        reply = await client.ask("subscribe", channel="members:2", flag=2, **flags)
        assert error_of(reply) == 112
        await client.send({"id": 9, "publish": {"channel": "members:1", "data": 1}})
        messages = [await client.next(), await client.next()]
        push = next(m["push"] for m in messages if "push" in m)
        assert push["pub"]["data"] == 1 and "offset" not in push["pub"]


async def test_lost_continuity_concerns_who_has_one(
    server: RealtimeServer, connect: Connect
) -> None:
    async with connect() as client:
        await subscribe(client, "news")
        await subscribe(client, "open:1", positioned=True)
        server.shard.begin_epoch("epoch-2")
        assert (await client.next())["push"] == {
            "channel": "open:1",
            "unsubscribe": {"code": 2500, "reason": "insufficient state"},
        }
        await client.ask("publish", channel="news", data=1)
        assert server.realtime.statistics()["subscriptions"] == 1


async def test_a_passive_client_gets_counters_alone(
    server: RealtimeServer, connect: Connect
) -> None:
    content = thread()
    server.shard.create(content)
    async with connect("ada") as client:
        assert await subscribe(client, content, data={"passive": True}) == {}
        assert await subscribe(client, "members:1", data={"passive": True}) == {}
        server.shard.publish(content)
        server.shard.send_ephemeral(content, b'{"type":"typing"}')
        assert "publish" in await client.ask("publish", channel="members:1", data=1)
        server.shard.send_ephemeral(content, b'{"type":"presence.count","count":3}', counter=True)
        assert (await client.next())["push"]["pub"]["data"]["count"] == 3


# ---------------------------------------------------------------- faults


async def test_who_goes_on_making_mistakes_is_disconnected(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.gateway.faults.MOST_FAULTS", 3)
    async with connect() as client:
        for _ in range(3):
            assert error_of(await client.ask("subscribe", channel="nowhere:1")) == 102
        for _ in range(5):
            assert error_of(await client.ask("subscribe", channel="members:1")) == 103
        await client.send({"id": 99, "subscribe": {"channel": "nowhere:1"}})
        assert await client.close_code() == 3509


async def test_members_of_serai_use_operators_channels_too(server: RealtimeServer) -> None:
    ada = member()
    async with server.socket() as client:
        await client.connect(server.sign_in(ada))
        assert await subscribe(client, f"#{ada.account_id}") == {}
        await subscribe(client, "members:1")
        assert "publish" in await client.ask("publish", channel="members:1", data=1)
        assert (await client.next())["push"]["pub"]["info"]["user"] == str(ada.account_id)
