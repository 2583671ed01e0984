"""The table thread_summary: what a thread says, in a few sentences of its comments or of a model.

A summary goes with any text that it was made from (migrations/0028_derived.sql). Whoever writes one
holds those texts, so that none that was removed meanwhile comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from storage.identity import country_of
from storage.jobs import enqueue
from storage.postgres import Connection

ENTRYPOINT: Final = "summarise"
Mode = Literal["extractive", "generated"]

FIRST_COMMENTS: Final = 10
"""A thread with so many comments gets a summary, and the next one whenever it has doubled."""
MAX_SOURCES: Final = 40
# Comments come in bursts: the job waits until this one is likely to be over.
_DELAY_SECONDS: Final = 20.0


class SummariseJob(msgspec.Struct, frozen=True):
    post_id: UUID


class SourceText(NamedTuple):
    """A comment that stands. `accepted`: it is the post's accepted answer."""

    id: UUID
    body_markdown: str
    language: str
    up: int
    down: int
    revision: int
    accepted: bool


class GrownThread(NamedTuple):
    """`comments`: the best MAX_SOURCES, in the order of time."""

    post_id: UUID
    title: str
    body_markdown: str
    language: str
    revision: int
    country_id: int
    comment_count: int
    comments: list[SourceText]


class SummarySentence(msgspec.Struct, frozen=True):
    """`comment_ids`: where it is from."""

    text: str
    comment_ids: list[UUID]


class Summary(msgspec.Struct, frozen=True):
    post_id: UUID
    comment_count: int
    mode: Mode
    model: str
    language: str
    sentences: list[SummarySentence]
    made_at: datetime


_due_condition: Final = f"""p.deleted_at is null and p.comment_count >= {FIRST_COMMENTS}
    and not exists (select from thread_summary s
                     where s.post_id = p.id and p.comment_count < 2 * s.comment_count)"""
# Lateral with a limit: a lookup each by key, never a join over whole tables.
_ENQUEUE_DUE: Final = f"""
    with threads as materialized (
        select i.country, i.id from unnest($1::smallint[], $2::uuid[]) i (country, id)
        union
        select c.country_id, c.post_id
          from unnest($3::smallint[], $4::uuid[]) i (country, id)
         cross join lateral (select * from comment c
                              where c.country_id = i.country and c.id = i.id limit 1) c
    )
    select p.id from threads t
     cross join lateral (select p.id from post p
                          where p.country_id = t.country and p.id = t.id and {_due_condition}
                          limit 1) p
     order by p.id"""


async def enqueue_due(
    connection: Connection, posts: Sequence[UUID], comments: Sequence[UUID]
) -> None:
    """The job 'summarise' for those of the threads that have grown enough, in the caller's
    transaction; one job a thread at a time."""
    rows = await connection.fetch(
        _ENQUEUE_DUE,
        [country_of(id) for id in posts],
        list(posts),
        [country_of(id) for id in comments],
        list(comments),
    )
    for row in rows:
        await enqueue(
            connection,
            ENTRYPOINT,
            SummariseJob(row["id"]),
            dedupe_key=f"{ENTRYPOINT}:{row['id']}",
            delay_seconds=_DELAY_SECONDS,
        )


_THREAD: Final = f"""
    select p.id as post_id, p.title, p.body_markdown, p.language, p.revision, p.country_id,
           p.comment_count, p.accepted_comment_id
      from post p where p.country_id = $1 and p.id = $2 and {_due_condition}"""
# The best by their votes, of which the down votes count twice.
_SOURCES: Final = """
    select id, body_markdown, language, up, down, revision,
           coalesce(id = $3, false) as accepted
      from comment where country_id = $1 and post_id = $2 and deleted_at is null
     order by coalesce(id = $3, false) desc, up - 2 * down desc, id limit $4"""


async def read_grown(connection: Connection, post_id: UUID) -> GrownThread | None:
    """None: no summary is to be made (any more)."""
    row = await connection.fetchrow(_THREAD, country_of(post_id), post_id)
    if row is None:
        return None
    fields = dict(row)
    accepted = fields.pop("accepted_comment_id")
    rows = await connection.fetch(_SOURCES, country_of(post_id), post_id, accepted, MAX_SOURCES)
    comments = [SourceText(**dict(each)) for each in rows]
    comments.sort(key=lambda comment: comment.id)
    return GrownThread(**fields, comments=comments)


# Share locks: removals and edits wait for the commit, and then their triggers find the summary.
_HOLD_POST: Final = f"""
    select p.revision from post p
     where p.country_id = $1 and p.id = $2 and {_due_condition} for share of p"""
_HOLD_COMMENTS: Final = """
    select id, revision from comment
     where country_id = $1 and id = any($2::uuid[]) and post_id = $3 and deleted_at is null
     order by id for share"""
_WRITE: Final = """
    insert into thread_summary (post_id, comment_count, mode, model, language, sentences,
                                source_ids)
    values ($1, $2, $3, $4, $5, $6::jsonb, $7)
    on conflict (post_id) do update
       set comment_count = excluded.comment_count, mode = excluded.mode, model = excluded.model,
           language = excluded.language, sentences = excluded.sentences,
           source_ids = excluded.source_ids, made_at = excluded.made_at"""


async def write_summary(
    connection: Connection,
    thread: GrownThread,
    mode: Mode,
    model: str,
    language: str,
    sentences: Sequence[SummarySentence],
) -> bool:
    """In the caller's transaction. False: a text that it was made from has changed."""
    country = country_of(thread.post_id)
    revision = await connection.fetchval(_HOLD_POST, country, thread.post_id)
    if revision != thread.revision:
        return False
    ids = [comment.id for comment in thread.comments]
    held = await connection.fetch(_HOLD_COMMENTS, country, ids, thread.post_id)
    if {(row["id"], row["revision"]) for row in held} != {
        (comment.id, comment.revision) for comment in thread.comments
    }:
        return False
    await connection.execute(
        _WRITE, thread.post_id, thread.comment_count, mode, model, language,
        msgspec.json.encode(sentences).decode(), ids,
    )  # fmt: skip
    return True


_decode_sentences: Final = msgspec.json.Decoder(list[SummarySentence]).decode


async def read_summary(connection: Connection, post_id: UUID) -> Summary | None:
    """Whether the thread may be read is for the caller to know."""
    row = await connection.fetchrow(
        "select post_id, comment_count, mode, model, language, sentences::text, made_at"
        " from thread_summary where post_id = $1",
        post_id,
    )
    if row is None:
        return None
    return Summary(**dict(row) | {"sentences": _decode_sentences(row["sentences"])})
