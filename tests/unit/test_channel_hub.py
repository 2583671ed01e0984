"""Fan-out within one tick: order, one write, one encoding."""

from __future__ import annotations

import asyncio

from actors.shard_messages import Publication
from serve_app.gateway.audience import Audience, no_delta
from serve_app.gateway.channel import (
    RING_BYTES,
    RING_PUBLICATIONS,
    Admission,
    Channel,
    Crowd,
    send_by_transport,
)
from serve_app.gateway.protocol import Outlet
from tests.realtime_session import Bench, FakeOutlet

CHANNEL = "thread:018f0000-0000-7000-8000-000000000001"
SUBSCRIBE = b'{"id":2,"subscribe":{"channel":"%s"}}' % CHANNEL.encode()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def publish(bench: Bench, count: int = 1) -> None:
    stream = bench.source.streams[CHANNEL]
    for _ in range(count):
        stream.append(b"{}")
        bench.hub.on_publication(Publication(CHANNEL, len(stream), b"{}"))


def offsets(outlet: FakeOutlet) -> list[int]:
    return [m["push"]["pub"].get("offset", 0) for m in outlet.take()]


async def subscribed(bench: Bench) -> FakeOutlet:
    session, outlet = await bench.connected()
    await session.receive(SUBSCRIBE)
    await settle()
    outlet.take()
    outlet.writes = 0
    return outlet


async def test_publications_of_a_tick_are_one_write() -> None:
    bench = Bench()
    first, second = await subscribed(bench), await subscribed(bench)
    publish(bench, 5)
    bench.hub.on_publication(Publication(CHANNEL, 0, b"{}"))
    assert first.written == b"", "written before the end of the tick"
    await settle()
    assert first.writes == second.writes == 1
    assert first.written == second.written
    assert offsets(first) == [1, 2, 3, 4, 5, 0]


class CostlySender:
    """Says of each call that it took `costs` seconds."""

    def __init__(self, costs: float) -> None:
        self.costs = costs
        self.spent_seconds = 0.0
        self.sent: list[float] = []

    def __call__(self, outlets: Crowd, data: bytes, max_buffered: int) -> list[Outlet]:
        self.sent.append(asyncio.get_running_loop().time())
        self.spent_seconds += self.costs
        return send_by_transport(outlets, data, max_buffered)

    def settle(self) -> None:
        return None


async def test_sending_takes_half_of_the_loop_at_most() -> None:
    bench = Bench()
    sender = CostlySender(0.05)
    bench.hub._send = sender
    outlet = await subscribed(bench)
    publish(bench)
    await settle()
    assert len(sender.sent) == 1
    for _ in range(3):
        publish(bench)
        await settle()
    assert len(sender.sent) == 1, "the loop rests from sending"
    await bench.hub.wait_flushed()
    assert len(sender.sent) == 2, "what came meanwhile goes out together"
    assert sender.sent[1] - sender.sent[0] >= 2 * 0.05
    assert offsets(outlet) == [1, 2, 3, 4]


async def test_a_connection_that_is_closing_does_not_keep_the_others_from_it() -> None:
    bench = Bench()
    first, gone, last = [await subscribed(bench) for _ in range(3)]
    publish(bench)
    gone.abort()
    await settle()
    publish(bench)
    await settle()
    assert offsets(first) == offsets(last) == [1, 2]
    assert gone.written == b""


async def test_who_is_admitted_in_the_tick_of_a_publication_does_not_get_it_twice() -> None:
    bench = Bench()
    first = await subscribed(bench)
    session, outlet = await bench.connected()
    channel = bench.hub.find(CHANNEL)
    assert channel is not None
    publish(bench)
    bench.hub.admit([Admission(channel)], session, b"")  # its reply says offset 1
    publish(bench)
    await settle()
    assert offsets(first) == [1, 2]
    assert offsets(outlet) == [2]


async def test_encoded_once_for_all() -> None:
    bench = Bench()
    outlets = [await subscribed(bench) for _ in range(10)]
    channel = bench.hub.find(CHANNEL)
    assert channel is not None and len(channel.audience.groups) == 1
    publish(bench)
    (group,) = channel.audience.groups.values()
    assert len(group.pending) == 1
    await settle()
    assert all(offsets(o) == [1] for o in outlets)


async def test_followed_anew_after_everybody_left() -> None:
    bench = Bench()
    session, outlet = await bench.connected()
    for n in range(3):
        await session.receive(SUBSCRIBE)
        await settle()
        await session.receive(b'{"id":3,"unsubscribe":{"channel":"%s"}}' % CHANNEL.encode())
        assert bench.source.attached == [CHANNEL] * (n + 1)
        assert bench.source.detached == [CHANNEL] * (n + 1)
    assert [m["id"] for m in outlet.take()] == [2, 3] * 3


async def test_presence_counts_connections_of_a_user() -> None:
    bench = Bench()
    sessions = [(await bench.connected())[0] for _ in range(3)]
    for session in sessions:
        await session.receive(SUBSCRIBE)
    await settle()
    assert bench.hub.users_of(CHANNEL) == {"": 3}
    for left, session in enumerate(sessions):
        session.end()
        assert bench.source.counts[CHANNEL, ""] == 2 - left
    assert bench.hub.users_of(CHANNEL) == {}


async def test_the_ring_is_bounded_both_ways() -> None:
    live = asyncio.get_running_loop().create_future()
    channel = Channel(CHANNEL, live, Audience(no_delta))
    for offset in range(1, 1_001):
        channel.remember(Publication("c", offset, b"x"))
    assert len(channel.ring) == RING_PUBLICATIONS and channel.ring[-1].offset == 1_000
    for offset in range(1_001, 1_011):
        channel.remember(Publication("c", offset, b"x" * 50_000))
    assert channel.ring_bytes == sum(len(p.data) for p in channel.ring) <= RING_BYTES
    channel.live.cancel()
