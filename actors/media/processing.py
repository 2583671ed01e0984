"""The job 'media': what was uploaded becomes what members may see, or is refused."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from actors.media.limits import ORIGINAL, Limits, Processed
from actors.media.sandbox import process
from config.media import Media
from storage import media, stray_objects
from storage.media import Made
from storage.objects import Objects, original_key, thumbnail_key, upload_key
from storage.postgres import Connection, Pool, acquire, in_transaction

AT_ONCE: Final = 2
"""In all workers together: each is a process that may fill a core."""


class MediaJob(msgspec.Struct, frozen=True):
    media_id: UUID


_decode: Final = msgspec.json.Decoder(MediaJob).decode


class Processing:
    def __init__(self, pool: Pool, objects: Objects, settings: Media) -> None:
        self._pool = pool
        self._objects = objects
        self._settings = settings

    async def run(self, payload: bytes) -> None:
        """Idempotent. Raises AppError, msgspec.DecodeError, RuntimeError."""
        media_id = _decode(payload).media_id
        async with acquire(self._pool) as connection:
            waiting = await media.is_processing(connection, media_id)
        if waiting:
            with tempfile.TemporaryDirectory(prefix="serai-media-") as folder:
                reason = await self._process(media_id, Path(folder))
            if reason:
                await media.refuse(self._pool, media_id, reason)
        await self._objects.delete([upload_key(media_id)])

    async def _process(self, media_id: UUID, folder: Path) -> str:
        """Why the file is refused; "": it is ready, or was removed meanwhile."""
        source = folder / "source"
        size = await self._objects.size(upload_key(media_id))
        if size is None:
            return "What was uploaded is gone."
        if size > self._settings.max_file_bytes:
            return f"It has more than {self._settings.max_file_bytes} bytes."
        await self._objects.download(upload_key(media_id), source)
        hash = await asyncio.to_thread(_hash, source)
        if await self._finish(media_id, hash, None, folder):
            return ""  # an equal file is known: nothing needs to be opened again
        limits = Limits.of(self._settings)
        processed = await asyncio.to_thread(process, source, folder, limits)
        if processed.reason:
            return processed.reason
        async with acquire(self._pool) as connection:
            await stray_objects.note(connection, hash, processed.thumbnails)
        await self._finish(media_id, hash, processed, folder)
        return ""

    async def _finish(
        self, media_id: UUID, hash: bytes, processed: Processed | None, folder: Path
    ) -> bool:
        """Makes the file ready if its object is known, or `processed` and stored now. Stored bytes
        are the same each time, so a transaction that runs again does no harm."""

        async def work(connection: Connection) -> bool:
            await media.lock_hash(connection, hash)
            if await media.link(connection, media_id, hash):
                return True
            if processed is None or not await media.is_processing(connection, media_id):
                return False
            made = await self._store(hash, processed, folder)
            await media.add_object(connection, hash, made)
            await stray_objects.settle(connection, hash)
            return await media.link(connection, media_id, hash)

        return await in_transaction(self._pool, work)

    async def _store(self, hash: bytes, processed: Processed, folder: Path) -> Made:
        original = await asyncio.to_thread((folder / ORIGINAL).read_bytes)
        await self._objects.put(original_key(hash), original, processed.content_type)
        for size in processed.thumbnails:
            small = await asyncio.to_thread((folder / str(size)).read_bytes)
            await self._objects.put(thumbnail_key(hash, size), small, "image/webp")
        return Made(
            processed.content_type,
            len(original),
            processed.width,
            processed.height,
            processed.pages,
            processed.thumbnails,
        )


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
