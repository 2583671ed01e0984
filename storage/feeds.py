"""Pages of posts in the order of one community, and posts by their ids.

Every page is one statement, hence one snapshot: the posts, who may see them and where the stream
stands belong together. Bounds are exclusive; a first page starts below `TOP` or `NEWEST`. The
country stands in every condition on post, so that one partition alone is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from storage.feed_keys import HIGHEST, HIGHEST_ID, Languages, Ranked, Scored
from storage.identity import country_of
from storage.postgres import Connection
from storage.posts import POST_COLUMNS, POST_JOINS, PostRow, post_of


class HotBound(msgspec.Struct, frozen=True):
    """A hot page begins below `pinned` among the pinned posts, below `rest` among the others."""

    pinned: Ranked = (HIGHEST, HIGHEST_ID)
    rest: Ranked = (HIGHEST, HIGHEST_ID)


class CommunityPage(msgspec.Struct, frozen=True):
    """`epoch` and `offset` are the position of the community's stream."""

    visibility: Literal["public", "private"]
    epoch: str
    offset: int
    posts: list[PostRow]


# The left join keeps the community's row where the page is empty.
_COMMUNITY_PAGE: Final = """
    select {columns}, y.visibility as seen, s.top_offset, (select epoch from incarnation) as epoch
    from community y join stream s on s.id = y.stream_id
    left join lateral ({posts}) p on true
    left join account a on a.id = p.author_id
    where y.id = $2
    order by {order}"""

_LANGUAGE: Final = "lower(split_part(p.language, '-', 1))"
_LANGUAGE_FILTERS: Final = 3


def language_filters(first: int) -> tuple[str, str, str]:
    """Conditions on post p, for the parameters of `filter_by` from $first on: none; whole
    languages; some of them by region. Each says no more than it must, or the planner takes them for
    rare. Those that are rare are found by post_language."""
    whole = f"and {_LANGUAGE} = any (${first}::text[])"
    regional = (
        f"{whole} and ({_LANGUAGE} = any (${first + 1}::text[])"
        f" or p.language = any (${first + 2}::text[]))"
    )
    return "", whole, regional


async def filter_by(
    connection: Connection, languages: Languages | None
) -> tuple[int, list[tuple[str, ...]]]:
    """(which of `language_filters`, its parameters)."""
    if languages is None:
        return 0, []
    await plan_each_time(connection)  # whether a language is rare decides the plan
    return (2, list(languages)) if languages.regional else (1, [languages.primary])


async def plan_each_time(connection: Connection) -> None:
    """Every statement for its own parameters, until the connection goes back to its pool, which
    resets it."""
    await connection.execute("set plan_cache_mode = force_custom_plan")


async def plan_once(connection: Connection) -> None:
    """The opposite, for statements whose plan is the same whatever their parameters: planning for
    all partitions costs several times what reading a page does. Without sorts, where an index has
    the order: a community of average size would be read whole, and so would the largest."""
    await connection.execute("set plan_cache_mode = force_generic_plan; set enable_sort = off")


# $1 country, $2 community, $3 limit, $4 account whose mutes count, or null; $5 and on the bound,
# then the languages.
_STANDING: Final = """from post p where p.country_id = $1 and p.community_id = $2
        and p.deleted_at is null
        and p.author_id not in (select muted_id from account_mute where account_id = $4::uuid)"""
# Two scans of a few rows each: by post_pinned, and by post_hot, which skips the pinned ones.
_HOT: Final = f"""select * from (
        (select p.* {_STANDING} and p.pinned and (p.hot, p.id) < ($5::float8, $6::uuid) {{filter}}
         order by p.hot desc, p.id desc limit $3)
        union all
        (select p.* {_STANDING} and not p.pinned and (p.hot, p.id) < ($7::float8, $8::uuid)
           {{filter}}
         order by p.hot desc, p.id desc limit $3)) both_kinds
      order by pinned desc, hot desc, id desc limit $3"""
# By post_new.
_NEW: Final = f"""select p.* {_STANDING} and p.id < $5::uuid {{filter}}
      order by p.id desc limit $3"""
# By post_top, or by post_new and a sort where the window is small: the planner knows the values.
_TOP: Final = f"""select p.* {_STANDING} and (p.score, p.id) < ($5::int, $6::uuid)
        and p.id >= $7::uuid {{filter}}
      order by p.score desc, p.id desc limit $3"""


def _page(posts: str, order: str, parameters: int) -> list[str]:
    """By `language_filters`, then the same for one tag; the parameters of tag and languages come
    last. By post_tags where the tag is rare."""
    tagged = f"and p.tags @> array[${parameters + 1}::text]"
    conditions = (
        *language_filters(parameters + 1),
        *(f"{tagged} {condition}" for condition in language_filters(parameters + 2)),
    )
    return [
        _COMMUNITY_PAGE.format(
            columns=POST_COLUMNS, posts=posts.format(filter=condition), order=order
        )
        for condition in conditions
    ]


_HOT_PAGES: Final = _page(_HOT, "p.pinned desc, p.hot desc, p.id desc", 8)
_NEW_PAGES: Final = _page(_NEW, "p.id desc", 5)
_TOP_PAGES: Final = _page(_TOP, "p.score desc, p.id desc", 7)


class FeedOf(NamedTuple):
    """Which posts. `muted_by`: without those whose authors this account has muted."""

    country_id: int
    community_id: UUID
    limit: int
    muted_by: UUID | None = None
    languages: Languages | None = None
    tag: str | None = None


