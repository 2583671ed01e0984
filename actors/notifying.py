"""The job 'notify': tells people of replies and mentions, once for each post or comment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from actors.content import Author, rfc3339_ns
from actors.mentions import mentioned_handles
from actors.shard_messages import Publication
from storage.identity import NO_COUNTRY, new_id, time_ms_of
from storage.notices import (
    FreshComment,
    FreshContent,
    Notice,
    Recipient,
    Wish,
    read_content,
    resolve,
    write_notices,
)
from storage.postgres import Connection, Pool, in_transaction
from storage.stream_writer import Appended, event_payload
from storage.streams import with_committed_ns

Publish = Callable[[Sequence[Publication]], None]
Kind = Literal["reply", "mention"]


class NotifyJob(msgspec.Struct, frozen=True):
    comments: list[FreshComment] = []
    posts: list[UUID] = []


_decode: Final = msgspec.json.Decoder(NotifyJob).decode


class _Told(NamedTuple):
    kind: Kind
    content: FreshContent


class Notifier:
    def __init__(self, pool: Pool, publish: Publish) -> None:
        self._pool = pool
        self._publish = publish

    async def run(self, payload: bytes) -> None:
        """Idempotent: nothing is told twice. Raises msgspec.DecodeError, AppError."""
        job = _decode(payload)

        async def work(connection: Connection) -> list[Appended]:
            contents = await read_content(connection, job.comments, job.posts)
            told = [one for content in contents for one in _told(content)]
            recipients = await resolve(connection, [wish for wish, _ in told])
            return await write_notices(connection, _notices(recipients, [each for _, each in told]))

        events = await in_transaction(self._pool, work)
        committed_ns = time.time_ns()
        if events:
            self._publish(
                [
                    Publication(e.channel, e.offset, with_committed_ns(e.payload, committed_ns))
                    for e in events
                ]
            )


def _told(content: FreshContent) -> list[tuple[Wish, _Told]]:
    """Replies come first: whoever is also mentioned in a reply to them gets it as a reply."""
    place = (content.author_id, content.community_id)
    found: list[tuple[Wish, _Told]] = []
    if content.addressee_id is not None:
        found.append((Wish(content.addressee_id, None, *place), _Told("reply", content)))
    for handle in mentioned_handles(content.text):
        found.append((Wish(None, handle, *place), _Told("mention", content)))
    return found


def _notices(recipients: Sequence[Recipient], told: Sequence[_Told]) -> list[Notice]:
    notices: dict[tuple[UUID, UUID, UUID | None], Notice] = {}
    for recipient in recipients:
        kind, content = told[recipient.wish]
        key = (recipient.account_id, content.post_id, content.comment_id)
        if key not in notices:
            notices[key] = _notice(recipient, kind, content)
    return list(notices.values())


def _notice(recipient: Recipient, kind: Kind, content: FreshContent) -> Notice:
    """The event holds no text of members, so that removing content need not overwrite it."""
    id = new_id(NO_COUNTRY)
    shown = {
        "id": id,
        "kind": kind,
        "actor": Author(content.author_id, content.handle, content.display_name),
        "post_id": content.post_id,
        "comment_id": content.comment_id,
        "created_at": rfc3339_ns(time_ms_of(id) * 1_000_000),
    }
    return Notice(
        id,
        recipient.account_id,
        recipient.stream_id,
        kind,
        content.author_id,
        content.post_id,
        content.comment_id,
        event_payload("notification.created", {"notification": shown}),
    )
