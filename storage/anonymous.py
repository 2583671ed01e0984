"""The author of what members left behind when they left: one account for all of them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from storage.postgres import Connection

# A UUIDv7 of no time and no country, as every id is one. Its handle is reserved, nobody can log in.
DELETED_AUTHOR: Final = UUID("00000000-0000-7000-8000-000000000000")
DELETED_HANDLE: Final = "deleted"

_ENSURE: Final = """
with s as (
    insert into stream (channel) values ('user:' || $1::uuid)
    on conflict (channel) do nothing returning id
)
insert into account (id, handle, display_name, status, stream_id)
select $1, $2, $2, 'deleted', id from s
on conflict (id) do nothing"""


async def ensure_deleted_author(connection: Connection) -> None:
    """Made when it is first needed, once: whoever comes second waits for the stream's key."""
    await connection.execute(_ENSURE, DELETED_AUTHOR, DELETED_HANDLE)
