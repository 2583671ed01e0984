"""The chunks of posts, accepted answers and guides, with their vectors: what is embedded, and its
writing. Searching is in chunk_search.py.

    read_sources ─▶ (cut and embedded, which takes seconds and holds nothing) ─▶ replace_chunks

A text may change between the two. It is written only while the row that it was read from is locked
and of the same version; a change that comes later deletes it again (triggers of
migrations/0023_chunks.sql). So no chunk outlives its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from storage.chunk_generations import Generation, Place, table_of
from storage.identity import country_of
from storage.postgres import Connection

SourceKind = Literal["post", "comment", "guide"]
EMBED_ENTRYPOINT: Final = "embed"


class EmbedJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """What may have changed; who reads it finds what stands. A post stands for its accepted answer
    too, a comment that is no accepted answer for nothing."""

    posts: list[UUID] = []
    comments: list[UUID] = []
    guides: list[UUID] = []


class Source(msgspec.Struct, frozen=True):
    """`title`: of a comment that of its thread, whose version is `thread_version`."""

    kind: SourceKind
    id: UUID
    country_id: int
    version: int
    thread_version: int | None
    title: str
    body_markdown: str
    language: str
    official: bool
    as_of: date | None
    created_at: datetime


class Piece(NamedTuple):
    """`embedding`: as many floats as the generation has dimensions."""

    text: str
    embedding: Sequence[float]


_POSTS: Final = """
    select 'post', p.id, p.country_id, p.revision, null::int, p.title, p.body_markdown, p.language,
           false, null::date, p.created_at
    from post p
    where (p.country_id, p.id) in (select * from unnest($1::smallint[], $2::uuid[]))
      and p.deleted_at is null"""
_COMMENT: Final = """
    select 'comment', c.id, c.country_id, c.revision, p.revision, p.title, c.body_markdown,
           c.language, false, null::date, c.created_at"""
_ANSWERS: Final = f"""{_COMMENT}
    from post p
    join comment c on c.country_id = p.country_id and c.id = p.accepted_comment_id
    where (p.country_id, p.id) in (select * from unnest($1::smallint[], $2::uuid[]))
      and p.deleted_at is null and c.deleted_at is null"""
_COMMENTS: Final = f"""{_COMMENT}
    from comment c
    join post p on p.country_id = c.country_id and p.id = c.post_id
    where (c.country_id, c.id) in (select * from unnest($3::smallint[], $4::uuid[]))
      and p.accepted_comment_id = c.id and p.deleted_at is null and c.deleted_at is null"""
_GUIDES: Final = """
    select 'guide', g.id, g.country_id, g.version, null::int, g.title, g.body_markdown, g.language,
           true, g.as_of, g.created_at
    from guide g where g.id = any($5::uuid[]) and g.withdrawn_at is null"""
_SOURCES: Final = f"{_POSTS} union all {_ANSWERS} union all {_COMMENTS} union all {_GUIDES}"


async def read_sources(connection: Connection, wanted: EmbedJob) -> list[Source]:
    """What of it stands, by id."""
    rows = await connection.fetch(
        _SOURCES,
        [country_of(id) for id in wanted.posts], wanted.posts,
        [country_of(id) for id in wanted.comments], wanted.comments, wanted.guides,
    )  # fmt: skip
    found = {row[1]: Source(*row) for row in rows}
    return [found[id] for id in sorted(found)]


async def up_to_date(
    connection: Connection, generation: Generation, sources: Sequence[Source]
) -> set[UUID]:
    """Those whose chunks are of the version that was read."""
    rows = await connection.fetch(
        f"select source_id, version from {table_of(generation)}"
        " where (country_id, source_id) in (select * from unnest($1::smallint[], $2::uuid[]))"
        "   and ordinal = 0",
        [source.country_id for source in sources],
        [source.id for source in sources],
    )
    versions = {row["source_id"]: row["version"] for row in rows}
    return {source.id for source in sources if versions.get(source.id) == source.version}


# The thread before its comment, as everybody locks them. `no key update`: two that write the same
# chunks go one after the other.
_LOCK_THREAD: Final = """
    select p.revision from post p
    where p.country_id = $1 and p.id = (
              select c.post_id from comment c where c.country_id = $1 and c.id = $2)
      and p.accepted_comment_id = $2 and p.deleted_at is null
    for no key update"""
_LOCK: Final[dict[SourceKind, str]] = {
    "post": "select revision from post where country_id = $1 and id = $2 and deleted_at is null"
    " for no key update",
    "comment": "select revision from comment"
    " where country_id = $1 and id = $2 and deleted_at is null for no key update",
    "guide": "select version from guide"
    " where country_id = $1 and id = $2 and withdrawn_at is null for no key update",
}


async def replace_chunks(
    connection: Connection, generation: Generation, source: Source, pieces: Sequence[Piece]
) -> bool:
    """In a transaction. False: the text is not the one that was read, and nothing is written."""
    key = source.country_id, source.id
    if source.kind == "comment":
        thread_version = await connection.fetchval(_LOCK_THREAD, *key)
        if thread_version != source.thread_version:
            return False
    if await connection.fetchval(_LOCK[source.kind], *key) != source.version:
        return False
    table = table_of(generation)
    await connection.execute(f"delete from {table} where country_id = $1 and source_id = $2", *key)
    await connection.executemany(
        f"insert into {table} (country_id, source_id, ordinal, kind, version, language, official,"
        " as_of, created_at, text, embedding)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::halfvec)",
        [
            (
                *key, ordinal, source.kind, source.version, source.language, source.official,
                source.as_of, source.created_at, piece.text, vector_text(piece.embedding),
            )
            for ordinal, piece in enumerate(pieces)
        ],
    )  # fmt: skip
    return True


def vector_text(vector: Sequence[float]) -> str:
    """As Postgres reads it; of half precision, which has four digits, nothing is lost."""
    return f"[{','.join(f'{number:.6g}' for number in vector)}]"


# In every partition, by its primary key.
_NEXT_POSTS: Final = """
    select country_id, id from post
    where (country_id, id) > ($1, $2) and deleted_at is null
    order by country_id, id limit $3"""
_NEXT_GUIDES: Final = """
    select country_id, id from guide
    where (country_id, id) > ($1, $2) and withdrawn_at is null
    order by country_id, id limit $3"""


async def documents_after(connection: Connection, place: Place, limit: int) -> list[Place]:
    """The next posts and guides in the order of filling; empty at its end."""
    found: list[Place] = []
    if place.kind == "post":
        rows = await connection.fetch(_NEXT_POSTS, place.country_id, place.id, limit)
        found = [Place("post", *row) for row in rows]
        place = Place("guide", -1, UUID(int=0))
    if len(found) < limit:
        rows = await connection.fetch(_NEXT_GUIDES, place.country_id, place.id, limit - len(found))
        found += [Place("guide", *row) for row in rows]
    return found


class Amounts(NamedTuple):
    """`documents`: posts and guides that stand; `embedded`: those of them that have chunks."""

    chunks: int
    embedded: int
    documents: int


async def count_chunks(connection: Connection, generation: Generation) -> Amounts:
    """Reads all of it: for operators alone."""
    row = await connection.fetchrow(
        f"""select (select count(*) from {table_of(generation)}),
                   (select count(*) from {table_of(generation)}
                    where ordinal = 0 and kind <> 'comment'),
                   (select count(*) from post where deleted_at is null)
                       + (select count(*) from guide where withdrawn_at is null)"""
    )
    assert row is not None
    return Amounts(*row)
