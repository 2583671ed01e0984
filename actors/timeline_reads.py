"""Timelines as they are read: in public form by everybody, in full by whoever recorded them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.directory_reads import known_country
from actors.messages import Reply
from actors.pages import member, require_limit
from actors.timeline_rules import consulate_key, visa_type_faults
from actors.timeline_views import Consulate, former_timeline, own_timeline, public_timeline
from actors.timelines import require_owner
from actors.visa_messages import (
    ListConsulates,
    ListTimelines,
    ReadTimeline,
    ReadTimelineHistory,
    TimelineRead,
)
from config.errors import AppError
from config.reference import Country
from storage import timelines
from storage.postgres import wal_position
from storage.replicas import Readers
from storage.timelines import TimelineFilter

_encode: Final = msgspec.json.Encoder().encode
_MAX_CONSULATES: Final = 200


class TimelineReader:
    def __init__(self, readers: Readers, clock_ms: Callable[[], int]) -> None:
        self._readers = readers
        self._clock_ms = clock_ms

    async def answer(self, request: TimelineRead) -> Reply:
        match request:
            case ListTimelines() if request.mine:
                return await self._list_mine(request)
            case ListTimelines():
                return await self._list(request)
            case ReadTimeline():
                return await self._read(request)
            case ReadTimelineHistory():
                return await self._history(request)
            case ListConsulates():
                return await self._consulates(request)

    async def _read(self, request: ReadTimeline) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            row = await timelines.read(connection, request.timeline_id)
        if row.account_id == request.caller.account_id:
            return Reply(200, _encode(own_timeline(row, self._today())), position)
        return Reply(200, _encode(public_timeline(row)), position)

    async def _history(self, request: ReadTimelineHistory) -> Reply:
        account_id = member(request.caller)
        async with self._readers.acquire(request.position) as connection:
            row = await timelines.read(connection, request.timeline_id)
            require_owner(row, account_id)
            former = await timelines.history(connection, row.id)
        items = [
            former_timeline(f.number, f.visa_type, f.consulate, f.events, f.replaced_at)
            for f in former
        ]
        return Reply(200, _encode({"items": items, "next_cursor": None}))

    async def _list(self, request: ListTimelines) -> Reply:
        require_limit(request.limit)
        if request.country is None:
            fault = ("country", "is required, but for your own (mine=true)")
            raise AppError("invalid", "Name a country.", errors=(fault,))
        country = known_country(request.country)
        require_visa_type(country, request.visa_type)
        wanted = TimelineFilter(
            country.numeric, request.visa_type, key_of(request.consulate), request.status
        )
        scope = repr(msgspec.structs.astuple(wanted))
        before = _before(scope, request.cursor)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            rows = await timelines.list_timelines(connection, wanted, before, request.limit + 1)
        shown = rows[: request.limit]
        cursor = None
        if len(rows) > len(shown):
            cursor = encode_cursor(CursorKind.TIMELINES, scope, shown[-1].id)
        items = [public_timeline(row) for row in shown]
        body = _encode({"items": items, "next_cursor": cursor})
        return Reply(200, body, position, public=True)

    async def _list_mine(self, request: ListTimelines) -> Reply:
        account_id = member(request.caller)
        require_limit(request.limit)
        country = None if request.country is None else known_country(request.country)
        if country is not None:
            require_visa_type(country, request.visa_type)
        number = None if country is None else country.numeric
        consulate = key_of(request.consulate)
        scope = repr((account_id, number, request.visa_type, consulate, request.status))
        before = _before(scope, request.cursor)
        async with self._readers.acquire(request.position) as connection:
            rows = await timelines.list_of_account(
                connection, account_id, number, request.visa_type, consulate, request.status,
                before, request.limit + 1,
            )  # fmt: skip
        shown = rows[: request.limit]
        cursor = None
        if len(rows) > len(shown):
            cursor = encode_cursor(CursorKind.TIMELINES, scope, shown[-1].id)
        items = [own_timeline(row, self._today()) for row in shown]
        return Reply(200, _encode({"items": items, "next_cursor": cursor}))

    async def _consulates(self, request: ListConsulates) -> Reply:
        country = known_country(request.country)
        require_visa_type(country, request.visa_type)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            found = await timelines.list_consulates(
                connection, country.numeric, request.visa_type, _MAX_CONSULATES
            )
        items = [Consulate(name, count) for name, count in found]
        return Reply(200, _encode({"items": items, "next_cursor": None}), position, public=True)

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._clock_ms() / 1000, dt.UTC).date()


def require_visa_type(country: Country, visa_type: str | None) -> None:
    """Raises AppError `invalid` where the directory has no such one; None is any."""
    if visa_type is not None and (found := visa_type_faults(country, visa_type)):
        raise AppError("invalid", "The directory has no such visa type.", errors=found)


def key_of(consulate: str | None) -> str | None:
    return None if consulate is None else consulate_key(consulate)


def _before(scope: str, cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    return decode_cursor(CursorKind.TIMELINES, scope, cursor, UUID)
