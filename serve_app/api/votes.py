"""Votes on posts and comments."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.messages import CastVote, Reply
from serve_app.api.call import Call
from serve_app.api.fields import VoteValue
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import VoteCounts


class VoteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """0 takes the vote back."""

    value: VoteValue


async def vote_on_post(call: Call[VoteBody, Nothing]) -> Reply:
    request = CastVote(call.caller, "post", call.uuid("post_id"), call.body.value)
    return await call.backends.thread_write(request)


async def vote_on_comment(call: Call[VoteBody, Nothing]) -> Reply:
    request = CastVote(call.caller, "comment", call.uuid("comment_id"), call.body.value)
    return await call.backends.thread_write(request)


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "PUT", "/api/v1/posts/{post_id}/vote", vote_on_post, "Vote on a post", access="member",
        rate="vote", body=VoteBody, answer=VoteCounts,
        refusals=("locked", "not_permitted", "suspended"), tag="votes",
    ),
    Route(
        "PUT", "/api/v1/comments/{comment_id}/vote", vote_on_comment, "Vote on a comment",
        access="member", rate="vote", body=VoteBody, answer=VoteCounts,
        refusals=("locked", "not_permitted", "suspended"), tag="votes",
    ),
)  # fmt: skip
