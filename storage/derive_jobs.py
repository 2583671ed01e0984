"""The job 'derive', enqueued by the job 'index' for what it is about, and by 'embed' for posts that
have got their vectors.

derive ─▶ scores for moderators (storage/signals.py)
     └──▶ the job 'summarise' for threads that have grown enough (storage/summaries.py)
"""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID

import msgspec

from storage.identity import country_of
from storage.jobs import enqueue
from storage.postgres import Connection

ENTRYPOINT: Final = "derive"


class DeriveJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """`threads`: posts with all of their comments."""

    posts: list[UUID] = []
    comments: list[UUID] = []
    threads: list[UUID] = []


_VERSIONS: Final = """
    select concat_ws(':', i.id, p.revision, p.deleted_at, p.community_id) as version
      from unnest($1::smallint[], $2::uuid[]) i (country, id)
      left join lateral (select * from post p
                          where p.country_id = i.country and p.id = i.id limit 1) p on true
    union all
    select concat_ws(':', i.id, c.revision, c.deleted_at, c.post_id)
      from unnest($3::smallint[], $4::uuid[]) i (country, id)
      left join lateral (select * from comment c
                          where c.country_id = i.country and c.id = i.id limit 1) c on true
     order by 1"""


async def enqueue_derive(connection: Connection, job: DeriveJob, after: str = "index") -> None:
    """In the caller's transaction; nothing where there is nothing. By a key of what the texts are
    now: one that runs under it has read these or later ones, and what the job `after` had made."""
    posts = [*job.posts, *job.threads]
    if not posts and not job.comments:
        return
    rows = await connection.fetch(
        _VERSIONS,
        [country_of(id) for id in posts],
        posts,
        [country_of(id) for id in job.comments],
        job.comments,
    )
    versions = "\n".join([*(row["version"] for row in rows), *map(str, job.threads)])
    key = f"{ENTRYPOINT}:{after}:{hashlib.sha256(versions.encode()).hexdigest()}"
    await enqueue(connection, ENTRYPOINT, job, dedupe_key=key)
