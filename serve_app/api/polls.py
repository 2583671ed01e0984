"""Polls: one a post."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from actors.messages import ReadPoll, Reply, SetPoll, VoteInPoll
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import PollOptions, PollPlaces, PollQuestion
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import PollAnswer, PollVotes, PostAnswer


class PollBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where no question is given, the post's title asks it. `multiple`: a member may mark several
    options. `closes_at`: null for never."""

    options: PollOptions
    question: PollQuestion = ""
    multiple: bool = False
    closes_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class PollVoteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty list takes the vote back."""

    options: PollPlaces


async def set_poll(call: Call[PollBody, Nothing]) -> Reply:
    body, post_id = call.body, call.uuid("post_id")
    return await call.backends.thread_write(
        SetPoll(
            call.caller,
            post_id,
            " ".join(body.question.split()),
            _distinct(body.options),
            body.multiple,
            _moment(body.closes_at),
            call.received_ns,
        )
    )


async def vote(call: Call[PollVoteBody, Nothing]) -> Reply:
    request = VoteInPoll(call.caller, call.uuid("post_id"), call.body.options)
    return await call.backends.thread_write(request)


async def read(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.thread_read(ReadPoll(call.caller, call.uuid("post_id")))


_LONGEST: Final = timedelta(days=366)


def _moment(closes_at: datetime | None) -> datetime | None:
    """Within a year: neither MessagePack nor Postgres takes every moment that JSON can write."""
    now = datetime.now(UTC)
    if closes_at is not None and not now < closes_at <= now + _LONGEST:
        reason = "Expected a moment within the next year"
        raise AppError("invalid", errors=(("closes_at", reason),))
    return closes_at


def _distinct(options: tuple[str, ...]) -> tuple[str, ...]:
    """One line each, without surrounding spaces."""
    texts = tuple(" ".join(option.split()) for option in options)
    if "" in texts or len(set(texts)) < len(texts):
        reason = "Expected visible texts, each once"
        raise AppError("invalid", errors=(("options", reason),))
    return texts


_P: Final = "/api/v1/posts/{post_id}/poll"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", _P, read, "A post's poll, with the caller's vote", access="guest", rate="read",
        answer=PollAnswer, tag="posts",
    ),
    Route(
        "PUT", _P, set_poll, "Ask a poll, or change it before its votes count", access="member",
        rate="write", body=PollBody, answer=PostAnswer,
        refusals=("conflict", "locked", "not_permitted", "suspended"), tag="posts",
    ),
    Route(
        "PUT", f"{_P}/vote", vote, "Vote in a poll", access="member", rate="vote",
        body=PollVoteBody, answer=PollVotes, refusals=("locked", "not_permitted", "suspended"),
        tag="posts",
    ),
)  # fmt: skip
