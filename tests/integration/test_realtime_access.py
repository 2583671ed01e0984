"""A community is no longer public: whoever may not read it any more is unsubscribed, and nobody
comes in by what was said before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from actors.messages import Caller
from config.channels import ACCESS_CHANNEL
from config.errors import AppError
from tests.conditions import wait_until
from tests.integration.realtime_socket import error_of
from tests.realtime_server import RawClient, RealtimeServer, member, thread

DENIED = {"code": 2000, "reason": "permission denied"}


class Place:
    """A public community of one thread, on the server's fake shard."""

    def __init__(self, server: RealtimeServer) -> None:
        self.server = server
        self.id = uuid4()
        self.channel = f"community:{self.id}"
        self.thread = thread()
        for channel in self.channels:
            server.shard.create(channel)
            server.communities[channel] = self.id

    @property
    def channels(self) -> tuple[str, str]:
        return self.channel, self.thread

    def close_to(self, *callers: UUID | None) -> None:
        """Private from now on; what gateways hear of it comes later."""
        self.server.private |= {*self.channels}
        self.server.denied |= {(who, channel) for who in callers for channel in self.channels}

    def tell(self) -> None:
        event = msgspec.json.encode({"type": "access.changed", "community_id": self.id})
        self.server.shard.publish(ACCESS_CHANNEL, event)


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer() as server:
        await wait_until(lambda: server.services.access.version == 1)
        yield server


async def follow(client: RawClient, *channels: str) -> None:
    for channel in channels:
        assert "subscribe" in await client.ask("subscribe", channel=channel)


async def test_who_may_not_read_it_any_more_is_unsubscribed(server: RealtimeServer) -> None:
    """Guests, strangers and passive subscribers of the community and of its threads; members and
    other communities stay."""
    place, other = Place(server), Place(server)
    ada, ben = member("ada"), member("ben")
    async with server.socket() as guest, server.socket() as stranger, server.socket() as owner:
        await guest.connect()
        await stranger.connect(server.sign_in(ben))
        await owner.connect(server.sign_in(ada))
        for client in (guest, stranger, owner):
            await follow(client, place.thread, other.thread)
        await follow(owner, place.channel)
        passive = {"channel": place.channel, "data": {"passive": True}}
        assert "subscribe" in await stranger.ask("subscribe", **passive)
        place.close_to(None, ben.account_id)
        place.tell()
        assert await guest.next() == {"push": {"channel": place.thread, "unsubscribe": DENIED}}
        ended = [(await stranger.next())["push"] for _ in range(2)]
        assert {push["channel"] for push in ended} == {*place.channels}
        assert all(push["unsubscribe"] == DENIED for push in ended)
        for channel in (place.thread, other.thread):
            server.shard.publish(channel)
        for client in (guest, stranger):
            assert (await client.next())["push"]["channel"] == other.thread
        assert (await owner.next())["push"]["channel"] == place.thread
        assert error_of(await guest.ask("subscribe", channel=place.thread)) == 103
        assert error_of(await guest.ask("history", channel=place.thread, limit=1)) == 103


async def test_guests_are_one_question(server: RealtimeServer) -> None:
    place = Place(server)
    async with server.socket() as first, server.socket() as second:
        for guest in (first, second):
            await guest.connect()
            await follow(guest, place.thread)
        calls = server.authorize_calls
        place.close_to(None)
        place.tell()
        for guest in (first, second):
            assert (await guest.next())["push"]["unsubscribe"] == DENIED
        assert server.authorize_calls == calls + 1


async def test_a_subscribe_that_was_permitted_before(server: RealtimeServer) -> None:
    """Accounts said yes, then the community became private, then the subscribe would end."""
    place = Place(server)
    server.shard.publish(place.thread)
    async with server.socket() as guest:
        await guest.connect()
        server.shard.history_gate.clear()
        position = {"recover": True, "epoch": "epoch-1", "offset": 0}
        await guest.send({"id": 7, "subscribe": {"channel": place.thread, **position}})
        await wait_until(lambda: server.shard.calls["ReadHistory"] == 1)
        place.close_to(None)
        place.tell()
        await wait_until(lambda: server.services.access.version == 2)
        server.shard.history_gate.set()
        assert error_of(await guest.next()) == 103
        assert server.realtime.statistics()["subscriptions"] == 0


