"""How far a post stands from the others of its community, by the vectors that searches use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from storage.chunk_generations import serving, table_of
from storage.identity import country_of
from storage.postgres import Connection

COMPARED_POSTS: Final = 60


class Distance(NamedTuple):
    """Cosine distances to the centre of the `known` newest other posts: the post's own, and mean
    and standard deviation of theirs."""

    own: float
    mean: float
    deviation: float
    known: int


# By post_new and the key of the chunks: the first chunk speaks for a post.
_DISTANCES: Final = """
    with wanted as (
        select i.country, i.id, p.community_id, v.embedding
          from unnest($1::smallint[], $2::uuid[]) i (country, id)
         cross join lateral (select * from post p
                              where p.country_id = i.country and p.id = i.id limit 1) p
         cross join lateral (select * from {table} v
                              where v.country_id = i.country and v.source_id = i.id
                                and v.ordinal = 0 and v.version = p.revision limit 1) v
    ), others as (
        select w.id, w.embedding as own, n.embedding
          from wanted w
         cross join lateral (
               select q.id from post q
                where q.country_id = w.country and q.community_id = w.community_id
                  and q.deleted_at is null and q.id <> w.id
                order by q.id desc limit $3) q
         cross join lateral (select * from {table} n
                              where n.country_id = w.country and n.source_id = q.id
                                and n.ordinal = 0 limit 1) n
    ), centres as (
        select id, avg(embedding) as centre from others group by id
    )
    select o.id, min(o.own <=> c.centre), avg(o.embedding <=> c.centre),
           stddev_samp(o.embedding <=> c.centre), count(*)
      from others o join centres c on c.id = o.id
     group by o.id having count(*) > 1"""


async def read_distances(connection: Connection, posts: Sequence[UUID]) -> dict[UUID, Distance]:
    """Of posts whose newest text is embedded."""
    table = table_of(await serving(connection))
    rows = await connection.fetch(
        _DISTANCES.format(table=table),
        [country_of(id) for id in posts],
        list(posts),
        COMPARED_POSTS,
    )
    return {row[0]: Distance(*row[1:]) for row in rows}
