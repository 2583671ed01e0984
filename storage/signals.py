"""The table moderation_signal: texts that moderators should look at, and how much.

Scores hold no text. Only those of note have a row, so the table stays small where communities are
large.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from storage.identity import country_of, lowest_id_at, time_ms_of
from storage.postgres import Connection

_COPIED_WITHIN_MS: Final = 86_400_000
_MOST_COPIES: Final = 10
_KNOWN_POSTS: Final = 100


class TextToScore(NamedTuple):
    """`copies`: equal texts of the author in this country within a day before, ten at most; of
    short ones none are counted. `thread_language`: of the post."""

    id: UUID
    is_post: bool
    post_id: UUID
    community_id: UUID
    revision: int
    text: str
    language: str
    thread_language: str
    author_age_hours: float
    copies: int


class Signal(NamedTuple):
    target_id: UUID
    is_post: bool
    post_id: UUID
    community_id: UUID
    revision: int
    scorer: int
    scam: float
    spam: float
    language: float
    off_topic: float
    reasons: tuple[str, ...]


# Lateral with a limit: a lookup each by key, never a join over whole tables. Equal texts by
# post_author and comment_author: what the author wrote within a day.
_POSTS: Final = """
    select p.id, true, p.id as post_id, p.community_id, p.revision,
           p.title || E'\\n' || p.body_markdown, p.language, p.language as thread_language,
           (extract(epoch from p.created_at - a.created_at) / 3600)::float8, o.copies
      from unnest($1::smallint[], $2::uuid[], $3::uuid[]) i (country, id, since)
     cross join lateral (select * from post p where p.country_id = i.country and p.id = i.id
                            and p.deleted_at is null limit 1) p
      join account a on a.id = p.author_id
      cross join lateral (
          select count(*)::int as copies from (
              select from post q
               where q.country_id = i.country and q.author_id = p.author_id
                 and q.id > i.since and q.id < p.id and length(p.body_markdown) >= 40
                 and q.body_markdown = p.body_markdown limit $4) found) o"""
_COMMENTS: Final = """
    select c.id, false, c.post_id, p.community_id, c.revision, c.body_markdown, c.language,
           p.language as thread_language,
           (extract(epoch from c.created_at - a.created_at) / 3600)::float8, o.copies
      from unnest($1::smallint[], $2::uuid[], $3::uuid[]) i (country, id, since)
     cross join lateral (select * from comment c where c.country_id = i.country and c.id = i.id
                            and c.deleted_at is null limit 1) c
     cross join lateral (select * from post p where p.country_id = i.country
                            and p.id = c.post_id and p.deleted_at is null limit 1) p
      join account a on a.id = c.author_id
      cross join lateral (
          select count(*)::int as copies from (
              select from comment q
               where q.country_id = i.country and q.author_id = c.author_id
                 and q.id > i.since and q.id < c.id and length(c.body_markdown) >= 40
                 and q.body_markdown = c.body_markdown limit $4) found) o"""


async def read_texts(
    connection: Connection, posts: Sequence[UUID], comments: Sequence[UUID]
) -> list[TextToScore]:
    """Those of them that stand."""
    found: list[TextToScore] = []
    for statement, ids in ((_POSTS, posts), (_COMMENTS, comments)):
        if ids:
            rows = await connection.fetch(
                statement,
                [country_of(id) for id in ids],
                list(ids),
                [lowest_id_at(max(0, time_ms_of(id) - _COPIED_WITHIN_MS)) for id in ids],
                _MOST_COPIES,
            )
            found += (TextToScore(*row) for row in rows)
    return found


class Habit(NamedTuple):
    """`same` of the `known` newest posts of a community are in a language."""

    same: int
    known: int


# By post_new.
_HABITS: Final = """
    select i.community, i.language, count(*) filter (where p.language = i.language) as same,
           count(*) as known
      from unnest($1::smallint[], $2::uuid[], $3::text[]) i (country, community, language)
      cross join lateral (
          select split_part(q.language, '-', 1) as language from post q
           where q.country_id = i.country and q.community_id = i.community
             and q.deleted_at is null
           order by q.id desc limit $4) p
     group by 1, 2"""


async def read_habits(
    connection: Connection, wanted: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], Habit]:
    """By community and primary language; a community without posts is left out."""
    rows = await connection.fetch(
        _HABITS,
        [country_of(community) for community, _ in wanted],
        [community for community, _ in wanted],
        [language for _, language in wanted],
        _KNOWN_POSTS,
    )
    return {(row["community"], row["language"]): Habit(row["same"], row["known"]) for row in rows}


# Of two runs at once the one with the newer text wins.
_WRITE: Final = """
    insert into moderation_signal as s (target_id, is_post, post_id, community_id, revision,
                                        scorer, scam, spam, language, off_topic, reasons)
    select target_id, is_post, post_id, community_id, revision, scorer, scam, spam, language,
           off_topic, string_to_array(nullif(reasons, ''), ',')
      from unnest($1::uuid[], $2::boolean[], $3::uuid[], $4::uuid[], $5::int[], $6::int[],
                  $7::real[], $8::real[], $9::real[], $10::real[], $11::text[])
           as i (target_id, is_post, post_id, community_id, revision, scorer, scam, spam, language,
                 off_topic, reasons)
     order by target_id
    on conflict (target_id) do update
       set community_id = excluded.community_id, post_id = excluded.post_id,
           revision = excluded.revision, scorer = excluded.scorer, scam = excluded.scam,
           spam = excluded.spam, language = excluded.language, off_topic = excluded.off_topic,
           reasons = excluded.reasons, scored_at = excluded.scored_at
     where s.revision <= excluded.revision
       and (s.post_id, s.community_id, s.revision, s.scorer, s.scam, s.spam, s.language,
            s.off_topic, s.reasons)
           is distinct from (excluded.post_id, excluded.community_id, excluded.revision,
                             excluded.scorer, excluded.scam, excluded.spam, excluded.language,
                             excluded.off_topic, excluded.reasons)"""


async def write_signals(
    connection: Connection, signals: Sequence[Signal], settled: Sequence[UUID]
) -> None:
    """In the caller's transaction. What is `settled` is not to be looked at (any more)."""
    await connection.execute(
        "delete from moderation_signal where target_id = any($1::uuid[])", list(settled)
    )
    columns = list(zip(*signals, strict=True)) or [()] * len(Signal._fields)
    await connection.execute(_WRITE, *columns[:-1], [",".join(reasons) for reasons in columns[-1]])