async def hot_page(connection: Connection, of: FeedOf, below: HotBound) -> CommunityPage | None:
    """Pinned posts first, each kind by hot rank. None: no such community."""
    if of.languages is None and of.tag is None:
        await plan_once(connection)
    return await _community_page(connection, _HOT_PAGES, of, *below.pinned, *below.rest)


async def new_page(connection: Connection, of: FeedOf, below: UUID) -> CommunityPage | None:
    return await _community_page(connection, _NEW_PAGES, of, below)


async def top_page(
    connection: Connection, of: FeedOf, below: Scored, since: UUID
) -> CommunityPage | None:
    """Posts with an id from `since` on, by score."""
    return await _community_page(connection, _TOP_PAGES, of, *below, since)


async def _community_page(
    connection: Connection, pages: Sequence[str], of: FeedOf, *bound: object
) -> CommunityPage | None:
    form, arguments = await filter_by(connection, of.languages)
    if of.tag is not None:
        await plan_each_time(connection)  # whether the tag is rare decides the plan
    return await _page_of(
        connection,
        pages[form if of.tag is None else form + _LANGUAGE_FILTERS],
        of.country_id,
        of.community_id,
        of.limit,
        of.muted_by,
        *bound,
        *(() if of.tag is None else (of.tag,)),
        *arguments,
    )


async def _page_of(connection: Connection, statement: str, *values: object) -> CommunityPage | None:
    rows = await connection.fetch(statement, *values)
    if not rows:
        return None
    first = rows[0]
    posts = [] if first["id"] is None else [post_of(row) for row in rows]
    return CommunityPage(first["seen"], first["epoch"], first["top_offset"], posts)


# ---------------------------------------------------------------- posts by their ids

# `limit 1`: one by one, each in its country's partition; joined, all might be read.
_BY_ID: Final = f"""
    select {POST_COLUMNS}
    from unnest($1::smallint[], $2::uuid[]) with ordinality i (country, post, place)
    cross join lateral (
        select * from post x
        where x.country_id = i.country and x.id = i.post and x.deleted_at is null limit 1) p
    {POST_JOINS} order by i.place"""


async def posts_by_id(connection: Connection, ids: Sequence[UUID]) -> list[PostRow]:
    """In the order of `ids`, without those that were deleted meanwhile."""
    rows = await connection.fetch(_BY_ID, [country_of(id) for id in ids], list(ids))
    return [post_of(row) for row in rows]


# ---------------------------------------------------------------- an order that is kept in Redis

_CHOSEN: Final = _COMMUNITY_PAGE.format(
    columns=POST_COLUMNS,
    posts="""select p.*, i.place from unnest($3::uuid[]) with ordinality i (post, place)
      join post p on p.country_id = $1 and p.id = i.post
      where p.community_id = $2 and p.deleted_at is null""",
    order="p.place",
)


async def chosen_page(
    connection: Connection, country_id: int, community_id: UUID, ids: Sequence[UUID]
) -> CommunityPage | None:
    """These posts, in their order, without those that are no longer here."""
    return await _page_of(connection, _CHOSEN, country_id, community_id, list(ids))


class Standing(NamedTuple):
    """Keys of a community's posts, and where its stream stood when they were read."""

    keys: list[Ranked]
    epoch: str
    offset: int


_TOP_ORDER: Final = """
    select p.score::float8 as rank, p.id, s.top_offset, (select epoch from incarnation) as epoch
    from community y join stream s on s.id = y.stream_id
    left join lateral (
        select p.score, p.id from post p
        where p.country_id = $1 and p.community_id = $2 and p.deleted_at is null and p.id >= $3
        order by p.score desc, p.id desc limit $4) p on true
    where y.id = $2
    order by p.score desc, p.id desc"""


async def top_order(
    connection: Connection, country_id: int, community_id: UUID, since: UUID, count: int
) -> Standing | None:
    """The best posts of a window. None: no such community."""
    rows = await connection.fetch(_TOP_ORDER, country_id, community_id, since, count)
    if not rows:
        return None
    first = rows[0]
    keys = [(row["rank"], row["id"]) for row in rows if row["id"] is not None]
    return Standing(keys, first["epoch"], first["top_offset"])


class Changes(NamedTuple):
    """`ranks` by post; None: no longer to be shown."""

    ranks: dict[UUID, float | None]
    epoch: str
    offset: int


# The posts that events of the community's stream are about, as they are now. By stream_event's key.
_CHANGED: Final = """
    select e.subject_id as id, p.score::float8 as rank, s.top_offset,
           (select epoch from incarnation) as epoch
    from community y join stream s on s.id = y.stream_id
    left join stream_event e on e.stream_id = s.id and e.off > $3
    left join post p on p.country_id = $1 and p.id = e.subject_id and p.community_id = $2
         and p.deleted_at is null
    where y.id = $2 limit $4"""


async def changed_since(
    connection: Connection, country_id: int, community_id: UUID, offset: int, limit: int
) -> Changes | None:
    """None: too many for `limit`, or the events are no longer kept."""
    rows = await connection.fetch(_CHANGED, country_id, community_id, offset, limit + 1)
    if not rows or len(rows) != max(1, rows[0]["top_offset"] - offset) or len(rows) > limit:
        return None
    ranks = {row["id"]: row["rank"] for row in rows if row["id"] is not None}
    return Changes(ranks, rows[0]["epoch"], rows[0]["top_offset"])
