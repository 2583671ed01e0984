"""What a home feed may show: the newest keys of each joined community, or of all public ones.

A page is two statements. The first gives candidates, keys alone; actors/home_merge.py chooses
among them, and the second reads the posts chosen (feeds.posts_by_id).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec
from asyncpg import Record

from storage.feed_keys import LOWEST_ID, Candidate, Languages, Ranked
from storage.feeds import filter_by, language_filters, plan_once
from storage.identity import country_of
from storage.postgres import Connection

Order = Literal["hot", "new", "top"]


class HomeBounds(msgspec.Struct, frozen=True):
    """`held` communities have bounds of their own, `deferred` posts come whatever their place.
    `since`: the lowest id of the window. `each`: candidates of one community at most."""

    below: Ranked
    held: Sequence[tuple[UUID, float, UUID]]
    deferred: Sequence[UUID]
    since: UUID
    each: int


# By post_hot, post_new, post_top of one community, or by post_all_* of all. Every order names the
# same parameters: PostgreSQL wants to know the type of each.
_RANK: Final = {"hot": "p.hot", "new": "0::float8", "top": "p.score::float8"}
_BELOW: Final = {
    "hot": "(p.hot, p.id) < ({rank}::float8, {id}::uuid)",
    "new": "{rank}::float8 is not null and p.id < {id}::uuid",
    "top": "(p.score, p.id) < ({rank}::int, {id}::uuid)",
}
_ABOVE: Final = {
    "hot": "(p.hot, p.id) > (o.cut, o.cut_id)",
    "new": "p.id > o.cut_id",
    "top": "(p.score, p.id) > (o.cut::int, o.cut_id)",
}
_DESCENDING: Final = {
    "hot": "p.hot desc, p.id desc",
    "new": "p.id desc",
    "top": "p.score desc, p.id desc",
}

# $1 each, $2 account or null, $3 $4 below, $5 $6 $7 held, $8 $9 deferred, $10 since, $11 and on
# the languages.
_KEY: Final = "{rank} as rank, p.id, p.author_id, p.community_id"
_SHOWN: Final = """p.deleted_at is null and p.id >= $10::uuid {languages}
          and p.author_id not in (select muted_id from account_mute where account_id = $2)"""
_NOT_MUTED: Final = """not exists (
            select from community_mute u where u.account_id = $2 and u.community_id = c.id)"""
_HELD: Final = """
    held as (select * from unnest($5::uuid[], $6::float8[], $7::uuid[]) h (community, rank, id))"""
# Looked up one by one (`limit 1`), each in its country's partition; joined, all might be read.
_DEFERRED: Final = "unnest($8::smallint[], $9::uuid[]) d (country, id)"

# The newest key of each community says which `each` of them can come first; of these only what
# stands above the best of all others is taken, so nothing in between is passed over. One account
# has groups.MAX_MEMBERSHIPS communities. Ids and scores begin above the lowest cut.
_JOINED: Final = """
    with {held},
    open as materialized (
        select c.id, c.country_id, coalesce(h.rank, $3::float8) as rank,
               coalesce(h.id, $4::uuid) as below, h.id is not null as held
        from membership m join community c on c.id = m.community_id
        left join held h on h.community = c.id
        where m.account_id = $2::uuid and m.role <> 'banned' and {not_muted}),
    heads as materialized (
        select o.*, k.rank as head, k.head_id from open o cross join lateral (
            select {rank} as rank, p.id as head_id from post p
            where p.country_id = o.country_id and p.community_id = o.id and {below_open} and {shown}
              and p.id <> all ($9::uuid[])
            order by {descending} limit 1) k
        where not o.held order by k.rank desc, k.head_id desc limit $1 + 1),
    cut as materialized (
        select head, head_id from heads order by head desc, head_id desc offset $1),
    chosen as materialized (
        select o.id, o.country_id, o.rank, o.below,
               coalesce((select head from cut), '-2147483648') as cut,
               coalesce((select head_id from cut), '00000000-0000-0000-0000-000000000000')
                   as cut_id
        from (select * from open where held
              union all
              (select id, country_id, rank, below, held from heads
               order by head desc, head_id desc limit $1)) o)
    select k.*, false as scanned from chosen o cross join lateral (
        select {key} from post p
        where p.country_id = o.country_id and p.community_id = o.id and {below_open} and {above}
          and {shown} and p.id <> all ($9::uuid[])
        order by {descending} limit $1) k
    union all
    select {key}, false from {deferred}
    cross join lateral (
        select * from post x where x.country_id = d.country and x.id = d.id limit 1) p
    join open o on o.id = p.community_id
    where {shown}
    order by rank desc, id desc"""
# One ordered scan a partition, merged; communities that are held have a scan of their own. Whether
# a post is of a public community is looked up by key for each that is passed: there may be more
# private communities than posts on the page, and a subquery of one value can't become a join. By
# `<>`, or the planner takes what passes for rare.
_PUBLIC: Final = """
    with {held}
    select k.*, true as scanned from (
        select {key} from post p
        where {below} and {shown} and p.id <> all ($9::uuid[])
          and (select c.visibility from community c where c.id = p.community_id)
              <> 'private'
          and p.community_id not in (
            select u.community_id from community_mute u where u.account_id = $2::uuid
            union all select h.community from held h)
        order by {descending} limit 4 * $1) k
    union all
    select k.*, false from held h
    join community c on c.id = h.community and c.visibility = 'public' and {not_muted}
    cross join lateral (
        select {key} from post p
        where p.country_id = c.country_id and p.community_id = c.id and {below_held} and {shown}
          and p.id <> all ($9::uuid[])
        order by {descending} limit $1) k
    union all
    select {key}, false from {deferred}
    cross join lateral (
        select * from post x where x.country_id = d.country and x.id = d.id limit 1) p
    join community c on c.id = p.community_id and c.visibility = 'public' and {not_muted}
    where {shown}
    order by rank desc, id desc"""


def _statement(frame: str, order: Order, languages: str) -> str:
    below = _BELOW[order]
    return frame.format(
        held=_HELD,
        deferred=_DEFERRED,
        not_muted=_NOT_MUTED,
        descending=_DESCENDING[order],
        shown=_SHOWN.format(languages=languages),
        key=_KEY.format(rank=_RANK[order]),
        rank=_RANK[order],
        above=_ABOVE[order],
        below=below.format(rank="$3", id="$4"),
        below_open=below.format(rank="o.rank", id="o.below"),
        below_held=below.format(rank="h.rank", id="h.id"),
    )


_ORDERS: Final[tuple[Order, ...]] = ("hot", "new", "top")
_STATEMENTS: Final = {
    (joined, order, form): _statement(frame, order, languages)
    for joined, frame in ((True, _JOINED), (False, _PUBLIC))
    for order in _ORDERS
    for form, languages in enumerate(language_filters(11))
}


async def has_joined(connection: Connection, account_id: UUID) -> bool:
    return bool(
        await connection.fetchval(
            "select exists (select from membership where account_id = $1 and role <> 'banned')",
            account_id,
        )
    )


async def candidates(
    connection: Connection,
    order: Order,
    account_id: UUID | None,
    bounds: HomeBounds,
    languages: Languages | None,
    *,
    joined: bool,
) -> list[Candidate]:
    """Highest first: of the communities that the account has joined, else of all public ones,
    without what it has muted. Of the public ones that are not held, four times `each` together."""
    if languages is None and bounds.since == LOWEST_ID:  # a window's length decides the plan
        await plan_once(connection)
    form, arguments = await filter_by(connection, languages)
    rows = await connection.fetch(
        _STATEMENTS[joined, order, form],
        bounds.each,
        account_id,
        *bounds.below,
        [community for community, _, _ in bounds.held],
        [rank for _, rank, _ in bounds.held],
        [id for _, _, id in bounds.held],
        [country_of(id) for id in bounds.deferred],
        list(bounds.deferred),
        bounds.since,
        *arguments,
    )
    known = _known_down_to(rows, 4 * bounds.each)
    deferred = set(bounds.deferred)
    return [
        Candidate(row["rank"], row["id"], row["author_id"], row["community_id"])
        for row in rows
        if row["id"] in deferred or known is None or (row["rank"], row["id"]) >= known
    ]


def _known_down_to(rows: Sequence[Record], most: int) -> Ranked | None:
    """Where the scan of all communities was cut: what is held may not be shown below it, because
    posts of others may stand above. None: nothing was cut."""
    scanned = [row for row in rows if row["scanned"]]
    return (scanned[-1]["rank"], scanned[-1]["id"]) if len(scanned) == most else None
