"""Posts by the million, made by PostgreSQL itself in a minute or two: how feeds fare when full.

Two years of them, a fifth in the last month; the largest community has a seventh of all, the
smallest some hundred; most have no vote, one in a thousand has hundreds; every second is English,
one in a thousand Swahili. They have no comments, no events and no jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.machine import BenchmarkError
from storage.postgres import Pool

_DAYS: Final = 730
_POSTS: Final = f"""
    with place as materialized (
        select id, country_id, visa_type, row_number() over (order by slug) - 1 as number,
               count(*) over () as communities
        from community where slug = any ($3::text[])),
    drawn as materialized (
        select n, floor(communities * power(random(), 3)) as number,
               floor(extract(epoch from now()) * 1000
                     - {_DAYS} * 86400000.0 * power(random(), 2))::bigint as ms,
               least(floor(power(random(), -0.7)), 5000)::int - 1 as up,
               random() as tongue
        from generate_series(1, $1::int) n,
             (select communities from place limit 1) p),
    made as materialized (
        select p.*, d.*, (lpad(to_hex(d.ms), 12, '0') || '7'
                   || lpad(to_hex(p.country_id::int), 3, '0')
                   || '8' || substr(md5(d.n::text), 1, 15))::uuid as post_id
        from drawn d join place p on p.number = d.number),
    threads as (
        insert into stream (channel) select 'thread:' || post_id from made returning id, channel)
    insert into post (country_id, id, community_id, visa_type, author_id, stream_id, title,
                      body_markdown, body_html, language, tags, up, hot, created_at)
    select m.country_id, m.post_id, m.id, m.visa_type,
           ($2::uuid[])[1 + m.n % cardinality($2::uuid[])], t.id,
           'Question ' || m.n || ': how long did it take?',
           repeat(md5(m.n::text) || ' ', 10), '<p>' || repeat(md5(m.n::text) || ' ', 10) || '</p>',
           case when m.tongue < 0.5 then 'en' when m.tongue < 0.7 then 'de'
                when m.tongue < 0.85 then 'es' when m.tongue < 0.95 then 'pt-BR'
                when m.tongue < 0.999 then 'hi' else 'sw' end,
           array['visa', 'waiting'], m.up, hot_rank(m.up, 0, m.ms), to_timestamp(m.ms / 1000.0)
    from made m join threads t on t.channel = 'thread:' || m.post_id"""

_SIZES: Final = """
    select c.relname as of, case when c.relkind = 'p' then 'rows' else 'index' end as kind,
           sum(pg_relation_size(t.relid))::bigint as bytes
    from pg_class c cross join lateral pg_partition_tree(c.oid) t
    where t.isleaf and (c.oid = 'post'::regclass
          or c.oid in (select indexrelid from pg_index where indrelid = 'post'::regclass))
    group by 1, 2 order by 3 desc"""


async def make_corpus(
    pool: Pool, count: int, authors: Sequence[object], communities: Sequence[str]
) -> None:
    """`pool` must be without a statement timeout. `communities`: slugs."""
    done = await pool.execute(_POSTS, count, list(authors), list(communities), timeout=3_600)
    if done != f"INSERT 0 {count}":
        raise BenchmarkError(f"{count} posts were wanted: {done}")
    await pool.execute("vacuum analyze post", timeout=3_600)
    await pool.execute("analyze stream", timeout=3_600)


async def sizes(pool: Pool) -> list[tuple[str, int]]:
    """Bytes of the posts' rows and of each of their indexes, over all partitions."""
    return [(row["of"], row["bytes"]) for row in await pool.fetch(_SIZES)]
