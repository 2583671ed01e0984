"""Announcing, completing and reading uploaded files, for the Accounts actor.

CreateMedia ─▶ address ─▶ (client uploads) ─▶ CompleteMedia ─▶ job ─▶ CompleteMedia says `ready`
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from actors.content import rfc3339_ns
from actors.media.links import PATH
from actors.media.messages import (
    CompleteMedia,
    CreateMedia,
    MediaFile,
    MediaRequest,
    ReadMedia,
)
from actors.media.sniffing import ACCEPTED_TYPES
from actors.media.upload_signature import sign
from actors.messages import Reply
from config.errors import AppError
from config.media import Media
from storage import media
from storage.media import File
from storage.objects import Objects, upload_key
from storage.postgres import Pool, acquire

_MAX_NAME_CHARACTERS: Final = 200
_NOT_IN_NAMES: Final = re.compile(r'[\x00-\x1f\x7f-\x9f"\\/\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_encode: Final = msgspec.json.encode


class Upload(msgspec.Struct, frozen=True):
    """Send the bytes there, with exactly these headers. A path without a host is this server's."""

    method: str
    url: str
    headers: dict[str, str]


class MediaTicket(msgspec.Struct, frozen=True):
    id: UUID
    upload: Upload
    expires_at: str


class Thumbnail(msgspec.Struct, frozen=True):
    """`size`: the longer side at most."""

    size: int
    width: int
    height: int
    url: str


class MediaState(msgspec.Struct, frozen=True):
    """`reason`: why it is refused. `content_type` and `size_bytes` are of what others get, once
    `ready`; `pages` is a PDF's, width and height are a picture's."""

    id: UUID
    status: media.State
    reason: str
    url: str
    thumbnails: list[Thumbnail]
    file_name: str
    content_type: str
    size_bytes: int
    width: int | None
    height: int | None
    pages: int | None


class Library:
    def __init__(
        self,
        pool: Pool,
        objects: Objects,
        settings: Media,
        secret: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._objects = objects
        self._settings = settings
        self._secret = secret
        self._clock = clock

    async def answer(self, request: MediaRequest) -> Reply:
        match request:
            case CreateMedia():
                return await self._create(request)
            case CompleteMedia():
                return await self._complete(request)
            case ReadMedia():
                return await self._read(request)

    async def _create(self, request: CreateMedia) -> Reply:
        owner_id = _member(request.caller.account_id)
        settings = self._settings
        if request.content_type not in ACCEPTED_TYPES:
            taken = ", ".join(ACCEPTED_TYPES)
            raise AppError("unsupported_media_type", f"These files are taken: {taken}.")
        if request.size_bytes > settings.max_file_bytes:
            raise AppError("too_large", f"At most {settings.max_file_bytes} bytes a file.")
        media_id = await media.create(
            self._pool,
            owner_id,
            _clean_name(request.file_name),
            request.content_type,
            request.size_bytes,
            settings.bytes_per_day,
        )
        expires = int(self._clock()) + settings.upload_seconds
        ticket = MediaTicket(
            media_id, self._upload(media_id, request, expires), rfc3339_ns(expires * 1_000_000_000)
        )
        return Reply(201, _encode(ticket))

    def _upload(self, media_id: UUID, request: CreateMedia, expires: int) -> Upload:
        headers = {"Content-Type": request.content_type}
        if self._objects.folder is not None:
            signature = sign(self._secret, media_id, request.size_bytes, expires)
            query = {"size": request.size_bytes, "expires": expires, "signature": signature}
            return Upload("PUT", f"{PATH}{media_id}/content?{urlencode(query)}", headers)
        url = self._objects.presigned(
            "PUT",
            upload_key(media_id),
            self._settings.upload_seconds,
            # HTTP clients set the length themselves; another one than announced is refused.
            headers={**headers, "Content-Length": str(request.size_bytes)},
        )
        return Upload("PUT", url, headers)

    async def _complete(self, request: CompleteMedia) -> Reply:
        """Also tells how far it is: it may be asked again and again."""
        owner_id = _member(request.caller.account_id)
        async with acquire(self._pool) as connection:
            await media.require_active(connection, owner_id)
            file = await media.find(connection, request.media_id, owner_id)
        if file.owner_id != owner_id:
            raise media.no_file()
        if file.state == "pending":
            await self._require_upload(file)
            await media.begin(self._pool, owner_id, file.id)
            file = await self._find(request.media_id, owner_id)
        status = 202 if file.state == "processing" else 200
        return Reply(status, _encode(_shown(file)))

    async def _require_upload(self, file: File) -> None:
        size = await self._objects.size(upload_key(file.id))
        if size is None:
            raise AppError("conflict", "Nothing was uploaded yet.")
        if size != file.size_bytes:
            await self._objects.delete([upload_key(file.id)])
            reason = f"{file.size_bytes} bytes were announced, {size} came"
            raise AppError("invalid", "Upload it again.", errors=(("size_bytes", reason),))

    async def _read(self, request: ReadMedia) -> Reply:
        """The body is a MediaFile, for the gateway."""
        file = await self._find(request.media_id, request.caller.account_id)
        if file.hash is None:
            detail = "The file is refused." if file.state == "refused" else "It is not ready yet."
            raise AppError("not_found", detail)
        found = MediaFile(
            file.hash,
            file.file_name,
            file.content_type,
            file.thumbnails,
            file.public,
        )
        return Reply(body=msgspec.msgpack.encode(found))

    async def _find(self, media_id: UUID, caller_id: UUID | None) -> File:
        async with acquire(self._pool) as connection:
            return await media.find(connection, media_id, caller_id)


def _member(account_id: UUID | None) -> UUID:
    if account_id is None:
        raise AppError("unauthenticated", "Log in first.")
    return account_id


def _clean_name(name: str) -> str:
    """As it may stand in a header and on a disk: no path, nothing invisible, nothing that turns the
    direction of the text around so that `exe` reads like `pdf`."""
    cleaned = " ".join(_NOT_IN_NAMES.sub(" ", name).split())[-_MAX_NAME_CHARACTERS:]
    return cleaned.strip(". ") or "file"


def _shown(file: File) -> MediaState:
    thumbnails = []
    if file.width and file.height:
        for size in file.thumbnails:
            width, height = scaled(file.width, file.height, size)
            url = f"{PATH}{file.id}/thumbnails/{size}"
            thumbnails.append(Thumbnail(size, width, height, url))
    return MediaState(
        file.id,
        file.state,
        file.reason,
        f"{PATH}{file.id}",
        thumbnails,
        file.file_name,
        file.content_type,
        file.size_bytes,
        file.width,
        file.height,
        file.pages,
    )


def scaled(width: int, height: int, size: int) -> tuple[int, int]:
    """What Pillow's `thumbnail` makes of it, to a pixel."""
    part = size / max(width, height)
    return max(1, round(width * part)), max(1, round(height * part))
