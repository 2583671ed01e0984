"""The session table: one row per log-in, the family of its rotating refresh tokens."""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

import msgspec

from storage.postgres import Connection
from storage.stream_writer import Appended, append_event, event_payload

EndReason = Literal["logout", "reuse", "suspended", "deleted"]
MAX_USER_AGENT_CHARACTERS: Final = 200


class Session(msgspec.Struct, frozen=True, gc=False):
    """`rotated_seconds` is the age of the newest token by the database's clock."""

    account_id: UUID
    token_hash: bytes
    previous_hash: bytes | None
    rotated_seconds: float
    live: bool


_OPEN: Final = """
insert into session (id, account_id, token_hash, user_agent, expires_at)
select $1, a.id, $3, $4, now() + $5 * interval '1 day'
  from account a
 where a.id = $2
   and (a.status = 'active' or a.status = 'suspended' and a.suspended_until <= now())
returning id"""


async def open_session(
    connection: Connection,
    id: UUID,
    account_id: UUID,
    token_hash: bytes,
    user_agent: str,
    days: int,
) -> bool:
    """False when the account may not log in (any more)."""
    opened = await connection.fetchval(
        _OPEN, id, account_id, token_hash, _storable(user_agent), days
    )
    return opened is not None


# A rival that rotates the same token waits for this row's lock, then finds another hash: no row.
_ROTATE: Final = """
update session s
   set previous_hash = token_hash, token_hash = $3, rotated_at = now(), user_agent = $4,
       expires_at = now() + $5 * interval '1 day'
  from account a
 where s.id = $1 and s.token_hash = $2 and s.ended_at is null and s.expires_at > now()
   and a.id = s.account_id
   and (a.status = 'active' or a.status = 'suspended' and a.suspended_until <= now())
returning s.account_id"""


async def rotate(
    connection: Connection,
    id: UUID,
    token_hash: bytes,
    successor_hash: bytes,
    user_agent: str,
    days: int,
) -> UUID | None:
    """Replaces the newest token of a live session by its successor and returns the account's id.

    None when nothing was done: read `find` in a later statement to see why.
    """
    account_id: UUID | None = await connection.fetchval(
        _ROTATE, id, token_hash, successor_hash, _storable(user_agent), days
    )
    return account_id


async def find(connection: Connection, id: UUID) -> Session | None:
    row = await connection.fetchrow(
        "select account_id, token_hash, previous_hash,"
        " extract(epoch from now() - rotated_at)::float8 as rotated_seconds,"
        " ended_at is null and expires_at > now() as live from session where id = $1",
        id,
    )
    return None if row is None else Session(*row.values())


async def end_session(connection: Connection, id: UUID, reason: EndReason) -> Appended | None:
    """Ends a session and appends `session.ended` to its account's stream; None if it has ended
    before, or never was. To be called in a transaction that holds no lock yet."""
    account = await connection.fetchrow(
        "select a.id, a.stream_id from session s join account a on a.id = s.account_id"
        " join stream t on t.id = a.stream_id where s.id = $1 for no key update of t",
        id,
    )
    if account is None:
        return None
    ended = await connection.fetchval(
        "update session set ended_at = now(), ended_reason = $2"
        " where id = $1 and ended_at is null returning id",
        id,
        reason,
    )
    if ended is None:
        return None
    payload = event_payload("session.ended", {"session_id": id, "reason": reason})
    return await append_event(
        connection, f"user:{account['id']}", account["stream_id"], id, payload
    )


async def end_sessions_of(connection: Connection, account_id: UUID, reason: EndReason) -> None:
    """Without an event: the caller appends one for all of them."""
    await connection.execute(
        "update session set ended_at = now(), ended_reason = $2"
        " where account_id = $1 and ended_at is null",
        account_id,
        reason,
    )


async def forget_sessions(connection: Connection, days: int, limit: int = 10_000) -> int:
    """Deletes at most `limit` sessions that ended or expired more than `days` ago.

    `days` must exceed the life of an access token: a deleted session is no longer known as ended.
    """
    status = await connection.execute(
        "delete from session where id in (select id from session"
        " where least(ended_at, expires_at) < now() - $1 * interval '1 day' limit $2)",
        days,
        limit,
    )
    return int(status.rsplit(" ", 1)[1])


def _storable(user_agent: str) -> str:
    cut = user_agent[:MAX_USER_AGENT_CHARACTERS].replace("\x00", "")
    return cut.encode("utf-8", "replace").decode()
