"""Timelines as their members write them: checked, kept in one transaction each."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from actors.messages import Reply
from actors.pages import member
from actors.timeline_rules import (
    Faults,
    consulate_faults,
    consulate_key,
    consulate_text,
    event_faults,
    latest_date,
    outline,
    place_faults,
)
from actors.timeline_views import own_timeline
from actors.visa_messages import CreateTimeline, DeleteTimeline, EditTimeline, TimelineWrite
from config.errors import AppError
from config.reference import countries_by_alpha2, countries_by_numeric
from storage import timelines
from storage.identity import country_of, new_id
from storage.postgres import Connection, Pool, in_transaction_at
from storage.readable import lock_active, require_active
from storage.stream_writer import rfc3339
from storage.timeline_events import TimelineEvent
from storage.timelines import TimelineRow, TimelineText

_encode: Final = msgspec.json.Encoder().encode
_hash_encoder: Final = msgspec.msgpack.Encoder()


class Timelines:
    """Each request is a transaction of its own and may be sent again. `clock`: Unix seconds."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock

    async def answer(self, request: TimelineWrite) -> Reply:
        match request:
            case CreateTimeline():
                return await self._create(request)
            case EditTimeline():
                return await self._edit(request)
            case DeleteTimeline():
                return await self._delete(request)

    async def _create(self, request: CreateTimeline) -> Reply:
        account_id = member(request.caller)
        text = checked_text(
            request.country, request.visa_type, request.consulate, request.events, self._now()
        )
        id = new_id(countries_by_alpha2()[request.country].numeric)
        sent = ("timeline", request.country, request.visa_type, request.consulate, request.events)
        hash = hashlib.sha256(_hash_encoder.encode(sent)).digest()

        async def work(connection: Connection) -> TimelineRow:
            await lock_active(connection, account_id)
            return await timelines.create(connection, account_id, id, text, request.key, hash)

        row, position = await in_transaction_at(self._pool, work)
        return self._shown(201, row, position)

    async def _edit(self, request: EditTimeline) -> Reply:
        account_id = member(request.caller)

        async def work(connection: Connection) -> TimelineRow:
            await require_active(connection, account_id)
            row = await timelines.hold(connection, request.timeline_id)
            require_owner(row, account_id)
            if request.revision is not None and request.revision != row.revision:
                raise AppError(
                    "conflict",
                    "The timeline was changed meanwhile, on another device.",
                    errors=(("revision", f"is {row.revision} now"),),
                )
            text = checked_text(
                countries_by_numeric()[country_of(row.id)].alpha2,
                row.visa_type if request.visa_type is None else request.visa_type,
                row.consulate if request.consulate is None else request.consulate,
                tuple(row.events) if request.events is None else request.events,
                self._now(),
            )
            if (text.visa_type, text.consulate, list(text.events)) == (
                row.visa_type, row.consulate, row.events,
            ):  # fmt: skip
                return row  # no change, so that it may be sent again
            await timelines.edit(connection, row.id, text, rfc3339(self._now()))
            return await timelines.read(connection, row.id)

        row, position = await in_transaction_at(self._pool, work)
        return self._shown(200, row, position)

    async def _delete(self, request: DeleteTimeline) -> Reply:
        account_id = member(request.caller)

        async def work(connection: Connection) -> None:
            try:
                row = await timelines.hold(connection, request.timeline_id)
            except AppError as error:
                if error.code != "not_found":
                    raise
                return  # deleted before: a request may be sent again
            if row.account_id != account_id:
                await timelines.require_moderator(connection, account_id)
            await timelines.delete(connection, row.id)

        _, position = await in_transaction_at(self._pool, work)
        return Reply(204, position=position)

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock(), dt.UTC)

    def _shown(self, status: int, row: TimelineRow, position: int) -> Reply:
        return Reply(status, _encode(own_timeline(row, self._now().date())), position)


def checked_text(
    country: str,
    visa_type: str,
    consulate: str,
    events: tuple[TimelineEvent, ...],
    now: dt.datetime,
) -> TimelineText:
    """Raises AppError `invalid` naming every fault's path."""
    shown = consulate_text(consulate)
    found: Faults = (
        *place_faults(country, visa_type),
        *consulate_faults(shown),
        *event_faults(events, latest_date(now)),
    )
    if found:
        raise AppError("invalid", "The timeline can't be so.", errors=found)
    derived = outline(events)
    return TimelineText(
        visa_type, shown, consulate_key(shown), events, derived.status, derived.submitted_on,
        derived.ended_on,
    )  # fmt: skip


def require_owner(row: TimelineRow, account_id: UUID) -> None:
    """Raises AppError `not_permitted`."""
    if row.account_id != account_id:
        raise timelines.not_theirs()
