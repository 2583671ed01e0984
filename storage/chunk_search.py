"""Finding chunks: those nearest to a vector, and the one of each document that was found otherwise.

Whether a text stands and the account may read it is decided row by row while the vector index is
read (iterative scan), not afterwards: what must not be seen takes nobody's place. The index is that
of the country's partition; without a country all of them are merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from storage.chunk_generations import Generation, table_of
from storage.chunks import SourceKind
from storage.identity import country_of
from storage.postgres import Connection

# Of every connection that searches chunks. The planner takes vector indexes for dearer than they
# are, before the first ANALYZE much dearer; and a plan that reads everything and sorts is never the
# right one here.
SEARCH_SETTINGS: Final = {
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.ef_search": "80",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Planning takes longer than reading does: a connection plans a statement once. Partitions of
    # other countries are left out when it begins.
    "plan_cache_mode": "force_generic_plan",
}


class ChunkFilter(NamedTuple):
    """Who asks (None: a guest), and what may be found. None leaves a condition out. `visa_type`:
    also what is of none, but where `visa_type_alone`. `language` "pt" stands for "pt-BR" too.
    `since`, `until` (exclusive): Unix seconds."""

    account_id: UUID | None = None
    country_id: int | None = None
    visa_type: str | None = None
    kinds: Sequence[SourceKind] | None = None
    visa_type_alone: bool = False
    language: str | None = None
    since: int | None = None
    until: int | None = None


class FoundChunk(msgspec.Struct, frozen=True):
    """`distance` None: it was not measured. `body_markdown` is there where the document has no
    chunks of its version yet, `text` else. `post_id`: the thread. `source_url`, `last_checked`: of
    a guide."""

    kind: SourceKind
    id: UUID
    ordinal: int
    country_id: int
    version: int
    official: bool
    as_of: date | None
    created_at: datetime
    language: str
    text: str | None
    distance: float | None
    post_id: UUID | None
    visa_type: str | None
    title: str
    source_url: str | None
    last_checked: date | None
    body_markdown: str | None = None


_OF_SOURCE: Final = """
    p.id as post_id, coalesce(p.visa_type, g.visa_type) as visa_type,
    coalesce(p.title, g.title) as title, g.source_url, g.last_checked"""
# {d}: what names the document, by kind, country_id and source_id. $1: the account, $2: visa type.
_SOURCES: Final = """
    left join comment k
        on {d}.kind = 'comment' and k.country_id = {d}.country_id and k.id = {d}.source_id
    left join post p on p.country_id = {d}.country_id
        and p.id = case {d}.kind when 'post' then {d}.source_id when 'comment' then k.post_id end
    left join community y on y.id = p.community_id
    left join guide g on {d}.kind = 'guide' and g.id = {d}.source_id
    left join account r on r.id = $1
    left join membership m on m.account_id = $1 and m.community_id = y.id"""
_STANDS: Final = """
    case {d}.kind
        when 'guide' then g.withdrawn_at is null and g.id is not null
        when 'post' then p.deleted_at is null and may_read(r.role, y.visibility, m.role)
        else k.deleted_at is null and p.deleted_at is null and p.accepted_comment_id = k.id
             and may_read(r.role, y.visibility, m.role) end
    and ($2::text is null or coalesce(p.visa_type, g.visa_type, $2) = $2)
    and not exists (select from account_mute u where u.account_id = $1
                    and u.muted_id = coalesce(k.author_id, p.author_id))"""
_VERSION: Final = (
    "case c.kind when 'guide' then g.version when 'post' then p.revision else k.revision end"
)
# In a statement that is planned once the cast alone would be made for every row that is read.
_VECTOR: Final = "(select {}::real[]::halfvec)"
_NEAREST: Final = f"""
    select c.kind, c.source_id as id, c.ordinal, c.country_id, c.version, c.official, c.as_of,
           c.created_at, c.language, c.text, c.embedding <=> {_VECTOR.format("$3")} as distance,
           {_OF_SOURCE}
    from {{table}} c {_SOURCES.format(d="c")}
    where {_STANDS.format(d="c")} and c.version = {_VERSION}
      and ($4::text[] is null or c.kind = any($4)) {{more}}
    order by c.embedding <=> {_VECTOR.format("$3")} limit $5"""
# The order of a handful is computed: by `+ 0` it can't be that of the index. The country is named
# twice, since partitions of chunks are not told by what a document says of its own.
_BEST_OF: Final = f"""
    select d.kind, d.source_id as id, coalesce(c.ordinal, 0::smallint) as ordinal, d.country_id,
           coalesce(k.revision, p.revision, g.version) as version, g.id is not null as official,
           g.as_of, coalesce(k.created_at, p.created_at, g.created_at) as created_at,
           coalesce(k.language, p.language, g.language) as language, c.text, c.distance,
           {_OF_SOURCE},
           case when c.text is null
                then coalesce(k.body_markdown, p.body_markdown, g.body_markdown) end
    from unnest($3::text[], $4::smallint[], $5::uuid[])
         with ordinality d (kind, country_id, source_id, place)
    {_SOURCES.format(d="d")}
    left join lateral (
        select e.ordinal, e.text, (e.embedding <=> {_VECTOR.format("$6")}) + 0 as distance
        from {{table}} e
        where e.country_id = d.country_id {{of_chunk}} and e.source_id = d.source_id
          and e.version = coalesce(k.revision, p.revision, g.version) and $6::real[] is not null
        order by 3 limit 1) c on true
    where {_STANDS.format(d="d")} {{of_document}}
    order by d.place"""


async def nearest(
    connection: Connection,
    generation: Generation,
    vector: Sequence[float],
    wanted: ChunkFilter,
    limit: int,
) -> list[FoundChunk]:
    """The `limit` chunks that are most alike and may be found, most alike first. `connection`: with
    SEARCH_SETTINGS. Raises asyncpg.UndefinedTableError where another generation has taken over."""
    values: list[object] = [
        wanted.account_id, wanted.visa_type, vector,
        None if wanted.kinds is None else list(wanted.kinds), limit,
    ]  # fmt: skip
    more = ""
    for value, condition in _conditions(wanted):
        values.append(value)
        more += f" and {condition.format(f'${len(values)}')}"
    statement = _NEAREST.format(table=table_of(generation), more=more)
    rows = await connection.fetch(statement, *values)
    found = [FoundChunk(*row) for row in rows]
    return sorted(found, key=lambda chunk: chunk.distance or 0.0)


def _conditions(wanted: ChunkFilter) -> Iterator[tuple[object, str]]:
    """Those that are asked for: a plan with the country in it reads one partition."""
    if wanted.country_id is not None:
        yield wanted.country_id, "c.country_id = {}"
    if wanted.visa_type is not None and wanted.visa_type_alone:
        yield wanted.visa_type, "coalesce(p.visa_type, g.visa_type) = {}"
    if wanted.language is not None:
        yield wanted.language, "(c.language = {0} or split_part(c.language, '-', 1) = {0})"
    if wanted.since is not None:
        yield float(wanted.since), "c.created_at >= to_timestamp({}::float8)"
    if wanted.until is not None:
        yield float(wanted.until), "c.created_at < to_timestamp({}::float8)"


async def best_of(
    connection: Connection,
    generation: Generation,
    documents: Sequence[tuple[SourceKind, UUID]],
    vector: Sequence[float] | None,
    wanted: ChunkFilter,
) -> list[FoundChunk]:
    """Of each document that may be found the chunk most alike, in the order given. `vector` None,
    or a document that is not embedded yet: its text instead. Raises as `nearest`."""
    of_document = of_chunk = ""
    if wanted.country_id is not None:
        of_document, of_chunk = "and d.country_id = $7", "and e.country_id = $7"
    rows = await connection.fetch(
        _BEST_OF.format(table=table_of(generation), of_document=of_document, of_chunk=of_chunk),
        wanted.account_id, wanted.visa_type,
        [kind for kind, _ in documents],
        [country_of(id) for _, id in documents],
        [id for _, id in documents],
        vector,
        *([] if wanted.country_id is None else [wanted.country_id]),
    )  # fmt: skip
    return [FoundChunk(*row) for row in rows]
