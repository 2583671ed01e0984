"""What clients and server say to each other, whatever the encoding: commands, replies, seams.

The members are those of the Centrifugo client protocol, version 2. A `Codec` turns them into
messages, a `Wire` adds the framing of one transport; sessions with the same wire share encoded
publications.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from actors.shard_messages import Publication
from serve_app.gateway.codes import Disconnect

UInt32 = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
# Offsets are uint64 on the wire, bigint in Postgres: no stream goes beyond the latter.
Offset = Annotated[int, Meta(ge=0, le=0x7FFF_FFFF_FFFF_FFFF)]

REJECT_UNRECOVERED = 2
"""Bit of `SubscribeRequest.flag`: answer error 112 instead of `recovered: false`."""


class Incoming(msgspec.Struct, frozen=True):
    """Base of what clients send: unknown fields are ignored, wrong types refused."""


class Ignored(Incoming, frozen=True):
    """A member whose content does not matter."""


class SubscribeRequest(Incoming, frozen=True):
    """`data` is raw JSON, empty where there is none. `tf`: a filter by tags."""

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: Offset = 0
    data: msgspec.Raw = msgspec.Raw()
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    tf: Ignored | None = None
    flag: int = 0
    type: int = 0


class ConnectRequest(Incoming, frozen=True):
    token: str = ""
    data: msgspec.Raw = msgspec.Raw()
    subs: dict[str, SubscribeRequest] = {}
    name: str = ""
    version: str = ""


class UnsubscribeRequest(Incoming, frozen=True):
    channel: str = ""


class PublishRequest(Incoming, frozen=True):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()


class PresenceRequest(Incoming, frozen=True):
    channel: str = ""


class PresenceStatsRequest(Incoming, frozen=True):
    channel: str = ""


class Since(Incoming, frozen=True):
    offset: Offset = 0
    epoch: str = ""


class HistoryRequest(Incoming, frozen=True):
    """`limit` 0: only the position; -1: everything, up to the server's cap."""

    channel: str = ""
    limit: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] = 0
    since: Since | None = None
    reverse: bool = False


class SendRequest(Incoming, frozen=True):
    data: msgspec.Raw = msgspec.Raw()


class RpcRequest(Incoming, frozen=True):
    method: str = ""
    data: msgspec.Raw = msgspec.Raw()


class RefreshRequest(Incoming, frozen=True):
    token: str = ""


class SubRefreshRequest(Incoming, frozen=True):
    channel: str = ""
    token: str = ""


class Command(Incoming, frozen=True):
    """One command; exactly one member should be there, the first of them counts."""

    id: UInt32 = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    ping: Ignored | None = None
    send: SendRequest | None = None
    rpc: RpcRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None


class UnreadableCommand(Command, frozen=True):
    """A command with an id and content that can't be read, which is answered with error 107. The
    members say which command it is, and nothing else."""


PONG = Command()
"""What a codec returns for the client's answer to a server ping."""


