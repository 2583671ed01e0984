"""Sentences of docs/realtime-guarantees.md that no other test proves."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from cent import DisconnectRequest, PublishRequest, SubscribeRequest

from actors import shard_messages as m
from config.channels import Namespace
from config.errors import AppError
from tests.conditions import wait_until
from tests.fake_shard import FakeShard
from tests.gateways import running_gateways
from tests.integration.realtime_socket import error_of
from tests.realtime_server import RawClient, RealtimeServer, thread

pytestmark = pytest.mark.integration

STREAM: Final = Namespace(
    subscribe="anyone",
    history="memory",
    history_size=100,
    history_ttl_seconds=60.0,
    recovery="stream",
)
CHANNELS: Final = {"stream": STREAM}


def position(offset: int, epoch: str = "epoch-1") -> dict[str, Any]:
    return {"recover": True, "epoch": epoch, "offset": offset}


def followed(server: RealtimeServer, channel: str) -> Any:
    """The gateway's own idea of where the channel stands."""
    found = server.realtime._hub.find(channel)
    assert found is not None
    return found


async def ask_while_history_hangs(
    server: RealtimeServer, client: RawClient, channel: str, **asked: Any
) -> None:
    """Returns once the recovery waits for the shard, which has answered, but not heard yet."""
    server.shard.history_gate.clear()
    reads = server.shard.calls["ReadHistory"]
    await client.send({"id": 99, "subscribe": {"channel": channel, **asked}})
    await wait_until(lambda: server.shard.calls["ReadHistory"] > reads)


async def join(server: RealtimeServer, client: RawClient, channel: str, **asked: Any) -> None:
    """A second recovery begins while the first one waits."""
    await client.send({"id": 99, "subscribe": {"channel": channel, **asked}})
    await wait_until(lambda: followed(server, channel).pins == 2)
    for _ in range(5):  # the steps of its command up to where it waits
        await asyncio.sleep(0)


def offsets(result: Any) -> list[int]:
    return [p["offset"] for p in result.get("publications", [])]


# ---------------------------------------------------------------- order


async def test_a_gap_holds_up_neither_other_channels_nor_ephemeral_publications() -> None:
    held, other = thread(), thread()
    async with RealtimeServer() as server, server.socket() as client:
        await client.connect()
        for channel in (held, other):
            server.shard.create(channel)
            await client.ask("subscribe", channel=channel)
        server.shard.history_gate.clear()
        server.shard.publish(held, deliver=False)
        server.shard.publish(held)
        server.shard.send_ephemeral(held, b'{"type":"typing"}')
        server.shard.publish(other)
        early = [(await client.next())["push"] for _ in range(2)]
        assert {push["channel"] for push in early} == {held, other}
        typing = next(push["pub"] for push in early if push["channel"] == held)
        assert typing == {"data": {"type": "typing"}}
        server.shard.history_gate.set()
        late = [(await client.next())["push"] for _ in range(2)]
        assert [(push["channel"], push["pub"]["offset"]) for push in late] == [(held, 1), (held, 2)]


# ---------------------------------------------------------------- recovery


@pytest.mark.parametrize("channel", ["stream:1", "thread:018f0000-0000-7000-8000-0000000000aa"])
async def test_what_is_published_during_a_recovery_is_part_of_it(channel: str) -> None:
    async with (
        RealtimeServer(channels=CHANNELS) as server,
        server.socket() as first,
        server.socket() as second,
    ):
        server.shard.create(channel, 5)
        for client in (first, second):
            await client.connect()
        await ask_while_history_hangs(server, first, channel, **position(2))
        server.shard.publish(channel)
        await wait_until(lambda: followed(server, channel).position.last == 6)
        await join(server, second, channel, **position(2))
        server.shard.publish(channel)
        await wait_until(lambda: followed(server, channel).position.last == 7)
        server.shard.history_gate.set()
        for client in (first, second):
            result = (await client.next())["subscribe"]
            assert result["recovered"] is True and offsets(result) == [3, 4, 5, 6, 7]
        server.shard.publish(channel)
        for client in (first, second):
            assert (await client.next())["push"]["pub"]["offset"] == 8


async def test_a_recovery_takes_no_read_from_before_a_removal() -> None:
    channel = thread()
    removed = {"type": "comment.created", "removed": True}
    async with RealtimeServer() as server, server.socket() as first, server.socket() as second:
        server.shard.create(channel, 3)
        for client in (first, second):
            await client.connect()
        await ask_while_history_hangs(server, first, channel, **position(0))
        server.shard.streams[channel][0] = b'{"type":"comment.created","removed":true}'
        server.shard.publish(channel, b'{"type":"comment.deleted"}')
        await wait_until(lambda: followed(server, channel).position.last == 4)
        await join(server, second, channel, **position(0))
        server.shard.history_gate.set()
        for client in (first, second):
            result = (await client.next())["subscribe"]
            assert offsets(result) == [1, 2, 3, 4]
            assert result["publications"][0]["data"] == removed


async def test_a_recovery_takes_no_read_of_another_epoch() -> None:
    channel = thread()
    async with RealtimeServer() as server, server.socket() as first, server.socket() as second:
        server.shard.create(channel, 5)
        for client in (first, second):
            await client.connect()
        await ask_while_history_hangs(server, first, channel, **position(0))
        server.shard.begin_epoch("epoch-2")
        for _ in range(5):
            server.shard.publish(channel, b'{"new":true}', deliver=False)
        await wait_until(lambda: followed(server, channel).position.epoch == "epoch-2")
        await join(server, second, channel, **position(0, "epoch-2"))
        server.shard.history_gate.set()
        result = (await first.next())["subscribe"]
        assert "recovered" not in result and result["epoch"] == "epoch-2"
        result = (await second.next())["subscribe"]
        assert [p["data"] for p in result.get("publications", [])] == [{"new": True}] * 5


