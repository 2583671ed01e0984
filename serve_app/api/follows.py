"""What the caller is told of: levels of threads and communities; and how far a thread was read."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from actors.member_messages import FollowCommunity, FollowThread, MarkThreadRead
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.fields import FollowLevel
from serve_app.api.member_schemas import Follow, ReadTo
from serve_app.api.route import Nothing, Route


class FollowBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: FollowLevel


class ReadBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`comment_id`: the newest comment that was seen. An older one than before changes nothing."""

    comment_id: UUID


async def follow_post(call: Call[FollowBody, Nothing]) -> Reply:
    request = FollowThread(call.caller, call.uuid("post_id"), call.body.level)
    return await call.backends.accounts_write(request)


async def unfollow_post(call: Call[Nothing, Nothing]) -> Reply:
    request = FollowThread(call.caller, call.uuid("post_id"), None)
    return await call.backends.accounts_write(request)


async def follow_community(call: Call[FollowBody, Nothing]) -> Reply:
    request = FollowCommunity(call.caller, call.text("community"), call.body.level)
    return await call.backends.accounts_write(request)


async def unfollow_community(call: Call[Nothing, Nothing]) -> Reply:
    request = FollowCommunity(call.caller, call.text("community"), None)
    return await call.backends.accounts_write(request)


async def read_post(call: Call[ReadBody, Nothing]) -> Reply:
    request = MarkThreadRead(call.caller, call.uuid("post_id"), call.body.comment_id)
    return await call.backends.accounts_write(request)


_POST: Final = "/api/v1/posts/{post_id}"
_COMMUNITY: Final = "/api/v1/communities/{community}/follow"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "PUT", f"{_POST}/follow", follow_post, "Follow a thread", access="member", rate="vote",
        body=FollowBody, answer=Follow, refusals=("suspended",), tag="follows",
    ),
    Route(
        "DELETE", f"{_POST}/follow", unfollow_post, "Follow a thread no longer",
        access="member", rate="vote", status=204, tag="follows",
    ),
    Route(
        "PUT", _COMMUNITY, follow_community, "Follow a community", access="member",
        rate="vote", body=FollowBody, answer=Follow, refusals=("suspended",), tag="follows",
    ),
    Route(
        "DELETE", _COMMUNITY, unfollow_community, "Follow a community no longer",
        access="member", rate="vote", status=204, tag="follows",
    ),
    Route(
        "PUT", f"{_POST}/read", read_post, "Mark a thread as read up to a comment",
        access="member", rate="read", body=ReadBody, answer=ReadTo, refusals=("suspended",),
        tag="follows",
    ),
)  # fmt: skip
