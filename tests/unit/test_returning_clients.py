"""What a client that comes back costs: no read where another one has just read, one send."""

from __future__ import annotations

import asyncio

import msgspec

from actors.shard_messages import Publication
from serve_app.gateway.audience import Audience
from serve_app.gateway.channel import RING_BYTES, RING_PUBLICATIONS, Channel
from serve_app.gateway.session import Session
from tests.realtime_session import CHANNEL, Bench, FakeOutlet, settle


def returning(offset: int, number: int = 2) -> bytes:
    position = {"recover": True, "epoch": "e", "offset": offset}
    return msgspec.json.encode({"id": number, "subscribe": {"channel": CHANNEL, **position}})


async def back(bench: Bench, offset: int) -> tuple[Session, FakeOutlet, list[int]]:
    """And the offsets that it recovered."""
    session, outlet = await bench.connected()
    await session.receive(returning(offset))
    await settle()
    (reply,) = outlet.take()
    assert reply["subscribe"]["recovered"] is True
    return session, outlet, [p["offset"] for p in reply["subscribe"].get("publications", [])]


async def test_who_follows_another_one_back_costs_no_read() -> None:
    bench = Bench()
    bench.source.streams[CHANNEL] = [b'{"n":%d}' % n for n in range(1, 8)]
    assert (await back(bench, 3))[2] == [4, 5, 6, 7]
    assert bench.source.reads == 1
    assert (await back(bench, 3))[2] == [4, 5, 6, 7]
    bench.hub.on_publication(Publication(CHANNEL, 8, b"{}"))
    assert (await back(bench, 4))[2] == [5, 6, 7, 8]
    assert bench.source.reads == 1
    bench.source.streams[CHANNEL].append(b"{}")
    assert (await back(bench, 1))[2] == [2, 3, 4, 5, 6, 7, 8]
    assert (await back(bench, 1))[2] == [2, 3, 4, 5, 6, 7, 8]
    assert bench.source.reads == 2


async def test_what_was_read_is_forgotten_when_text_is_removed() -> None:
    bench = Bench()
    stream = bench.source.streams[CHANNEL] = [b'"secret"', b"{}"]
    await back(bench, 0)
    stream[0] = b"null"
    stream.append(b'{"type":"comment.deleted"}')
    bench.hub.on_publication(Publication(CHANNEL, 3, stream[2]))
    session, outlet = await bench.connected()
    await session.receive(returning(0))
    await settle()
    assert b"secret" not in outlet.written
    assert bench.source.reads == 2


async def test_connect_and_a_subscribe_at_hand_are_answered_by_one_send() -> None:
    bench = Bench()
    bench.source.streams[CHANNEL] = [b"1", b"2"]
    await back(bench, 1)
    session, outlet = bench.session()
    await session.receive(b'{"id":1,"connect":{}}\n' + returning(1))
    assert outlet.writes == 1
    connected, subscribed = outlet.take()
    assert "connect" in connected
    assert [p["data"] for p in subscribed["subscribe"]["publications"]] == [2]
    bench.hub.on_publication(Publication(CHANNEL, 3, b"3"))
    await settle()
    assert [m["push"]["pub"]["offset"] for m in outlet.take()] == [3]


async def test_a_subscribe_that_must_wait_for_room_holds_up_nothing_else() -> None:
    bench = Bench(max_queue_bytes=1_000)
    bench.source.streams[CHANNEL] = [b'"%b"' % (b"x" * 300), b"{}"]
    await back(bench, 0)
    session, outlet = await bench.connected()
    outlet.unsent = 600
    async with asyncio.timeout(1):
        await session.receive(returning(0) + b'\n{"id":3,"ping":{}}')
    await settle()
    assert [m["id"] for m in outlet.take()] == [3]
    session.end()
    await settle()


async def test_what_is_remembered_of_the_past_has_the_bounds_of_the_present() -> None:
    live = asyncio.get_running_loop().create_future()
    for size, kept in ((10, RING_PUBLICATIONS), (RING_BYTES // 4, 4)):
        channel = Channel(CHANNEL, live, Audience(lambda _, target: target))
        channel.position.last = 1_000
        channel.remember_older(
            [Publication(CHANNEL, offset, b"x" * size) for offset in range(1, 1_001)]
        )
        assert [p.offset for p in channel.ring] == list(range(1_001 - kept, 1_001))
        assert channel.ring_bytes == kept * size
