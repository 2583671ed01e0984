"""The account that the server itself writes by: nobody can log in with it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from storage.postgres import Connection

# A UUIDv7 of no time and no country, as every id is one (storage/anonymous.py has the first).
SYSTEM_ACCOUNT: Final = UUID("00000000-0000-7000-8000-000000000001")
SYSTEM_HANDLE: Final = "serai"
SYSTEM_NAME: Final = "Serai"

# Nobody registers with the handle, which is reserved; but a dump may have brought it.
_ENSURE: Final = """
with s as (
    insert into stream (channel) values ('user:' || $1::uuid)
    on conflict (channel) do nothing returning id
)
insert into account (id, handle, display_name, stream_id)
select $1, case when exists (select from account where lower(handle) = $2)
                then $2 || '_server' else $2 end, $3, id from s
on conflict (id) do nothing"""


async def ensure_system_account(connection: Connection) -> None:
    """Made when it is first needed, once: whoever comes second waits for the stream's key."""
    await connection.execute(_ENSURE, SYSTEM_ACCOUNT, SYSTEM_HANDLE, SYSTEM_NAME)
