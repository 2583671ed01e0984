"""Loads the reference directory: countries, visa types, and one community for each of them."""

from __future__ import annotations

from typing import Final, NamedTuple

from config.reference import CommunitySeed, community_seeds, countries, visa_types
from storage.identity import new_id
from storage.postgres import Connection

_LOCK_KEY: Final = int.from_bytes(b"serai-se")

# Rows that are as they should be are not written again.
_COUNTRIES: Final = """
insert into country as c (id, alpha2, alpha3, name)
select * from unnest($1::smallint[], $2::text[], $3::text[], $4::text[])
on conflict (id) do update
   set alpha2 = excluded.alpha2, alpha3 = excluded.alpha3, name = excluded.name
 where (c.alpha2, c.alpha3, c.name)
       is distinct from (excluded.alpha2, excluded.alpha3, excluded.name)
returning id"""

_VISA_TYPES: Final = """
insert into visa_type as v (country_id, code, name_en, name_local, category, official_url)
select i.* from unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
       as i (country_id, code, name_en, name_local, category, official_url)
  left join visa_type o on o.country_id = i.country_id and o.code = i.code
 where (o.name_en, o.name_local, o.category, o.official_url)
       is distinct from (i.name_en, i.name_local, i.category, i.official_url)
on conflict (country_id, code) do update
   set name_en = excluded.name_en, name_local = excluded.name_local,
       category = excluded.category, official_url = excluded.official_url
returning id"""

_COMMUNITIES: Final = """
with fresh as (
    insert into stream (channel) select 'community:' || id from unnest($1::uuid[]) as id
    returning id, channel
)
insert into community (id, country_id, visa_type, slug, name, kind, stream_id)
select i.id, i.country_id, i.visa_type, i.slug, i.name, i.kind, fresh.id
  from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[])
       as i (id, country_id, visa_type, slug, name, kind)
  join fresh on fresh.channel = 'community:' || i.id"""


class Seeded(NamedTuple):
    """Rows written: made or, but for communities, brought up to date. All 0 when nothing is new."""

    countries: int
    visa_types: int
    communities: int


async def seed(connection: Connection) -> Seeded:
    """Idempotent, all or nothing, one at a time in the whole cluster. A community that exists (by
    its slug) stays as it is: its name and rules may have been changed by people."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)
        country_rows = await connection.fetch(
            _COUNTRIES,
            [country.numeric for country in countries()],
            [country.alpha2 for country in countries()],
            [country.alpha3 for country in countries()],
            [country.name for country in countries()],
        )
        visa_rows = await connection.fetch(
            _VISA_TYPES,
            [visa.country.numeric for visa in visa_types()],
            [visa.code for visa in visa_types()],
            [visa.name_en for visa in visa_types()],
            [visa.name_local for visa in visa_types()],
            [visa.category for visa in visa_types()],
            [visa.official_url for visa in visa_types()],
        )
        missing = await _missing(connection)
        if missing:
            await connection.execute(
                _COMMUNITIES,
                [new_id(one.country_id) for one in missing],
                [one.country_id for one in missing],
                [one.visa_type for one in missing],
                [one.slug for one in missing],
                [one.name for one in missing],
                [one.kind for one in missing],
            )
    return Seeded(len(country_rows), len(visa_rows), len(missing))


async def _missing(connection: Connection) -> list[CommunitySeed]:
    wanted = list(community_seeds())
    rows = await connection.fetch(
        "select slug from community where slug = any($1::text[])", [one.slug for one in wanted]
    )
    there = {row["slug"] for row in rows}
    return [one for one in wanted if one.slug not in there]
