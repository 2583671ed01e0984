"""A streamed answer: `POST /connection/http_stream`, the body is the first frame.

JSON messages end with a line feed, Protobuf ones (`Content-Type: application/octet-stream`) have
their length in front. What the client says later comes by `/emulation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.codec_protobuf import ProtobufCodec
from serve_app.gateway.transports.stream import Opening, StreamFormat, read_body, serve

PROTOBUF_TYPE: Final = "application/octet-stream"
JSON_TYPE: Final = "application/json"


def lines(messages: Sequence[bytes]) -> bytes:
    return b"\n".join((*messages, b""))


_protobuf_codec: Final = ProtobufCodec()
_JSON: Final = StreamFormat(JsonCodec(), lines, JSON_TYPE)
_PROTOBUF: Final = StreamFormat(_protobuf_codec, _protobuf_codec.join, PROTOBUF_TYPE)


async def open_stream(opening: Opening) -> web.StreamResponse:
    """Raises AppError for a body that is too large, too late or compressed."""
    limits = opening.services.settings
    request = opening.request
    first = await read_body(request, limits.max_message_bytes, limits.connect_timeout_seconds)
    return await serve(opening, _PROTOBUF if is_protobuf(request) else _JSON, first)


def is_protobuf(request: web.BaseRequest) -> bool:
    # request.content_type says octet-stream for a header that is missing too.
    said = request.headers.get("Content-Type", JSON_TYPE).partition(";")[0].strip().lower()
    return said == PROTOBUF_TYPE
