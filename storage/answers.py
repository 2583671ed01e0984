"""The tables answer, answer_source and answer_feedback: what the assistant has answered.

An answer is used again only while all that it cites stands as it was and its reader may read it.
Triggers take it away with its sources (migrations/0041_answers.sql); the check on reading is for
who may no longer read what others still may.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from storage.identity import country_of
from storage.postgres import Connection

SourceKind = Literal["post", "comment", "guide"]
Mode = Literal["generated", "extractive", "not_found"]
Verdict = Literal["helpful", "wrong"]


class CitedSource(NamedTuple):
    """`post_id`: the thread of a comment."""

    id: UUID
    kind: SourceKind
    version: int
    post_id: UUID | None


class NewAnswer(NamedTuple):
    """`sources` and `answer` are JSON, as members get them."""

    id: UUID
    account_id: UUID | None
    cache_key: bytes
    question: str
    country_id: int
    language: str
    mode: Mode
    sources: str
    answer: str
    cited: Sequence[CitedSource]


class KeptAnswer(NamedTuple):
    """`sources` and `answer` are JSON."""

    id: UUID
    mode: Mode
    sources: bytes
    answer: bytes
    created_at: datetime


# Of a member with nothing but public communities, no office and nobody muted the answers are
# everybody's.
_SCOPE: Final = """
    select a.role <> 'member' or exists (
        select from membership m join community y on y.id = m.community_id
        where m.account_id = a.id and m.role <> 'banned' and y.visibility <> 'public')
        or exists (select from account_mute u where u.account_id = a.id)
    from account a where a.id = $1"""


async def reads_otherwise_than_guests(connection: Connection, account_id: UUID) -> bool:
    return bool(await connection.fetchval(_SCOPE, account_id))


# By index answer_key. Each source by its primary key, with its country. What was not found before
# all there is could be searched may be there now, after an import for example. Muting takes an
# answer from who muted also where only the thread of a cited comment is theirs: its title is shown.
_FIND: Final = """
    select a.id, a.mode, a.sources::text, a.answer::text, a.created_at
    from answer a
    where a.cache_key = $1
      and a.created_at > now() - make_interval(
              secs => case when a.mode = 'not_found' then $3::float8 else $2::float8 end)
      and (a.mode <> 'not_found' or a.created_at > (
          select g.finished_at from embedding_generation g where g.state = 'serving'))
      and not exists (
          select from answer_source s where s.answer_id = a.id and not case s.kind
              when 'guide' then exists (
                  select from guide g
                  where g.id = s.source_id and g.version = s.version and g.withdrawn_at is null)
              when 'comment' then exists (
                  select from comment c
                  where c.country_id = s.country_id and c.id = s.source_id
                    and c.revision = s.version and c.deleted_at is null
                    and not exists (select from account_mute u
                                    where u.account_id = $4 and u.muted_id = c.author_id))
              else exists (
                  select from post p join community y on y.id = p.community_id
                  left join account v on v.id = $4
                  left join membership m on m.community_id = y.id and m.account_id = v.id
                  where p.country_id = s.country_id and p.id = s.source_id
                    and p.revision = s.version and p.deleted_at is null
                    and may_read(v.role, y.visibility, m.role)
                    and not exists (select from account_mute u
                                    where u.account_id = $4 and u.muted_id = p.author_id))
              end)
    order by a.created_at desc limit 1"""


async def find(
    connection: Connection,
    cache_key: bytes,
    account_id: UUID | None,
    *,
    seconds: float,
    not_found_seconds: float,
) -> KeptAnswer | None:
    """The newest under that key that may be shown to the account (None: a guest)."""
    row = await connection.fetchrow(_FIND, cache_key, seconds, not_found_seconds, account_id)
    if row is None:
        return None
    return KeptAnswer(row[0], row[1], row[2].encode(), row[3].encode(), row[4])


# `for share`: who edits or removes one of them waits for the commit, and its trigger then finds the
# answer. Threads before comments, as everybody locks them.
_LOCK: Final = """
    with posts as (
        select p.id, p.revision as version from post p
        join unnest($1::uuid[], $2::smallint[], $3::text[]) s (id, country, kind)
          on s.kind = 'post' and p.country_id = s.country and p.id = s.id
        where p.deleted_at is null order by p.id for share of p
    ), comments as (
        select c.id, c.revision as version from comment c
        join unnest($1::uuid[], $2::smallint[], $3::text[]) s (id, country, kind)
          on s.kind = 'comment' and c.country_id = s.country and c.id = s.id
        where c.deleted_at is null and (select count(*) from posts) >= 0
        order by c.id for share of c
    ), guides as (
        select g.id, g.version from guide g
        where g.id = any ($1::uuid[]) and g.withdrawn_at is null
        order by g.id for share
    )
    select id, version from posts
    union all select id, version from comments
    union all select id, version from guides"""
_INSERT: Final = """
    insert into answer (id, account_id, cache_key, question, country_id, language, mode, sources,
                        answer)
    values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9::text::jsonb)"""
_INSERT_SOURCES: Final = """
    insert into answer_source (answer_id, source_id, country_id, kind, version)
    select $1, s.id, s.country, s.kind, s.version
    from unnest($2::uuid[], $3::smallint[], $4::text[], $5::int[]) s (id, country, kind, version)"""


async def keep(connection: Connection, new: NewAnswer) -> bool:
    """In a transaction. False: a source has changed since it was read, and nothing is kept."""
    kinds: dict[UUID, SourceKind] = {cited.id: cited.kind for cited in new.cited}
    for cited in new.cited:
        if cited.post_id is not None:
            kinds.setdefault(cited.post_id, "post")
    ids = sorted(kinds)
    countries = [country_of(id) for id in ids]
    spelled = [kinds[id] for id in ids]
    versions: dict[UUID, int] = {}
    if ids:
        rows = await connection.fetch(_LOCK, ids, countries, spelled)
        versions = {row["id"]: row["version"] for row in rows}
        if len(versions) < len(ids) or any(
            versions[cited.id] != cited.version for cited in new.cited
        ):
            return False
    await connection.execute(_INSERT, *new[:9])
    if not ids:
        return True
    found = [versions[id] for id in ids]
    await connection.execute(_INSERT_SOURCES, new.id, ids, countries, spelled, found)
    return True


# An answer that its giver may not have seen is none to them: whoever asked, or anybody where it
# cites nothing that is not public.
_FEEDBACK: Final = """
    insert into answer_feedback (account_id, answer_id, verdict, note, question, country_id,
                                 language, mode)
    select $1, a.id, $3, $4, a.question, a.country_id, a.language, a.mode
    from answer a
    where a.id = $2 and (a.account_id = $1 or not exists (
        select from answer_source s
        join post p on p.country_id = s.country_id and p.id = s.source_id
        join community y on y.id = p.community_id
        left join account v on v.id = $1
        left join membership m on m.community_id = y.id and m.account_id = v.id
        where s.answer_id = a.id and s.kind = 'post'
          and not may_read(v.role, y.visibility, m.role)))
    on conflict (account_id, answer_id) do update
        set verdict = excluded.verdict, note = excluded.note, created_at = clock_timestamp()"""


async def give_feedback(
    connection: Connection, account_id: UUID, answer_id: UUID, verdict: Verdict, note: str
) -> bool:
    """The newest of an account counts. False: there is no such answer, or not any more."""
    status = await connection.execute(_FEEDBACK, account_id, answer_id, verdict, note)
    return status.endswith(" 1")
