"""Sessions that come, recover and go while publications flow: each sees its channel without a gap,
without a duplicate, and nothing live before its subscribe reply. And whatever commands a client
strings together, the session answers each at most once and never raises."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.shard_messages import Publication, StreamPosition
from serve_app.gateway.session import Session
from tests.realtime_session import Bench, FakeOutlet

CHANNELS = [f"thread:018f0000-0000-7000-8000-00000000000{n}" for n in range(3)]
CHANNEL = CHANNELS[0]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 4)),
        st.tuples(st.just("lose"), st.integers(1, 3)),
        st.tuples(st.just("repeat"), st.integers(1, 5)),
        st.tuples(st.just("delete"), st.just(0)),
        st.tuples(st.just("resync"), st.just(0)),
        st.tuples(st.just("join"), st.integers(0, 3)),
        st.tuples(st.just("recover"), st.integers(0, 3)),
        st.tuples(st.just("leave"), st.integers(0, 3)),
        st.tuples(st.just("tick"), st.integers(1, 4)),
    ),
    max_size=60,
)


class Client:
    def __init__(self, session: Session, outlet: FakeOutlet) -> None:
        self.session = session
        self.outlet = outlet
        self.id = 1
        self.subscribed = False
        self.last: int | None = None
        self.asked: dict[int, int] = {}

    async def send(self, **member: Any) -> None:
        self.id += 1
        self.asked[self.id] = member.get("subscribe", {}).get("offset", 0)
        await self.session.receive(msgspec.json.encode({"id": self.id, **member}))

    def read(self) -> None:
        for message in self.outlet.take():
            if "subscribe" in message:
                result = message["subscribe"]
                offset = result.get("offset", 0)
                assert not self.subscribed
                if result.get("was_recovering"):
                    assert result["recovered"] is True and offset == self.asked[message["id"]]
                self.last = offset
                for pub in result.get("publications", []):
                    self._advance(pub)
                self.subscribed = True
            elif "unsubscribe" in message:
                self.subscribed = False
            elif "push" in message:
                assert self.subscribed, "live before the reply, or after unsubscribing"
                self._advance(message["push"]["pub"])
            else:
                assert message["error"]["code"] == 105

    def _advance(self, pub: Any) -> None:
        assert self.last is not None and pub["offset"] == self.last + 1
        self.last = pub["offset"]


@settings(max_examples=150)
@given(steps)
def test_no_gap_no_duplicate_nothing_early(plan: list[tuple[str, int]]) -> None:
    asyncio.run(_run(plan))


async def _run(plan: list[tuple[str, int]]) -> None:
    bench = Bench()
    stream = bench.source.streams.setdefault(CHANNEL, [])
    clients = [Client(*await bench.connected()) for _ in range(4)]

    def deliver(offset: int) -> None:
        bench.hub.on_publication(Publication(CHANNEL, offset, stream[offset - 1]))

    for step, number in plan:
        if step in ("publish", "lose"):
            for _ in range(number):
                stream.append(b'{"n":%d}' % (len(stream) + 1))
                if step == "publish":
                    deliver(len(stream))
        elif step == "repeat" and stream:
            for offset in range(max(1, len(stream) - number), len(stream) + 1):
                deliver(offset)
        elif step == "delete":
            stream.append(b'{"type":"comment.deleted"}')
            deliver(len(stream))
        elif step == "resync":
            bench.hub.on_position(CHANNEL, StreamPosition("e", len(stream)))
        elif step == "join":
            await clients[number].send(subscribe={"channel": CHANNEL})
        elif step == "recover":
            client = clients[number]
            client.read()
            position = {"recover": client.last is not None, "offset": client.last or 0}
            await client.send(subscribe={"channel": CHANNEL, "epoch": "e", **position})
        elif step == "leave":
            await clients[number].send(unsubscribe={"channel": CHANNEL})
        elif step == "tick":
            for _ in range(number):
                await asyncio.sleep(0)
        if step != "recover":
            for client in clients:
                client.read()
    bench.source._place(CHANNEL)
    for _ in range(60):
        await asyncio.sleep(0)
    for client in clients:
        client.read()
        if client.subscribed:
            assert client.last == len(stream)
        client.session.end()
    await asyncio.sleep(0)
    assert bench.hub.statistics() == {"channels": 0, "subscriptions": 0, "gaps_open": 0}
    assert all(count == 0 for count in bench.source.counts.values())
    await bench.hub.stop()


channels = st.sampled_from([*CHANNELS, "lobby", "", "user:x"])
members = st.one_of(
    st.builds(lambda c: {"subscribe": {"channel": c}}, channels),
    st.builds(
        lambda c, o, e, f: {
            "subscribe": {"channel": c, "recover": True, "offset": o, "epoch": e, "flag": f}
        },
        channels,
        st.integers(0, 9),
        st.sampled_from(["", "e", "_"]),
        st.integers(0, 3),
    ),
    st.builds(lambda c: {"unsubscribe": {"channel": c}}, channels),
    st.builds(lambda c: {"publish": {"channel": c, "data": {"type": "typing"}}}, channels),
    st.builds(lambda c: {"presence_stats": {"channel": c}}, channels),
    st.builds(
        lambda c, n, r: {"history": {"channel": c, "limit": n, "reverse": r}},
        channels,
        st.integers(-2, 400),
        st.booleans(),
    ),
    st.sampled_from(
        [
            {"connect": {}},
            {"connect": {"token": "x"}},
            {"ping": {}},
            {"rpc": {}},
            {"send": {}},
            {"presence": {}},
            {"refresh": {}},
            {"sub_refresh": {}},
            {},
        ]
    ),
)
frames = st.lists(st.lists(members, min_size=1, max_size=5), max_size=8)


@settings(max_examples=200)
@given(st.booleans(), frames, st.lists(st.binary(max_size=30), max_size=2))
def test_any_commands(connect: bool, plan: list[list[dict[str, Any]]], noise: list[bytes]) -> None:
    asyncio.run(_any_commands(connect, plan, noise))


async def _any_commands(
    connect: bool, plan: list[list[dict[str, Any]]], noise: list[bytes]
) -> None:
    bench = Bench()
    session, outlet = await bench.connected() if connect else bench.session()
    asked: list[int] = []
    for frame in plan:
        lines = []
        for member in frame:
            asked.append(len(asked) + 2)
            lines.append(msgspec.json.encode({"id": asked[-1], **member}))
        await session.receive(b"\n".join(lines))
        await asyncio.sleep(0)
    for garbage in noise:
        await session.receive(garbage)
    for _ in range(20):
        await asyncio.sleep(0)
    messages = outlet.take()
    answered = [m["id"] for m in messages if isinstance(m, dict) and m.get("id")]
    assert len(answered) == len(set(answered)) and set(answered) <= set(asked)
    if session.is_open:
        sent = [{"id": i, **m} for i, m in zip(asked, chain(*plan), strict=True)]
        assert set(answered) == {c["id"] for c in sent if "send" not in c}
    else:
        assert messages[-1][0] == "close", "the close frame is the last thing written"
    session.end()
    await asyncio.sleep(0)
    assert bench.hub.statistics()["subscriptions"] == 0 and not bench.services.sessions
    await bench.hub.stop()
