"""Checklists, what a member has done of them, and the official pages behind visa types."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.checklist_reads import OfficialLink
from actors.checklist_views import (
    BegunChecklist,
    ChecklistProgress,
    ChecklistSummary,
    ChecklistView,
)
from actors.messages import Reply
from actors.visa_messages import (
    ListBegunChecklists,
    ListChecklists,
    ListOfficialLinks,
    ReadChecklist,
    ReadChecklistProgress,
    SetChecklistItem,
)
from serve_app.api.call import Call
from serve_app.api.fields import Country, Cursor, LanguageList, Limit, VisaType
from serve_app.api.page_query import PageQuery
from serve_app.api.route import Nothing, Route


class ChecklistsQuery(msgspec.Struct, frozen=True):
    country: Country | None = None
    visa_type: VisaType | None = None
    language: LanguageList | None = None
    limit: Limit = 30
    cursor: Cursor | None = None


class LinksQuery(msgspec.Struct, frozen=True):
    """`visa_type`: its pages, and those of the country as a whole."""

    country: Country | None = None
    visa_type: VisaType | None = None
    limit: Limit = 30
    cursor: Cursor | None = None


class ItemBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: bool


class ChecklistPage(msgspec.Struct, frozen=True):
    """In the order of their ids."""

    items: list[ChecklistSummary]
    next_cursor: str | None


class BegunPage(msgspec.Struct, frozen=True):
    """Worked on last comes first."""

    items: list[BegunChecklist]
    next_cursor: str | None


class OfficialLinkPage(msgspec.Struct, frozen=True):
    """In the order of their addresses."""

    items: list[OfficialLink]
    next_cursor: str | None


async def checklists(call: Call[Nothing, ChecklistsQuery]) -> Reply:
    query = call.query
    languages = tuple(query.language.split(",")) if query.language else ()
    return await call.backends.feed(
        ListChecklists(query.country, query.visa_type, languages, query.limit, query.cursor)
    )


async def checklist(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.feed(ReadChecklist(call.text("checklist_id")))


async def begun(call: Call[Nothing, PageQuery]) -> Reply:
    request = ListBegunChecklists(call.caller, call.query.limit, call.query.cursor)
    return await call.backends.accounts_read(request)


async def progress(call: Call[Nothing, Nothing]) -> Reply:
    request = ReadChecklistProgress(call.caller, call.text("checklist_id"))
    return await call.backends.accounts_read(request)


async def set_item(call: Call[ItemBody, Nothing]) -> Reply:
    return await call.backends.accounts_write(
        SetChecklistItem(
            call.caller, call.text("checklist_id"), call.text("item_id"), call.body.done
        )
    )


async def links(call: Call[Nothing, LinksQuery]) -> Reply:
    query = call.query
    return await call.backends.feed(
        ListOfficialLinks(query.country, query.visa_type, query.limit, query.cursor)
    )


_MINE: Final = "/api/v1/me/checklists"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/checklists", checklists, "Checklists, by country, visa type and language",
        access="guest", rate="read", query=ChecklistsQuery, answer=ChecklistPage,
        shared="everyone", tag="checklists",
    ),
    Route(
        "GET", "/api/v1/checklists/{checklist_id}", checklist, "One checklist with its items",
        access="guest", rate="read", answer=ChecklistView, shared="everyone", tag="checklists",
    ),
    Route(
        "GET", _MINE, begun, "Checklists that the caller has begun", access="member", rate="read",
        query=PageQuery, answer=BegunPage, tag="checklists",
    ),
    Route(
        "GET", f"{_MINE}/{{checklist_id}}", progress, "What the caller has done of a checklist",
        access="member", rate="read", answer=ChecklistProgress, tag="checklists",
    ),
    Route(
        "PUT", f"{_MINE}/{{checklist_id}}/items/{{item_id}}", set_item,
        "Tick an item, or take the tick away", access="member", rate="vote", body=ItemBody,
        answer=ChecklistProgress, refusals=("suspended",), tag="checklists",
    ),
    Route(
        "GET", "/api/v1/official-links", links,
        "Official pages, and whether they are still as they were", access="guest", rate="read",
        query=LinksQuery, answer=OfficialLinkPage, shared="everyone", tag="checklists",
    ),
)  # fmt: skip
