"""The epoch of all streams: a random value of this incarnation of the database.

Offsets that a restore or a failover has lost will be given out again, to other events. So whoever
holds an older position must hear that it is worth nothing, and restored bytes would bring the old
epoch back: it is written anew where the database is another one than the one that wrote it.
"""

from __future__ import annotations

from typing import Final

from storage.postgres import Connection

_SETTLE: Final = """
    with present as (
        select system_identifier,
               ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
                   as timeline
        from pg_control_system())
    update incarnation i
    set epoch = substr(replace(gen_random_uuid()::text, '-', ''), 1, 12),
        system_identifier = p.system_identifier, timeline = p.timeline,
        created_at = clock_timestamp()
    from present p
    where (i.system_identifier, i.timeline) is distinct from (p.system_identifier, p.timeline)
    returning i.epoch"""


async def settle_epoch(connection: Connection) -> bool:
    """Before anything is read from a database that may have been replaced. True: it had been, and
    the epoch is another one now. Several callers at once write one."""
    return await connection.fetchval(_SETTLE) is not None
