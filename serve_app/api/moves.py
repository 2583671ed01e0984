"""Threads that moderators move or merge."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.messages import MergePosts, MovePost, Reply
from serve_app.api.call import Call
from serve_app.api.fields import UUID, CommunityKey
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import PostAnswer


class MoveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`community_id`: id or slug."""

    community_id: CommunityKey


class MergeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`into`: a post of the same country."""

    into: UUID


async def move(call: Call[MoveBody, Nothing]) -> Reply:
    post_id, community = call.uuid("post_id"), call.body.community_id
    request = MovePost(call.caller, post_id, community, call.received_ns)
    return await call.backends.thread_write(request)


async def merge(call: Call[MergeBody, Nothing]) -> Reply:
    request = MergePosts(call.caller, call.uuid("post_id"), call.body.into, call.received_ns)
    return await call.backends.thread_write(request)


_REFUSALS: Final = ("conflict", "locked", "not_permitted", "suspended")
_P: Final = "/api/v1/posts/{post_id}"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", f"{_P}/move", move, "Move a thread to another community", access="member",
        rate="write", body=MoveBody, answer=PostAnswer, refusals=_REFUSALS, tag="posts",
    ),
    Route(
        "POST", f"{_P}/merge", merge, "Merge a thread into another one", access="member",
        rate="write", body=MergeBody, answer=PostAnswer, refusals=_REFUSALS, tag="posts",
    ),
)  # fmt: skip
