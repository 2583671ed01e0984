"""What was found, as Postgres has it now: what was removed, hidden or moved since is left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from storage.identity import country_of
from storage.postgres import Connection
from storage.search.engine import Hit, Kind


class Scope(NamedTuple):
    """`generation` None: no index is searched yet. `readable`: private communities that the account
    may read; None: all."""

    generation: int | None
    readable: tuple[UUID, ...] | None


_SCOPE: Final = """
    select (select generation from search_index where engine = $1 and live) as generation,
           coalesce((select role = 'admin' from account where id = $2), false) as everything,
           array(select m.community_id from membership m join community y on y.id = m.community_id
                 where m.account_id = $2 and m.role <> 'banned' and y.visibility = 'private')
               as readable"""


async def scope_of(connection: Connection, engine: str, account_id: UUID | None) -> Scope:
    row = await connection.fetchrow(_SCOPE, engine, account_id)
    assert row is not None
    return Scope(row["generation"], None if row["everything"] else tuple(row["readable"]))


class Found(msgspec.Struct, frozen=True):
    """`title`: of a comment that of its thread. `body_html` is sanitised. Guides have what follows
    `created_at` and no thread, community and author; of others that is None."""

    id: UUID
    kind: Kind
    post_id: UUID | None
    community_id: UUID | None
    community_slug: str | None
    visa_type: str | None
    author_id: UUID | None
    handle: str
    display_name: str
    title: str
    body_html: str
    language: str
    score: int
    comment_count: int
    created_at: datetime
    authority: str | None
    source_url: str | None
    as_of: date | None
    last_checked: date | None


# By case: as plain conditions removals would have the planner take a partial index of every
# partition for the primary key of one, as long as tables are small.
_MAY_READ: Final = """
    left join account r on r.id = $3
    left join membership m on m.account_id = $3 and m.community_id = y.id
    where case when p.deleted_at is null then may_read(r.role, y.visibility, m.role) else false end
      and not exists (select from account_mute u where u.account_id = $3 and u.muted_id = a.id)"""
_POSTS: Final = f"""
    select p.id, 'post', p.id, p.community_id, y.slug, p.visa_type, p.author_id, a.handle,
           a.display_name, p.title, p.body_html, p.language, p.up - p.down, p.comment_count,
           p.created_at, null::text, null::text, null::date, null::date
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    join post p on p.country_id = i.country and p.id = i.id
    join community y on y.id = p.community_id
    join account a on a.id = p.author_id
    {_MAY_READ}"""
_COMMENTS: Final = f"""
    select c.id, 'comment', p.id, p.community_id, y.slug, p.visa_type, c.author_id, a.handle,
           a.display_name, p.title, c.body_html, c.language, c.up - c.down, p.comment_count,
           c.created_at, null, null, null, null
    from unnest($4::smallint[], $5::uuid[]) i (country, id)
    join comment c on c.country_id = i.country and c.id = i.id
    join post p on p.country_id = c.country_id and p.id = c.post_id
    join community y on y.id = p.community_id
    join account a on a.id = c.author_id
    {_MAY_READ} and case when c.deleted_at is null then true else false end"""
_GUIDES: Final = """
    select g.id, 'guide', null, null, null, g.visa_type, null, '', '', g.title, g.body_html,
           g.language, 0, 0, g.as_of::timestamp at time zone 'UTC', g.authority, g.source_url,
           g.as_of, g.last_checked
    from guide g where g.id = any ($6::uuid[]) and g.withdrawn_at is null"""
_FOUND: Final = f"{_POSTS} union all {_COMMENTS} union all {_GUIDES}"


async def read_found(
    connection: Connection, hits: Sequence[Hit], account_id: UUID | None
) -> dict[UUID, Found]:
    """By id, what of it stands and the account (None: a guest) may read; not what members wrote
    whom it muted."""
    posts = [hit.id for hit in hits if hit.kind == "post"]
    comments = [hit.id for hit in hits if hit.kind == "comment"]
    rows = await connection.fetch(
        _FOUND,
        [country_of(id) for id in posts], posts, account_id,
        [country_of(id) for id in comments], comments,
        [hit.id for hit in hits if hit.kind == "guide"],
    )  # fmt: skip
    return {row[0]: Found(*row) for row in rows}
