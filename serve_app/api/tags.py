"""Tags: what a community talks about."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.feed_messages import ListTags
from actors.messages import Reply
from serve_app.api.call import Call
from serve_app.api.fields import Limit
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import TagList


class TagsQuery(msgspec.Struct, frozen=True):
    limit: Limit = 30


async def tags(call: Call[Nothing, TagsQuery]) -> Reply:
    request = ListTags(call.caller, call.text("community"), call.query.limit)
    return await call.backends.feed(request)


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/communities/{community}/tags", tags,
        "The most frequent tags of a community", access="guest", rate="read", query=TagsQuery,
        answer=TagList, shared="everyone", tag="communities",
    ),
)  # fmt: skip
