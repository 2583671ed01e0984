"""Uploaded files: announce, send, complete, read.

Bytes never go through a deployment. With a bucket they go between client and bucket by presigned
addresses; with a folder a gateway writes and reads its files.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Meta
from multidict import CIMultiDict

from actors.media import upload_signature
from actors.media.library import MediaState, MediaTicket
from actors.media.messages import CompleteMedia, CreateMedia, MediaFile, ReadMedia
from actors.messages import Reply
from config.errors import AppError
from config.media import THUMBNAIL_SIZES
from serve_app.api.call import Call
from serve_app.api.headers import POSITION
from serve_app.api.route import Nothing, Route
from storage.objects import Objects, original_key, thumbnail_key, upload_key

# A client that sends nothing for as long, or takes longer for the whole, gives its place away.
_IDLE_SECONDS: Final = 30.0
_UPLOAD_SECONDS: Final = 600.0
_CHUNK_BYTES: Final = 64 * 1024
# What a reader has seen, their browser may keep for a while; caches that serve others (`s-maxage`)
# keep it no longer than other pages, since a file may be removed, or its group become private.
_PUBLIC: Final = "public, s-maxage=1, max-age=60"
_PRIVATE: Final = "private, max-age=60"
# An address of a bucket, which browsers keep as long: who may read a file is judged for each.
_ADDRESS_SECONDS: Final = 120
_EXTENSIONS: Final = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "application/pdf": "pdf",
}

_ENDING: Final = re.compile(r"(?<=.)\.[A-Za-z0-9]{1,5}\Z")

_decode_file: Final = msgspec.msgpack.Decoder(MediaFile).decode


class MediaBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`content_type`: JPEG, PNG, WebP, GIF, AVIF or PDF. What the file is, is judged by its
    content; `size_bytes` must be exact."""

    file_name: Annotated[str, Meta(min_length=1, max_length=255)]
    size_bytes: Annotated[int, Meta(ge=1, le=1 << 40)]
    content_type: Annotated[str, Meta(min_length=3, max_length=100, examples=["image/jpeg"])]


class ContentQuery(msgspec.Struct, frozen=True):
    """As given out with the address."""

    size: Annotated[int, Meta(ge=1, le=1 << 40)]
    expires: Annotated[int, Meta(ge=0, le=1 << 40)]
    signature: Annotated[str, Meta(min_length=1, max_length=128)]


async def create(call: Call[MediaBody, Nothing]) -> Reply:
    body = call.body
    content_type = body.content_type.partition(";")[0].strip().lower()
    return await call.backends.accounts_write(
        CreateMedia(call.caller, body.file_name, body.size_bytes, content_type)
    )


async def complete(call: Call[Nothing, Nothing]) -> Reply:
    request = CompleteMedia(call.caller, call.uuid("media_id"))
    return await call.backends.accounts_write(request)


async def receive(call: Call[Nothing, ContentQuery]) -> Reply:
    """Only where files are kept in a folder; a bucket has addresses of its own."""
    media_id, query = call.uuid("media_id"), call.query
    secret = call.services.settings.auth.secret
    upload_signature.check(
        secret, media_id, query.size, query.expires, query.signature, time.time()
    )
    objects = _objects(call)
    if objects.folder is None:
        raise AppError("not_found")
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            await objects.receive(upload_key(media_id), _chunks(call.request.content), query.size)
    except TimeoutError:
        raise _late() from None
    return Reply(204)


