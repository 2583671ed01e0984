"""A hub without sessions: readers that check what they get, and a sender that keeps the rest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.shard_messages import KIND_PUBLICATION, HistoryReply, Publication, StreamPosition
from serve_app.gateway.channel import (
    EVERYTHING,
    Admission,
    Channel,
    Crowd,
    Wants,
    send_by_transport,
)
from serve_app.gateway.channel_hub import ChannelHub
from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.protocol import Codec, Outlet

MAX_BUFFERED = 1_000
CHANNEL = "room:1"


def create_delta(source: bytes, target: bytes) -> bytes:
    """Lengths of the common ends, and what stands between them."""
    most = min(len(source), len(target))
    start = next((n for n in range(most) if source[n] != target[n]), most)
    most -= start
    end = next((n for n in range(most) if source[-1 - n] != target[-1 - n]), most)
    return b"%d,%d:%b" % (start, end, target[start : len(target) - end])


def apply_delta(source: bytes, patch: bytes) -> bytes:
    ends, _, middle = patch.partition(b":")
    start, end = map(int, ends.split(b","))
    return source[:start] + middle + source[len(source) - end :]


class CountingCodec(JsonCodec):
    """Knows how often it has encoded."""

    def __init__(self) -> None:
        self.encoded = 0

    def publication(self, channel: str, publication: Publication) -> bytes:
        self.encoded += 1
        return super().publication(channel, publication)

    def delta_publication(self, channel: str, publication: Publication, patch: bytes) -> bytes:
        self.encoded += 1
        return super().delta_publication(channel, publication, patch)

    def visit(self, channel: str, publication: Publication) -> bytes:
        self.encoded += 1
        return super().visit(channel, publication)


class LineWire:
    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def frame(self, messages: Sequence[bytes]) -> bytes:
        return b"".join(message + b"\n" for message in messages)

    def close(self, end: Disconnect) -> bytes:
        return b""


class Source:
    """Attaches in the same tick, at offset 0; has no history."""

    def __init__(self) -> None:
        self.hub: ChannelHub | None = None
        self.clients: list[tuple[str, str, bytes]] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.detached = 0

    def attach(self, channel: str) -> None:
        asyncio.get_running_loop().call_soon(self._place, channel)

    def _place(self, channel: str) -> None:
        assert self.hub is not None
        self.hub.on_position(channel, StreamPosition("e", 0))

    def detach(self, channel: str) -> None:
        self.detached += 1

    def presence(self, channel: str, user: str, clients: int) -> None:
        self.counts[channel, user] = clients

    def client(self, channel: str, client: str, info: bytes) -> None:
        self.clients.append((channel, client, info))

    async def history(self, channel: str, after: int, limit: int) -> HistoryReply:
        return HistoryReply(None, [], True)


class KeepingSender:
    """Sends to `at_once` outlets of a call and keeps the others until `go_on`."""

    def __init__(self) -> None:
        self.at_once = 1_000
        self.spent_seconds = 0.0
        self.kept: deque[tuple[Outlet, bytes]] = deque()

    def __call__(self, outlets: Crowd, data: bytes, max_buffered: int) -> list[Outlet]:
        waiting = {outlet for outlet, _ in self.kept}
        now = [o for o in list(outlets)[: self.at_once] if o not in waiting]
        self.kept += [(o, data) for o in outlets if o not in now]
        slow = send_by_transport(Crowd(now), data, max_buffered)
        return slow + [o for o in outlets if o not in now and _is_slow(o, max_buffered)]

    def go_on(self, count: int) -> None:
        for _ in range(min(count, len(self.kept))):
            outlet, data = self.kept.popleft()
            self._pass_on(outlet, data)

    def settle(self) -> None:
        self.go_on(len(self.kept))

    def send_kept(self, outlet: Outlet) -> None:
        mine = [data for o, data in self.kept if o is outlet]
        self.kept = deque(entry for entry in self.kept if entry[0] is not outlet)
        for data in mine:
            self._pass_on(outlet, data)

    def _pass_on(self, outlet: Outlet, data: bytes) -> None:
        if not outlet.is_closing():
            assert isinstance(outlet, ReaderOutlet)
            outlet.take(data)


def _is_slow(outlet: Outlet, max_buffered: int) -> bool:
    return not outlet.is_closing() and outlet.get_write_buffer_size() > max_buffered


class ReaderOutlet:
    """`unsent` is what the test says."""

    def __init__(self, sender: KeepingSender, on_bytes: Callable[[bytes], None]) -> None:
        self._sender = sender
        self._on_bytes = on_bytes
        self.unsent = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self._sender.send_kept(self)
        self.take(data)

    def take(self, data: bytes) -> None:
        self._on_bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Reader:
    """A subscriber of one channel. `events` of the subscription: (kind, data) in order, with deltas
    resolved."""

    def __init__(self, bench: HubBench, wire: LineWire) -> None:
        self._bench = bench
        self.wire = wire
        self.outlet: ReaderOutlet = ReaderOutlet(bench.sender, self._read)
        self.wants: Wants | None = None
        self.replied = False
        self.was_slow = self.lost = False
        self.base: bytes | None = None
        self.patches = 0
        self.events: list[tuple[str, bytes]] = []

    def admit(self, wants: Wants = EVERYTHING, base: bytes | None = None) -> None:
        assert self.wants is None
        self.outlet = ReaderOutlet(self._bench.sender, self._read)
        self.wants, self.base, self.replied, self.events = wants, base, False, []
        self.was_slow = False
        reply = self.wire.frame((b'{"id":1,"subscribe":{}}',))
        self._bench.hub.admit([Admission(self._bench.channel, wants, base)], self, reply)
        assert self.replied

    def leave(self) -> None:
        self._bench.hub.leave(self._bench.channel, self)
        self.outlet.write(self.wire.frame((b'{"id":2,"unsubscribe":{}}',)))
        self.wants = None

    def on_slow(self) -> None:
        if self.wants is not None:
            self.was_slow = True
            self.outlet.abort()
            self._bench.hub.leave(self._bench.channel, self)
            self.wants = None

    def on_discontinuity(self, channel: str) -> None:
        self.lost = True

    def _read(self, data: bytes) -> None:
        for line in data.splitlines():
            self._take(msgspec.json.decode(line))

    def _take(self, message: Any) -> None:
        if "push" not in message:
            self.replied = "subscribe" in message
            return
        assert self.replied and self.wants is not None, "nothing before the reply or after the end"
        push = message["push"]
        if "pub" not in push:
            (kind,) = set(push) & {"join", "leave"}
            self.events.append((kind, msgspec.json.encode(push[kind]["info"])))
            return
        pub = push["pub"]
        if Wants.DELTA in self.wants:
            text: bytes = pub["data"].encode()
            if pub.get("delta"):
                assert self.base is not None, "a patch without anything to patch"
                self.patches += 1
                text = apply_delta(self.base, text)
            self.base = text
        else:
            text = msgspec.json.encode(pub["data"])
        self.events.append(("durable" if pub.get("offset") else "ephemeral", text))


class HubBench:
    """One channel at offset 0."""

    def __init__(self) -> None:
        self.source = Source()
        self.sender = KeepingSender()
        self.hub = ChannelHub(
            self.source, MAX_BUFFERED, send=self.sender, create_delta=create_delta
        )
        self.source.hub = self.hub
        self.codec = CountingCodec()
        # Two transports with one encoding, and one with another.
        self.wires = [
            LineWire(self.codec),
            LineWire(self.codec),
            LineWire(CountingCodec()),
        ]
        self.channel: Channel = self.hub.pin(CHANNEL)
        self.top = 0

    async def begin(self) -> HubBench:
        await self.channel.wait_live()
        return self

    def reader(self, wire: int = 0) -> Reader:
        return Reader(self, self.wires[wire])

    def publish(
        self,
        data: bytes,
        *,
        durable: bool = True,
        kind: int = KIND_PUBLICATION,
        counter: bool = False,
    ) -> None:
        if durable:
            self.top += 1
        offset = self.top if durable else 0
        self.hub.on_publication(Publication(CHANNEL, offset, data, kind, counter=counter))

    async def tick(self) -> None:
        await self.hub.wait_flushed()

    async def end(self) -> None:
        self.hub.unpin(self.channel)
        await self.hub.stop()
