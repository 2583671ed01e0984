"""The Accounts actor: people, their sessions, memberships, notifications, and what they may read.

The items of a batch run at once and fail singly. Sessions are made and ended in sign_in.py,
communities are run in groups.py, channels are judged in channel_access.py; what only the database
can decide is decided in storage/.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from actors.account_messages import (
    AuthorizeChannel,
    EraseAccount,
    JoinCommunity,
    LeaveCommunity,
    ListNotifications,
    Login,
    Logout,
    MarkNotificationsRead,
    ReadErasure,
    ReadExport,
    ReadMe,
    Refresh,
    Register,
    StartExport,
)
from actors.channel_access import authorize
from actors.checklist_progress import Progress
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.group_messages import GroupRequest
from actors.groups import Groups
from actors.media.messages import CompleteMedia, CreateMedia, ReadMedia
from actors.member_state import MemberState
from actors.messages import Failure, Outcome, Reply
from actors.outcomes import settle
from actors.own_data import OwnData
from actors.pages import member, require_limit
from actors.passwords import Passwords
from actors.people_messages import PeopleRequest
from actors.profile import Profile
from actors.shard_messages import Publication
from actors.sign_in import SignIn
from actors.timelines import Timelines
from actors.visa_messages import ProgressRequest, TimelineWrite
from config.errors import AppError
from config.settings import Auth
from storage import memberships, notifications
from storage.notifications import Notification
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.stream_writer import Appended, rfc3339
from storage.streams import with_committed_ns

if TYPE_CHECKING:
    from actors.media.library import Library

log = logging.getLogger(__name__)

_encode: Final = msgspec.json.encode


class Accounts:
    """`publish` hands committed events to the shards; it neither waits nor raises. Without a
    `library` there are no files."""

    def __init__(
        self,
        pool: Pool,
        settings: Auth,
        secret: str,
        publish: Callable[[list[Publication]], None],
        *,
        passwords: Passwords | None = None,
        library: Library | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._publish = publish
        self._library = library
        self._passwords = passwords or Passwords()
        self._profile = Profile(pool)
        self._own = MemberState(pool, self._profile)
        self._own_data = OwnData(pool, secret, self._passwords, self._publish_events, clock)
        self._groups = Groups(pool, self._publish_events)
        self._timelines = Timelines(pool, clock)
        self._progress = Progress(pool)
        self._sign_in = SignIn(pool, settings, secret, self._passwords, self._publish_events, clock)

    async def handle_batch(self, requests: Sequence[PeopleRequest]) -> list[Outcome]:
        """One outcome per request, in order. The items run in no certain order among each other.
        Raises nothing but CancelledError."""
        channels = [request for request in requests if isinstance(request, AuthorizeChannel)]
        async with asyncio.TaskGroup() as group:
            granted = group.create_task(self._authorize(channels))
            tasks = [
                None
                if isinstance(request, AuthorizeChannel)
                else group.create_task(settle(self._answer(request)))
                for request in requests
            ]
        grants = iter(granted.result())
        return [next(grants) if task is None else task.result() for task in tasks]

    def close(self) -> None:
        """Refuses passwords from now on; the pool belongs to the caller."""
        self._passwords.close()

    async def _answer(self, request: PeopleRequest) -> Reply:
        if isinstance(request, GroupRequest):
            return await self._groups.answer(request)
        if isinstance(request, TimelineWrite):
            return await self._timelines.answer(request)
        if isinstance(request, ProgressRequest):
            return await self._progress.answer(request)
        match request:
            case Register():
                return await self._sign_in.register(request)
            case Login():
                return await self._sign_in.login(request)
            case Refresh():
                return await self._sign_in.refresh(request)
            case Logout():
                return await self._sign_in.logout(request)
            case ReadMe():
                return await self._profile.read(request)
            case JoinCommunity():
                return await self._join(request)
            case LeaveCommunity():
                return await self._leave(request)
            case ListNotifications():
                return await self._list_notifications(request)
            case MarkNotificationsRead():
                return await self._mark_read(request)
            case EraseAccount():
                return await self._own_data.erase(request)
            case ReadErasure():
                return await self._own_data.read_erasure(request)
            case StartExport():
                return await self._own_data.start_export(request)
            case ReadExport():
                return await self._own_data.read_export(request)
            case CreateMedia() | CompleteMedia() | ReadMedia():
                if self._library is None:
                    raise AppError("unavailable", "This server keeps no files.")
                return await self._library.answer(request)
            case AuthorizeChannel():
                raise AssertionError("answered together with the others of its batch")
            case _:
                return await self._own.answer(request)

    async def _authorize(self, requests: Sequence[AuthorizeChannel]) -> list[Outcome]:
        if not requests:
            return []
        try:
            async with acquire(self._pool) as connection:
                return await authorize(connection, requests)
        except AppError as error:
            return [Failure.of(error)] * len(requests)
        except Exception:
            log.exception("channels could not be judged")
            return [Failure("internal")] * len(requests)

    async def _join(self, request: JoinCommunity) -> Reply:
        account_id = member(request.caller)
        joined, position = await in_transaction_at(
            self._pool,
            lambda connection: memberships.join(connection, account_id, request.community),
        )
        if joined.event is not None:
            self._publish_events([joined.event])
        return Reply(200, _encode({"role": joined.role}), position)

    async def _leave(self, request: LeaveCommunity) -> Reply:
        account_id = member(request.caller)
        event, position = await in_transaction_at(
            self._pool,
            lambda connection: memberships.leave(connection, account_id, request.community),
        )
        if event is not None:
            self._publish_events([event])
        return Reply(204, position=position)

    async def _list_notifications(self, request: ListNotifications) -> Reply:
        account_id = member(request.caller)
        require_limit(request.limit)
        scope = str(account_id)
        before = None
        if request.cursor is not None:
            before = decode_cursor(CursorKind.NOTIFICATIONS, scope, request.cursor, UUID)
        async with acquire(self._pool) as connection:
            # One more than asked for says whether there is a next page.
            found = await notifications.list_notifications(
                connection, account_id, before, request.limit + 1
            )
            unread = await notifications.count_unread(connection, account_id)
        page = found[: request.limit]
        next_cursor = None
        if len(found) > len(page):
            next_cursor = encode_cursor(CursorKind.NOTIFICATIONS, scope, page[-1].id)
        items = [_shown(notification) for notification in page]
        body = {"items": items, "next_cursor": next_cursor, "unread": unread}
        return Reply(body=_encode(body))

    async def _mark_read(self, request: MarkNotificationsRead) -> Reply:
        account_id = member(request.caller)

        async def work(connection: Connection) -> int:
            await notifications.mark_read(connection, account_id, request.up_to)
            return await notifications.count_unread(connection, account_id)

        # Two calls that cross may lock the same rows in different order: a deadlock is retried.
        unread, position = await in_transaction_at(self._pool, work)
        return Reply(200, _encode({"unread": unread}), position)

    def _publish_events(self, events: Sequence[Appended]) -> None:
        committed_ns = time.time_ns()
        self._publish(
            [
                Publication(
                    event.channel,
                    event.offset,
                    with_committed_ns(event.payload, committed_ns),
                )
                for event in events
            ]
        )


def _community_shown(notification: Notification) -> dict[str, object] | None:
    if notification.community_id is None:
        return None
    return {
        "id": notification.community_id,
        "slug": notification.community_slug,
        "name": notification.community_name,
    }


def _shown(notification: Notification) -> dict[str, object]:
    actor = None
    if notification.actor_handle is not None:
        actor = {
            "id": notification.actor_id,
            "handle": notification.actor_handle,
            "display_name": notification.actor_display_name,
        }
    return {
        "id": notification.id,
        "kind": notification.kind,
        "count": notification.count,
        "actor": actor,
        "post_id": notification.post_id,
        "comment_id": notification.comment_id,
        "post_title": notification.post_title,
        "community": _community_shown(notification),
        "created_at": rfc3339(notification.created_at),
        "read": notification.read,
    }