async def _chunks(content: StreamReader) -> AsyncIterator[bytes]:
    try:
        while True:
            async with asyncio.timeout(_IDLE_SECONDS):
                chunk = await content.read(_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk
    except TimeoutError:
        raise _late() from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise AppError("invalid", "The body is not framed as HTTP asks.") from None


def _late() -> AppError:
    return AppError("invalid", "The file did not arrive in time.")


async def original(call: Call[Nothing, Nothing]) -> web.StreamResponse:
    file = await _file(call)
    return await _hand_out(call, file, original_key(file.hash), file.content_type)


async def thumbnail(call: Call[Nothing, Nothing]) -> web.StreamResponse:
    """A picture that is no larger is its own thumbnail."""
    file = await _file(call)
    size = call.values["size"]
    if size not in map(str, THUMBNAIL_SIZES) or not file.content_type.startswith("image/"):
        raise AppError("not_found", "There is no such thumbnail.")
    if int(size) in file.thumbnails:
        return await _hand_out(call, file, thumbnail_key(file.hash, int(size)), "image/webp")
    return await _hand_out(call, file, original_key(file.hash), file.content_type)


async def _file(call: Call[Nothing, Nothing]) -> MediaFile:
    """A page full of pictures is opened by thousands at once: for guests, to whom all of them are
    public, one answer counts as long as other public pages do."""
    request = ReadMedia(call.caller, call.uuid("media_id"))

    async def load(position: int) -> Reply:
        return await call.backends.accounts_read(request)

    if call.caller.account_id is not None:
        return _decode_file((await load(call.position)).body)
    key = f"file {request.media_id}"
    position = call.position if POSITION in call.request.headers else None
    # No URL is spelt like its alias.
    page = await call.services.edge_cache.page(key, key, position, load, lambda _: CIMultiDict())
    return _decode_file(page.body)


def _objects(call: Call[Any, Any]) -> Objects:
    if call.services.objects is None:
        raise AppError("unavailable", "This server keeps no files.")
    return call.services.objects


async def _hand_out(
    call: Call[Any, Any], file: MediaFile, key: str, content_type: str
) -> web.StreamResponse:
    objects = _objects(call)
    disposition = _disposition(file.file_name, content_type)
    headers: dict[str, str] = {
        hdrs.CACHE_CONTROL: _PUBLIC if file.public else _PRIVATE,
        hdrs.VARY: call.services.headers.vary(hdrs.AUTHORIZATION),
    }
    if objects.folder is None:
        query = {"response-content-type": content_type, "response-content-disposition": disposition}
        method = call.request.method  # it is signed, and HEAD is another one
        headers[hdrs.LOCATION] = objects.presigned(method, key, _ADDRESS_SECONDS, query=query)
        return web.Response(status=302, headers=headers)
    headers |= {
        hdrs.CONTENT_TYPE: content_type,
        hdrs.CONTENT_DISPOSITION: disposition,
        # Whatever it holds after all, it runs nothing and belongs to no origin.
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    }
    path = objects.file(key)
    if not await asyncio.to_thread(path.is_file):
        raise AppError("not_found", "The file is gone.")
    return web.FileResponse(path, headers=headers, chunk_size=_CHUNK_BYTES)


def _disposition(file_name: str, content_type: str) -> str:
    """Pictures are shown, documents saved. The name gets the ending of what the file has become;
    RFC 6266, with a plain form for those who read no other."""
    name = f"{_ENDING.sub('', file_name)}.{_EXTENSIONS.get(content_type, 'bin')}"
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    kind = "inline" if content_type.startswith("image/") else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


_P: Final = "/api/v1/media"
_ONE: Final = f"{_P}/{{media_id}}"
_FILE: Final = "application/octet-stream"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", _P, create, "Announce a file and get an address to send it to", access="member",
        rate="upload", body=MediaBody, answer=MediaTicket, status=201,
        refusals=("suspended", "too_large", "unsupported_media_type"), tag="media",
    ),
    Route(
        "PUT", f"{_ONE}/content", receive, "Send the file, where its address is this one",
        access="signed", rate="upload", query=ContentQuery, status=204, takes_file=True,
        refusals=("not_permitted",), tag="media",
    ),
    Route(
        "POST", f"{_ONE}/complete", complete,
        "Have the file processed; 202 until that is done, so ask again", access="member",
        rate="read", answer=MediaState, refusals=("conflict", "suspended"), tag="media",
    ),
    Route(
        "GET", _ONE, original, "The file, or a redirect to it; ranges are answered",
        access="guest", rate="read", content_type=_FILE, tag="media",
    ),
    Route(
        "GET", f"{_ONE}/thumbnails/{{size}}", thumbnail,
        "A picture no larger than that, as WebP", access="guest", rate="read",
        content_type=_FILE, tag="media",
    ),
)  # fmt: skip
