"""Server-sent events: `GET /connection/sse?cf_connect=<first frame>`, one message an event.

The first frame is in the URL, which is at most 8,190 bytes long with its escapes; a longer one is
answered with 431. What the client says later comes by `/emulation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from config.errors import AppError
from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.transports.stream import (
    Opening,
    StreamFormat,
    asks_for_protobuf,
    serve,
)

FIRST_FRAME: Final = "cf_connect"
CONTENT_TYPE: Final = "text/event-stream"
# SDKs wait for the first bytes, which say nothing, to see that the stream is open.
PREAMBLE: Final = b"\r\n"


def events(messages: Sequence[bytes]) -> bytes:
    return b"".join([b"data: %b\n\n" % message for message in messages])


_JSON: Final = StreamFormat(JsonCodec(), events, CONTENT_TYPE, PREAMBLE)


async def open_stream(opening: Opening) -> web.StreamResponse:
    """Raises AppError `invalid` without a first frame."""
    first = opening.request.query.get(FIRST_FRAME)
    if not first:
        error = (FIRST_FRAME, "is required")
        raise AppError("invalid", "The query must hold the first frame.", errors=(error,))
    is_spoken = not asks_for_protobuf(opening.request)
    return await serve(opening, _JSON, first.encode(errors="replace"), is_spoken=is_spoken)
