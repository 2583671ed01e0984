"""The timeline table: what members record of their applications, in their country's partition.

Deleting one deletes its row. Edits keep what they replaced, the newest MAX_FORMER of it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage.idempotency import first_of_key
from storage.identity import country_of, is_v7
from storage.postgres import Connection
from storage.timeline_events import TimelineEvent, TimelineStatus

MAX_TIMELINES: Final = 20
MAX_FORMER: Final = 20
# A consulate is told only where so many members share it.
MIN_SHARING: Final = 5
# Rows among which so many members must be found where there are as many: each has MAX_TIMELINES at
# most.
_SHARING_ROWS: Final = MAX_TIMELINES * MIN_SHARING


class TimelineText(msgspec.Struct, frozen=True):
    """What a change replaces, and what follows from its events."""

    visa_type: str
    consulate: str
    consulate_key: str
    events: tuple[TimelineEvent, ...]
    status: TimelineStatus
    submitted_on: dt.date
    ended_on: dt.date | None


class TimelineRow(msgspec.Struct, frozen=True):
    """`shared`: enough members share the consulate for it to be told."""

    id: UUID
    account_id: UUID
    visa_type: str
    consulate: str
    events: list[TimelineEvent]
    status: TimelineStatus
    submitted_on: dt.date
    ended_on: dt.date | None
    revision: int
    created_at: dt.datetime
    edited_at: dt.datetime | None
    shared: bool


class FormerTimeline(msgspec.Struct, frozen=True):
    """`replaced_at`: RFC 3339, UTC."""

    number: int
    visa_type: str
    consulate: str
    events: list[TimelineEvent]
    replaced_at: str


class TimelineFilter(msgspec.Struct, frozen=True):
    """A consulate finds only timelines that tell it."""

    country_id: int
    visa_type: str | None
    consulate_key: str | None
    status: TimelineStatus | None


def no_timeline() -> AppError:
    return AppError("not_found", "There is no such timeline.")


def not_theirs() -> AppError:
    return AppError("not_permitted", "The timeline is another member's.")


_events: Final = msgspec.json.Decoder(list[TimelineEvent])
_former: Final = msgspec.json.Decoder(list[FormerTimeline])
_encode: Final = msgspec.json.Encoder().encode

# By timeline_place, without the table.
_SHARED: Final = f"""
    (select count(distinct s.account_id) >= {MIN_SHARING} from (
        select n.account_id from timeline n
         where n.country_id = {{t}}.country_id and n.visa_type = {{t}}.visa_type
           and n.consulate_key = {{t}}.consulate_key limit {_SHARING_ROWS}) s)"""
_COLUMNS: Final = f"""
    t.id, t.account_id, t.visa_type, t.consulate, t.events, t.status, t.submitted_on, t.ended_on,
    t.revision, t.created_at, t.edited_at, {_SHARED.format(t="t")} as shared"""
_CREATE: Final = """
    insert into timeline (country_id, id, account_id, visa_type, consulate, consulate_key, events,
                          status, submitted_on, ended_on)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""


async def create(
    connection: Connection,
    account_id: UUID,
    id: UUID,
    text: TimelineText,
    key: str | None,
    hash: bytes,
) -> TimelineRow:
    """Once a key: a repetition answers the timeline as it is now. The caller's transaction must be
    open and hold the account's lock, which keeps the number exact.

    Raises AppError `conflict` for a known key with another body or whose timeline was deleted, and
    above MAX_TIMELINES.
    """
    if key is not None:
        first = await first_of_key(connection, account_id, id, key, hash)
        if first is not None:
            return await _again(connection, first)
    count = await connection.fetchval(
        "select count(*) from timeline where account_id = $1", account_id
    )
    if count >= MAX_TIMELINES:
        raise AppError(
            "conflict", f"A member has {MAX_TIMELINES} timelines at most: delete one first."
        )
    await connection.execute(_CREATE, country_of(id), id, account_id, *_values(text))
    return await read(connection, id)


async def _again(connection: Connection, id: UUID) -> TimelineRow:
    try:
        return await read(connection, id)
    except AppError:
        raise AppError("conflict", "What was recorded with this key is deleted.") from None


_EDIT: Final = f"""
    update timeline set
           former = jsonb_path_query_array(
               jsonb_build_array(jsonb_build_object(
                   'number', revision, 'visa_type', visa_type, 'consulate', consulate,
                   'events', events, 'replaced_at', $10::text)) || former,
               '$[0 to {MAX_FORMER - 1}]'),
           visa_type = $3, consulate = $4, consulate_key = $5, events = $6, status = $7,
           submitted_on = $8, ended_on = $9, revision = revision + 1, edited_at = clock_timestamp()
     where country_id = $1 and id = $2"""


