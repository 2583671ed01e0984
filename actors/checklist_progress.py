"""What a member has done of a checklist."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final
from uuid import UUID

import msgspec

from actors.checklist_views import BegunChecklist, ChecklistProgress, DoneItem, summary
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.messages import Reply
from actors.pages import Microseconds, member, require_limit
from actors.visa_messages import (
    ListBegunChecklists,
    ProgressRequest,
    ReadChecklistProgress,
    SetChecklistItem,
)
from config.errors import AppError
from storage import checklists
from storage.checklists import ChecklistRow
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.readable import require_active
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class _Place(msgspec.Struct, frozen=True, array_like=True):
    at_us: Microseconds
    id: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[a-z0-9-]*\Z")]


class Progress:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def answer(self, request: ProgressRequest) -> Reply:
        match request:
            case SetChecklistItem():
                return await self._set(request)
            case ReadChecklistProgress():
                return await self._read(request)
            case ListBegunChecklists():
                return await self._list(request)

    async def _set(self, request: SetChecklistItem) -> Reply:
        account_id = member(request.caller)

        async def work(connection: Connection) -> ChecklistProgress:
            await require_active(connection, account_id)
            row = await checklists.read_checklist(connection, request.checklist_id)
            if all(item.id != request.item_id for item in row.items):
                raise AppError("not_found", "The checklist has no such item.")
            await checklists.set_done(
                connection, account_id, row.id, request.item_id, done=request.done
            )
            return await _progress(connection, account_id, row)

        shown, position = await in_transaction_at(self._pool, work)
        return Reply(200, _encode(shown), position)

    async def _read(self, request: ReadChecklistProgress) -> Reply:
        account_id = member(request.caller)
        async with acquire(self._pool) as connection:
            row = await checklists.read_checklist(connection, request.checklist_id)
            shown = await _progress(connection, account_id, row)
        return Reply(body=_encode(shown))

    async def _list(self, request: ListBegunChecklists) -> Reply:
        account_id = member(request.caller)
        require_limit(request.limit)
        scope = str(account_id)
        before = None
        if request.cursor is not None:
            place = decode_cursor(CursorKind.BEGUN_CHECKLISTS, scope, request.cursor, _Place)
            before = (_EPOCH + place.at_us * _MICROSECOND, place.id)
        async with acquire(self._pool) as connection:
            found = await checklists.list_begun(connection, account_id, before, request.limit + 1)
        shown = found[: request.limit]
        cursor = None
        if len(found) > len(shown):
            last = shown[-1]
            place = _Place((last.last_at - _EPOCH) // _MICROSECOND, last.checklist.id)
            cursor = encode_cursor(CursorKind.BEGUN_CHECKLISTS, scope, place)
        items = [
            BegunChecklist(
                summary(one.checklist), one.done, len(one.checklist.items), rfc3339(one.last_at)
            )
            for one in shown
        ]
        return Reply(body=_encode({"items": items, "next_cursor": cursor}))


async def _progress(
    connection: Connection, account_id: UUID, row: ChecklistRow
) -> ChecklistProgress:
    there = {item.id for item in row.items}
    done = [
        DoneItem(each.item_id, rfc3339(each.done_at))
        for each in await checklists.progress(connection, account_id, row.id)
        if each.item_id in there
    ]
    return ChecklistProgress(row.id, len(done), len(there), done)
