"""A response that does not end: the base of the transports that stream over plain HTTP.

aiohttp reads the request and writes the headers. What follows is framed here, in chunks (RFC 9112,
7.1), and written to the socket by whoever has it: sessions with the same wire share frames. To an
HTTP/1.0 client, as some proxies are, it goes unframed, and the end of the connection is the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError

from config.errors import AppError
from serve_app.gateway import codes
from serve_app.gateway.codes import Disconnect
from serve_app.gateway.direct_send import OutletOf
from serve_app.gateway.protocol import Codec, Outlet, Wire
from serve_app.gateway.services import Services
from serve_app.gateway.session import Session

PROTOBUF: Final = "protobuf"
_LAST_CHUNK: Final = b"0\r\n\r\n"
# nginx would keep the stream back until it has collected a buffer full of it.
_HEADERS: Final = {hdrs.CACHE_CONTROL: "no-store, no-transform", "X-Accel-Buffering": "no"}

Complete = Callable[[web.StreamResponse], None]
"""Adds the headers that every answer of the server has."""


class StreamWire:
    """`body` joins a codec's messages, to at least one byte: an empty chunk is the end."""

    def __init__(
        self, codec: Codec, body: Callable[[Sequence[bytes]], bytes], *, chunked: bool
    ) -> None:
        self.codec = codec
        self._body = body
        self._chunked = chunked

    def frame(self, messages: Sequence[bytes]) -> bytes:
        return self.chunk(self._body(messages))

    def chunk(self, body: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(body), body) if self._chunked else body

    def close(self, end: Disconnect) -> bytes:
        return _LAST_CHUNK if self._chunked else b""


class StreamFormat:
    """What one kind of stream is made of. `preamble` comes before its first message."""

    def __init__(
        self,
        codec: Codec,
        body: Callable[[Sequence[bytes]], bytes],
        content_type: str,
        preamble: bytes = b"",
    ) -> None:
        self.content_type = content_type
        self.preamble = preamble
        self._chunked = StreamWire(codec, body, chunked=True)
        self._plain = StreamWire(codec, body, chunked=False)

    def wire_for(self, request: web.BaseRequest) -> StreamWire:
        return self._chunked if request.version >= HttpVersion11 else self._plain


class StreamSession(Session):
    """Ends its response with the farewell: here the client answers no close frame."""

    __slots__ = ()

    def close(self, end: Disconnect) -> None:
        super().close(end)
        self.outlet.close()


@dataclass(frozen=True, slots=True)
class Opening:
    """A request for a stream; `session_of` makes the kind of session that the transport needs."""

    request: web.Request
    complete: Complete
    services: Services
    outlet_of: OutletOf
    address: str
    session_of: Callable[[Services, Outlet, Wire, str], StreamSession]


class _Response(web.StreamResponse):
    """Its body is the session's, the last chunk too: aiohttp writes nothing but the headers."""

    async def write_eof(self, data: bytes = b"") -> None:
        return


class _Hangup:
    """In place of a parser, as aiohttp's sockets have one: what still comes is dropped, and the end
    of the connection heard in the tick in which it is lost."""

    def __init__(self, session: Session) -> None:
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._session = session

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        return False, b""

    def feed_eof(self) -> None:
        self._session.end()
        if not self.heard.done():
            self.heard.set_result(None)


def asks_for_protobuf(request: web.BaseRequest) -> bool:
    """By its query."""
    return PROTOBUF in (request.query.get("cf_protocol"), request.query.get("format"))


async def serve(
    opening: Opening, stream: StreamFormat, first: bytes, *, is_spoken: bool = True
) -> web.StreamResponse:
    """One connection from its headers to its end, at most as long as the client stays. Unless
    `is_spoken` it was to be in an encoding that this transport has not, and ends at once."""
    request = opening.request
    response = _Response(headers={**_HEADERS, hdrs.CONTENT_TYPE: stream.content_type})
    opening.complete(response)
    response.force_close()
    await response.prepare(request)
    transport = request.transport
    if transport is None:
        return response
    wire = stream.wire_for(request)
    outlet = opening.outlet_of(transport)
    session = opening.session_of(opening.services, outlet, wire, opening.address)
    try:
        hangup = _Hangup(session)
        parser: Any = hangup
        request.protocol.set_parser(parser)
        if stream.preamble and not outlet.is_closing():
            outlet.write(wire.chunk(stream.preamble))
        if not is_spoken:
            session.close(codes.inappropriate_protocol())
        elif opening.services.is_draining():
            session.close(codes.shutdown())
        else:
            await session.receive(first)
        await hangup.heard
    finally:
        session.end()
        outlet.release()
        transport.close()
    return response


async def read_body(request: web.Request, most_bytes: int, seconds: float) -> bytes:
    """Raises AppError too_large, unsupported_media_type (compressed bodies) or invalid."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        # A compressed body could unpack to a thousand times what was sent.
        raise AppError("unsupported_media_type", "Send the body uncompressed.")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while piece := await request.content.readany():
                body += piece
                if len(body) > most_bytes:
                    raise AppError("too_large", f"At most {most_bytes} bytes of body.")
    except TimeoutError:
        raise AppError("invalid", "The body did not arrive in time.") from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise AppError("invalid", "The body is not framed as HTTP asks.") from None
    return bytes(body)