async def test_an_epoch_that_the_gateway_has_not_heard_of_is_not_recovered_as_the_old_one() -> None:
    channel = thread()
    async with RealtimeServer() as server, server.socket() as there, server.socket() as client:
        server.shard.create(channel, 5)
        for one in (there, client):
            await one.connect()
        await there.ask("subscribe", channel=channel)
        server.shard.epoch = "epoch-2"
        server.shard.streams[channel] = [b'{"new":true}'] * 5
        result = (await client.ask("subscribe", channel=channel, **position(2)))["subscribe"]
        assert "recovered" not in result and offsets(result) == []


# ---------------------------------------------------------------- slow readers


async def test_who_was_too_slow_recovers_what_was_missed() -> None:
    channel = thread()
    async with RealtimeServer(max_queue_bytes=65_536) as server, server.socket() as client:
        server.shard.create(channel)
        await client.connect()
        await client.ask("subscribe", channel=channel)
        slow = next(iter(server.realtime._services.sessions))
        for _ in range(3):
            server.shard.publish(channel)
        slow.on_slow()
        assert await client.close_code() == 3008
        async with server.socket() as back:
            await back.connect()
            result = (await back.ask("subscribe", channel=channel, **position(0)))["subscribe"]
            assert result["recovered"] is True and offsets(result) == [1, 2, 3]


# ---------------------------------------------------------------- presence


async def test_a_passive_subscriber_is_counted(database_url: str) -> None:
    async with running_gateways(database_url) as gateways, gateways.connected("42") as client:
        await client.ask("subscribe", channel="chat:a", data={"passive": True})

        async def count() -> int:
            stats = await client.ask("presence_stats", channel="chat:a")
            return int(stats["presence_stats"].get("num_clients", 0))

        async with asyncio.timeout(20):
            while await count() != 1:  # noqa: ASYNC110 - what another process would see
                await asyncio.sleep(0.02)
        listed = (await client.ask("presence", channel="chat:a"))["presence"]["presence"]
        assert [info["user"] for info in listed.values()] == ["42"]


# ---------------------------------------------------------------- failures


async def test_a_lost_shard_of_a_channel_in_memory(database_url: str) -> None:
    """Sockets stay; what concerns the channel is answered 100; then it begins anew."""
    async with running_gateways(database_url) as gateways, gateways.connected("42") as client:
        asked = {"channel": "chat:a", "recoverable": True, "positioned": True}
        before = (await client.ask("subscribe", **asked))["subscribe"]
        async with gateways.api() as api:
            await api.publish(PublishRequest(channel="chat:a", data=1))
        await gateways.shard.stop()
        reply = await client.ask("subscribe", channel="chat:b")
        assert error_of(reply) == 100 and reply["error"]["temporary"] is True
        await gateways.shard.start()
        while "unsubscribe" not in (push := (await client.next()).get("push", {})):
            continue
        assert push["unsubscribe"]["code"] == 2500
        again = await client.ask("subscribe", **asked, **position(1, before["epoch"]))
        result = again["subscribe"]
        assert result["was_recovering"] and "recovered" not in result
        assert result["epoch"] != before["epoch"] and result.get("offset", 0) == 0


class _NoHistory(FakeShard):
    async def __call__(self, shard: int, request: m.ShardRequest) -> m.ShardReply:
        if isinstance(request, m.ReadHistory):
            raise AppError("unavailable")
        return await super().__call__(shard, request)


async def test_a_gap_that_nobody_fills_ends_in_2500(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.gateway.gaps.FILL_SECONDS", 0.05)
    channel = thread()
    async with RealtimeServer(_NoHistory()) as server, server.socket() as client:
        server.shard.create(channel)
        await client.connect()
        await client.ask("subscribe", channel=channel)
        server.shard.publish(channel, deliver=False)
        server.shard.publish(channel)
        assert (await client.next())["push"]["unsubscribe"]["code"] == 2500


# ---------------------------------------------------------------- the server API


async def test_a_command_concerns_who_is_there(database_url: str) -> None:
    async with (
        running_gateways(database_url, 2) as gateways,
        gateways.connected("42", 1) as there,
        gateways.api() as api,
    ):
        await api.disconnect(DisconnectRequest(user="7"))
        await api.subscribe(SubscribeRequest(user="42", channel="chat:a"))
        while "subscribe" not in (await there.next()).get("push", {}):
            continue  # now the gateway has heard both
        async with gateways.connected("7", 1) as later:
            assert "subscribe" in await later.ask("subscribe", channel="chat:b")


# ---------------------------------------------------------------- permissions


async def test_a_public_channel_lets_newcomers_in_for_a_while_without_asking() -> None:
    channel = thread()
    async with (
        RealtimeServer() as server,
        server.socket() as first,
        server.socket() as second,
        server.socket() as third,
    ):
        server.shard.create(channel)
        for client in (first, second, third):
            await client.connect()
        await first.ask("subscribe", channel=channel)
        server.denied.add((None, channel))
        assert "subscribe" in await second.ask("subscribe", channel=channel)
        assert server.authorize_calls == 1
        left = followed(server, channel).public_until - server.realtime._services.wheel.now()
        assert 0 < left <= 30
        followed(server, channel).public_until = 0.0
        assert error_of(await third.ask("subscribe", channel=channel)) == 103
