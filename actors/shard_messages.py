"""What gateways and writers say to a CommunityShard: publishing, and the poll with a cursor."""

from __future__ import annotations

import msgspec

from actors.messages import Message


class Publication(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One event of a channel. `offset` 0 marks an ephemeral one, which has no place in the stream.
    `data` is an encoded JSON object."""

    channel: str
    offset: int
    data: bytes


class StreamPosition(msgspec.Struct, frozen=True, gc=False, array_like=True):
    epoch: str
    offset: int


class Ephemeral(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An event without offset. Of several with one (channel, key) only the newest is sent, at most
    one each `interval_seconds`; 0 sends each at once."""

    channel: str
    key: str
    data: bytes
    interval_seconds: float = 1.0


class Publish(Message, frozen=True):
    """Writers hand over committed events, per channel in offset order, at most once or again; then
    ephemeral ones."""

    publications: list[Publication]
    ephemeral: list[Ephemeral] = msgspec.field(default_factory=list)


class PublishEphemeral(Message, frozen=True):
    events: list[Ephemeral]


class Hello(Message, frozen=True):
    """A gateway (re-)introduces itself with every channel that it follows."""

    gateway_id: str
    channels: list[str]


class HelloReply(Message, frozen=True):
    """`tops[i]` is the position of `channels[i]`: all that is later comes by poll. None: no such
    stream."""

    incarnation: str
    tops: list[StreamPosition | None]


class Attach(Message, frozen=True):
    gateway_id: str
    incarnation: str
    channels: list[str]


class AttachReply(Message, frozen=True):
    """`known` False: this shard does not know the gateway (any more), say Hello again."""

    known: bool
    tops: list[StreamPosition | None]


class Detach(Message, frozen=True):
    gateway_id: str
    incarnation: str
    channels: list[str]


class PresenceChange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How many connections of `user` ("" for guests) this gateway holds on `channel`; 0 = none."""

    channel: str
    user: str
    clients: int


class Poll(Message, frozen=True):
    """Asks for everything after `ack` (the highest sequence number taken in). Held open for at most
    `wait_seconds` until there is something. `presence` carries what changed since the last poll."""

    gateway_id: str
    incarnation: str
    ack: int
    wait_seconds: float = 5.0
    presence: list[PresenceChange] = msgspec.field(default_factory=list)


class PollReply(Message, frozen=True):
    """`sequence` -1: unknown gateway or incarnation, say Hello again. Publications of one channel
    come in offset order; the same ones come again until acknowledged."""

    sequence: int
    publications: list[Publication]


class ReadHistory(Message, frozen=True):
    """Publications of `channel` with offset > `after`, in order (`reverse`: < `after`, or from the
    top when `after` is 0). At most `limit` and 512 KiB."""

    channel: str
    after: int
    limit: int
    reverse: bool = False


class HistoryReply(Message, frozen=True):
    """`complete` False: events right after `after` are trimmed, or the limit cut the answer short
    of `top`. `top` None: no such stream."""

    top: StreamPosition | None
    publications: list[Publication]
    complete: bool


class ReadPresence(Message, frozen=True):
    channel: str


class PresenceReply(Message, frozen=True):
    clients: int
    users: int


ShardRequest = (
    Publish | PublishEphemeral | Hello | Attach | Detach | Poll | ReadHistory | ReadPresence
)
ShardReply = HelloReply | AttachReply | PollReply | HistoryReply | PresenceReply | None