async def test_a_grant_for_everybody_ends(server: RealtimeServer) -> None:
    """Within its thirty seconds, also where whoever got it stays."""
    place = Place(server)
    ada = member("ada")
    async with server.socket() as owner, server.socket() as guest:
        await owner.connect(server.sign_in(ada))
        await guest.connect()
        await follow(owner, place.thread)
        calls = server.authorize_calls
        assert "history" in await guest.ask("history", channel=place.thread, limit=1)
        assert server.authorize_calls == calls, "nobody was asked"
        place.close_to(None)
        place.tell()
        await wait_until(lambda: server.services.access.version == 2)
        assert error_of(await guest.ask("history", channel=place.thread, limit=1)) == 103
        assert error_of(await guest.ask("subscribe", channel=place.thread)) == 103


async def test_where_nobody_can_say_the_client_comes_again(
    server: RealtimeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.gateway.reauthorization._BACKOFF_SECONDS", 0.0)
    place = Place(server)
    ada = member("ada")
    async with server.socket() as client:
        await client.connect(server.sign_in(ada))
        await follow(client, place.thread)
        server.refused[ada.session_id] = AppError("unavailable")
        place.tell()
        assert (await client.next())["push"]["unsubscribe"]["code"] == 2500


@pytest.mark.parametrize("loss", ["epoch", "nonsense"])
async def test_what_can_not_be_heard_concerns_everybody(server: RealtimeServer, loss: str) -> None:
    place = Place(server)
    async with server.socket() as guest:
        await guest.connect()
        await follow(guest, place.thread)
        place.close_to(None)
        if loss == "nonsense":
            server.shard.publish(ACCESS_CHANNEL, b'{"type":"of another version"}')
            assert (await guest.next())["push"]["unsubscribe"] == DENIED
        else:
            server.shard.begin_epoch("epoch-2")
            await wait_until(lambda: server.services.access.version > 1)
            assert (await guest.next())["push"]["unsubscribe"]["code"] in (2000, 2500)
        assert error_of(await guest.ask("subscribe", channel=place.thread)) == 103


async def test_what_was_missed_while_the_shard_was_away(server: RealtimeServer) -> None:
    place = Place(server)
    async with server.socket() as guest:
        await guest.connect()
        await follow(guest, place.thread)
        place.close_to(None)
        event = msgspec.json.encode({"type": "access.changed", "community_id": place.id})
        server.shard.publish(ACCESS_CHANNEL, event, deliver=False)
        server.shard.restart()
        assert (await guest.next())["push"]["unsubscribe"] == DENIED


async def test_a_thread_that_was_moved_is_read_as_its_new_community_is(
    server: RealtimeServer,
) -> None:
    old, new = Place(server), Place(server)
    async with server.socket() as guest, server.socket() as other:
        for client in (guest, other):
            await client.connect()
            await follow(client, old.thread)
        server.communities[old.thread] = new.id
        post_id = old.thread.partition(":")[2]
        moved = {"type": "access.changed", "community_id": new.id, "post_id": post_id}
        server.shard.publish(ACCESS_CHANNEL, msgspec.json.encode(moved))
        await wait_until(lambda: server.services.access.version == 2)
        server.denied.add((None, old.thread))
        old.tell()
        await wait_until(lambda: server.services.access.version == 3)
        assert server.realtime.statistics()["subscriptions"] == 2
        new.tell()
        for client in (guest, other):
            assert (await client.next())["push"]["unsubscribe"] == DENIED


async def test_the_access_channel_is_the_servers_own(server: RealtimeServer) -> None:
    caller: Caller = member("ada")
    async with server.socket() as client:
        await client.connect(server.sign_in(caller))
        for command in ("subscribe", "history", "presence_stats"):
            fields: dict[str, Any] = {"channel": ACCESS_CHANNEL}
            assert error_of(await client.ask(command, **fields)) == 102
