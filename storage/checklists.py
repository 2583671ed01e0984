"""The tables checklist and checklist_progress: what has to be done, and what a member has done.

Progress names items by their ids, so it stays when a checklist is brought anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage.feed_keys import Languages
from storage.postgres import Connection


class ChecklistItem(msgspec.Struct, frozen=True):
    id: str
    text: str
    source_url: str | None = None


class Checklist(msgspec.Struct, frozen=True):
    """As it is imported."""

    id: str
    country_id: int
    visa_type: str
    language: str
    title: str
    items: tuple[ChecklistItem, ...]


class ChecklistRow(msgspec.Struct, frozen=True):
    id: str
    country_id: int
    visa_type: str
    language: str
    title: str
    items: list[ChecklistItem]
    updated_at: dt.datetime


class ChecklistFilter(msgspec.Struct, frozen=True):
    """None leaves a condition out."""

    country_id: int | None
    visa_type: str | None
    languages: Languages | None


class Done(msgspec.Struct, frozen=True):
    item_id: str
    done_at: dt.datetime


class Begun(msgspec.Struct, frozen=True):
    """A checklist on which a member has done something."""

    checklist: ChecklistRow
    done: int
    last_at: dt.datetime


def no_checklist() -> AppError:
    return AppError("not_found", "There is no such checklist.")


_items: Final = msgspec.json.Decoder(list[ChecklistItem])
_encode: Final = msgspec.json.Encoder().encode
_COLUMNS: Final = ", ".join(f"c.{name}" for name in ChecklistRow.__struct_fields__)

_WRITE: Final = """
    insert into checklist as c (id, country_id, visa_type, language, title, items)
    select * from unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[],
                         $6::jsonb[]) as i (id, country_id, visa_type, language, title, items)
     order by i.id
    on conflict (id) do update
       set country_id = excluded.country_id, visa_type = excluded.visa_type,
           language = excluded.language, title = excluded.title, items = excluded.items,
           updated_at = clock_timestamp(), withdrawn_at = null
     where (c.country_id, c.visa_type, c.language, c.title, c.items, c.withdrawn_at)
           is distinct from (excluded.country_id, excluded.visa_type, excluded.language,
                             excluded.title, excluded.items, null)
    returning id"""


async def write_checklists(connection: Connection, checklists: Sequence[Checklist]) -> int:
    """In one statement; how many were new or changed. No two have one id."""
    rows = await connection.fetch(
        _WRITE,
        [each.id for each in checklists],
        [each.country_id for each in checklists],
        [each.visa_type for each in checklists],
        [each.language for each in checklists],
        [each.title for each in checklists],
        [_encode(each.items).decode() for each in checklists],
    )
    return len(rows)


async def withdraw(connection: Connection, id: str) -> bool:
    """Shown to nobody any more; False: none of this id is shown."""
    return bool(
        await connection.fetchval(
            "update checklist set withdrawn_at = clock_timestamp(), updated_at = clock_timestamp()"
            " where id = $1 and withdrawn_at is null returning true",
            id,
        )
    )


_LIST: Final = f"""
    select {_COLUMNS} from checklist c
     where c.withdrawn_at is null and ($1::smallint is null or c.country_id = $1)
       and ($2::text is null or c.visa_type = $2)
       and ($3::text[] is null or c.language = any($4)
            or split_part(c.language, '-', 1) = any($3))
       and c.id > $5 order by c.id limit $6"""


async def list_checklists(
    connection: Connection, wanted: ChecklistFilter, after: str, limit: int
) -> list[ChecklistRow]:
    """In the order of their ids."""
    languages = wanted.languages
    rows = await connection.fetch(
        _LIST, wanted.country_id, wanted.visa_type,
        None if languages is None else list(languages.whole),
        None if languages is None else list(languages.regional), after, limit,
    )  # fmt: skip
    return [_row(row) for row in rows]


async def read_checklist(connection: Connection, id: str) -> ChecklistRow:
    """Raises AppError `not_found`."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from checklist c where c.id = $1 and c.withdrawn_at is null", id
    )
    if row is None:
        raise no_checklist()
    return _row(row)


# ---------------------------------------------------------------- a member's progress


async def set_done(
    connection: Connection, account_id: UUID, checklist_id: str, item_id: str, *, done: bool
) -> None:
    """What stands already stays as it is, with its time."""
    statement = (
        "insert into checklist_progress (account_id, checklist_id, item_id) values ($1, $2, $3)"
        " on conflict do nothing"
        if done
        else "delete from checklist_progress"
        " where account_id = $1 and checklist_id = $2 and item_id = $3"
    )
    await connection.execute(statement, account_id, checklist_id, item_id)


async def progress(connection: Connection, account_id: UUID, checklist_id: str) -> list[Done]:
    """Also of items that are gone."""
    rows = await connection.fetch(
        "select item_id, done_at from checklist_progress"
        " where account_id = $1 and checklist_id = $2 order by item_id",
        account_id,
        checklist_id,
    )
    return [Done(*row) for row in rows]


# A member's rows are few hundred: counted as they are, by the key.
_BEGUN: Final = f"""
    select {_COLUMNS}, p.done, p.last_at
      from checklist c join (
           select p.checklist_id, count(*) as done, max(p.done_at) as last_at
             from checklist_progress p join checklist y on y.id = p.checklist_id
            where p.account_id = $1 and y.items @> jsonb_build_array(
                  jsonb_build_object('id', p.item_id))
            group by p.checklist_id) p on p.checklist_id = c.id
     where c.withdrawn_at is null and ($2::timestamptz is null or (p.last_at, c.id) < ($2, $3))
     order by p.last_at desc, c.id desc limit $4"""


async def list_begun(
    connection: Connection,
    account_id: UUID,
    before: tuple[dt.datetime, str] | None,
    limit: int,
) -> list[Begun]:
    """Worked on last comes first. Items that are gone do not count."""
    rows = await connection.fetch(_BEGUN, account_id, *(before or (None, None)), limit)
    return [Begun(_row(row), row["done"], row["last_at"]) for row in rows]


def _row(row: asyncpg.Record) -> ChecklistRow:
    values: dict[str, Any] = {name: row[name] for name in ChecklistRow.__struct_fields__}
    return ChecklistRow(**(values | {"items": _items.decode(values["items"])}))
