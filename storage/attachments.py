"""Which posts and comments show which files: whoever may read one of them may read the file.

Rows are written before new content is (`attach`) or in the transaction that changes it (`replace`),
only for files of the content's author. They stay with content that is removed, since it may come
back; `give_up` ends that. `check` looks whether what was to be new has come to be.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import msgspec

from storage.identity import country_of
from storage.postgres import Connection, Pool, in_transaction

# Content whose transaction has not committed by now never will.
_CHECK_NEW: Final = "interval '1 hour'"


class Claim(msgspec.Struct, frozen=True):
    """Content (a post, where `content_id` is `post_id`) that is about to show files."""

    author_id: UUID
    content_id: UUID
    post_id: UUID
    media_ids: tuple[UUID, ...]


# The files are locked, so that none is deleted as an orphan meanwhile.
_ATTACH: Final = """
    with claim as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::uuid[])
            c (author, content, post, country, media)
    ), file as materialized (
        select m.id, m.owner_id from media m
        where m.id = any ($5) and m.state <> 'refused' order by m.id for no key update
    ), attached as (
        insert into media_attachment (media_id, content_id, post_id, country_id, check_at)
        select f.id, c.content, c.post, c.country, {check_at}
        from claim c join file f on f.id = c.media and f.owner_id = c.author
        order by f.id, c.content
        on conflict do nothing returning media_id
    )
    update media m set unattached_since = null
    from attached a where m.id = a.media_id and m.unattached_since is not null"""
_ATTACH_NEW: Final = _ATTACH.format(check_at=f"clock_timestamp() + {_CHECK_NEW}")
_ATTACH_STANDING: Final = _ATTACH.format(check_at="null")


async def attach(pool: Pool, claims: Sequence[Claim]) -> None:
    """Before the content is written: what shows it at once finds its files readable. Files of
    others, and what is no file, are left out."""
    if claims:
        await in_transaction(pool, lambda connection: _attach(connection, _ATTACH_NEW, claims))


async def replace(connection: Connection, claim: Claim, former_text: str) -> None:
    """The files of content that stands and is being changed are these from now on."""
    if not claim.media_ids and "/media/" not in former_text:
        return
    detached = await connection.fetch(
        "delete from media_attachment where content_id = $1 and media_id <> all ($2::uuid[])"
        " returning media_id",
        claim.content_id,
        claim.media_ids,
    )
    await _release(connection, [row["media_id"] for row in detached])
    if claim.media_ids:
        await _attach(connection, _ATTACH_STANDING, [claim])


async def carry(
    connection: Connection, was: Sequence[UUID], now: Sequence[UUID], post_id: UUID
) -> None:
    """Content of these ids is found under the others from now on, each in the thread `post_id`."""
    await connection.execute(
        "update media_attachment a set content_id = m.now, post_id = $3,"
        " country_id = id_country($3)"
        " from unnest($1::uuid[], $2::uuid[]) m (was, now) where a.content_id = m.was",
        was,
        now,
        post_id,
    )


async def _attach(connection: Connection, statement: str, claims: Sequence[Claim]) -> None:
    rows = [(claim, media_id) for claim in claims for media_id in claim.media_ids]
    await connection.execute(
        statement,
        [claim.author_id for claim, _ in rows],
        [claim.content_id for claim, _ in rows],
        [claim.post_id for claim, _ in rows],
        [country_of(claim.content_id) for claim, _ in rows],
        [media_id for _, media_id in rows],
    )


# What a member let go is an orphan from now on; what belonged to content that is given up is one
# since long, because that content had its time to come back.
_RELEASE: Final = """
    update media m set unattached_since = clock_timestamp() - make_interval(hours => $2)
    where m.id = any ($1::uuid[]) and m.unattached_since is null
      and not exists (select from media_attachment a where a.media_id = m.id)"""


async def _release(connection: Connection, media_ids: Collection[UUID], hours_ago: int = 0) -> None:
    if media_ids:
        await connection.execute(_RELEASE, sorted(media_ids), hours_ago)


async def give_up(connection: Connection, content_ids: Sequence[UUID], orphan_hours: int) -> None:
    """Content that was emptied for good shows no files any more, nor do the comments below such
    posts. What nothing else shows is deleted at the next round (storage/media_removal.py)."""
    detached = await connection.fetch(
        "delete from media_attachment where content_id = any($1::uuid[])"
        " or post_id = any($1::uuid[]) returning media_id",
        content_ids,
    )
    await _release(connection, {row["media_id"] for row in detached}, orphan_hours)


# Removed content was written too. `limit 1` as in storage/media.py.
_DUE: Final = """
    select a.media_id, a.content_id, p.id is not null and (a.content_id = a.post_id
               or c.id is not null) as written
    from (select * from media_attachment where check_at <= clock_timestamp()
          order by check_at limit $1 for update skip locked) a
    left join lateral (select id from post
        where country_id = a.country_id and id = a.post_id limit 1) p on true
    left join lateral (select id from comment
        where country_id = a.country_id and id = a.content_id limit 1) c on true"""
_EACH: Final = "unnest($1::uuid[], $2::uuid[]) i (media, content)"
_WRITTEN: Final = f"""
    update media_attachment a set check_at = null from {_EACH}
    where a.media_id = i.media and a.content_id = i.content"""
_NEVER_WRITTEN: Final = f"""
    delete from media_attachment a using {_EACH}
    where a.media_id = i.media and a.content_id = i.content"""


async def check(pool: Pool, limit: int) -> int:
    """Looks at up to `limit` attachments that are due; how many there were."""

    async def work(connection: Connection) -> int:
        due = await connection.fetch(_DUE, limit)
        written = [row for row in due if row["written"]]
        others = [row for row in due if not row["written"]]
        for statement, rows in ((_WRITTEN, written), (_NEVER_WRITTEN, others)):
            if rows:
                media_ids = [row["media_id"] for row in rows]
                await connection.execute(statement, media_ids, [row["content_id"] for row in rows])
        await _release(connection, {row["media_id"] for row in others})
        return len(due)

    return await in_transaction(pool, work)
