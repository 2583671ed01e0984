"""Idempotency records: taken by the write functions (migrations/0003) and by `first_of_key`, kept
for a day."""

from __future__ import annotations

from uuid import UUID

from config.errors import AppError
from storage.postgres import Connection


async def first_of_key(
    connection: Connection, account_id: UUID, id: UUID, key: str, hash: bytes
) -> UUID | None:
    """What was made with the key before; else None, and the key is taken for `id`. Raises AppError
    `conflict` where it was sent with another body."""
    taken = await connection.fetchval(
        "insert into idempotency (account_id, key, request_hash, status, resource_id)"
        " values ($1, $2, $3, 201, $4) on conflict do nothing returning resource_id",
        account_id,
        key,
        hash,
        id,
    )
    if taken is not None:
        return None
    row = await connection.fetchrow(
        "select request_hash, resource_id from idempotency where account_id = $1 and key = $2",
        account_id,
        key,
    )
    if row is None or row["request_hash"] != hash:
        raise AppError("conflict", "This Idempotency-Key was used for something else.")
    first: UUID = row["resource_id"]
    return first


async def forget(connection: Connection, limit: int) -> int:
    """Deletes at most `limit` records older than 24 hours; their number. Served by
    idempotency_created."""
    status = await connection.execute(
        "delete from idempotency where (account_id, key) in (select account_id, key"
        " from idempotency where created_at < now() - interval '24 hours' limit $1)",
        limit,
    )
    return int(status.rsplit(" ", 1)[1])
