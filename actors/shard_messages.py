"""What gateways and writers say to a CommunityShard: publishing, and the poll with a cursor."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.messages import Message

KIND_PUBLICATION: Final = 0
KIND_JOIN: Final = 1
KIND_LEAVE: Final = 2


def _bytes_of(tags: dict[str, str] | None) -> int:
    return sum(len(name) + len(value) for name, value in tags.items()) if tags else 0


class Publication(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One event of a channel. `offset` 0 marks an ephemeral one, which has no place in the stream.
    `data` is encoded JSON, of any type where a client or the server API published it. `info` is the
    encoded ClientInfo of a client that published. `time_ms` in Unix milliseconds, 0 where not kept.

    Joins and leaves are ephemeral, their `data` is the encoded ClientInfo of who came or left.
    `counter`: an ephemeral one that says how many there are of something, and that a tab in the
    background gets as well.
    """

    channel: str
    offset: int
    data: bytes
    kind: int = KIND_PUBLICATION
    info: bytes = b""
    tags: dict[str, str] | None = None
    time_ms: int = 0
    counter: bool = False

    @property
    def size_bytes(self) -> int:
        """Of all that clients and the server API choose."""
        return len(self.data) + len(self.info) + _bytes_of(self.tags)


class StreamPosition(msgspec.Struct, frozen=True, gc=False, array_like=True):
    epoch: str
    offset: int


class Ephemeral(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An event without offset. Of several with one (channel, key) only the newest is sent, at most
    one each `interval_seconds`; 0 sends each at once. `counter`: as in Publication."""

    channel: str
    key: str
    data: bytes
    interval_seconds: float = 1.0
    counter: bool = False


class Publish(Message, frozen=True):
    """Writers hand over committed events, per channel in offset order, at most once or again; then
    ephemeral ones."""

    publications: list[Publication]
    ephemeral: list[Ephemeral] = msgspec.field(default_factory=list)


class PublishEphemeral(Message, frozen=True):
    events: list[Ephemeral]


class PublishToChannel(Message, frozen=True):
    """A publication by a client or the server API on a channel without a writer of its own. `key`:
    the same one within five minutes publishes nothing and gets the first answer; a shard that
    restarts forgets the keys of what does not stand in Postgres. `keep` False leaves it out of the
    history, so it has no offset."""

    channel: str
    data: bytes
    info: bytes = b""
    tags: dict[str, str] | None = None
    key: str = ""
    keep: bool = True

    @property
    def size_bytes(self) -> int:
        return len(self.data) + len(self.info) + _bytes_of(self.tags)


class PublishReply(Message, frozen=True):
    """Answered once it is in the history, or handed to every gateway; ("", 0) without history."""

    epoch: str
    offset: int


class RemoveHistory(Message, frozen=True):
    """Empties the history in memory of a channel. Epoch and top stay."""

    channel: str


class Hello(Message, frozen=True):
    """A gateway (re-)introduces itself. `channels` are of those that it follows; Attach brings the
    others."""

    gateway_id: str
    channels: list[str]


class HelloReply(Message, frozen=True):
    """`tops[i]` is the position of `channels[i]`: all that is later comes by poll. None: no such
    stream. Of channels in `late` nothing is known while Postgres is away: nothing of them comes,
    attach them again."""

    incarnation: str
    tops: list[StreamPosition | None]
    late: list[str] = msgspec.field(default_factory=list)


class Attach(Message, frozen=True):
    gateway_id: str
    incarnation: str
    channels: list[str]


class AttachReply(Message, frozen=True):
    """`known` False: this shard does not know the gateway (any more), say Hello again. The rest as
    in HelloReply."""

    known: bool
    tops: list[StreamPosition | None]
    late: list[str] = msgspec.field(default_factory=list)


class Detach(Message, frozen=True):
    gateway_id: str
    incarnation: str
    channels: list[str]


class PresenceChange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How many connections of `user` ("" for guests) this gateway holds on `channel`; 0 = none."""

    channel: str
    user: str
    clients: int


class ClientChange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A client of this gateway came to a channel whose namespace lists clients; `info` is its
    encoded ClientInfo, empty when it left."""

    channel: str
    client: str
    info: bytes


class Poll(Message, frozen=True):
    """Asks for everything after `ack` (the highest sequence number taken in). Held open for at most
    `wait_seconds` until there is something."""

    gateway_id: str
    incarnation: str
    ack: int
    wait_seconds: float = 5.0


class PollReply(Message, frozen=True):
    """`sequence` -1: unknown gateway or incarnation, say Hello again. Publications of one channel
    come in offset order; the same ones come again until acknowledged."""

    sequence: int
    publications: list[Publication]


class TellPresence(Message, frozen=True):
    """What changed since the last one, after a Hello all there is, also if that is nothing; `more`:
    it did not fit, and goes on in the next one. A gateway awaits the answer before it sends the
    next: calls of one gateway overtake each other, and the newest word on a client must win."""

    gateway_id: str
    incarnation: str
    presence: list[PresenceChange]
    clients: list[ClientChange] = msgspec.field(default_factory=list)
    more: bool = False


class PresenceTaken(Message, frozen=True):
    """`known` False: say Hello again."""

    known: bool


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


class ReadClients(Message, frozen=True):
    channel: str


class ClientsReply(Message, frozen=True):
    """Encoded ClientInfo by client, at most what the namespace lists."""

    clients: dict[str, bytes]


class ListChannels(Message, frozen=True):
    """Channels of this shard with somebody on them. `pattern` as of fnmatch, empty for all."""

    pattern: str = ""


class ChannelsReply(Message, frozen=True):
    """Connections by channel, and True where the answer was cut at its limit."""

    clients: dict[str, int]
    cut: bool = False


ShardRequest = (
    Publish
    | PublishEphemeral
    | PublishToChannel
    | RemoveHistory
    | Hello
    | Attach
    | Detach
    | Poll
    | TellPresence
    | ReadHistory
    | ReadPresence
    | ReadClients
    | ListChannels
)
ShardReply = (
    PublishReply
    | HelloReply
    | AttachReply
    | PollReply
    | PresenceTaken
    | HistoryReply
    | PresenceReply
    | ClientsReply
    | ChannelsReply
    | None
)