class Outgoing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of what the server sends: zero values are left out, but for the members that Centrifugo
    always sends and applications rely on: ClientInfo, presence, presence_stats, history."""


Json = msgspec.Raw | msgspec.UnsetType
"""Encoded JSON of one line, UNSET where there is none."""


class ClientInfo(Outgoing, frozen=True, omit_defaults=False):
    """A connection as others see it; `user` is "" for guests."""

    user: str = ""
    client: str = ""
    conn_info: Json = msgspec.UNSET
    chan_info: Json = msgspec.UNSET


class PublicationResult(Outgoing, frozen=True):
    """`time` in Unix milliseconds. `delta`: `data` is a Fossil delta, a string in JSON."""

    data: msgspec.Raw
    info: ClientInfo | None = None
    offset: int = 0
    tags: dict[str, str] = {}
    delta: bool = False
    time: int = 0


class SubscribeResult(Outgoing, frozen=True):
    """`ttl` in seconds."""

    expires: bool = False
    ttl: int = 0
    recoverable: bool = False
    epoch: str = ""
    publications: list[PublicationResult] = []
    recovered: bool = False
    offset: int = 0
    positioned: bool = False
    data: Json = msgspec.UNSET
    was_recovering: bool = False
    delta: bool = False


class ConnectResult(Outgoing, frozen=True):
    """`ttl` and `ping` in seconds, `time` in Unix milliseconds. `node`: the private address of the
    gateway that holds the session, `session`: what emulated transports send there."""

    client: str
    version: str
    expires: bool = False
    ttl: int = 0
    data: Json = msgspec.UNSET
    subs: dict[str, SubscribeResult] = {}
    ping: int = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: int = 0


class RefreshResult(Outgoing, frozen=True):
    client: str
    version: str
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(Outgoing, frozen=True):
    expires: bool = False
    ttl: int = 0


class PresenceResult(Outgoing, frozen=True, omit_defaults=False):
    """By client, an encoded `ClientInfo` each: some thousands of them are not taken apart."""

    presence: dict[str, msgspec.Raw] = {}


class PresenceStatsResult(Outgoing, frozen=True, omit_defaults=False):
    num_clients: int = 0
    num_users: int = 0


class HistoryResult(Outgoing, frozen=True, omit_defaults=False):
    publications: list[PublicationResult] = []
    epoch: str = ""
    offset: int = 0


class RpcResult(Outgoing, frozen=True):
    data: Json = msgspec.UNSET


class Empty(Outgoing, frozen=True):
    """Stands as `{}`."""


class ErrorResult(Outgoing, frozen=True):
    code: int
    message: str
    temporary: bool = False


class Reply(Outgoing, frozen=True):
    id: int
    error: ErrorResult | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: Empty | None = None
    publish: Empty | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    ping: Empty | None = None
    rpc: RpcResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: SubRefreshResult | None = None


class Visit(Outgoing, frozen=True):
    """Somebody came or left."""

    info: ClientInfo


class Ending(Outgoing, frozen=True):
    """Of a subscription or a connection."""

    code: int
    reason: str


class SubscribePush(Outgoing, frozen=True):
    """The server subscribed the connection."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Json = msgspec.UNSET


class MessagePush(Outgoing, frozen=True):
    data: msgspec.Raw


class RefreshPush(Outgoing, frozen=True):
    expires: bool = False
    ttl: int = 0


class Push(Outgoing, frozen=True):
    """Exactly one member besides the channel. Publications have a faster way of their own."""

    channel: str = ""
    join: Visit | None = None
    leave: Visit | None = None
    unsubscribe: Ending | None = None
    subscribe: SubscribePush | None = None
    message: MessagePush | None = None
    connect: ConnectResult | None = None
    disconnect: Ending | None = None
    refresh: RefreshPush | None = None


class Codec(Protocol):
    """One encoding of the protocol. Pure; messages are without transport framing."""

    def decode(self, frame: bytes) -> list[Command]:
        """Commands of a frame in order, `PONG` for a pong. Raises nothing but Disconnect(3501)."""

    def reply(self, reply: Reply) -> bytes: ...

    def push(self, push: Push) -> bytes: ...

    def publication(self, channel: str, publication: Publication) -> bytes:
        """The push of a publication (KIND_PUBLICATION), its data as it is."""

    def delta_publication(self, channel: str, publication: Publication, patch: bytes) -> bytes:
        """The push to who has agreed on deltas: `patch` against the publication before, or the
        data itself where `patch` is empty. JSON sends either as a string."""

    def visit(self, channel: str, publication: Publication) -> bytes:
        """The push of a publication of KIND_JOIN or KIND_LEAVE."""

    @property
    def ping(self) -> bytes: ...

    def join(self, messages: Sequence[bytes]) -> bytes:
        """One frame's payload."""


class Wire(Protocol):
    """A codec and the framing of one kind of transport: everything comes out ready for the socket.

    Hashable by identity: there is one instance per kind, and sessions are grouped by it.
    """

    @property
    def codec(self) -> Codec: ...

    def frame(self, messages: Sequence[bytes]) -> bytes: ...

    def close(self, end: Disconnect) -> bytes:
        """The transport's own farewell (empty where it has none)."""


class Outlet(Protocol):
    """Where a session writes ready bytes: an asyncio.WriteTransport, or what behaves like it."""

    def write(self, data: bytes) -> None:
        """Not once it `is_closing`: uvloop's transports raise then."""

    def is_closing(self) -> bool: ...

    def get_write_buffer_size(self) -> int: ...

    def close(self) -> None:
        """After everything that is buffered has been sent."""

    def abort(self) -> None: ...
