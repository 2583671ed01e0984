"""What is asked about visa tools is the same on the other side of the wire."""

from __future__ import annotations

import datetime as dt
from typing import get_args
from uuid import UUID

import msgspec

from actors.messages import GUEST
from actors.people_messages import PeopleRequest
from actors.public_messages import PublicRead
from actors.visa_messages import (
    CreateTimeline,
    DeleteTimeline,
    EditTimeline,
    ListBegunChecklists,
    ListChecklists,
    ListConsulates,
    ListOfficialLinks,
    ListTimelines,
    ProgressRequest,
    ReadChecklist,
    ReadChecklistProgress,
    ReadProcessing,
    ReadTimeline,
    ReadTimelineHistory,
    ReadTimelinePosition,
    SetChecklistItem,
    TimelineWrite,
    VisaRead,
)
from storage.timeline_events import TimelineEvent

ID = UUID("0192f5a6-7c3e-7114-8b1a-9c7d5e3f1a2b")
EVENTS = (TimelineEvent("application_submitted", dt.date(2026, 3, 5)),)


def test_reads() -> None:
    sent: list[PublicRead] = [
        ReadTimeline(GUEST, ID, position=7),
        ReadTimelineHistory(GUEST, ID),
        ReadTimelinePosition(GUEST, ID),
        ListTimelines(GUEST, "DE", None, "Mumbai", "pending", True, 30, None),
        ListConsulates("DE", "student"),
        ReadProcessing("DE", None, None, "2026-01", None, True),
        ListChecklists("DE", None, ("de",), 30, None),
        ReadChecklist("a"),
        ListOfficialLinks(None, None, 30, "x"),
    ]
    assert {type(request) for request in sent} == set(get_args(VisaRead))
    raw = msgspec.msgpack.encode(sent)
    assert msgspec.msgpack.decode(raw, type=list[PublicRead]) == sent


def test_what_accounts_is_asked() -> None:
    sent: list[PeopleRequest] = [
        CreateTimeline(GUEST, "DE", "student", "Mumbai", EVENTS, None),
        EditTimeline(GUEST, ID, 1, None, None, EVENTS),
        DeleteTimeline(GUEST, ID),
        ListBegunChecklists(GUEST, 30, None),
        ReadChecklistProgress(GUEST, "a"),
        SetChecklistItem(GUEST, "a", "b", True),
    ]
    every = {*get_args(TimelineWrite), *get_args(ProgressRequest)}
    assert {type(request) for request in sent} == every
    raw = msgspec.msgpack.encode(sent)
    assert msgspec.msgpack.decode(raw, type=list[PeopleRequest]) == sent