async def edit(connection: Connection, id: UUID, text: TimelineText, replaced_at: str) -> None:
    """The caller's transaction holds the row (`hold`)."""
    await connection.execute(_EDIT, country_of(id), id, *_values(text), replaced_at)


async def hold(connection: Connection, id: UUID) -> TimelineRow:
    """The row, locked until the commit. Raises AppError `not_found`."""
    return await _read(connection, id, "for update of t")


async def read(connection: Connection, id: UUID) -> TimelineRow:
    """Raises AppError `not_found`."""
    return await _read(connection, id, "")


async def _read(connection: Connection, id: UUID, locking: str) -> TimelineRow:
    row = None
    if is_v7(id):
        row = await connection.fetchrow(
            f"select {_COLUMNS} from timeline t where t.country_id = $1 and t.id = $2 {locking}",
            country_of(id),
            id,
        )
    if row is None:
        raise no_timeline()
    return _row(row)


async def history(connection: Connection, id: UUID) -> list[FormerTimeline]:
    """What edits replaced, newest first, MAX_FORMER at most."""
    former = await connection.fetchval(
        "select former from timeline where country_id = $1 and id = $2", country_of(id), id
    )
    return _former.decode(former or "[]")


async def delete(connection: Connection, id: UUID) -> None:
    """Also what is not there."""
    await connection.execute(
        "delete from timeline where country_id = $1 and id = $2", country_of(id), id
    )


async def require_moderator(connection: Connection, account_id: UUID) -> None:
    """Of the site: they may delete what is made up. Raises AppError `not_permitted`."""
    if not await connection.fetchval(
        "select role in ('moderator', 'admin') and status = 'active' from account where id = $1",
        account_id,
    ):
        raise not_theirs()


# By timeline_place with a consulate, by timeline_new with a visa type, else by the key.
_LIST: Final = f"""
    select {_COLUMNS} from timeline t
     where t.country_id = $1 and ($2::text is null or t.visa_type = $2)
       and ($3::text is null or t.consulate_key = $3 and {_SHARED.format(t="t")})
       and ($4::text is null or t.status = $4) and ($5::uuid is null or t.id < $5)
     order by t.country_id desc, t.id desc limit $6"""
# By timeline_account in every partition.
_OF_ACCOUNT: Final = f"""
    select {_COLUMNS} from timeline t
     where t.account_id = $1 and ($2::smallint is null or t.country_id = $2)
       and ($3::text is null or t.visa_type = $3) and ($4::text is null or t.consulate_key = $4)
       and ($5::text is null or t.status = $5) and ($6::uuid is null or t.id < $6)
     order by t.id desc limit $7"""


async def list_timelines(
    connection: Connection, wanted: TimelineFilter, before: UUID | None, limit: int
) -> list[TimelineRow]:
    """Recorded last comes first."""
    rows = await connection.fetch(
        _LIST, wanted.country_id, wanted.visa_type, wanted.consulate_key, wanted.status, before,
        limit,
    )  # fmt: skip
    return [_row(row) for row in rows]


async def list_of_account(
    connection: Connection,
    account_id: UUID,
    country_id: int | None,
    visa_type: str | None,
    consulate_key: str | None,
    status: TimelineStatus | None,
    before: UUID | None,
    limit: int,
) -> list[TimelineRow]:
    """Their own, of all countries where none is named; recorded last comes first."""
    rows = await connection.fetch(
        _OF_ACCOUNT, account_id, country_id, visa_type, consulate_key, status, before, limit
    )
    return [_row(row) for row in rows]


def _values(text: TimelineText) -> tuple[Any, ...]:
    return (
        text.visa_type, text.consulate, text.consulate_key, _encode(text.events).decode(),
        text.status, text.submitted_on, text.ended_on,
    )  # fmt: skip


def _row(row: asyncpg.Record) -> TimelineRow:
    values = dict(row)
    return TimelineRow(**(values | {"events": _events.decode(values["events"])}))


# By timeline_place.
_CONSULATES: Final = f"""
    select mode() within group (order by consulate) as name, count(*) as timelines
      from timeline where country_id = $1 and visa_type = $2
     group by consulate_key having count(distinct account_id) >= {MIN_SHARING}
     order by count(*) desc, name limit $3"""


async def list_consulates(
    connection: Connection, country_id: int, visa_type: str, limit: int
) -> list[tuple[str, int]]:
    """Those that enough members share, with their timelines; the most frequent first."""
    rows = await connection.fetch(_CONSULATES, country_id, visa_type, limit)
    return [(row["name"], row["timelines"]) for row in rows]
