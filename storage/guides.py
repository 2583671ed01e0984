"""The tables guide and guide_version: what authorities say, in the words of an operator's file.

A guide that says something new gets the next version and leaves the former one in guide_version;
that it was only checked again makes no version. A guide that is withdrawn stays with its history,
and is shown to nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from storage.feed_keys import Languages
from storage.identity import lowest_id_at
from storage.postgres import Connection
from storage.search.index_jobs import IndexJob, enqueue_index

_HASH_MASK: Final = (1 << 62) - 1


class GuideToImport(msgspec.Struct, frozen=True):
    id: UUID
    country_id: int
    reference: str
    visa_type: str | None
    language: str
    title: str
    body_markdown: str
    body_html: str
    authority: str
    source_url: str
    as_of: date
    last_checked: date


class GuideRow(msgspec.Struct, frozen=True):
    """Lists leave both bodies empty."""

    id: UUID
    country_id: int
    visa_type: str | None
    language: str
    title: str
    body_markdown: str
    body_html: str
    authority: str
    source_url: str
    as_of: date
    last_checked: date
    version: int
    updated_at: datetime


class GuideVersionRow(msgspec.Struct, frozen=True):
    """`replaced_at` None: what the guide says now."""

    version: int
    title: str
    body_markdown: str
    authority: str
    source_url: str
    as_of: date
    replaced_at: datetime | None


class GuideKey(NamedTuple):
    """Where a guide stands in the order of lists: by country, visa type, language. The guides of a
    whole country have the visa type '' here."""

    country_id: int
    visa_type: str
    language: str
    id: UUID


class GuideFilter(NamedTuple):
    """None leaves a condition out."""

    country_id: int | None = None
    visa_type: str | None = None
    languages: Languages | None = None


class WrittenGuides(NamedTuple):
    """`written`: new ones, and those of which anything has changed. `foreign`: places in the batch
    whose reference belongs to another country."""

    written: list[UUID]
    foreign: list[int]


FIRST_GUIDE: Final = GuideKey(-1, "", "", UUID(int=0))


def guide_id(country_id: int, reference: str) -> UUID:
    """The same in every installation: of the form of storage/identity.py, at time 0, its random
    bits a hash of the reference."""
    digest = hashlib.blake2b(reference.encode(), digest_size=8, person=b"guide").digest()
    bits = int.from_bytes(digest) & _HASH_MASK
    return UUID(int=lowest_id_at(0).int | country_id << 64 | bits)


# What a version is about; last_checked is not.
_SAID: Final = (
    "visa_type", "language", "title", "body_markdown", "authority", "source_url", "as_of",
)  # fmt: skip
_COLUMNS: Final = GuideToImport.__struct_fields__
_FOREIGN: Final = """
    select i.place from unnest($1::uuid[], $2::text[]) with ordinality as i (id, reference, place)
      join guide g on g.reference = i.reference and g.id <> i.id"""
_INCOMING: Final = f"""unnest(
        $1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::date[], $12::date[]) as i ({", ".join(_COLUMNS)})
"""


def _row_of(alias: str, *more: str) -> str:
    return "(" + ", ".join(f"{alias}.{name}" for name in (*_SAID, *more)) + ")"


_KEEP_FORMER: Final = f"""
    insert into guide_version (guide_id, version, {", ".join(_SAID)})
    select g.id, g.version, {", ".join(f"g.{name}" for name in _SAID)}
      from {_INCOMING} join guide g on g.id = i.id
     where {_row_of("g")} is distinct from {_row_of("i")}
     order by g.id"""
_WRITE: Final = f"""
    insert into guide as g ({", ".join(_COLUMNS)})
    select i.* from {_INCOMING} order by i.id
    on conflict (id) do update
       set {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[3:])},
           version = g.version
               + ({_row_of("g")} is distinct from {_row_of("excluded")})::int,
           updated_at = clock_timestamp(), withdrawn_at = null
     where {_row_of("g", "body_html", "last_checked")}
               is distinct from {_row_of("excluded", "body_html", "last_checked")}
        or g.withdrawn_at is not null
    returning id"""


async def write_guides(connection: Connection, guides: Sequence[GuideToImport]) -> WrittenGuides:
    """In one transaction; one import at a time (`importing.lock`). What is as it should be is not
    written. No two of them have one reference."""
    async with connection.transaction():
        rows = await connection.fetch(
            _FOREIGN, [guide.id for guide in guides], [guide.reference for guide in guides]
        )
        foreign = {row["place"] - 1 for row in rows}
        good = [guide for place, guide in enumerate(guides) if place not in foreign]
        columns = [[getattr(guide, name) for guide in good] for name in _COLUMNS]
        await connection.execute(_KEEP_FORMER, *columns)
        written = await connection.fetch(_WRITE, *columns)
        if written:
            job = IndexJob(guides=[row["id"] for row in written])
            await enqueue_index(connection, job)
    return WrittenGuides([row["id"] for row in written], sorted(foreign))


async def withdraw(connection: Connection, reference: str) -> UUID | None:
    """In the caller's transaction. None: no such guide is shown."""
    id: UUID | None = await connection.fetchval(
        "update guide set withdrawn_at = clock_timestamp(), updated_at = clock_timestamp()"
        " where reference = $1 and withdrawn_at is null returning id",
        reference,
    )
    if id is not None:
        await enqueue_index(connection, IndexJob(guides=[id]))
    return id


_SHOWN: Final = GuideRow.__struct_fields__
_LISTED: Final = ", ".join(
    f"'' as {name}" if name in ("body_markdown", "body_html") else name for name in _SHOWN
)
# Some thousand rows at most: the index gives a country's, and the order is sorted.
_LIST: Final = f"""
    select {_LISTED} from guide
     where withdrawn_at is null and ($1::smallint is null or country_id = $1)
       and ($2::text is null or visa_type = $2)
       and ($3::text[] is null or language = any($4)
            or split_part(language, '-', 1) = any($3))
       and (country_id, coalesce(visa_type, ''), language, id) > ($5::int, $6::text, $7::text, $8)
     order by country_id, coalesce(visa_type, ''), language, id limit $9"""
_READ: Final = f"select {', '.join(_SHOWN)} from guide where withdrawn_at is null and id = "


async def list_guides(
    connection: Connection, wanted: GuideFilter, after: GuideKey, limit: int
) -> list[GuideRow]:
    languages = wanted.languages
    rows = await connection.fetch(
        _LIST,
        wanted.country_id,
        wanted.visa_type,
        None if languages is None else list(languages.whole),
        None if languages is None else list(languages.regional),
        *after,
        limit,
    )
    return [GuideRow(*row) for row in rows]


async def read_guide(connection: Connection, id: UUID) -> GuideRow | None:
    row = await connection.fetchrow(f"{_READ}$1", id)
    return None if row is None else GuideRow(*row)


_VERSIONS: Final = """
    select version, title, body_markdown, authority, source_url, as_of, null as replaced_at
      from guide where id = $1 and withdrawn_at is null and version < $2
    union all
    select v.version, v.title, v.body_markdown, v.authority, v.source_url, v.as_of, v.replaced_at
      from guide_version v join guide g on g.id = v.guide_id and g.withdrawn_at is null
     where v.guide_id = $1 and v.version < $2
     order by version desc limit $3"""


async def list_versions(
    connection: Connection, id: UUID, below: int, limit: int
) -> list[GuideVersionRow]:
    """Newest first. Empty where the guide is not shown."""
    rows = await connection.fetch(_VERSIONS, id, below, limit)
    return [GuideVersionRow(*row) for row in rows]
