"""The job 'notify': tells people of replies and mentions, once for each post or comment, and those
who follow a thread or a community of what is new there, once until they have read it.

    new comments, posts ─▶ replies, mentions; authors follow their threads ─▶ followers, in batches
    edited texts ─▶ whom only the new text mentions
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from actors.content import Author, rfc3339_ns
from actors.mentions import mentioned_handles
from actors.shard_messages import Publication
from storage.follows import FIRST, News, Part, Untold, follow_own, untold
from storage.identity import NO_COUNTRY, new_id, time_ms_of
from storage.notices import (
    EditedText,
    FreshComment,
    FreshContent,
    Kind,
    Notice,
    Recipient,
    Wish,
    read_content,
    read_edited,
    resolve,
    write_notices,
)
from storage.postgres import Connection, Pool, acquire, in_transaction
from storage.stream_writer import Appended, event_payload
from storage.streams import with_committed_ns

Publish = Callable[[Sequence[Publication]], None]

# Followers told in one transaction, which holds the locks of all their streams.
FOLLOWERS_AT_ONCE: Final = 500


class NotifyJob(msgspec.Struct, frozen=True):
    comments: list[FreshComment] = []
    posts: list[UUID] = []
    edited: list[EditedText] = []


_decode: Final = msgspec.json.Decoder(NotifyJob).decode


class _Told(NamedTuple):
    kind: Kind
    content: FreshContent


class Notifier:
    def __init__(
        self, pool: Pool, publish: Publish, followers_at_once: int = FOLLOWERS_AT_ONCE
    ) -> None:
        self._pool = pool
        self._publish = publish
        self._at_once = followers_at_once

    async def run(self, payload: bytes) -> None:
        """Idempotent: nothing is told twice. Raises msgspec.DecodeError, AppError."""
        job = _decode(payload)

        async def work(connection: Connection) -> tuple[list[FreshContent], list[Appended]]:
            contents = await read_content(connection, job.comments, job.posts)
            told = [one for content in contents for one in _told(content)]
            for content, former in await read_edited(connection, job.edited):
                told += _told_by_edit(content, former)
            recipients = await resolve(connection, [wish for wish, _ in told])
            notices = _notices(recipients, [each for _, each in told])
            events = await write_notices(connection, notices)
            await follow_own(connection, [_part(content) for content in contents])
            return contents, events

        contents, events = await in_transaction(self._pool, work)
        self._publish_events(events)
        for of_threads in (True, False):
            chosen = [each for each in contents if (each.comment_id is not None) == of_threads]
            await self._tell_followers(chosen)

    async def _tell_followers(self, contents: Sequence[FreshContent]) -> None:
        """Contents of one kind: comments to those who follow the thread, posts to those who follow
        the community."""
        news = [_news(content) for content in contents]
        after = FIRST
        while news:
            async with acquire(self._pool) as connection:
                found = await untold(connection, news, after, self._at_once)
            if not found:
                break
            after = found[-1].span_id, found[-1].account_id
            notices = [_news_notice(each, contents[each.place]) for each in found]

            async def work(
                connection: Connection, notices: Sequence[Notice] = notices
            ) -> list[Appended]:
                return await write_notices(connection, notices)

            self._publish_events(await in_transaction(self._pool, work))
            if len(found) < self._at_once:
                break

    def _publish_events(self, events: Sequence[Appended]) -> None:
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
    found: list[tuple[Wish, _Told]] = []
    if content.addressee_id is not None:
        found.append((_wish(content, content.addressee_id), _Told("reply", content)))
    for handle in mentioned_handles(content.text):
        found.append((_wish(content, handle), _Told("mention", content)))
    return found


def _told_by_edit(content: FreshContent, former: str) -> list[tuple[Wish, _Told]]:
    """Those whom the former text did not mention."""
    known = frozenset(mentioned_handles(former))
    return [
        (_wish(content, handle), _Told("mention", content))
        for handle in mentioned_handles(content.text)
        if handle not in known
    ]


def _wish(content: FreshContent, whom: UUID | str) -> Wish:
    account_id, handle = (whom, None) if isinstance(whom, UUID) else (None, whom)
    return Wish(account_id, handle, content.author_id, content.community_id, content.post_id)


def _part(content: FreshContent) -> Part:
    return Part(content.author_id, content.post_id, content.community_id, content.at)


def _news(content: FreshContent) -> News:
    span_id = content.community_id if content.comment_id is None else content.post_id
    return News(
        span_id, content.community_id, content.post_id, content.comment_id, content.author_id,
        content.at,
    )  # fmt: skip


def _news_notice(follower: Untold, content: FreshContent) -> Notice:
    """An answer to the post of a follower is a reply, also where it stands for those after it."""
    kind: Kind = "post" if content.comment_id is None else "thread"
    if content.answers_post and content.addressee_id == follower.account_id:
        kind = "reply"
    return _notice(follower.account_id, follower.stream_id, kind, content, follower.span_id)


def _notices(recipients: Sequence[Recipient], told: Sequence[_Told]) -> list[Notice]:
    """What answers the post of somebody who follows its thread with `all`, and does not mention
    them, is left to the one notification that they get as followers."""
    notices: dict[tuple[UUID, UUID, UUID | None], Notice] = {}
    for recipient in recipients:
        kind, content = told[recipient.wish]
        if kind == "reply" and content.answers_post and recipient.follows_all:
            continue
        key = (recipient.account_id, content.post_id, content.comment_id)
        if key not in notices:
            notices[key] = _notice(recipient.account_id, recipient.stream_id, kind, content)
    return list(notices.values())


def _notice(
    account_id: UUID,
    stream_id: int,
    kind: Kind,
    content: FreshContent,
    span_id: UUID | None = None,
) -> Notice:
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
        account_id,
        stream_id,
        kind,
        content.author_id,
        content.post_id,
        content.comment_id,
        event_payload("notification.created", {"notification": shown}),
        span_id,
    )
