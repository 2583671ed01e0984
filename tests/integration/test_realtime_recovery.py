"""The real SDK (centrifuge-python) against the gateway while the shard restarts, loses, repeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.channels import ACCESS_CHANNEL
from tests.conditions import wait_until
from tests.integration.sdk_client import SdkClient
from tests.realtime_server import RealtimeServer, member, thread


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer() as server:
        yield server


async def test_live_in_order(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel, 3)
    async with SdkClient(server) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: bool(recorder.subscribed))
        context = recorder.subscribed[0]
        assert context.recoverable and context.stream_position.offset == 3
        for _ in range(50):
            server.shard.publish(channel)
        server.shard.send_ephemeral(channel, b'{"type":"typing"}')
        await wait_until(lambda: bool(recorder.ephemeral))
        assert recorder.offsets == list(range(4, 54))


async def test_what_the_shard_loses_and_repeats(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel)
    async with SdkClient(server) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: bool(recorder.subscribed))
        for n in range(60):
            server.shard.publish(channel, deliver=n % 3 != 0, times=1 + n % 2)
        server.shard.deliver(channel, 5)
        await wait_until(lambda: len(recorder.offsets) >= 60)
        assert recorder.offsets == list(range(1, 61))


async def test_shard_restarts_under_load(server: RealtimeServer) -> None:
    channels = [thread() for _ in range(5)]
    for channel in channels:
        server.shard.create(channel)
    async with SdkClient(server) as sdk:
        recorders = [await sdk.subscribe(channel) for channel in channels]
        await wait_until(lambda: all(r.subscribed for r in recorders))
        for n in range(120):
            for channel in channels:
                server.shard.publish(channel, deliver=n % 7 != 0)
            if n % 30 == 10:
                server.shard.away = True
                server.shard.restart()
            if n % 30 == 14:
                server.shard.away = False
            await asyncio.sleep(0)
        await wait_until(lambda: all(len(r.offsets) >= 120 for r in recorders))
        assert all(r.offsets == list(range(1, 121)) for r in recorders)
        assert all(len(r.subscribed) == 1 for r in recorders)  # nobody noticed


async def test_cut_off_client_gets_what_it_missed(server: RealtimeServer) -> None:
    ada = member()
    token, own = server.sign_in(ada), f"user:{ada.account_id}"
    channel = thread()
    server.shard.create(channel)
    async with SdkClient(server, token) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: bool(recorder.subscribed))
        server.shard.publish(channel)
        server.shard.publish(own)
        await wait_until(lambda: bool(recorder.offsets and sdk.events.server_publications))
        for session in list(server.realtime._services.sessions):
            session.outlet.abort()
        for _ in range(400):
            server.shard.publish(channel)
            server.shard.publish(own)
        await wait_until(lambda: len(recorder.offsets) >= 401)
        await wait_until(lambda: len(sdk.events.server_publications) >= 401)
        assert recorder.offsets == list(range(1, 402))
        assert sdk.events.server_publications == [(own, n) for n in range(1, 402)]
        assert recorder.subscribed[1].was_recovering and recorder.subscribed[1].recovered


async def test_too_much_missed_is_not_recovered(server: RealtimeServer) -> None:
    channel, fat = thread(), thread()
    for name in (channel, fat):
        server.shard.create(name, 1)
    async with server.socket() as client:
        await client.connect()
        for _ in range(1_001):
            server.shard.publish(channel)
        for _ in range(6):
            server.shard.publish(fat, b'{"text":"%s"}' % (b"x" * 100_000))
        position = {"recover": True, "epoch": "epoch-1", "offset": 1}
        for name in (channel, fat):
            result = (await client.ask("subscribe", channel=name, **position))["subscribe"]
            assert result["was_recovering"] is True and "recovered" not in result
            assert result["offset"] == len(server.shard.streams[name])
            assert "publications" not in result


async def test_recovery_rule(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel, 10)

    async def recovered(offset: int, epoch: str = "epoch-1", **fields: Any) -> list[int] | None:
        async with server.socket() as client:
            await client.connect()
            reply = await client.ask(
                "subscribe", channel=channel, recover=True, offset=offset, epoch=epoch, **fields
            )
            if "error" in reply:
                assert reply["error"]["code"] == 112
                return None
            result = reply["subscribe"]
            assert result["was_recovering"] is True
            if not result.get("recovered"):
                assert result["offset"] == 10
                return None
            assert result.get("offset", 0) == offset
            return [p["offset"] for p in result.get("publications", [])]

    assert await recovered(10) == []
    assert await recovered(7) == [8, 9, 10]
    assert await recovered(7, epoch="") == [8, 9, 10]
    assert await recovered(0) == list(range(1, 11))
    assert await recovered(7, epoch="_") is None
    assert await recovered(11) is None
    assert await recovered(7, epoch="_", flag=2) is None
    server.shard.trim(channel, 5)
    assert await recovered(3) is None
    assert await recovered(4) == list(range(5, 11))


async def test_a_position_ahead_of_this_gateway(server: RealtimeServer) -> None:
    """The client was on a gateway that had heard more: it is caught up with, not refused."""
    channel = thread()
    server.shard.create(channel)
    async with server.socket() as first, server.socket() as second:
        await first.connect()
        await first.ask("subscribe", channel=channel)
        for _ in range(3):
            server.shard.publish(channel, deliver=False)
        await second.connect()
        position = {"recover": True, "epoch": "epoch-1", "offset": 3}
        result = (await second.ask("subscribe", channel=channel, **position))["subscribe"]
        assert result["recovered"] is True and result["offset"] == 3
        assert [(await first.next())["push"]["pub"]["offset"] for _ in range(3)] == [1, 2, 3]


async def test_equal_recoveries_share_one_read(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel, 50)
    server.shard.history_gate.clear()
    position = {"recover": True, "epoch": "epoch-1", "offset": 20}
    async with server.socket() as client:
        await client.connect()
        others = [server.socket() for _ in range(5)]
        clients = [await other.__aenter__() for other in others]
        for one in clients:
            await one.connect()
            await one.send({"id": 5, "subscribe": {"channel": channel, **position}})
        await wait_until(lambda: server.realtime._hub._channels[channel].pins == 5)
        await wait_until(lambda: server.shard.calls["ReadHistory"] > 0)
        server.shard.publish(channel)  # live, while everybody reads
        server.shard.history_gate.set()
        for one in clients:
            seen: list[int] = []
            while len(seen) < 31:
                message = await one.next()
                if "subscribe" in message:
                    assert not seen, "something live came before the subscribe reply"
                    seen += [p["offset"] for p in message["subscribe"]["publications"]]
                else:
                    seen.append(message["push"]["pub"]["offset"])
            assert seen == list(range(21, 52))
        for other in others:
            await other.__aexit__(None, None, None)
    assert server.shard.calls["ReadHistory"] == 1


async def test_new_channels_wait_while_the_shard_cannot_attach(server: RealtimeServer) -> None:
    old, new = thread(), thread()
    for channel in (old, new):
        server.shard.create(channel)
    async with server.socket() as client:
        await client.connect()
        await client.ask("subscribe", channel=old)
        server.shard.refuses_attach = True
        await client.send({"id": 9, "subscribe": {"channel": new}})
        await wait_until(lambda: server.shard.calls["Attach"] >= 2)
        server.shard.publish(old)
        assert (await client.next())["push"]["channel"] == old
        server.shard.refuses_attach = False
        assert "subscribe" in await client.next()
        assert server.shard.calls["Hello"] == 1


async def test_another_epoch_resubscribes(server: RealtimeServer) -> None:
    ada = member()
    channel = thread()
    server.shard.create(channel, 5)
    async with SdkClient(server, server.sign_in(ada)) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: bool(recorder.subscribed))
        server.shard.begin_epoch("epoch-2")
        await wait_until(lambda: len(recorder.subscribed) > 1)
        context = recorder.subscribed[-1]
        assert context.was_recovering and not context.recovered
        assert (context.stream_position.epoch, context.stream_position.offset) == ("epoch-2", 0)
        server.shard.publish(channel)
        await wait_until(lambda: recorder.offsets == [1])
        # The own channel is the server's to subscribe: the SDK recovers it by reconnecting.
        assert 3010 in sdk.events.connecting


async def test_an_unfillable_gap_resubscribes(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel)
    server.realtime.follow(channel, lambda name, offset: None)  # the channel outlives its readers
    async with SdkClient(server) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: bool(recorder.subscribed))
        server.shard.publish(channel)
        await wait_until(lambda: recorder.offsets == [1])
        server.shard.publish(channel, deliver=False)
        server.shard.trim(channel, 3)
        server.shard.publish(channel)
        await wait_until(lambda: len(recorder.subscribed) > 1)
        assert not recorder.subscribed[-1].recovered
        server.shard.publish(channel)
        await wait_until(lambda: recorder.offsets == [1, 4])
        async with server.socket() as client:
            await client.connect()
            position = {"recover": True, "epoch": "epoch-1", "offset": 1}
            result = (await client.ask("subscribe", channel=channel, **position))["subscribe"]
            assert "recovered" not in result, "the lost publication was passed over in silence"


async def test_removed_text_is_not_replayed(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel)
    async with server.socket() as client:
        await client.connect()
        await client.ask("subscribe", channel=channel)
        server.shard.publish(channel, b'{"type":"comment.created","text":"secret"}')
        await client.next()
        server.shard.streams[channel][0] = b'{"type":"comment.created","removed":true}'
        server.shard.publish(channel, b'{"type":"comment.deleted"}')
        await client.next()
        async with server.socket() as other:
            await other.connect()
            position = {"recover": True, "epoch": "epoch-1", "offset": 0}
            result = (await other.ask("subscribe", channel=channel, **position))["subscribe"]
            assert result["publications"][0]["data"] == {
                "type": "comment.created",
                "removed": True,
            }


async def test_text_removed_during_a_recovery_is_not_replayed(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel, 3)
    async with server.socket() as client:
        await client.connect()
        server.shard.history_gate.clear()
        position = {"recover": True, "epoch": "epoch-1", "offset": 0}
        await client.send({"id": 9, "subscribe": {"channel": channel, **position}})
        await wait_until(lambda: server.shard.calls["ReadHistory"] == 1)
        server.shard.streams[channel][0] = b'{"type":"comment.created","removed":true}'
        server.shard.publish(channel, b'{"type":"comment.deleted"}')
        await wait_until(lambda: server.realtime._hub._channels[channel].position.last == 4)
        server.shard.history_gate.set()
        publications = (await client.next())["subscribe"]["publications"]
        assert [p["offset"] for p in publications] == [1, 2, 3, 4]
        assert publications[0]["data"] == {"type": "comment.created", "removed": True}


async def test_drained_sdk_comes_back_elsewhere(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel)
    async with RealtimeServer(server.shard) as other, SdkClient(server) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: bool(recorder.subscribed))
        server.shard.publish(channel)
        await wait_until(lambda: recorder.offsets == [1])
        sdk.client._address = other.url  # what a load balancer does
        for _ in range(3):
            server.shard.publish(channel, deliver=False)
        await server.realtime.drain(0.05)
        await wait_until(lambda: len(recorder.offsets) >= 4)
        assert recorder.offsets == [1, 2, 3, 4]
        assert sdk.events.connecting == [0, 3001]


async def test_expired_token_is_fetched_anew(server: RealtimeServer) -> None:
    ada = member()
    old = server.sign_in(ada, seconds=-1)

    async def get_token() -> str:
        return server.sign_in(ada)

    async with SdkClient(server, old, get_token=get_token) as sdk:
        await wait_until(lambda: sdk.events.connected == 1)
        assert sdk.events.disconnected == []


async def test_invalid_token_stops_the_sdk(server: RealtimeServer) -> None:
    async with SdkClient(server, "forged") as sdk:
        await wait_until(lambda: sdk.events.disconnected == [3500])


async def test_denied_subscription_is_terminal(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel)
    server.denied.add((None, channel))
    async with SdkClient(server) as sdk:
        recorder = await sdk.subscribe(channel)
        await wait_until(lambda: recorder.unsubscribed == [(103, "permission denied")])


async def test_edge_cache_hears_of_every_publication(server: RealtimeServer) -> None:
    channel = thread()
    server.shard.create(channel, 4)
    heard: list[tuple[str, int]] = []

    def on_event(name: str, offset: int) -> None:
        heard.append((name, offset))

    server.realtime.follow(channel, on_event)
    await wait_until(lambda: heard == [(channel, 4)])
    server.shard.publish(channel)
    server.shard.send_ephemeral(channel, b"{}")
    await wait_until(lambda: heard[1:] == [(channel, 5), (channel, 0)])
    server.shard.begin_epoch("epoch-2")
    await wait_until(lambda: len(heard) == 4)
    server.realtime.unfollow(channel, on_event)
    own = {ACCESS_CHANNEL}
    await wait_until(lambda: all(g.channels == own for g in server.shard.gateways.values()))
