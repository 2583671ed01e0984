"""What was done about a community, for its moderators to read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from storage.postgres import Connection

Action = Literal[
    "created", "edited", "visibility", "joining", "archived", "unarchived", "transferred",
    "role", "removed", "banned", "unbanned", "invited", "admitted", "refused",
]  # fmt: skip
NEWEST: Final = 2**63 - 1


class LogEntry(msgspec.Struct, frozen=True):
    """`actor_id` None: an operator, or an account that is no more. `detail`: encoded JSON."""

    id: int
    action: Action
    actor_id: UUID | None
    actor_handle: str | None
    actor_display_name: str | None
    subject_id: UUID | None
    subject_handle: str | None
    subject_display_name: str | None
    detail: str
    created_at: datetime


async def write(
    connection: Connection,
    community_id: UUID,
    actor_id: UUID | None,
    action: Action,
    subject_id: UUID | None = None,
    detail: Mapping[str, str] | None = None,
) -> None:
    await connection.execute(
        "insert into community_log (community_id, actor_id, action, subject_id, detail)"
        " values ($1, $2, $3, $4, $5::jsonb)",
        community_id,
        actor_id,
        action,
        subject_id,
        msgspec.json.encode(detail or {}).decode(),
    )


async def was_last(
    connection: Connection, community_id: UUID, actor_id: UUID, action: Action, subject_id: UUID
) -> bool:
    """Whether this is the newest entry."""
    return bool(
        await connection.fetchval(
            "select (actor_id, action, subject_id) = ($2, $3, $4) from community_log"
            " where community_id = $1 order by id desc limit 1",
            community_id,
            actor_id,
            action,
            subject_id,
        )
    )


# By community_log_page.
_PAGE: Final = """
    select l.id, l.action, a.id, a.handle, a.display_name, s.id, s.handle, s.display_name,
           l.detail::text, l.created_at
    from community_log l
    left join account a on a.id = l.actor_id and a.status <> 'deleted'
    left join account s on s.id = l.subject_id and s.status <> 'deleted'
    where l.community_id = $1 and l.id < $2
    order by l.id desc limit $3"""


async def read(
    connection: Connection, community_id: UUID, before: int, limit: int
) -> list[LogEntry]:
    """Newest first, those with an id below `before`."""
    rows = await connection.fetch(_PAGE, community_id, before, limit)
    return [LogEntry(*row.values()) for row in rows]
