"""The comment table: batch writes by one SQL function, the light tree and the texts of a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from storage.identity import country_of
from storage.postgres import Connection


class NewComment(msgspec.Struct, frozen=True):
    """`head` and `tail` are the `comment.created` event as JSON with the values of parent_id and
    depth cut out: only the database knows where a comment really attaches."""

    id: UUID
    author_id: UUID
    post_id: UUID
    parent_id: UUID | None
    body_markdown: str
    body_html: str
    language: str
    head: str
    tail: str
    key: str | None
    hash: bytes


class WrittenComment(msgspec.Struct, frozen=True):
    """`status`: created, replayed (`resource_id` is the first answer's), gone (that answer was
    forgotten this very moment), or an error code. The others are set where it is 'created'."""

    status: str
    resource_id: UUID
    parent_id: UUID | None
    depth: int
    channel: str
    offset: int
    comment_count: int
    community_id: UUID | None


_WRITE: Final = "select * from write_comments($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)"


async def write_comments(
    connection: Connection, items: Sequence[NewComment]
) -> list[WrittenComment]:
    """Commits all acceptable items in one transaction; the others get their own status.
    No two items may share (author, key)."""
    rows = await connection.fetch(
        _WRITE,
        [i.author_id for i in items],
        [country_of(i.post_id) for i in items],
        [i.post_id for i in items],
        [i.id for i in items],
        [i.parent_id for i in items],
        [i.body_markdown for i in items],
        [i.body_html for i in items],
        [i.language for i in items],
        [i.head for i in items],
        [i.tail for i in items],
        [i.key for i in items],
        [i.hash for i in items],
    )
    rows.sort(key=lambda row: row["o_ord"])
    return [WrittenComment(*row[1:]) for row in rows]


class CommentRow(msgspec.Struct, frozen=True):
    """In the order of COMMENT_COLUMNS."""

    id: UUID
    post_id: UUID
    parent_id: UUID | None
    depth: int
    author_id: UUID
    handle: str
    display_name: str
    body_markdown: str
    body_html: str
    language: str
    up: int
    down: int
    created_at: datetime
    edited_at: datetime | None
    revision: int
    deleted: bool
    deleted_by: Literal["author", "moderator"] | None
    deleted_reason: str | None
    merged_from: UUID | None


COMMENT_COLUMNS: Final = """c.id, c.post_id, c.parent_id, c.depth, c.author_id, a.handle,
    a.display_name, c.body_markdown, c.body_html, c.language, c.up, c.down, c.created_at,
    c.edited_at, c.revision, c.deleted_at is not null as deleted,
    case when c.deleted_by = c.author_id then 'author'
         when c.deleted_by is not null then 'moderator' end as deleted_by,
    c.deleted_reason, c.merged_from"""

_FIELDS: Final = len(CommentRow.__struct_fields__)

_TEXTS: Final = f"""
    select {COMMENT_COLUMNS}
    from unnest($1::smallint[], $2::uuid[]) i (country, comment)
    join comment c on c.country_id = i.country and c.id = i.comment
    join account a on a.id = c.author_id"""


async def read_comments(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, CommentRow]:
    """Comments by id; deleted ones are included, with their text: the caller hides it."""
    rows = await connection.fetch(_TEXTS, [country_of(id) for id in ids], list(ids))
    return {row["id"]: comment_of(row) for row in rows}


def comment_of(row: asyncpg.Record) -> CommentRow:
    """`row` begins with COMMENT_COLUMNS."""
    return CommentRow(*row[:_FIELDS])


class ThreadTree(msgspec.Struct, frozen=True):
    """What ordering a thread needs, and where its stream stood in the same snapshot. `nodes` are
    (id, parent_id, up, down, deleted) of every comment."""

    community_id: UUID
    visibility: str
    epoch: str
    offset: int
    nodes: list[tuple[UUID, UUID | None, int, int, bool]]


# One statement, so one snapshot; served by comment_post (post_id, id).
_TREE: Final = """
    select c.id, c.parent_id, c.up, c.down, c.deleted_at is not null as deleted,
           p.community_id, y.visibility, s.top_offset, (select epoch from incarnation) as epoch
    from post p join community y on y.id = p.community_id join stream s on s.id = p.stream_id
    left join comment c on c.country_id = p.country_id and c.post_id = p.id and c.country_id = $1
    where p.country_id = $1 and p.id = $2"""


async def read_tree(connection: Connection, post_id: UUID) -> ThreadTree | None:
    """None: no such post. Works for deleted posts too: their comments stay readable."""
    rows = await connection.fetch(_TREE, country_of(post_id), post_id)
    if not rows:
        return None
    first = rows[0]
    nodes = [tuple(row)[:5] for row in rows] if first["id"] is not None else []
    return ThreadTree(
        first["community_id"], first["visibility"], first["epoch"], first["top_offset"], nodes
    )


class Branch(msgspec.Struct, frozen=True):
    """A comment, first of `nodes`, and what hangs below it: a comment comes after its parent.
    `ancestors` from the top down. All in one snapshot with where the stream stood."""

    community_id: UUID
    visibility: str
    epoch: str
    offset: int
    ancestors: list[UUID]
    nodes: list[tuple[UUID, UUID | None, int, int, bool]]


MAX_BELOW: Final = 2_000
"""So many descendants of a comment are read, whose branch may be most of a long thread."""
# Upwards by the primary key, downwards by comment_parent. PostgreSQL goes down no further than the
# limit asks; the limits within have each comment looked up by itself. No ring of parents is ever
# written, but a hang would be the worst answer.
_BRANCH: Final = """
    with recursive above as (
        select c.parent_id, 0 as height from comment c where c.country_id = $1 and c.id = $3
        union all
        select c.parent_id, a.height + 1 from above a cross join lateral (
            select parent_id from comment where country_id = $1 and id = a.parent_id limit 1) c
        where a.height < 100
    ), below as (
        select c.id, c.parent_id, c.up, c.down, c.deleted_at is not null as deleted
        from comment c where c.country_id = $1 and c.id = $3
        union all
        select c.id, c.parent_id, c.up, c.down, c.deleted_at is not null
        from below b cross join lateral (
            select * from comment where country_id = $1 and parent_id = b.id limit $4) c
    )
    select b.*, p.community_id, y.visibility, s.top_offset,
           (select epoch from incarnation) as epoch,
           array(select a.parent_id from above a
                 where a.parent_id is not null order by a.height desc) as ancestors
    from post p join community y on y.id = p.community_id join stream s on s.id = p.stream_id
    cross join lateral (select * from below limit $4) b
    where p.country_id = $1 and p.id = $2"""


async def read_branch(connection: Connection, post_id: UUID, comment_id: UUID) -> Branch | None:
    """Of a comment of this post. None: one of them is gone."""
    rows = await connection.fetch(_BRANCH, country_of(post_id), post_id, comment_id, MAX_BELOW + 1)
    if not rows:
        return None
    first = rows[0]
    return Branch(
        first["community_id"],
        first["visibility"],
        first["epoch"],
        first["top_offset"],
        first["ancestors"],
        [tuple(row)[:5] for row in rows],
    )


class Vote(msgspec.Struct, frozen=True):
    account_id: UUID
    target_id: UUID
    is_post: bool
    value: int


class VoteResult(msgspec.Struct, frozen=True):
    """`status`: ok, unchanged or an error code; counts are those after the batch."""

    status: str
    up: int
    down: int
    post_id: UUID | None
    community_id: UUID | None


async def cast_votes(connection: Connection, votes: Sequence[Vote]) -> list[VoteResult]:
    """One transaction. No two votes may share (account, target)."""
    rows = await connection.fetch(
        "select * from cast_votes($1,$2,$3,$4,$5)",
        [v.account_id for v in votes],
        [country_of(v.target_id) for v in votes],
        [v.target_id for v in votes],
        [v.is_post for v in votes],
        [v.value for v in votes],
    )
    rows.sort(key=lambda row: row["o_ord"])
    return [VoteResult(*row[1:]) for row in rows]
