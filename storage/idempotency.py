"""Idempotency records: taken by the write functions (migrations/0003), kept for a day."""

from __future__ import annotations

from storage.postgres import Connection


async def forget(connection: Connection, limit: int) -> int:
    """Deletes at most `limit` records older than 24 hours; their number. Served by
    idempotency_created."""
    status = await connection.execute(
        "delete from idempotency where (account_id, key) in (select account_id, key"
        " from idempotency where created_at < now() - interval '24 hours' limit $1)",
        limit,
    )
    return int(status.rsplit(" ", 1)[1])
