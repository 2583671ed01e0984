"""`python -m serve_app partition …`: what the commands print."""

from __future__ import annotations

import sys
from typing import Final

import asyncpg

from config.errors import AppError
from config.reference import countries_by_alpha2, countries_by_numeric
from storage.partitions import Partition, list_partitions, promote

_SHOWN: Final = 8


async def list_them(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        partitions = await list_partitions(connection)
    finally:
        await connection.close()
    for each in partitions:
        print(
            f"{each.name:<16} {each.rows:>12,} rows {each.bytes / 2**20:>10,.1f} MiB  {_who(each)}"
        )
    return 0


async def promote_country(url: str, alpha2: str) -> int:
    """Raises AppError, `invalid` for what is no country."""
    country = countries_by_alpha2().get(alpha2.upper())
    if country is None:
        raise AppError("invalid", f"{alpha2} is no country code (ISO 3166-1 alpha-2).")
    changed = await promote(
        url,
        country.numeric,
        on_progress=lambda table, rows: print(f"  {table}: {rows:,} rows", file=sys.stderr),
    )
    made = f"now has its own {', '.join(changed)}" if changed else "had its own already"
    print(f"{country.name} {made}.")
    return 0


def _who(partition: Partition) -> str:
    """The numbers that are countries; of a group's many the first few."""
    known = countries_by_numeric()
    codes = sorted(known[number].alpha2 for number in partition.countries if number in known)
    shown = " ".join(codes[:_SHOWN])
    return f"{shown} and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else shown or "groups"
