"""An application written for Centrifugo, in both encodings, against the sandbox profile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from centrifuge import Client, DeltaType, SubscriptionEventHandler

from config.settings import load
from serve_app.gateway import codes
from tests.conditions import wait_until
from tests.realtime_server import RealtimeServer
from tests.realtime_tokens import TOKEN_SECRET, connection_token, subscription_token, within

CHANNEL = "news"


class Reader(SubscriptionEventHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.data: list[Any] = []
        self.joined: list[str] = []
        self.left: list[str] = []
        self.recovered: list[bool] = []

    async def on_subscribed(self, ctx: Any) -> None:
        self.recovered.append(ctx.recovered)

    async def on_publication(self, ctx: Any) -> None:
        self.data.append(ctx.pub.data)

    async def on_join(self, ctx: Any) -> None:
        self.joined.append(ctx.info.user)

    async def on_leave(self, ctx: Any) -> None:
        self.left.append(ctx.info.user)


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    sandbox = load({"SERAI_PROFILE": "sandbox"})
    async with RealtimeServer(channels=sandbox.channels, token_secret=TOKEN_SECRET) as server:
        yield server


def client_of(server: RealtimeServer, user: str, protobuf: bool) -> Any:
    async def token() -> str:
        return connection_token(user, exp=within(60), info={"name": f"User {user}"})

    options = {"min_reconnect_delay": 0.01, "max_reconnect_delay": 0.05}
    return Client(server.url, get_token=token, use_protobuf=protobuf, proxy=None, **options)


@pytest.mark.parametrize("protobuf", [False, True])
async def test_an_application_runs_unchanged(server: RealtimeServer, protobuf: bool) -> None:
    def data_of(value: Any) -> Any:
        return msgspec.json.encode(value) if protobuf else value

    async def room_token(channel: str) -> str:
        return subscription_token("1", channel, exp=within(60), info={"seat": 1})

    first, second = client_of(server, "1", protobuf), client_of(server, "2", protobuf)
    await first.connect()
    await second.connect()
    try:
        reader = Reader()
        subscription = first.new_subscription(
            CHANNEL,
            events=reader,
            get_token=room_token,
            positioned=True,
            recoverable=True,
            join_leave=True,
            delta=DeltaType.FOSSIL,
        )
        await subscription.subscribe()
        await subscription.ready(5)
        writer = second.new_subscription(CHANNEL)
        await writer.subscribe()
        await writer.ready(5)
        await wait_until(lambda: reader.joined == ["1", "2"])

        boards = [{"text": "x" * 200, "n": n} for n in range(6)]
        for board in boards[:3]:
            await writer.publish(data_of(board))
        await wait_until(lambda: len(reader.data) == 3)

        history = await first.history(CHANNEL, limit=2, reverse=True)
        assert [p.offset for p in history.publications] == [3, 2]
        assert history.publications[0].info.user == "2"
        presence = (await first.presence(CHANNEL)).clients
        assert sorted(info.user for info in presence.values()) == ["1", "2"]
        assert any(info.chan_info for info in presence.values())
        stats = await first.presence_stats(CHANNEL)
        assert (stats.num_clients, stats.num_users) == (2, 2)

        (session,) = server.services.sessions_of("1")
        session.close(codes.shutdown())
        for board in boards[3:]:
            await writer.publish(data_of(board))
        await wait_until(lambda: len(reader.data) == 6)
        assert reader.recovered == [False, True]
        assert reader.data == [data_of(board) for board in boards]

        await writer.unsubscribe()
        await wait_until(lambda: "2" in reader.left)
    finally:
        await first.disconnect()
        await second.disconnect()


async def test_tokens_are_fetched_anew(server: RealtimeServer) -> None:
    """Both kinds expire within two seconds, and nothing of it is noticed."""
    fetched = {"connection": 0, "subscription": 0}

    async def token() -> str:
        fetched["connection"] += 1
        return connection_token("1", exp=within(2))

    async def room_token(channel: str) -> str:
        fetched["subscription"] += 1
        return subscription_token("1", channel, exp=within(2))

    client = Client(server.url, get_token=token, proxy=None)
    reader = Reader()
    await client.connect()
    try:
        subscription = client.new_subscription("$private", events=reader, get_token=room_token)
        await subscription.subscribe()
        await subscription.ready(5)
        await wait_until(lambda: min(fetched.values()) >= 3)
        assert len(reader.recovered) == 1
        (session,) = server.services.sessions_of("1")
        assert session.is_connected
    finally:
        await client.disconnect()
