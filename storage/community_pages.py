"""The directory of communities as members read it: pages by slug, and one community."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from storage.communities import JOINING_COLUMN, Joining
from storage.postgres import Connection


class CommunityRow(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    country_id: int
    visa_type: str | None
    kind: str
    member_count: int
    rules: str
    visibility: str
    joining: Joining
    archived: bool
    created_at: datetime


class CommunityFilter(msgspec.Struct, frozen=True):
    """None leaves a condition out. `text` is looked for in name and slug, without case and as it
    stands (no wildcards). `joined_by` None: the public ones, else what this account has joined."""

    country_id: int | None
    visa_type: str | None
    text: str | None
    joined_by: UUID | None


_COMPUTED: Final = {
    "joining": JOINING_COLUMN,
    "archived": "c.archived_at is not null as archived",
}
_COLUMNS: Final = ", ".join(
    _COMPUTED.get(name, f"c.{name}") for name in CommunityRow.__struct_fields__
)

# In the order of the unique index on slug, which ends at the page's last row.
_LIST: Final = f"""
    select {_COLUMNS} from community c
    where c.slug > $2 and ($3::smallint is null or c.country_id = $3)
      and ($4::text is null or c.visa_type = $4)
      and ($5::text is null
           or strpos(lower(c.name), lower($5)) > 0 or strpos(c.slug, lower($5)) > 0)
      and case when $6::uuid is null then c.visibility = 'public'
          else exists (select from membership m where m.account_id = $6 and m.community_id = c.id
                       and m.role <> 'banned') end
    order by c.slug limit $1"""

_ONE: Final = f"""
    select {_COLUMNS}, s.top_offset, (select epoch from incarnation) as epoch
    from community c join stream s on s.id = c.stream_id where c.id = $1"""


async def list_communities(
    connection: Connection, wanted: CommunityFilter, after_slug: str, limit: int
) -> list[CommunityRow]:
    rows = await connection.fetch(
        _LIST,
        limit,
        after_slug,
        wanted.country_id,
        wanted.visa_type,
        wanted.text,
        wanted.joined_by,
    )
    return [_row(row) for row in rows]


async def read_community(
    connection: Connection, community_id: UUID
) -> tuple[CommunityRow, str, int] | None:
    """The community, and epoch and offset of its stream in the same snapshot."""
    row = await connection.fetchrow(_ONE, community_id)
    return None if row is None else (_row(row), row["epoch"], row["top_offset"])


def _row(row: asyncpg.Record) -> CommunityRow:
    return CommunityRow(*(row[name] for name in CommunityRow.__struct_fields__))
