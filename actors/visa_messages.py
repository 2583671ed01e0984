"""What is asked about visa tools: reads of Feed, writes of Accounts; as those in messages.py."""

from __future__ import annotations

from uuid import UUID

from actors.messages import Caller, Message, Read
from storage.timeline_events import TimelineEvent, TimelineStatus


class CreateTimeline(Message, frozen=True):
    """`key`: the gateway gives one where the client sent none."""

    caller: Caller
    country: str  # alpha-2
    visa_type: str
    consulate: str
    events: tuple[TimelineEvent, ...]
    key: str | None


class EditTimeline(Message, frozen=True):
    """None leaves a field as it is. `revision`: the one that the change was made from."""

    caller: Caller
    timeline_id: UUID
    revision: int | None
    visa_type: str | None
    consulate: str | None
    events: tuple[TimelineEvent, ...] | None


class DeleteTimeline(Message, frozen=True):
    caller: Caller
    timeline_id: UUID


class ReadTimeline(Read, frozen=True):
    caller: Caller
    timeline_id: UUID


class ReadTimelineHistory(Read, frozen=True):
    caller: Caller
    timeline_id: UUID


class ReadTimelinePosition(Read, frozen=True):
    caller: Caller
    timeline_id: UUID


class ListTimelines(Read, frozen=True):
    """`mine`: the caller's own, for which a country need not be named."""

    caller: Caller
    country: str | None  # alpha-2
    visa_type: str | None
    consulate: str | None
    status: TimelineStatus | None
    mine: bool
    limit: int
    cursor: str | None


class ListConsulates(Read, frozen=True):
    country: str  # alpha-2
    visa_type: str


class ReadProcessing(Read, frozen=True):
    """Statistics of those who applied in the months from `since` to `until`, YYYY-MM."""

    country: str  # alpha-2
    visa_type: str | None
    consulate: str | None
    since: str | None
    until: str | None
    as_csv: bool = False


class ListChecklists(Read, frozen=True):
    """`languages` (BCP 47), empty: all."""

    country: str | None  # alpha-2
    visa_type: str | None
    languages: tuple[str, ...]
    limit: int
    cursor: str | None


class ReadChecklist(Read, frozen=True):
    checklist_id: str


class ListOfficialLinks(Read, frozen=True):
    country: str | None  # alpha-2
    visa_type: str | None
    limit: int
    cursor: str | None


class ListBegunChecklists(Message, frozen=True):
    """On which the caller has done something."""

    caller: Caller
    limit: int
    cursor: str | None


class ReadChecklistProgress(Message, frozen=True):
    caller: Caller
    checklist_id: str


class SetChecklistItem(Message, frozen=True):
    caller: Caller
    checklist_id: str
    item_id: str
    done: bool


TimelineWrite = CreateTimeline | EditTimeline | DeleteTimeline
TimelineRead = ReadTimeline | ReadTimelineHistory | ListTimelines | ListConsulates
ProcessingRead = ReadProcessing | ReadTimelinePosition
ChecklistRead = ListChecklists | ReadChecklist | ListOfficialLinks
ProgressRead = ListBegunChecklists | ReadChecklistProgress
ProgressRequest = ProgressRead | SetChecklistItem
VisaRead = TimelineRead | ProcessingRead | ChecklistRead
VisaWrite = TimelineWrite | SetChecklistItem
