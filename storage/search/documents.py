"""What can be found now, as documents for the index: read by id, or page by page for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from storage.identity import country_of, time_ms_of
from storage.postgres import Connection
from storage.search.engine import Kind, SearchDocument
from storage.search.plain_text import plain_text

_POST_COLUMNS: Final = """
    p.id, p.community_id, p.visa_type, p.language, p.title, p.tags, p.body_html,
    y.visibility = 'public' as public,
    case when p.has_poll then (select l.question || E'\\n' || array_to_string(l.options, E'\\n')
                               from poll l where l.post_id = p.id) end as poll"""
_COMMENT_COLUMNS: Final = """
    c.id, c.post_id, p.community_id, p.visa_type, c.language, c.body_html,
    y.visibility = 'public' as public"""
_GUIDE_COLUMNS: Final = """
    g.id, g.country_id, g.visa_type, g.language, g.title, g.body_html,
    extract(epoch from g.as_of)::bigint as created_at"""
# Whether a row stands is a column and no condition: as a condition it would have the planner take a
# partial index of every partition for the primary key of one, as long as tables are small.
_POSTS: Final = f"""
    select {_POST_COLUMNS}, p.deleted_at is null as stands
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    join post p on p.country_id = i.country and p.id = i.id
    join community y on y.id = p.community_id"""
_COMMENTS: Final = f"""
    select {_COMMENT_COLUMNS}, c.deleted_at is null and p.deleted_at is null as stands
    from unnest($1::smallint[], $2::uuid[]) i (country, id)
    join comment c on c.country_id = i.country and c.id = i.id
    join post p on p.country_id = c.country_id and p.id = c.post_id
    join community y on y.id = p.community_id"""

_GUIDES: Final = f"""
    select {_GUIDE_COLUMNS} from guide g where g.id = any ($1::uuid[]) and g.withdrawn_at is null"""

# Pages of everything, by primary key through all partitions: removed rows are passed over here, not
# left out of the page, or a page might be looked for in vain through millions of them.
_POST_PAGE: Final = f"""
    select {_POST_COLUMNS}, p.country_id, p.deleted_at is null as stands
    from (select * from post where (country_id, id) > ($1, $2)
          order by country_id, id limit $3) p
    join community y on y.id = p.community_id order by p.country_id, p.id"""
_COMMENT_PAGE: Final = f"""
    select {_COMMENT_COLUMNS}, c.country_id,
           c.deleted_at is null and p.deleted_at is null as stands
    from (select * from comment where (country_id, id) > ($1, $2)
          order by country_id, id limit $3) c
    join post p on p.country_id = c.country_id and p.id = c.post_id
    join community y on y.id = p.community_id order by c.country_id, c.id"""

# Some thousand rows.
_GUIDE_PAGE: Final = f"""
    select {_GUIDE_COLUMNS}, g.withdrawn_at is null as stands
    from guide g where (g.country_id, g.id) > ($1, $2) order by g.country_id, g.id limit $3"""

# Of threads, for those that are indexed anew as a whole: by comment_post, then by post_new.
_COMMENTS_OF: Final = """
    select c.id from comment c
    where c.country_id = $1 and c.post_id = $2 and c.id > $3 and c.deleted_at is null
    order by c.id limit $4"""
_POSTS_OF: Final = """
    select p.id from post p
    where p.country_id = $1 and p.community_id = $2 and p.id < $3 and p.deleted_at is null
    order by p.id desc limit $4"""


async def read_documents(
    connection: Connection,
    posts: Sequence[UUID],
    comments: Sequence[UUID],
    guides: Sequence[UUID],
) -> list[SearchDocument]:
    """What of it stands."""
    documents: list[SearchDocument] = []
    if posts:
        rows = await connection.fetch(_POSTS, [country_of(id) for id in posts], list(posts))
        documents += [_of_post(row) for row in rows if row["stands"]]
    if comments:
        rows = await connection.fetch(
            _COMMENTS, [country_of(id) for id in comments], list(comments)
        )
        documents += [_of_comment(row) for row in rows if row["stands"]]
    if guides:
        documents += [_of_guide(row) for row in await connection.fetch(_GUIDES, list(guides))]
    return documents


class Page(NamedTuple):
    """`after`: the last row that was looked at; None: there was none."""

    documents: list[SearchDocument]
    after: tuple[int, UUID] | None


async def read_page(
    connection: Connection, kind: Kind, after: tuple[int, UUID], limit: int
) -> Page:
    statement, encode = _PAGES[kind]
    rows = await connection.fetch(statement, *after, limit)
    if not rows:
        return Page([], None)
    last = rows[-1]
    documents = [encode(row) for row in rows if row["stands"]]
    return Page(documents, (last["country_id"], last["id"]))


async def comments_of(connection: Connection, post_id: UUID, after: UUID, limit: int) -> list[UUID]:
    """Ids of the standing comments behind `after`."""
    rows = await connection.fetch(_COMMENTS_OF, country_of(post_id), post_id, after, limit)
    return [row["id"] for row in rows]


async def posts_of(
    connection: Connection, community_id: UUID, before: UUID, limit: int
) -> list[UUID]:
    """Ids of the standing posts of a community, newest first."""
    country = country_of(community_id)
    rows = await connection.fetch(_POSTS_OF, country, community_id, before, limit)
    return [row["id"] for row in rows]


def _of_post(row: asyncpg.Record) -> SearchDocument:
    text = plain_text(row["body_html"])
    return SearchDocument(
        id=row["id"],
        kind="post",
        post_id=row["id"],
        community_id=row["community_id"],
        public=row["public"],
        country=country_of(row["id"]),
        visa_type=row["visa_type"],
        language=row["language"],
        title=row["title"],
        tags=tuple(row["tags"]),
        text=f"{text}\n{row['poll']}" if row["poll"] else text,
        created_at=time_ms_of(row["id"]) // 1000,
    )


def _of_comment(row: asyncpg.Record) -> SearchDocument:
    return SearchDocument(
        id=row["id"],
        kind="comment",
        post_id=row["post_id"],
        community_id=row["community_id"],
        public=row["public"],
        country=country_of(row["id"]),
        visa_type=row["visa_type"],
        language=row["language"],
        title="",
        tags=(),
        text=plain_text(row["body_html"]),
        created_at=time_ms_of(row["id"]) // 1000,
    )


def _of_guide(row: asyncpg.Record) -> SearchDocument:
    return SearchDocument(
        id=row["id"],
        kind="guide",
        post_id=row["id"],
        community_id=None,
        public=True,
        country=row["country_id"],
        visa_type=row["visa_type"],
        language=row["language"],
        title=row["title"],
        tags=(),
        text=plain_text(row["body_html"]),
        created_at=row["created_at"],
    )


_PAGES: Final = {
    "post": (_POST_PAGE, _of_post),
    "comment": (_COMMENT_PAGE, _of_comment),
    "guide": (_GUIDE_PAGE, _of_guide),
}
