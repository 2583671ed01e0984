"""Who is sent what: forms, wants, deltas, and who reads slowly."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from actors.shard_messages import KIND_JOIN, KIND_LEAVE, Publication, StreamPosition
from serve_app.gateway.audience import Audience
from serve_app.gateway.channel import Admission, Wants
from serve_app.gateway.channel_hub import PENDING_BYTES
from tests.hub_bench import CHANNEL, MAX_BUFFERED, HubBench, Reader

TEXT = b'"a fairly long text that stays the same from one publication to the next, number %d"'
DELTA, PASSIVE, JOIN_LEAVE = Wants.DELTA, Wants.PASSIVE, Wants.JOIN_LEAVE


@pytest.fixture
async def bench() -> HubBench:
    return await HubBench().begin()


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_each_gets_what_it_asked_for(bench: HubBench) -> None:
    wants = [Wants(0), JOIN_LEAVE, PASSIVE, PASSIVE | JOIN_LEAVE]
    readers = [bench.reader() for _ in wants]
    for reader, want in zip(readers, wants, strict=True):
        reader.admit(want)
    bench.publish(b"1")
    bench.publish(b"2", durable=False)
    bench.publish(b"3", durable=False, counter=True)
    bench.publish(b'{"client":"a"}', durable=False, kind=KIND_JOIN)
    bench.publish(b'{"client":"b"}', durable=False, kind=KIND_LEAVE)
    await bench.tick()
    counter = [("ephemeral", b"3")]
    all_three = [("durable", b"1"), ("ephemeral", b"2"), *counter]
    visits = [("join", b'{"client":"a"}'), ("leave", b'{"client":"b"}')]
    assert [reader.events for reader in readers] == [
        all_three,
        all_three + visits,
        counter,
        counter,
    ]


async def test_each_form_is_encoded_once_per_codec(bench: HubBench) -> None:
    for wire in (0, 0, 1, 1):
        for wants in (Wants(0), JOIN_LEAVE, DELTA, DELTA | JOIN_LEAVE):
            bench.reader(wire).admit(wants)
    bench.publish(TEXT % 1)
    assert bench.codec.encoded == 2, "as it is, and in full as a delta"
    await bench.tick()
    bench.publish(TEXT % 2)
    assert bench.codec.encoded == 4, "as it is, and patched"
    bench.publish(b"{}", durable=False, kind=KIND_JOIN)
    assert bench.codec.encoded == 5


async def test_a_patch_is_made_once_for_all_codecs(bench: HubBench) -> None:
    made = []

    def create(source: bytes, target: bytes) -> bytes:
        made.append((source, target))
        return b"p"

    audience = Audience(create)
    for wire in (0, 1, 2):
        audience.add(bench.reader(wire), DELTA, b"base")
        audience.add(bench.reader(wire), DELTA | JOIN_LEAVE, b"base")
    audience.put(Publication(CHANNEL, 1, TEXT % 1))
    assert made == [(b"base", TEXT % 1)]


async def test_deltas_begin_in_full_and_go_on_as_patches(bench: HubBench) -> None:
    first = bench.reader()
    first.admit(DELTA)
    bench.publish(TEXT % 1)
    bench.publish(TEXT % 2, durable=False)
    second = bench.reader()
    second.admit(DELTA)
    bench.publish(TEXT % 3)
    bench.publish(TEXT % 4)
    await bench.tick()
    assert len(bench.channel.audience.groups) == 1, "both are chained"
    bench.publish(TEXT % 5)
    await bench.tick()
    assert [data for _, data in first.events] == [TEXT % n for n in range(1, 6)]
    assert [data for _, data in second.events] == [TEXT % n for n in range(3, 6)]
    assert (first.patches, second.patches) == (4, 2)


@pytest.mark.parametrize(("base", "patches"), [(TEXT % 1, 1), (TEXT % 9, 0), (None, 0)])
async def test_a_recovered_subscriber_is_chained_if_it_has_the_newest(
    bench: HubBench, base: bytes | None, patches: int
) -> None:
    bench.reader().admit(DELTA)
    bench.publish(TEXT % 1)
    await bench.tick()
    recovered = bench.reader()
    recovered.admit(DELTA, base)
    bench.publish(TEXT % 2)
    await bench.tick()
    assert recovered.patches == patches
    assert recovered.events == [("durable", TEXT % 2)]


async def test_a_recovered_subscriber_is_chained_where_nobody_else_is(bench: HubBench) -> None:
    bench.publish(TEXT % 1)
    recovered = bench.reader()
    recovered.admit(DELTA, TEXT % 1)
    bench.publish(TEXT % 2)
    await bench.tick()
    assert recovered.patches == 1 and recovered.events == [("durable", TEXT % 2)]


async def test_no_patch_that_is_not_smaller_or_not_text(bench: HubBench) -> None:
    reader = bench.reader()
    reader.admit(DELTA)
    bench.publish(b'"\xc3\xa4 and a long enough text to patch"')
    bench.publish(b'"\xc3\xb6 and a long enough text to patch"')  # they share a character's half
    bench.publish(b"1")
    bench.publish(b"2")
    await bench.tick()
    assert [data for _, data in reader.events][1:] == [
        b'"\xc3\xb6 and a long enough text to patch"',
        b"1",
        b"2",
    ]
    assert reader.patches == 0


async def test_who_reads_slowly_is_spared_ephemeral_publications(bench: HubBench) -> None:
    prompt, late = bench.reader(), bench.reader()
    prompt.admit()
    late.admit()
    dropped = counted("serai_realtime_dropped_total")
    late.outlet.unsent = MAX_BUFFERED // 2 + 1
    for n in range(6):
        bench.publish(b"%d" % n, durable=n % 2 == 0)
    await bench.tick()
    assert [data for _, data in prompt.events] == [b"%d" % n for n in range(6)]
    assert late.events == [("durable", b"%d" % n) for n in range(0, 6, 2)]
    assert counted("serai_realtime_dropped_total") - dropped == 3
    late.outlet.unsent = 0
    bench.publish(b"6", durable=False)
    await bench.tick()
    assert late.events[-1] == prompt.events[-1] == ("ephemeral", b"6")
    assert not late.was_slow


async def test_a_chain_that_broke_begins_anew(bench: HubBench) -> None:
    prompt, late = bench.reader(), bench.reader()
    prompt.admit(DELTA)
    late.admit(DELTA)
    bench.publish(TEXT % 1)
    await bench.tick()
    late.outlet.unsent = MAX_BUFFERED // 2 + 1
    bench.publish(TEXT % 2)  # nothing to drop: it stays chained
    await bench.tick()
    assert late.patches == 1
    bench.publish(TEXT % 3, durable=False)
    bench.publish(TEXT % 4)  # in full for it, and chained again
    bench.publish(TEXT % 5)
    bench.publish(TEXT % 6, durable=False)
    await bench.tick()
    assert late.patches == 2
    bench.publish(TEXT % 7)  # in full
    await bench.tick()
    bench.publish(TEXT % 8)
    await bench.tick()
    assert [data for _, data in late.events] == [TEXT % n for n in (1, 2, 4, 5, 7, 8)]
    assert late.patches == 3 and prompt.patches == 7
    assert len(bench.channel.audience.groups) == 1


async def test_above_the_bound_its_session_hears_of_it(bench: HubBench) -> None:
    readers = [bench.reader() for _ in range(3)]
    for reader in readers:
        reader.admit()
    readers[1].outlet.unsent = MAX_BUFFERED + 1
    bench.publish(b"1")
    await bench.tick()
    assert [reader.was_slow for reader in readers] == [False, True, False]
    assert len(bench.channel.audience) == 2
    bench.publish(b"2")
    await bench.tick()
    assert readers[2].events == [("durable", b"1"), ("durable", b"2")]


async def test_a_burst_does_not_wait_for_the_end_of_the_tick(bench: HubBench) -> None:
    reader = bench.reader()
    reader.admit()
    data = b'"%s"' % (b"x" * 9_000)
    count = PENDING_BYTES // len(data)
    for _ in range(count):
        bench.publish(data)
    assert reader.events == []
    bench.publish(data)
    assert len(reader.events) == count + 1
    await bench.tick()
    assert len(reader.events) == count + 1


async def test_what_the_sender_keeps_reaches_who_was_there(bench: HubBench) -> None:
    first, second = bench.reader(), bench.reader()
    first.admit()
    second.admit()
    bench.sender.at_once = 1
    bench.publish(b"1")
    await bench.tick()
    assert first.events and not second.events
    third = bench.reader()
    third.admit()
    second.leave()  # what it was promised comes before the answer
    assert second.events == [("durable", b"1")]
    bench.publish(b"2")
    bench.hub.flush_all()
    assert not bench.sender.kept
    assert first.events == [("durable", b"1"), ("durable", b"2")]
    assert third.events == [("durable", b"2")]


async def test_a_loss_is_told_to_all_but_the_passive_ones(bench: HubBench) -> None:
    reader, passive = bench.reader(), bench.reader()
    reader.admit()
    passive.admit(PASSIVE)
    bench.hub.on_position(CHANNEL, StreamPosition("another", 5))
    assert reader.lost and not passive.lost
    bench.hub.on_position(CHANNEL, None)
    assert passive.lost


async def test_clients_that_are_listed(bench: HubBench) -> None:
    hub, channel = bench.hub, bench.channel
    hub.arrive_client(channel, "c1", "ada", b'{"client":"c1"}')
    hub.arrive_client(channel, "c2", "ada", b"")
    assert hub.users_of(CHANNEL) == {"ada": 2}
    assert hub.clients_of(CHANNEL) == {"c1": b'{"client":"c1"}'}
    hub.depart_client(channel, "c1", "ada")
    hub.depart_client(channel, "c2", "ada")
    assert not hub.users_of(CHANNEL) and not hub.clients_of(CHANNEL)
    assert not hub.clients_of("none")
    assert bench.source.counts == {(CHANNEL, "ada"): 0}
    assert bench.source.clients == [(CHANNEL, "c1", b'{"client":"c1"}'), (CHANNEL, "c1", b"")]


async def test_counters_are_told_once_a_tick(bench: HubBench) -> None:
    reader = bench.reader()
    reader.admit()
    names = ["delivered_total", "sent_bytes_total"]
    before = [counted(f"serai_realtime_{name}") for name in names]
    bench.publish(b"1")
    bench.publish(b"2")
    assert [counted(f"serai_realtime_{name}") for name in names] == before
    await bench.tick()
    delivered, sent = (
        counted(f"serai_realtime_{name}") - old for name, old in zip(names, before, strict=True)
    )
    assert delivered == 2 and sent > 0


async def test_a_channel_that_fails_does_not_hold_up_the_others(bench: HubBench) -> None:
    reader = bench.reader()
    reader.admit()
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: raised.append(c["exception"]))
    broken = bench.hub.pin("room:2")
    await broken.wait_live()

    class Broken(Reader):
        def on_slow(self) -> None:
            raise RuntimeError("broken")

    other = Broken(bench, bench.wires[0])
    bench.hub.admit([Admission(broken)], other, b"{}\n")
    other.outlet.unsent = MAX_BUFFERED + 1
    other.wants, other.replied = Wants(0), True
    bench.hub.on_publication(Publication("room:2", 1, b"1"))
    bench.publish(b"2")
    await bench.tick()
    assert len(raised) == 1 and reader.events == [("durable", b"2")]
