"""The post table: batch writes by one SQL function, reads by id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from storage.identity import country_of
from storage.postgres import Connection


class NewPost(msgspec.Struct, frozen=True):
    """`payload` is the `post.created` event as JSON, `key` and `hash` the idempotency record."""

    id: UUID
    author_id: UUID
    community_id: UUID
    visa_type: str | None
    title: str
    body_markdown: str
    body_html: str
    language: str
    tags: tuple[str, ...]
    payload: str
    key: str | None
    hash: bytes


class WrittenPost(msgspec.Struct, frozen=True):
    """`status`: created, replayed (`resource_id` is the first answer's), gone (that answer was
    forgotten this very moment), or an error code. The others are set where it is 'created'."""

    status: str
    resource_id: UUID
    channel: str
    offset: int


_WRITE: Final = "select * from write_posts($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)"


async def write_posts(connection: Connection, items: Sequence[NewPost]) -> list[WrittenPost]:
    """Commits all acceptable items in one transaction; the others get their own status.
    No two items may share (author, key)."""
    rows = await connection.fetch(
        _WRITE,
        [i.author_id for i in items],
        [country_of(i.id) for i in items],
        [i.community_id for i in items],
        [i.id for i in items],
        [i.visa_type for i in items],
        [i.title for i in items],
        [i.body_markdown for i in items],
        [i.body_html for i in items],
        [i.language for i in items],
        [msgspec.json.encode(i.tags).decode() for i in items],
        [i.payload for i in items],
        [i.key for i in items],
        [i.hash for i in items],
    )
    rows.sort(key=lambda row: row["o_ord"])
    return [
        WrittenPost(r["o_status"], r["o_resource"], r["o_channel"], r["o_offset"]) for r in rows
    ]


class PostRow(msgspec.Struct, frozen=True):
    """A post as it is read, with its author's names and its community's visibility; in the order of
    POST_COLUMNS."""

    id: UUID
    country_id: int
    community_id: UUID
    visa_type: str | None
    author_id: UUID
    handle: str
    display_name: str
    title: str
    body_markdown: str
    body_html: str
    language: str
    tags: list[str]
    up: int
    down: int
    comment_count: int
    accepted_comment_id: UUID | None
    created_at: datetime
    edited_at: datetime | None
    revision: int
    locked: bool
    pinned: bool
    deleted: bool
    visibility: str
    hot: float
    deleted_by: Literal["author", "moderator"] | None
    deleted_reason: str | None
    moved_to: UUID | None
    poll: str | None  # JSON: `poll` of the contract


# Only a post that has a poll looks for it.
POST_COLUMNS: Final = """p.id, p.country_id, p.community_id, p.visa_type, p.author_id, a.handle,
    a.display_name, p.title, p.body_markdown, p.body_html, p.language, p.tags, p.up, p.down,
    p.comment_count, p.accepted_comment_id, p.created_at, p.edited_at, p.revision, p.locked,
    p.pinned, p.deleted_at is not null as deleted, y.visibility, p.hot,
    case when p.moved_to is null and p.deleted_by is not null then
        case when p.deleted_by = p.author_id then 'author' else 'moderator' end end as deleted_by,
    p.deleted_reason, p.moved_to,
    case when p.has_poll then (
        select json_build_object('question', l.question, 'multiple', l.multiple,
            'options', (select json_agg(json_build_object('text', o, 'votes', n) order by place)
                        from unnest(l.options, l.votes) with ordinality u (o, n, place)),
            'voters', l.voters,
            'closes_at', to_char(l.closes_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
        from poll l where l.post_id = p.id)::text end as poll"""
POST_JOINS: Final = "join account a on a.id = p.author_id join community y on y.id = p.community_id"

_FIELDS: Final = len(PostRow.__struct_fields__)

_READ: Final = f"""
    select {POST_COLUMNS}, s.top_offset, (select epoch from incarnation) as epoch
    from unnest($1::smallint[], $2::uuid[]) i (country, post)
    join post p on p.country_id = i.country and p.id = i.post
    {POST_JOINS} join stream s on s.id = p.stream_id"""


def post_of(row: asyncpg.Record) -> PostRow:
    """`row` begins with POST_COLUMNS."""
    return PostRow(*row[:_FIELDS])


async def read_posts(
    connection: Connection, ids: Sequence[UUID]
) -> dict[UUID, tuple[PostRow, str, int]]:
    """(post, epoch, top offset of its thread stream) by id, read in one snapshot; missing ids are
    left out. Deleted posts are included, with their text: the caller hides it."""
    rows = await connection.fetch(_READ, [country_of(id) for id in ids], list(ids))
    return {row["id"]: (post_of(row), row["epoch"], row["top_offset"]) for row in rows}
