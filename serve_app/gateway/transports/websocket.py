"""WebSocket: frames for sockets of this process, and the read loop of one connection.

aiohttp does the handshake, reads and reassembles fragments. What the server says is framed here
once (RFC 6455; servers don't mask) and written by whoever has it, always to the outlet.

The handshake settles the encoding for good, and the kind of frame a client sends is not looked at:
JSON in binary frames is read, Protobuf in text frames too. We send text for JSON and binary for
Protobuf, which is what SDKs read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web
from prometheus_client import Counter

from serve_app.gateway import codes
from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.codec_protobuf import ProtobufCodec
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.direct_send import OutletOf
from serve_app.gateway.protocol import Codec, Outlet, Wire
from serve_app.gateway.services import Services
from serve_app.gateway.session import Session
from serve_app.gateway.transports.stream import asks_for_protobuf

TEXT: Final = 0x81
_BINARY: Final = 0x82
_CLOSE: Final = 0x88
_PONG: Final = 0x8A
_MESSAGES: Final = (WSMsgType.TEXT, WSMsgType.BINARY)
JSON_PROTOCOL: Final = "centrifuge-json"
PROTOBUF_PROTOCOL: Final = "centrifuge-protobuf"
# After our close frame nothing is waited for: the session's own deadline has passed by then.
_CLOSE_SECONDS: Final = 2.0


OTHER_PROTOCOLS = Counter(
    "serai_realtime_other_protocols_total", "Handshakes that offered none of our subprotocols"
)


def frame(first_byte: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        header = bytes((first_byte, length))
    elif length < 65_536:
        header = bytes((first_byte, 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((first_byte, 127)) + length.to_bytes(8, "big")
    return header + payload


class WebSocketWire:
    def __init__(self, codec: Codec, first_byte: int) -> None:
        self.codec = codec
        self._first_byte = first_byte

    def frame(self, messages: Sequence[bytes]) -> bytes:
        return frame(self._first_byte, self.codec.join(messages))

    def close(self, end: Disconnect) -> bytes:
        return frame(_CLOSE, end.code.to_bytes(2, "big") + end.reason.encode())


JSON_WIRE: Final = WebSocketWire(JsonCodec(), TEXT)
PROTOBUF_WIRE: Final = WebSocketWire(ProtobufCodec(), _BINARY)


class _OtherProtocols(logging.Filter):
    """Counts aiohttp's warning about clients that offer other subprotocols, and drops it: it would
    write the text of any guest into the log, some KiB for each handshake."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "overlap" not in str(record.msg):
            return True
        OTHER_PROTOCOLS.inc()
        return False


logging.getLogger("aiohttp.websocket").addFilter(_OtherProtocols())


class _Socket(web.WebSocketResponse):
    """Says no farewell where nobody is left to hear it: aiohttp's would fail and keep the failure,
    whose frames hold the connection and all it had until the garbage collector comes, thousands of
    times at once in a storm."""

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        transport = self._req.transport if self._req is not None else None
        if transport is not None and not transport.is_closing():
            return await super().close(code=code, message=message, drain=drain)
        self._set_closed()
        return True


async def serve(
    request: web.Request,
    services: Services,
    address: str,
    outlet_of: OutletOf,
    *,
    wire: WebSocketWire | None = None,
    session_of: Callable[[Services, Outlet, Wire, str], Session] = Session,
) -> web.WebSocketResponse:
    """One connection from handshake to end; without a `wire` the client chooses, with one that is
    not what it asks for it is told so. Raises web.HTTPBadRequest for what is no handshake."""
    socket = _Socket(
        autoping=False,  # a pong must not overtake a frame that is partly sent
        autoclose=False,  # our close frames are written directly; a second one must not follow
        compress=False,
        protocols=(JSON_PROTOCOL, PROTOBUF_PROTOCOL),
        # aiohttp refuses from this size on, not above it.
        max_msg_size=services.settings.max_message_bytes + 1,
        timeout=_CLOSE_SECONDS,
        decode_text=False,
    )
    await socket.prepare(request)
    transport = request.transport
    if transport is None:
        return socket
    outlet = outlet_of(transport)
    asked = PROTOBUF_WIRE if _asks_for_protobuf(request, socket) else JSON_WIRE
    session = session_of(services, outlet, wire or asked, address)
    try:
        if wire is not None and asked is PROTOBUF_WIRE:
            session.close(codes.inappropriate_protocol())
        elif services.is_draining():
            session.close(codes.shutdown())
        while True:
            message = await socket.receive()
            if message.type in (WSMsgType.PING, WSMsgType.PONG):
                if message.type is WSMsgType.PING:
                    _answer_ping(session, message.data)
                continue
            if message.type not in _MESSAGES:
                break
            await session.receive(message.data)
    finally:
        said_goodbye = not session.is_open
        session.end()
        outlet.release()
    if said_goodbye:
        transport.close()
    else:
        await socket.close()
    return socket


def _answer_ping(session: Session, data: bytes) -> None:
    if session.is_open and not session.outlet.is_closing():
        session.outlet.write(frame(_PONG, data))
        if session.outlet.get_write_buffer_size() > session.services.settings.max_queue_bytes:
            session.on_slow()


def _asks_for_protobuf(request: web.Request, socket: web.WebSocketResponse) -> bool:
    return socket.ws_protocol == PROTOBUF_PROTOCOL or asks_for_protobuf(request)
