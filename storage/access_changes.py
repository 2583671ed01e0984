"""The stream that tells every gateway who may no longer read what (docs/adr/0010)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from config.channels import ACCESS_CHANNEL
from storage.content_locks import Streams
from storage.postgres import Connection
from storage.stream_writer import event_payload

STREAM_ID: Final = -1
"""As migration 0008 made it: the lowest of all, so it can be locked before any other."""
STREAMS: Final[Streams] = {STREAM_ID: ACCESS_CHANNEL}


async def lock(connection: Connection) -> None:
    """For transactions that will append to it and hold no locks yet."""
    await connection.execute("select 1 from stream where id = $1 for update", STREAM_ID)


def became_private(community_id: UUID) -> str:
    """The event: whoever follows the community or its threads is to be asked about again."""
    return event_payload("access.changed", {"community_id": community_id})


def moved(post_id: UUID, community_id: UUID) -> str:
    """The event: from now on the thread is read as this community is."""
    return event_payload("access.changed", {"community_id": community_id, "post_id": post_id})
