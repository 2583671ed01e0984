"""What moderators see beside the content: scores that say where to look first."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from actors.feed_messages import ListSignals
from actors.messages import Reply
from actors.signal_reads import ContentSignal
from serve_app.api.call import Call
from serve_app.api.fields import CommunityKey, Cursor, Limit
from serve_app.api.route import Nothing, Route


class SignalsQuery(msgspec.Struct, frozen=True):
    """Without `community`: of all, for moderators of the site. `kind` None: the worst of each."""

    community: CommunityKey | None = None
    kind: Literal["scam", "spam", "language", "off_topic"] | None = None
    least: Annotated[float, Meta(ge=0, le=1, description="Lower scores are left out")] = 0.5
    limit: Limit = 30
    cursor: Cursor | None = None


class SignalPage(msgspec.Struct, frozen=True):
    """The worst first. Nothing is done by these scores: people decide."""

    items: list[ContentSignal]
    next_cursor: str | None


async def signals(call: Call[Nothing, SignalsQuery]) -> Reply:
    query = call.query
    request = ListSignals(
        call.caller, query.community, query.kind, query.least, query.limit, query.cursor
    )
    return await call.backends.feed(request)


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/moderation/signals", signals, "Posts and comments that look like trouble",
        access="member", rate="read", query=SignalsQuery, answer=SignalPage,
        refusals=("not_permitted", "not_found"), tag="moderation",
    ),
)  # fmt: skip
