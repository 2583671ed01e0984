"""Loading the reference directory."""

from __future__ import annotations

import asyncio

import pytest

from config.reference import community_seeds, countries, visa_types
from storage.identity import country_of
from storage.postgres import Pool
from storage.seed import Seeded, seed
from tests.integration.people import pool

__all__ = ["pool"]

pytestmark = pytest.mark.integration

ALL = Seeded(len(countries()), len(visa_types()), len(list(community_seeds())))
NOTHING = Seeded(0, 0, 0)


async def run(pool: Pool) -> Seeded:
    async with pool.acquire() as connection:
        return await seed(connection)


async def test_everything_is_made_once_also_by_two_at_once(pool: Pool) -> None:
    made = await asyncio.gather(run(pool), run(pool))
    assert sorted(made) == [NOTHING, ALL]
    assert await run(pool) == NOTHING
    counts = await pool.fetchrow(
        "select (select count(*) from country) as countries,"
        " (select count(*) from visa_type) as visa_types,"
        " (select count(*) from community) as communities,"
        " (select count(*) from stream where id > 0) as streams"
    )
    assert counts is not None
    assert tuple(counts.values()) == (*ALL, ALL.communities)


async def test_a_community_lies_in_its_country_and_has_its_own_stream(pool: Pool) -> None:
    await run(pool)
    rows = await pool.fetch(
        "select c.*, s.channel from community c join stream s on s.id = c.stream_id"
    )
    assert len(rows) == ALL.communities
    assert all(row["channel"] == f"community:{row['id']}" for row in rows)
    assert all(country_of(row["id"]) == row["country_id"] for row in rows)
    student = next(row for row in rows if row["slug"] == "de-student")
    assert (student["country_id"], student["visa_type"], student["kind"]) == (
        276,
        "student",
        "visa",
    )


async def test_changed_reference_rows_are_put_right_and_communities_left(pool: Pool) -> None:
    await run(pool)
    await pool.execute("update country set name = 'Elsewhere' where alpha2 = 'DE'")
    await pool.execute("update visa_type set official_url = 'https://x.example' where id <= 2")
    await pool.execute(
        "update community set name = 'Our own name', rules = 'Be kind' where slug = 'de'"
    )
    await pool.execute("delete from community where slug = 'de-student'")
    assert await run(pool) == Seeded(1, 2, 1)
    assert await pool.fetchval("select name from country where alpha2 = 'DE'") == "Germany"
    assert await pool.fetchval("select name from community where slug = 'de'") == "Our own name"
    assert await run(pool) == NOTHING