class Standing(NamedTuple):
    """`role`: in the community, None for none. `may_read`: that community."""

    site_role: str
    role: str | None
    may_read: bool


_STANDING: Final = """
    select case when r.status = 'active' then r.role else 'member' end, m.role,
           coalesce(may_read(r.role, y.visibility, m.role), false)
      from account r
      left join community y on y.id = $2
      left join membership m on m.community_id = y.id and m.account_id = r.id
     where r.id = $1"""


async def read_standing(
    connection: Connection, account_id: UUID, community_id: UUID | None
) -> Standing:
    """Of an account that is gone: none."""
    row = await connection.fetchrow(_STANDING, account_id, community_id)
    return Standing("member", None, False) if row is None else Standing(*row)


class SignalRow(msgspec.Struct, frozen=True):
    """With what moderators need to see of the text: `excerpt` is its beginning, as Markdown."""

    target_id: UUID
    is_post: bool
    post_id: UUID
    community_id: UUID
    country_id: int
    scam: float
    spam: float
    language: float
    off_topic: float
    worst: float
    reasons: list[str]
    scored_at: datetime
    title: str
    excerpt: str
    author_id: UUID
    handle: str
    display_name: str


SignalPlace = tuple[float, UUID]
FIRST_SIGNAL: Final[SignalPlace] = (2.0, UUID(int=0))

# By moderation_signal_community or moderation_signal_worst; the texts by key.
_LIST: Final = """
    select s.target_id, s.is_post, s.post_id, s.community_id, y.country_id, s.scam, s.spam,
           s.language, s.off_topic, s.worst, s.reasons, s.scored_at, p.title,
           left(case when s.is_post then p.body_markdown else c.body_markdown end, 300),
           a.id, a.handle, a.display_name
      from moderation_signal s
      join community y on y.id = s.community_id
      left join membership m on m.community_id = y.id and m.account_id = $1
      join account r on r.id = $1
      join lateral (select * from post p where p.country_id = y.country_id and p.id = s.post_id
                       and p.deleted_at is null limit 1) p on true
      left join lateral (select * from comment c where not s.is_post
                            and c.country_id = y.country_id and c.id = s.target_id
                            and c.deleted_at is null limit 1) c on true
      join account a on a.id = case when s.is_post then p.author_id else c.author_id end
     where {scope} (s.worst, s.target_id) < ($3::real, $4::uuid)
       and case $5::text when 'scam' then s.scam when 'spam' then s.spam
               when 'language' then s.language when 'off_topic' then s.off_topic
               else s.worst end >= $6::real
       and may_read(r.role, y.visibility, m.role)
     order by s.worst desc, s.target_id desc limit $7"""
_OF_COMMUNITY: Final = _LIST.format(scope="s.community_id = $2 and")
_OF_ALL: Final = _LIST.format(scope="$2::uuid is null and")


async def list_signals(
    connection: Connection,
    account_id: UUID,
    community_id: UUID | None,
    kind: str | None,
    least: float,
    after: SignalPlace,
    limit: int,
) -> list[SignalRow]:
    """The worst first, of what the account may read; whether it may know of them is the caller's
    to decide."""
    statement = _OF_ALL if community_id is None else _OF_COMMUNITY
    rows = await connection.fetch(statement, account_id, community_id, *after, kind, least, limit)
    return [SignalRow(*row) for row in rows]
