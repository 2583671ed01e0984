"""The Protobuf encoding: each message behind its length as a varint, an empty one is ping or pong.

Field numbers are those of `client.proto` of the Centrifugo client protocol. `data`, `conn_info` and
`chan_info`, raw JSON in the JSON encoding, are bytes here. They hold JSON all the same; that `data`
of a client does is checked by the session (`codec_json.is_json`), which can answer with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from actors.shard_messages import KIND_JOIN, Publication
from serve_app.gateway import protocol as p
from serve_app.gateway.codes import malformed
from serve_app.gateway.protobuf_message import Message, delimited, read_varint, varint

# ------------------------------------------------------------ what clients send

_SUBSCRIBE: Final = Message(
    p.SubscribeRequest,
    channel=1,
    token=2,
    recover=3,
    epoch=6,
    offset=7,
    data=8,
    positioned=9,
    recoverable=10,
    join_leave=11,
    delta=12,
    tf=(13, Message(p.Ignored)),
    flag=14,
    type=15,
)
_COMMAND: Final = Message(
    p.Command,
    id=1,
    connect=(
        4,
        Message(p.ConnectRequest, token=1, data=2, subs=(3, _SUBSCRIBE), name=4, version=5),
    ),
    subscribe=(5, _SUBSCRIBE),
    unsubscribe=(6, Message(p.UnsubscribeRequest, channel=1)),
    publish=(7, Message(p.PublishRequest, channel=1, data=2)),
    presence=(8, Message(p.PresenceRequest, channel=1)),
    presence_stats=(9, Message(p.PresenceStatsRequest, channel=1)),
    history=(
        10,
        Message(
            p.HistoryRequest,
            channel=1,
            limit=7,
            since=(8, Message(p.Since, offset=1, epoch=2)),
            reverse=9,
        ),
    ),
    ping=(11, Message(p.Ignored)),
    send=(12, Message(p.SendRequest, data=1)),
    rpc=(13, Message(p.RpcRequest, data=1, method=2)),
    refresh=(14, Message(p.RefreshRequest, token=1)),
    sub_refresh=(15, Message(p.SubRefreshRequest, channel=1, token=2)),
)


class EmulationRequest(p.Incoming, frozen=True):
    """Body of a POST to /emulation: `data` is a frame for the session, at the gateway `node`."""

    node: str = ""
    session: str = ""
    data: msgspec.Raw = msgspec.Raw()


_EMULATION: Final = Message(EmulationRequest, node=1, session=2, data=3)

# ------------------------------------------------------------ what they are sent

_CLIENT_INFO: Final = Message(p.ClientInfo, user=1, client=2, conn_info=3, chan_info=4)


class _EncodedInfo(Message[Any]):
    """What has the JSON of a ClientInfo in its place."""

    def encode(self, value: msgspec.Raw) -> bytes:
        return _CLIENT_INFO.encode(msgspec.json.decode(value, type=p.ClientInfo))


_ENCODED_INFO: Final = _EncodedInfo(p.ClientInfo, user=1, client=2, conn_info=3, chan_info=4)
_PUBLICATION: Final = Message(
    p.PublicationResult, data=4, info=(5, _CLIENT_INFO), offset=6, tags=7, delta=8, time=9
)
_SUBSCRIBED: Final = Message(
    p.SubscribeResult,
    expires=1,
    ttl=2,
    recoverable=3,
    epoch=6,
    publications=(7, _PUBLICATION),
    recovered=8,
    offset=9,
    positioned=10,
    data=11,
    was_recovering=12,
    delta=13,
)
_REPLY: Final = Message(
    p.Reply,
    id=1,
    error=(2, Message(p.ErrorResult, code=1, message=2, temporary=3)),
    connect=(
        5,
        Message(
            p.ConnectResult,
            client=1,
            version=2,
            expires=3,
            ttl=4,
            data=5,
            subs=(6, _SUBSCRIBED),
            ping=7,
            pong=8,
            session=9,
            node=10,
            time=11,
        ),
    ),
    subscribe=(6, _SUBSCRIBED),
    unsubscribe=(7, Message(p.Empty)),
    publish=(8, Message(p.Empty)),
    presence=(9, Message(p.PresenceResult, presence=(1, _ENCODED_INFO))),
    presence_stats=(10, Message(p.PresenceStatsResult, num_clients=1, num_users=2)),
    history=(11, Message(p.HistoryResult, publications=(1, _PUBLICATION), epoch=2, offset=3)),
    ping=(12, Message(p.Empty)),
    rpc=(13, Message(p.RpcResult, data=1)),
    refresh=(14, Message(p.RefreshResult, client=1, version=2, expires=3, ttl=4)),
    sub_refresh=(15, Message(p.SubRefreshResult, expires=1, ttl=2)),
)
_VISIT: Final = Message(p.Visit, info=(1, _CLIENT_INFO))
_PUSH: Final = Message(
    p.Push,
    channel=2,
    join=(5, _VISIT),
    leave=(6, _VISIT),
    unsubscribe=(7, Message(p.Ending, code=2, reason=3)),
    message=(8, Message(p.MessagePush, data=1)),
    subscribe=(
        9,
        Message(p.SubscribePush, recoverable=1, epoch=4, offset=5, positioned=6, data=7),
    ),
    connect=(
        10,
        # Not numbered as in the reply.
        Message(
            p.ConnectResult,
            client=1,
            version=2,
            data=3,
            subs=(4, _SUBSCRIBED),
            expires=5,
            ttl=6,
            ping=7,
            pong=8,
            session=9,
            node=10,
            time=11,
        ),
    ),
    disconnect=(11, Message(p.Ending, code=1, reason=2)),
    refresh=(12, Message(p.RefreshPush, expires=1, ttl=2)),
)

# Keys of the messages that are put together by hand, (number << 3 | wire type).
_REPLY_PUSH: Final = b"\x22"
_PUSH_CHANNEL: Final = b"\x12"
_PUSH_PUB: Final = b"\x22"
_PUSH_JOIN: Final = b"\x2a"
_PUSH_LEAVE: Final = b"\x32"
_VISIT_INFO: Final = b"\x0a"
_PUB_DATA: Final = b"\x22"
_PUB_INFO: Final = b"\x2a"
_PUB_OFFSET: Final = b"\x30"
_PUB_DELTA: Final = b"\x40\x01"
_PUB_TIME: Final = b"\x48"


class ProtobufCodec:
    """Messages come out with their length in front, so that a frame is their concatenation."""

    ping: Final = b"\x00"

    def decode(self, frame: bytes) -> list[p.Command]:
        """Commands of a frame in order, `PONG` for a pong. Raises nothing but Disconnect(3501)."""
        commands: list[p.Command] = []
        position, end = 0, len(frame)
        try:
            while position < end:
                length = frame[position]
                position += 1
                if length >= 128:
                    length, position = read_varint(frame, position - 1)
                start, position = position, position + length
                commands.append(_command(frame, start, position) if length else p.PONG)
        except (ValueError, IndexError):  # of ValueError: text that is not UTF-8
            raise malformed() from None
        if not commands or position != end:
            raise malformed()
        return commands

    def reply(self, reply: p.Reply) -> bytes:
        return delimited(_REPLY.encode(reply))

    def push(self, push: p.Push) -> bytes:
        return _push(_PUSH.encode(push))

    def publication(self, channel: str, publication: Publication) -> bytes:
        return self._publication(channel, publication, publication.data, b"")

    def delta_publication(self, channel: str, publication: Publication, patch: bytes) -> bytes:
        data = patch or publication.data
        return self._publication(channel, publication, data, _PUB_DELTA if patch else b"")

    def visit(self, channel: str, publication: Publication) -> bytes:
        member = _PUSH_JOIN if publication.kind == KIND_JOIN else _PUSH_LEAVE
        visit = _VISIT_INFO + delimited(_client_info(publication.data))
        return _push(_PUSH_CHANNEL + delimited(channel.encode()) + member + delimited(visit))

    def _publication(
        self, channel: str, publication: Publication, data: bytes, delta: bytes
    ) -> bytes:
        pub = _PUB_DATA + varint(len(data)) + data + delta
        if publication.offset:
            pub += _PUB_OFFSET + varint(publication.offset)
        if publication.info:
            pub += _PUB_INFO + delimited(_client_info(publication.info))
        if publication.tags:
            pub += _TAGS.encode(_Tags(publication.tags))
        if publication.time_ms:
            pub += _PUB_TIME + varint(publication.time_ms)
        name = channel.encode()
        head = _PUSH_CHANNEL + varint(len(name)) + name + _PUSH_PUB + varint(len(pub))
        return _push(head, pub)

    def join(self, messages: Sequence[bytes]) -> bytes:
        return b"".join(messages)


class _Tags(msgspec.Struct, frozen=True):
    tags: dict[str, str]


_TAGS: Final = Message(_Tags, tags=7)


def _command(frame: bytes, start: int, end: int) -> p.Command:
    command = _COMMAND.decode(frame, start, end)
    if not command.id and command == p.PONG:
        # Nothing but unknown fields or zeros reads like a pong, and is none.
        raise ValueError("no command")
    return command


def _push(head: bytes, rest: bytes = b"") -> bytes:
    """A reply of nothing but a push of these two parts."""
    reply = _REPLY_PUSH + varint(len(head) + len(rest)) + head
    return varint(len(reply) + len(rest)) + reply + rest


# The same members publish, come and leave again.
@lru_cache(maxsize=512)
def _client_info(encoded: bytes) -> bytes:
    return _CLIENT_INFO.encode(msgspec.json.decode(encoded, type=p.ClientInfo))


def decode_emulation(body: bytes) -> EmulationRequest:
    """Raises Disconnect(3501)."""
    try:
        return _EMULATION.decode(body, 0, len(body))
    except (ValueError, IndexError):
        raise malformed() from None
