"""The job 'export_account': a ZIP of JSON, one file for each kind of thing that is the member's."""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from datetime import timedelta
from typing import Final

import msgspec

from actors.job_tools import JobTools
from config.errors import AppError
from storage import account_tasks, exports
from storage.account_tasks import Task, TaskJob
from storage.erasure import count_rows
from storage.exports import PARTS, Part
from storage.objects import EXPORTS, export_key, objects_of, original_key
from storage.postgres import acquire

KEPT_DAYS: Final = 7
# Longer than any file is known: what is older, an attempt that was cut off has left.
_SWEPT: Final = timedelta(days=KEPT_DAYS + 1)
_AT_ONCE: Final = 100
_NO_ROOM_SECONDS: Final = 60.0

_decode = msgspec.json.Decoder(TaskJob).decode


class AccountExporter:
    def __init__(self, tools: JobTools) -> None:
        self._pool = tools.pool
        self._objects = objects_of(tools.settings)

    async def run(self, payload: bytes) -> None:
        """Every attempt begins anew; a finished one stays. Raises msgspec.DecodeError, AppError."""
        task_id = _decode(payload).task_id
        async with acquire(self._pool) as connection:
            task = await account_tasks.find(connection, task_id, "export")
            if task is None or task.finished_at is not None:
                return
            total = 0
            for part in PARTS:
                table, _, column = part.rows.partition(".")
                total += await count_rows(connection, table, column, task.account_id)
            await account_tasks.restart(connection, task.id, total)
        size = await self._make(task)
        async with acquire(self._pool) as connection:
            finished = await account_tasks.finish(
                connection, task.id, size_bytes=size, kept_days=KEPT_DAYS
            )
        if not finished:  # the account was erased meanwhile
            await self._objects.delete([export_key(task.id)])

    async def _make(self, task: Task) -> int:
        """The size of the file. Until it is whole it has no name, so that nothing is left of it
        wherever this ends."""
        try:
            with tempfile.TemporaryFile() as draft:
                with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
                    for part in PARTS:
                        await self._write(archive, part, task)
                    await self._write_files(archive, task)
                size = draft.tell()
                draft.seek(0)
                await self._objects.put_file(export_key(task.id), draft, "application/zip")
        except OSError as error:
            raise AppError(
                "unavailable",
                "There is no room for the file.",
                retry_after_seconds=_NO_ROOM_SECONDS,
            ) from error
        return size

    async def _write(self, archive: zipfile.ZipFile, part: Part, task: Task) -> None:
        opening = "["
        with archive.open(f"{part.name}.json", "w", force_zip64=True) as file:
            async for rows in exports.pages(self._pool, part, task.account_id):
                text = opening + ",\n".join(rows)
                await asyncio.to_thread(file.write, text.encode())
                opening = ",\n"
                async with acquire(self._pool) as connection:
                    await account_tasks.advance(connection, task.id, len(rows))
            file.write(b"[]\n" if opening == "[" else b"]\n")

    async def _write_files(self, archive: zipfile.ZipFile, task: Task) -> None:
        """Uploaded ones, as members see them; their names need not differ."""
        async for file in exports.files(self._pool, task.account_id):
            data = await self._objects.read(original_key(file.hash))
            if data is not None:
                name = f"files/{file.id}-{file.file_name}"
                await asyncio.to_thread(archive.writestr, name, data, zipfile.ZIP_STORED)


class ExportExpiry:
    def __init__(self, tools: JobTools) -> None:
        self._pool = tools.pool
        self._objects = objects_of(tools.settings)

    async def run(self, payload: bytes) -> None:
        """The file first: while it is there, something must know of it."""
        while True:
            async with acquire(self._pool) as connection:
                ids = await account_tasks.expired(connection, _AT_ONCE)
            if not ids:
                break
            await self._objects.delete([export_key(id) for id in ids])
            async with acquire(self._pool) as connection:
                await account_tasks.forget(connection, ids)
        await self._objects.delete([key async for key in self._objects.older_than(EXPORTS, _SWEPT)])
