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

from serve_app.gateway.codes import Disconnect

UInt32 = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
# Offsets are uint64 on the wire, bigint in Postgres: no stream goes beyond the latter.
Offset = Annotated[int, Meta(ge=0, le=0x7FFF_FFFF_FFFF_FFFF)]

REJECT_UNRECOVERED = 2
"""Bit of `SubscribeRequest.flag`: answer error 112 instead of `recovered: false`."""


class Incoming(msgspec.Struct, frozen=True):
    """Base of what clients send: unknown fields are ignored, wrong types refused."""


class SubscribeRequest(Incoming, frozen=True):
    channel: str = ""
    recover: bool = False
    epoch: str = ""
    offset: Offset = 0
    flag: int = 0
    type: int = 0


class ConnectRequest(Incoming, frozen=True):
    token: str = ""
    subs: dict[str, SubscribeRequest] = {}


class UnsubscribeRequest(Incoming, frozen=True):
    channel: str = ""


class PublishRequest(Incoming, frozen=True):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()


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


class RefreshRequest(Incoming, frozen=True):
    token: str = ""


class Ignored(Incoming, frozen=True):
    """A member whose content does not matter."""


class Command(Incoming, frozen=True):
    """One command; exactly one member should be there, the first of them counts."""

    id: UInt32 = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: Ignored | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    ping: Ignored | None = None
    send: Ignored | None = None
    rpc: Ignored | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: Ignored | None = None


PONG = Command()
"""What a codec returns for the client's answer to a server ping."""


class Outgoing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of what the server sends: zero values are left out."""


class PublicationResult(Outgoing, frozen=True):
    data: msgspec.Raw
    offset: int = 0


class SubscribeResult(Outgoing, frozen=True):
    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    publications: list[PublicationResult] = []
    recovered: bool = False
    was_recovering: bool = False


class ConnectResult(Outgoing, frozen=True):
    """`ttl` and `ping` in seconds. `node`: the private address of the gateway that holds the
    session."""

    client: str
    version: str
    expires: bool = False
    ttl: int = 0
    subs: dict[str, SubscribeResult] = {}
    ping: int = 0
    pong: bool = False
    node: str = ""


class RefreshResult(Outgoing, frozen=True):
    client: str
    version: str
    expires: bool = False
    ttl: int = 0


class PresenceStatsResult(Outgoing, frozen=True):
    num_clients: int = 0
    num_users: int = 0


class HistoryResult(Outgoing, frozen=True):
    publications: list[PublicationResult] = []
    epoch: str = ""
    offset: int = 0


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
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    ping: Empty | None = None
    refresh: RefreshResult | None = None


class Codec(Protocol):
    """One encoding of the protocol. Pure; messages are without transport framing."""

    def decode(self, frame: bytes) -> list[Command]:
        """Commands of a frame in order, `PONG` for a pong. Raises nothing but Disconnect(3501)."""

    def reply(self, reply: Reply) -> bytes: ...

    def publication(self, channel: str, offset: int, data: bytes) -> bytes:
        """`data` is encoded JSON; offset 0 is left out."""

    def unsubscribe(self, channel: str, code: int, reason: str) -> bytes: ...

    def disconnect(self, end: Disconnect) -> bytes: ...

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
