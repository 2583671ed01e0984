"""Requests and results of the server API, as the HTTP API of Centrifugo and its clients spell them.

Unknown fields are ignored; a field that may be left out may also be null. `b64data` and `b64info`
are base64 of what `data` and `info` hold, which is JSON here: publications reach clients of both
encodings.
"""

from __future__ import annotations

import msgspec

from serve_app.gateway.client_tokens import Override
from serve_app.gateway.control_channel import Node
from serve_app.gateway.protocol import Json, Offset, Outgoing


class Request(msgspec.Struct, frozen=True):
    """Base: wrong types are refused."""


class PublishRequest(Request, frozen=True):
    """`delta` asks for what the namespace decides here."""

    channel: str
    data: msgspec.Raw = msgspec.Raw()
    b64data: str | None = None
    skip_history: bool | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str | None = None
    delta: bool | None = None


class BroadcastRequest(Request, frozen=True):
    channels: list[str]
    data: msgspec.Raw = msgspec.Raw()
    b64data: str | None = None
    skip_history: bool | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str | None = None
    delta: bool | None = None


class StreamPosition(Request, frozen=True):
    offset: Offset = 0
    epoch: str = ""


class SubscribeRequest(Request, frozen=True):
    user: str
    channel: str
    client: str | None = None
    session: str | None = None
    info: msgspec.Raw = msgspec.Raw()
    b64info: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    b64data: str | None = None
    recover_since: StreamPosition | None = None
    expire_at: int | None = None
    override: Override | None = None


class UnsubscribeRequest(Request, frozen=True):
    user: str
    channel: str = ""
    client: str | None = None
    session: str | None = None


class Ending(Request, frozen=True):
    code: int = 0
    reason: str = ""


class DisconnectRequest(Request, frozen=True):
    user: str
    client: str | None = None
    session: str | None = None
    whitelist: list[str] | None = None
    disconnect: Ending | None = None


class RefreshRequest(Request, frozen=True):
    user: str
    client: str | None = None
    session: str | None = None
    expired: bool | None = None
    expire_at: int | None = None


class ChannelRequest(Request, frozen=True):
    """Of presence, presence_stats and history_remove."""

    channel: str


class HistoryRequest(Request, frozen=True):
    channel: str
    limit: int | None = None
    since: StreamPosition | None = None
    reverse: bool | None = None


class ChannelsRequest(Request, frozen=True):
    pattern: str | None = None


class InfoRequest(Request, frozen=True):
    pass


class BatchRequest(Request, frozen=True):
    """Each command is an object of one member, which is named like its method."""

    commands: list[dict[str, msgspec.Raw]]
    parallel: bool | None = None


# ---------------------------------------------------------------- results


class PublishResult(Outgoing, frozen=True):
    offset: int = 0
    epoch: str = ""


class Error(msgspec.Struct, frozen=True):
    code: int
    message: str


class PublishResponse(Outgoing, frozen=True):
    error: Error | None = None
    result: PublishResult | None = None


class BroadcastResult(msgspec.Struct, frozen=True):
    """In the order of the channels."""

    responses: list[PublishResponse]


class PresenceResult(msgspec.Struct, frozen=True):
    presence: dict[str, msgspec.Raw]


class PresenceStatsResult(msgspec.Struct, frozen=True):
    num_clients: int
    num_users: int


class Publication(Outgoing, frozen=True):
    data: msgspec.Raw
    offset: int = 0
    tags: dict[str, str] | None = None
    info: Json = msgspec.UNSET
    time: int = 0


class HistoryResult(msgspec.Struct, frozen=True):
    publications: list[Publication]
    offset: int
    epoch: str


class ChannelInfo(msgspec.Struct, frozen=True):
    num_clients: int


class ChannelsResult(msgspec.Struct, frozen=True):
    channels: dict[str, ChannelInfo]


class InfoResult(msgspec.Struct, frozen=True):
    nodes: list[Node]


class Nothing(msgspec.Struct, frozen=True):
    """Stands as `{}`."""
