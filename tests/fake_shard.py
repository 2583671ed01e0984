"""A shard without Postgres: the poll contract of actors/messages.py, and faults at will.

The streams survive a restart, as rows do; mailboxes and incarnations do not. Channels of operators'
namespaces are there without being created; who comes and goes is told at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from actors import shard_messages as m
from config.channels import ACCESS_CHANNEL, Namespaces
from config.errors import AppError


@dataclass
class _Gateway:
    incarnation: str
    channels: set[str]
    mailbox: list[tuple[int, m.Publication]] = field(default_factory=list)
    sequence: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, publication: m.Publication) -> None:
        if publication.channel in self.channels:
            self.sequence += 1
            self.mailbox.append((self.sequence, publication))
            self.news.set()


class FakeShard:
    def __init__(self, namespaces: Namespaces | None = None) -> None:
        self.namespaces = namespaces or Namespaces({})
        self.epoch = "epoch-1"
        self.streams: dict[str, list[bytes]] = {ACCESS_CHANNEL: []}
        self.first: dict[str, int] = {}  # offset of the oldest that is still there
        self.gateways: dict[str, _Gateway] = {}
        self.presence: dict[tuple[str, str, str], int] = {}
        self.clients: dict[tuple[str, str, str], bytes] = {}
        # What was published by clients and the server API, with all that belongs to it.
        self.published: dict[tuple[str, int], m.Publication] = {}
        self.calls: Counter[str] = Counter()
        self.away = False
        self.refuses_attach = False
        self.history_gate = asyncio.Event()
        self.history_gate.set()
        self.ephemeral: list[m.Ephemeral] = []

    # ------------------------------------------------------------ what tests do to it

    def create(self, channel: str, count: int = 0) -> None:
        self.streams[channel] = [self._data(channel, n + 1) for n in range(count)]

    def publish(
        self, channel: str, data: bytes = b"", *, deliver: bool = True, times: int = 1
    ) -> int:
        """Commits and hands over; `deliver=False` loses the second step."""
        stream = self.streams[channel]
        offset = len(stream) + 1
        stream.append(data or self._data(channel, offset))
        if deliver:
            for _ in range(times):
                self.deliver(channel, offset)
        return offset

    def deliver(self, channel: str, offset: int) -> None:
        self._put(self._publication(channel, offset))

    def _publication(self, channel: str, offset: int) -> m.Publication:
        known = self.published.get((channel, offset))
        return known or m.Publication(channel, offset, self.streams[channel][offset - 1])

    def _put(self, publication: m.Publication) -> None:
        for gateway in self.gateways.values():
            gateway.put(publication)

    def send_ephemeral(self, channel: str, data: bytes, *, counter: bool = False) -> None:
        self._put(m.Publication(channel, 0, data, counter=counter))

    def restart(self) -> None:
        """kill -9: gateways are forgotten, held polls fail."""
        held, self.gateways = self.gateways, {}
        self.presence.clear()
        self.clients.clear()
        for gateway in held.values():
            gateway.news.set()

    def begin_epoch(self, epoch: str) -> None:
        self.epoch = epoch
        self.streams = {channel: [] for channel in self.streams}
        self.restart()

    def trim(self, channel: str, first: int) -> None:
        self.first[channel] = first

    @staticmethod
    def _data(channel: str, n: int) -> bytes:
        return msgspec.json.encode({"type": "comment.created", "n": n})

    # ------------------------------------------------------------ the contract

    async def __call__(self, shard: int, request: m.ShardRequest) -> m.ShardReply:
        self.calls[type(request).__name__] += 1
        await asyncio.sleep(0)
        if self.away:
            raise AppError("unavailable", "the shard is away")
        match request:
            case m.Hello(gateway_id=id, channels=channels):
                gateway = _Gateway(uuid4().hex, set(channels))
                self.gateways[id] = gateway
                return m.HelloReply(gateway.incarnation, [self._top(c) for c in channels])
            case m.Attach(gateway_id=id, channels=channels):
                if self.refuses_attach:
                    raise AppError("unavailable", "Postgres is away")
                known = self._known(id, request.incarnation)
                if known is None:
                    return m.AttachReply(False, [])
                tops = [self._top(c) for c in channels]
                pairs = zip(channels, tops, strict=True)
                known.channels.update(channel for channel, top in pairs if top is not None)
                return m.AttachReply(True, tops)
            case m.Detach(gateway_id=id, channels=channels):
                known = self._known(id, request.incarnation)
                if known is not None:
                    known.channels.difference_update(channels)
                return None
            case m.Poll():
                return await self._poll(request)
            case m.TellPresence():
                return self._tell_presence(request)
            case m.ReadHistory():
                reply = self._history(request)
                await self.history_gate.wait()
                return reply
            case m.ReadPresence(channel=channel):
                counts = {k[2]: n for k, n in self.presence.items() if k[1] == channel}
                return m.PresenceReply(sum(counts.values()), len(counts))
            case m.ReadClients(channel=channel):
                return m.ClientsReply({k[2]: i for k, i in self.clients.items() if k[1] == channel})
            case m.PublishToChannel():
                return self._publish(request)
            case m.PublishEphemeral(events=events):
                self.ephemeral += events
                for event in events:
                    self.send_ephemeral(event.channel, event.data, counter=event.counter)
                return None
            case m.Publish():
                raise AssertionError("gateways don't publish")
            case _:
                raise AppError("invalid", f"{type(request).__name__} is not for this shard")

    def _known(self, id: str, incarnation: str) -> _Gateway | None:
        gateway = self.gateways.get(id)
        return gateway if gateway is not None and gateway.incarnation == incarnation else None

    def _top(self, channel: str) -> m.StreamPosition | None:
        row = self.namespaces.of(channel)
        if row is not None and row.subscribe != "content":
            if row.history == "none":
                return m.StreamPosition("", 0)
            self.streams.setdefault(channel, [])
        stream = self.streams.get(channel)
        return None if stream is None else m.StreamPosition(self.epoch, len(stream))

    def _publish(self, request: m.PublishToChannel) -> m.PublishReply:
        channel = request.channel
        top = self._top(channel)
        assert top is not None
        offset = top.offset + 1 if top.epoch else 0
        publication = m.Publication(
            channel, offset, request.data, info=request.info, tags=request.tags
        )
        if offset:
            self.streams[channel].append(request.data)
            self.published[channel, offset] = publication
        self._put(publication)
        return m.PublishReply(top.epoch, offset)

    def _visit(self, gateway_id: str, change: m.ClientChange) -> None:
        key = (gateway_id, change.channel, change.client)
        before = self.clients.pop(key, b"")
        if change.info:
            self.clients[key] = change.info
        row = self.namespaces.of(change.channel)
        if row is not None and row.join_leave and bool(before) != bool(change.info):
            kind = m.KIND_JOIN if change.info else m.KIND_LEAVE
            self._put(m.Publication(change.channel, 0, change.info or before, kind))

    def _tell_presence(self, request: m.TellPresence) -> m.PresenceTaken:
        if self._known(request.gateway_id, request.incarnation) is None:
            return m.PresenceTaken(False)
        for change in request.presence:
            key = (request.gateway_id, change.channel, change.user)
            self.presence.pop(key, None)
            if change.clients:
                self.presence[key] = change.clients
        for visit in request.clients:
            self._visit(request.gateway_id, visit)
        return m.PresenceTaken(True)

    async def _poll(self, request: m.Poll) -> m.PollReply:
        gateway = self._known(request.gateway_id, request.incarnation)
        if gateway is None:
            return m.PollReply(-1, [])
        gateway.mailbox = [item for item in gateway.mailbox if item[0] > request.ack]
        if not gateway.mailbox and request.wait_seconds:
            gateway.news.clear()
            try:
                async with asyncio.timeout(request.wait_seconds):
                    await gateway.news.wait()
            except TimeoutError:
                pass
        if self.away:
            raise AppError("unavailable", "the shard is away")
        if self.gateways.get(request.gateway_id) is not gateway:
            return m.PollReply(-1, [])
        batch = gateway.mailbox[:2_000]
        return m.PollReply(batch[-1][0] if batch else request.ack, [p for _, p in batch])

    def _history(self, request: m.ReadHistory) -> m.HistoryReply:
        channel, after, limit = request.channel, request.after, request.limit
        top = self._top(channel)
        if top is None:
            return m.HistoryReply(None, [], False)
        kept = range(self.first.get(channel, 1), top.offset + 1)
        if request.reverse:
            offsets = [o for o in reversed(kept) if not after or o < after][:limit]
            span = min(after - 1, top.offset) if after else top.offset
        else:
            offsets = [o for o in kept if o > after][:limit]
            span = top.offset - after
        publications = [self._publication(channel, o) for o in offsets]
        return m.HistoryReply(top, publications, len(publications) == span)
