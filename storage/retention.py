"""What is taken away when its time is over. Each function is one transaction's work on a bounded
number of rows and says how many it settled; what is settled is not found again.
"""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

from storage import attachments
from storage.postgres import Connection

# By indexes post_purge and comment_purge, in every partition. Who holds a row may be bringing the
# content back: it is left to the next run. Tombstones and counts stay; the stored events were
# overwritten when the content was removed.
_FIND: Final = """
    select country_id, id from {table}
    where deleted_at < now() - make_interval(days => $1) and {text} <> ''
    order by deleted_at limit $2 for update skip locked"""
_EMPTY_POSTS: Final = """
    update post p set title = '', body_markdown = '', body_html = '', tags = '{}', has_poll = false
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    where p.country_id = i.country and p.id = i.id"""
_EMPTY_COMMENTS: Final = """
    update comment c set body_markdown = '', body_html = ''
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    where c.country_id = i.country and c.id = i.id"""
_REVISIONS: Final = """
    delete from revision r using unnest($1::smallint[], $2::uuid[]) i (country, id)
    where r.country_id = i.country and r.target_id = i.id"""


async def purge(
    connection: Connection,
    table: Literal["post", "comment"],
    removed_days: int,
    limit: int,
    orphan_hours: int,
) -> int:
    """Empties what was removed so long ago, former texts and polls too, and gives its files up."""
    text = "title" if table == "post" else "body_markdown"
    rows = await connection.fetch(_FIND.format(table=table, text=text), removed_days, limit)
    countries: list[int] = [row["country_id"] for row in rows]
    ids: list[UUID] = [row["id"] for row in rows]
    if ids:
        empty = _EMPTY_POSTS if table == "post" else _EMPTY_COMMENTS
        await connection.execute(empty, countries, ids)
        await connection.execute(_REVISIONS, countries, ids)
        if table == "post":
            for poll in ("poll", "poll_vote"):
                await connection.execute(f"delete from {poll} where post_id = any($1::uuid[])", ids)
        await attachments.give_up(connection, ids, orphan_hours)
    return len(ids)


Records = Literal[
    "notification", "join_request", "invitation", "community_log", "translation", "answer",
    "answer_feedback",
]  # fmt: skip

# Each by an index of migrations/0018_retention.sql, 0028_derived.sql or 0041_answers.sql.
_SINCE: Final[dict[Records, str]] = {
    "notification": "read_at",
    "join_request": "refused_at",
    "invitation": "declined_at",
    "community_log": "created_at",
    "translation": "asked_at",
    "answer": "created_at",
    "answer_feedback": "created_at",
}


async def forget(connection: Connection, table: Records, days: int, limit: int) -> int:
    """Deletes what was read, refused, declined or written so long ago."""
    status = await connection.execute(
        f"delete from {table} where ctid = any (array("
        f" select ctid from {table} where {_SINCE[table]} < now() - make_interval(days => $1)"
        f" order by {_SINCE[table]} limit $2 for update skip locked))",
        days,
        limit,
    )
    return int(status.rsplit(" ", 1)[1])
