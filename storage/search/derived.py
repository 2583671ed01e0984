"""What the job 'index' has done besides: the jobs that make vectors of a text.

Each has a key of the versions that it is about, so that a second run of 'index' adds none while the
first one's waits; one that comes later finds its work done. A job that has begun under this key has
read these versions or later ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal

import asyncpg

from storage.chunks import EMBED_ENTRYPOINT, EmbedJob
from storage.identity import country_of
from storage.jobs import enqueue
from storage.postgres import Connection
from storage.search.index_jobs import IndexJob

_AT_ONCE: Final = 16

# What stands. A post stands for its accepted answer as well; other comments are not embedded.
_VERSIONS: Final = """
    select 'posts' as kind, p.id,
           concat_ws(':', p.id, p.revision, p.accepted_comment_id) as version,
           p.deleted_at is null as stands
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    join post p on p.country_id = i.country and p.id = i.id
    union all
    select 'comments', c.id, concat_ws(':', c.id, c.revision, p.revision),
           p.deleted_at is null and c.deleted_at is null
    from unnest($3::smallint[], $4::uuid[]) i (country, id)
    join comment c on c.country_id = i.country and c.id = i.id
    join post p on p.country_id = c.country_id and p.id = c.post_id
    where p.accepted_comment_id = c.id
    union all
    select 'guides', g.id, concat_ws(':', g.id, g.version), g.withdrawn_at is null
    from guide g where g.id = any ($5::uuid[])
    order by 1, 2"""


async def enqueue_derived(connection: Connection, job: IndexJob) -> None:
    posts = [*job.posts, *job.threads]
    if not (posts or job.comments or job.guides):
        return
    rows = await connection.fetch(
        _VERSIONS,
        [country_of(id) for id in posts], posts,
        [country_of(id) for id in job.comments], job.comments,
        job.guides,
    )  # fmt: skip
    for kind in ("posts", "comments", "guides"):
        await _enqueue_embed(
            connection, kind, [row for row in rows if row["kind"] == kind and row["stands"]]
        )


async def _enqueue_embed(
    connection: Connection,
    kind: Literal["posts", "comments", "guides"],
    rows: Sequence[asyncpg.Record],
) -> None:
    for at in range(0, len(rows), _AT_ONCE):
        part = rows[at : at + _AT_ONCE]
        versions = "\n".join(row["version"] for row in part)
        key = f"{EMBED_ENTRYPOINT}:{hashlib.sha256(versions.encode()).hexdigest()}"
        job = EmbedJob(**{kind: [row["id"] for row in part]})
        await enqueue(connection, EMBED_ENTRYPOINT, job, dedupe_key=key)
