"""Writing what a dump brings: no events, no notifications; but each thread has its stream, and a
job has it found.

Ids follow from the dump (serve_app/dump.py), so what is there already is found by id and left as it
is, also where members have edited or deleted it since. One import at a time: `lock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from config.errors import AppError
from storage.identity import NO_COUNTRY, country_of, new_id, time_ms_of
from storage.postgres import Connection
from storage.search.index_jobs import IndexJob, enqueue_index

_LOCK_KEY: Final = int.from_bytes(b"serai-im")
_LOCK_POLL_SECONDS: Final = 0.1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AccountToImport(msgspec.Struct, frozen=True):
    """`reference` is the handle in the dump; `spare_handle` serves where `handle` is taken."""

    id: UUID
    reference: str
    handle: str
    spare_handle: str
    display_name: str
    languages: tuple[str, ...]
    created_at: datetime


class CommentToImport(msgspec.Struct, frozen=True):
    id: UUID
    parent_id: UUID | None
    depth: int
    author_id: UUID
    body_markdown: str
    body_html: str
    language: str
    up: int
    down: int
    reference: str


class PostToImport(msgspec.Struct, frozen=True):
    id: UUID
    community_id: UUID
    visa_type: str | None
    author_id: UUID
    title: str
    body_markdown: str
    body_html: str
    language: str
    tags: tuple[str, ...]
    up: int
    down: int
    accepted_comment_id: UUID | None
    reference: str
    comments: list[CommentToImport]


class Written(NamedTuple):
    posts: int
    comments: int


async def lock(connection: Connection, patience_seconds: float) -> None:
    """Held until the connection ends. An import that was killed a moment ago may still hold it: the
    server notices late. Raises AppError `conflict` when another one runs on."""
    try:
        async with asyncio.timeout(patience_seconds):
            while True:
                if await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK_KEY):
                    return
                await asyncio.sleep(_LOCK_POLL_SECONDS)
    except TimeoutError:
        raise AppError("conflict", "Another import is running on this database.") from None


# ---------------------------------------------------------------- communities


async def read_directory(connection: Connection) -> dict[tuple[int, str | None], UUID]:
    """The communities of countries (visa type None) and of visa types."""
    rows = await connection.fetch(
        "select country_id, visa_type, id from community where kind in ('country', 'visa')"
    )
    return {(row["country_id"], row["visa_type"]): row["id"] for row in rows}


# One statement: a group never stands without its stream.
_MAKE_GROUP: Final = """
    with stream as (insert into stream (channel) values ('community:' || $1::uuid) returning id)
    insert into community (id, country_id, slug, name, kind, stream_id)
    select $1, $2, $3, $4, 'group', id from stream"""


async def find_or_make_group(connection: Connection, slug: str, name: str) -> UUID | None:
    """None: the slug belongs to something else, or to a private group."""
    find = (
        "select id, kind = 'group' and visibility = 'public' as fits from community where slug = $1"
    )
    row = await connection.fetchrow(find, slug)
    if row is None:
        try:
            async with connection.transaction():
                await connection.execute(_MAKE_GROUP, new_id(NO_COUNTRY), NO_COUNTRY, slug, name)
        except asyncpg.UniqueViolationError:
            pass  # made by somebody else in this moment
        row = await connection.fetchrow(find, slug)
    return row["id"] if row is not None and row["fits"] else None


# ---------------------------------------------------------------- accounts

_WRITE_ACCOUNTS: Final = """
    with input as materialized (
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                             $6::timestamptz[])
            i (id, handle, display_name, languages, reference, created_at)
    ), streams as (
        insert into stream (channel) select 'user:' || id from input returning id, channel
    )
    insert into account (id, handle, display_name, languages, imported, imported_ref, stream_id,
                         created_at)
    select i.id, i.handle, i.display_name,
           array(select jsonb_array_elements_text(i.languages::jsonb)), true, i.reference, s.id,
           i.created_at
    from input i join streams s on s.channel = 'user:' || i.id"""


async def write_accounts(
    connection: Connection, accounts: Sequence[AccountToImport]
) -> tuple[int, list[int]]:
    """How many were new, and the places of those whose name belongs to an account of another dump.
    No two may share a reference."""
    async with connection.transaction():
        known = {
            row["imported_ref"]: row["id"]
            for row in await connection.fetch(
                "select imported_ref, id from account where imported_ref = any($1::text[])",
                [account.reference for account in accounts],
            )
        }
        foreign = [
            place
            for place, account in enumerate(accounts)
            if known.get(account.reference, account.id) != account.id
        ]
        fresh = [account for account in accounts if account.reference not in known]
        if fresh:
            handles = await _free_handles(connection, fresh)
            await connection.execute(
                _WRITE_ACCOUNTS,
                [account.id for account in fresh],
                handles,
                [account.display_name for account in fresh],
                [_json(account.languages) for account in fresh],
                [account.reference for account in fresh],
                [account.created_at for account in fresh],
            )
    return len(fresh), foreign


async def _free_handles(connection: Connection, accounts: Sequence[AccountToImport]) -> list[str]:
    rows = await connection.fetch(
        "select given as handle from unnest($1::text[]) given where exists ("
        " select from account where lower(handle) in (given, retired_handle(given)))",
        [account.handle for account in accounts],
    )
    taken = {row["handle"] for row in rows}
    handles: list[str] = []
    for account in accounts:
        handle = account.spare_handle if account.handle in taken else account.handle
        taken.add(handle)
        handles.append(handle)
    return handles


async def find_authors(connection: Connection, references: Sequence[str]) -> dict[str, UUID]:
    """Imported accounts by their handles in the dump, whatever they are called now."""
    rows = await connection.fetch(
        "select imported_ref, id from account where imported_ref = any($1::text[])",
        list(references),
    )
    return {row["imported_ref"]: row["id"] for row in rows}


# ---------------------------------------------------------------- threads

_KNOWN_POSTS: Final = """
    select p.id, p.stream_id from unnest($1::smallint[], $2::uuid[]) i (country, id)
    join post p on p.country_id = i.country and p.id = i.id"""
# By comment_post.
_KNOWN_COMMENTS: Final = """
    select c.id from unnest($1::smallint[], $2::uuid[]) i (country, post)
    join comment c on c.country_id = i.country and c.post_id = i.post"""
_WRITE_POSTS: Final = """
    with input as materialized (
        select * from unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[],
                             $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                             $11::int[], $12::int[], $13::uuid[], $14::text[], $15::int[],
                             $16::timestamptz[])
            i (country, id, community, visa_type, author, title, markdown, html, language, tags,
               up, down, accepted, reference, comment_count, last_comment_at)
    ), threads as (
        insert into stream (channel) select 'thread:' || id from input returning id, channel
    )
    insert into post (country_id, id, community_id, visa_type, author_id, stream_id, title,
                      body_markdown, body_html, language, tags, up, down, hot, comment_count,
                      last_comment_at, accepted_comment_id, created_at, imported_ref)
    select i.country, i.id, i.community, i.visa_type, i.author, t.id, i.title, i.markdown, i.html,
           i.language, array(select jsonb_array_elements_text(i.tags::jsonb)), i.up, i.down,
           hot_rank(i.up, i.down, id_ms(i.id)), i.comment_count, i.last_comment_at, i.accepted,
           to_timestamp(id_ms(i.id) / 1000.0), i.reference
    from input i join threads t on t.channel = 'thread:' || i.id"""
_COMMENT_COLUMNS: Final = (
    "country_id", "id", "post_id", "parent_id", "depth", "author_id", "body_markdown", "body_html",
    "language", "up", "down", "created_at", "imported_ref",
)  # fmt: skip
_COUNT: Final = """
    update post p set comment_count = p.comment_count + i.n,
           last_comment_at = greatest(p.last_comment_at, i.last_at)
    from unnest($1::smallint[], $2::uuid[], $3::int[], $4::timestamptz[])
         i (country, id, n, last_at)
    where p.country_id = i.country and p.id = i.id"""


async def write_threads(connection: Connection, posts: Sequence[PostToImport]) -> Written:
    """One transaction; counts what was new. No two posts may share an id.

    A thread that is there already gets the comments that it does not have yet.
    """
    if not posts:
        return Written(0, 0)
    async with connection.transaction():
        known = {
            row["id"]: row["stream_id"]
            for row in await connection.fetch(
                _KNOWN_POSTS, [country_of(post.id) for post in posts], [post.id for post in posts]
            )
        }
        fresh = [post for post in posts if post.id not in known]
        there = [post for post in posts if post.id in known]
        await _write_posts(connection, fresh)
        grown = await _grown(connection, there, known)
        whole = (*_whole(fresh), *grown)
        records = [record for post, comments in whole for record in _records(post, comments)]
        if records:
            await connection.copy_records_to_table(
                "comment", records=records, columns=_COMMENT_COLUMNS
            )
        if grown:
            await connection.execute(
                _COUNT,
                [country_of(post.id) for post, _ in grown],
                [post.id for post, _ in grown],
                [len(comments) for _, comments in grown],
                [_last(comments) for _, comments in grown],
            )
        if fresh or records:
            arrived = [comment.id for _, comments in whole for comment in comments]
            found = IndexJob(posts=[post.id for post in fresh], comments=arrived)
            await enqueue_index(connection, found)
    return Written(len(fresh), len(records))


Grown = list[tuple[PostToImport, list[CommentToImport]]]


def _whole(posts: Sequence[PostToImport]) -> Grown:
    return [(post, post.comments) for post in posts]


async def _grown(
    connection: Connection, posts: Sequence[PostToImport], streams: dict[UUID, int]
) -> Grown:
    """Posts with comments that are not there yet, their streams and rows locked."""
    if not posts:
        return []
    rows = await connection.fetch(
        _KNOWN_COMMENTS, [country_of(post.id) for post in posts], [post.id for post in posts]
    )
    known = {row["id"] for row in rows}
    grown = [(post, [c for c in post.comments if c.id not in known]) for post in posts]
    grown = [(post, comments) for post, comments in grown if comments]
    if grown:
        # The one order of locks: streams, then posts.
        await connection.execute(
            "select from stream where id = any($1::bigint[]) order by id for update",
            [streams[post.id] for post, _ in grown],
        )
        await connection.execute(
            "select from post p join unnest($1::smallint[], $2::uuid[]) i (country, id)"
            " on p.country_id = i.country and p.id = i.id order by p.id for no key update of p",
            [country_of(post.id) for post, _ in grown],
            [post.id for post, _ in grown],
        )
    return grown


async def _write_posts(connection: Connection, posts: Sequence[PostToImport]) -> None:
    if posts:
        await connection.execute(
            _WRITE_POSTS,
            [country_of(post.id) for post in posts],
            [post.id for post in posts],
            [post.community_id for post in posts],
            [post.visa_type for post in posts],
            [post.author_id for post in posts],
            [post.title for post in posts],
            [post.body_markdown for post in posts],
            [post.body_html for post in posts],
            [post.language for post in posts],
            [_json(post.tags) for post in posts],
            [post.up for post in posts],
            [post.down for post in posts],
            [post.accepted_comment_id for post in posts],
            [post.reference for post in posts],
            [len(post.comments) for post in posts],
            [_last(post.comments) for post in posts],
        )


def _records(post: PostToImport, comments: Sequence[CommentToImport]) -> list[tuple[object, ...]]:
    country = country_of(post.id)
    return [
        (
            country, c.id, post.id, c.parent_id, c.depth, c.author_id, c.body_markdown, c.body_html,
            c.language, c.up, c.down, _moment(c.id), c.reference,
        )
        for c in comments
    ]  # fmt: skip


def _last(comments: Sequence[CommentToImport]) -> datetime | None:
    return max((_moment(comment.id) for comment in comments), default=None)


def _moment(id: UUID) -> datetime:
    """Exactly the milliseconds of the id, beyond what a float of seconds can say."""
    return _EPOCH + timedelta(milliseconds=time_ms_of(id))


def _json(texts: Sequence[str]) -> str:
    return msgspec.json.encode(texts).decode()


async def analyze(connection: Connection) -> None:
    """Fresh tables have no statistics yet, and the first feeds would be planned blindly."""
    await connection.execute("analyze account, stream, community, post, comment, timeline")
