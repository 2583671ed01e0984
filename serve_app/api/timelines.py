"""Timelines: what members record of their applications, and the statistics that follow."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from actors.messages import Reply
from actors.timeline_rules import MAX_CONSULATE_CHARACTERS, MAX_EVENTS
from actors.timeline_views import (
    Consulate,
    FormerTimeline,
    ProcessingStatistics,
    Timeline,
    TimelinePosition,
)
from actors.visa_messages import (
    CreateTimeline,
    DeleteTimeline,
    EditTimeline,
    ListConsulates,
    ListTimelines,
    ReadProcessing,
    ReadTimeline,
    ReadTimelineHistory,
    ReadTimelinePosition,
)
from serve_app.api.call import Call
from serve_app.api.fields import Country, CountryCode, Cursor, Limit, Month, Revision, VisaType
from serve_app.api.route import Nothing, Route
from storage.timeline_events import TimelineEvent, TimelineStatus

ConsulateText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CONSULATE_CHARACTERS,
        description="The consulate or office that decides",
        examples=["Mumbai"],
    ),
]
Events = Annotated[
    tuple[TimelineEvent, ...],
    Meta(
        min_length=1,
        max_length=MAX_EVENTS,
        description="In order, `application_submitted` first. A decision or a withdrawal is the"
        " end; only `passport_returned` may follow.",
    ),
]


class TimelineBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one application. Others see months instead of days, and the consulate only where five
    members or more share it."""

    country: CountryCode
    visa_type: VisaType
    consulate: ConsulateText
    events: Events


class TimelineChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays. `revision`: the one that was changed; when another device was faster
    the answer is 409 `conflict`, and nothing is changed."""

    visa_type: VisaType | None = None
    consulate: ConsulateText | None = None
    events: Events | None = None
    revision: Revision | None = None


class TimelinesQuery(msgspec.Struct, frozen=True):
    """`country` is required, unless `mine` asks for the caller's own timelines. `consulate`, in any
    case: only timelines that tell it."""

    country: Country | None = None
    visa_type: VisaType | None = None
    consulate: ConsulateText | None = None
    status: TimelineStatus | None = None
    mine: bool = False
    limit: Limit = 30
    cursor: Cursor | None = None


class ConsulatesQuery(msgspec.Struct, frozen=True):
    country: Country
    visa_type: VisaType


class ProcessingQuery(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """`from`, `to`: months of the application, both included."""

    country: Country
    visa_type: VisaType | None = None
    consulate: ConsulateText | None = None
    since: Month | None = None
    until: Month | None = None


class TimelinePage(msgspec.Struct, frozen=True):
    """Recorded last comes first."""

    items: list[Timeline]
    next_cursor: str | None


class TimelineHistory(msgspec.Struct, frozen=True):
    """Newest first; the last twenty changes, all on one page."""

    items: list[FormerTimeline]
    next_cursor: None


class ConsulateList(msgspec.Struct, frozen=True):
    """The most frequent first, all on one page."""

    items: list[Consulate]
    next_cursor: None


async def create(call: Call[TimelineBody, Nothing]) -> Reply:
    body = call.body
    return await call.backends.accounts_write(
        CreateTimeline(
            call.caller, body.country, body.visa_type, body.consulate, body.events, call.key
        )
    )


async def edit(call: Call[TimelineChange, Nothing]) -> Reply:
    body = call.body
    return await call.backends.accounts_write(
        EditTimeline(
            call.caller,
            call.uuid("timeline_id"),
            body.revision,
            body.visa_type,
            body.consulate,
            body.events,
        )
    )


async def delete(call: Call[Nothing, Nothing]) -> Reply:
    request = DeleteTimeline(call.caller, call.uuid("timeline_id"))
    return await call.backends.accounts_write(request)


async def read(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ReadTimeline(call.caller, call.uuid("timeline_id")))


async def history(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ReadTimelineHistory(call.caller, call.uuid("timeline_id")))


async def position(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ReadTimelinePosition(call.caller, call.uuid("timeline_id")))


async def timelines(call: Call[Nothing, TimelinesQuery]) -> Reply:
    query = call.query
    return await call.backends.feed(
        ListTimelines(
            call.caller,
            query.country,
            query.visa_type,
            query.consulate,
            query.status,
            query.mine,
            query.limit,
            query.cursor,
        )
    )


async def consulates(call: Call[Nothing, ConsulatesQuery]) -> Reply:
    return await call.backends.feed(ListConsulates(call.query.country, call.query.visa_type))


async def statistics(call: Call[Nothing, ProcessingQuery]) -> Reply:
    return await call.backends.feed(_processing(call.query, as_csv=False))


async def statistics_csv(call: Call[Nothing, ProcessingQuery]) -> Reply:
    return await call.backends.feed(_processing(call.query, as_csv=True))


def _processing(query: ProcessingQuery, *, as_csv: bool) -> ReadProcessing:
    return ReadProcessing(
        query.country, query.visa_type, query.consulate, query.since, query.until, as_csv
    )


_P: Final = "/api/v1/timelines"
_ONE: Final = f"{_P}/{{timeline_id}}"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", _P, create, "Record an application", access="member", rate="write",
        body=TimelineBody, answer=Timeline, status=201, idempotent=True,
        refusals=("suspended",), tag="timelines",
    ),
    Route(
        "GET", _P, timelines, "Timelines of a country, or the caller's own", access="guest",
        rate="read", query=TimelinesQuery, answer=TimelinePage, shared="everyone",
        is_personal=lambda query: query.mine, tag="timelines",
    ),
    Route(
        "GET", f"{_P}/consulates", consulates,
        "Consulates that can be told apart, with their timelines", access="guest", rate="read",
        query=ConsulatesQuery, answer=ConsulateList, shared="everyone", tag="timelines",
    ),
    Route(
        "GET", f"{_P}/statistics", statistics, "How long it takes, pending cases counted",
        access="guest", rate="read", query=ProcessingQuery, answer=ProcessingStatistics,
        shared="everyone", tag="timelines",
    ),
    Route(
        "GET", f"{_P}/statistics.csv", statistics_csv, "The curve as CSV", access="guest",
        rate="read", query=ProcessingQuery, shared="everyone", content_type="text/csv",
        tag="timelines",
    ),
    Route(
        "GET", _ONE, read, "One timeline, in full for whoever recorded it", access="guest",
        rate="read", answer=Timeline, shared="guests", tag="timelines",
    ),
    Route(
        "PATCH", _ONE, edit, "Change one's timeline", access="member", rate="write",
        body=TimelineChange, answer=Timeline, refusals=("conflict", "not_permitted", "suspended"),
        tag="timelines",
    ),
    Route(
        "DELETE", _ONE, delete, "Delete one's timeline for good", access="member", rate="write",
        status=204, refusals=("not_permitted",), tag="timelines",
    ),
    Route(
        "GET", f"{_ONE}/history", history, "What edits of one's timeline replaced",
        access="member", rate="read", answer=TimelineHistory, refusals=("not_permitted",),
        tag="timelines",
    ),
    Route(
        "GET", f"{_ONE}/position", position, "Where one's pending case stands among others",
        access="member", rate="read", answer=TimelinePosition,
        refusals=("conflict", "not_permitted"), tag="timelines",
    ),
)  # fmt: skip
