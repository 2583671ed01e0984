"""The caller's notifications, newest first."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from actors.account_messages import ListNotifications, MarkNotificationsRead
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import NotificationPage, UnreadCount


class ReadBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`up_to`: the newest notification that was seen; it and all older ones become read."""

    up_to: UUID


async def notifications(call: Call[Nothing, PageQuery]) -> Reply:
    request = ListNotifications(call.caller, call.query.limit, call.query.cursor)
    return await call.backends.accounts_read(request)


async def mark_read(call: Call[ReadBody, Nothing]) -> Reply:
    request = MarkNotificationsRead(call.caller, call.body.up_to)
    return await call.backends.accounts_write(request)


_P: Final = "/api/v1/notifications"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", _P, notifications, "Notifications", access="member", rate="read",
        query=PageQuery, answer=NotificationPage, tag="notifications",
    ),
    Route(
        "PUT", f"{_P}/read", mark_read, "Mark notifications as read", access="member",
        rate="write", body=ReadBody, answer=UnreadCount, tag="notifications",
    ),
)  # fmt: skip
