"""Transports that only listen: bare pushes, the first of which is `connect`.

    GET  /connection/uni_websocket      the first message is the connect request (JSON)
    GET  /connection/uni_sse            ?cf_connect=<connect request>, or ?token=<token>, or neither
    POST /connection/uni_http_stream    the body is the connect request, or empty

Such a connection follows what the server subscribes it to. It answers no pings, and what would be
an error of its connect request ends it. It speaks JSON alone.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from actors.shard_messages import Publication
from serve_app.gateway import codes
from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.codes import ReplyError
from serve_app.gateway.direct_send import OutletOf
from serve_app.gateway.protocol import Command, ConnectRequest, Push, Reply
from serve_app.gateway.services import Services
from serve_app.gateway.session import Session, State
from serve_app.gateway.transports import http_stream, sse, websocket
from serve_app.gateway.transports.stream import (
    Opening,
    StreamFormat,
    StreamSession,
    asks_for_protobuf,
    read_body,
    serve,
)

_REQUEST: Final = msgspec.json.Decoder(ConnectRequest)
_ENCODER: Final = msgspec.json.Encoder()
_ENDS: Final = {
    codes.token_expired().code: codes.expired,
    codes.permission_denied().code: codes.invalid_token,
    codes.bad_request().code: codes.malformed,
}


class PushCodec(JsonCodec):
    """JSON without the envelope of a push; a frame of the client is a connect request."""

    def decode(self, frame: bytes) -> list[Command]:
        try:
            return [Command(1, connect=_REQUEST.decode(frame or b"{}"))]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise codes.malformed() from None

    def reply(self, reply: Reply) -> bytes:
        return self.push(Push(connect=reply.connect))

    def push(self, push: Push) -> bytes:
        return _ENCODER.encode(push)

    def publication(self, channel: str, publication: Publication) -> bytes:
        return _bare(super().publication(channel, publication))

    def delta_publication(self, channel: str, publication: Publication, patch: bytes) -> bytes:
        return _bare(super().delta_publication(channel, publication, patch))

    def visit(self, channel: str, publication: Publication) -> bytes:
        return _bare(super().visit(channel, publication))


def _bare(push: bytes) -> bytes:
    return push[len(b'{"push":') : -1]


class _Listener(Session):
    """A session whose client says nothing after its connect request."""

    __slots__ = ()
    answers_pings = False

    def fail(self, command_id: int, error: ReplyError) -> None:
        self.close(_ENDS.get(error.code, codes.server_error)())


class ListeningSocket(_Listener):
    __slots__ = ()

    async def receive(self, frame: bytes) -> None:
        if self.state is State.CONNECTING:
            await super().receive(frame)


class ListeningStream(_Listener, StreamSession):
    __slots__ = ()


_CODEC: Final = PushCodec()
_SSE: Final = StreamFormat(_CODEC, sse.events, sse.CONTENT_TYPE, sse.PREAMBLE)
_LINES: Final = StreamFormat(_CODEC, http_stream.lines, http_stream.JSON_TYPE)
_SOCKET: Final = websocket.WebSocketWire(_CODEC, websocket.TEXT)


async def open_sse(opening: Opening) -> web.StreamResponse:
    query = opening.request.query
    first = query.get(sse.FIRST_FRAME, "").encode(errors="replace")
    if not first and "token" in query:
        first = _ENCODER.encode({"token": query["token"].encode(errors="replace").decode()})
    return await serve(opening, _SSE, first, is_spoken=not asks_for_protobuf(opening.request))


async def open_http_stream(opening: Opening) -> web.StreamResponse:
    """Raises AppError for a body that is too large, too late or compressed."""
    limits, request = opening.services.settings, opening.request
    body = await read_body(request, limits.max_message_bytes, limits.connect_timeout_seconds)
    return await serve(opening, _LINES, body, is_spoken=not http_stream.is_protobuf(request))


async def serve_socket(
    request: web.Request, services: Services, address: str, outlet_of: OutletOf
) -> web.WebSocketResponse:
    """One connection from handshake to end. Raises web.HTTPBadRequest for what is no handshake."""
    return await websocket.serve(
        request, services, address, outlet_of, wire=_SOCKET, session_of=ListeningSocket
    )
