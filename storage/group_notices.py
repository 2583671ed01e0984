"""Notifications about communities: who is invited, who asks to join, who was let in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

from storage.accounts import Account
from storage.identity import NO_COUNTRY, new_id
from storage.postgres import Connection
from storage.stream_writer import Appended, append_event, event_payload, rfc3339

Kind = Literal["invitation", "join_request", "join_accepted"]

# Somebody who asks again is news again once that was read, and not twice in the list. The id stays:
# by it an erasure finds all events that tell of it.
_WRITE: Final = """
    insert into notification as n (id, account_id, kind, actor_id, community_id, created_at)
    select $1, $2::uuid, $3, $4::uuid, $5, to_timestamp(id_ms($1) / 1000.0)
    where not exists (select from account_mute x where x.account_id = $2 and x.muted_id = $4)
    on conflict (account_id, community_id, kind, actor_id) where community_id is not null
    do update set created_at = excluded.created_at, read_at = null where n.read_at is not null
    returning id, created_at"""


async def write(
    connection: Connection,
    kind: Kind,
    recipients: Sequence[tuple[UUID, int]],
    actor: Account,
    community_id: UUID,
) -> list[Appended]:
    """`recipients` are (account, its stream); the transaction holds these streams. Those who have
    muted the actor are not told."""
    events = []
    for account_id, stream_id in recipients:
        row = await connection.fetchrow(
            _WRITE, new_id(NO_COUNTRY), account_id, kind, actor.id, community_id
        )
        if row is None:
            continue
        shown = {
            "id": row["id"],
            "kind": kind,
            "actor": {
                "id": actor.id,
                "handle": actor.handle,
                "display_name": actor.display_name,
            },
            "post_id": None,
            "comment_id": None,
            "community_id": community_id,
            "created_at": rfc3339(row["created_at"]),
        }
        payload = event_payload("notification.created", {"notification": shown})
        channel = f"user:{account_id}"
        events.append(await append_event(connection, channel, stream_id, row["id"], payload))
    return events
