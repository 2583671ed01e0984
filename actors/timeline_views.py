"""How timelines and their statistics are shown: encoded by the actors, described by OpenAPI."""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal
from uuid import UUID

import msgspec

from actors import content
from storage.identity import country_of
from storage.stream_writer import rfc3339
from storage.timeline_events import EventKind, TimelineEvent, TimelineStatus
from storage.timelines import MIN_SHARING, TimelineRow

MIN_CASES: Final = 10


class TimelineStep(msgspec.Struct, frozen=True):
    """`month`: YYYY-MM. `date`: YYYY-MM-DD, for the timeline's own member alone, else null."""

    kind: EventKind
    month: str
    date: str | None


class Timeline(msgspec.Struct, frozen=True):
    """In two forms. `public`: months instead of days, no consulate that fewer than five members
    share, nobody's name. `own`: everything, for whoever recorded it; `days` are those from the
    application to the end, or until today.

    `consulate_hidden`: others are not told the consulate."""

    id: UUID
    form: Literal["public", "own"]
    country: str
    visa_type: str
    consulate: str | None
    consulate_hidden: bool
    status: TimelineStatus
    events: list[TimelineStep]
    days: int | None
    revision: int | None
    created_at: str | None
    edited_at: str | None


class FormerTimeline(msgspec.Struct, frozen=True):
    """What an edit replaced. `number`: its revision."""

    number: int
    visa_type: str
    consulate: str
    events: list[TimelineStep]
    replaced_at: str


class Notice(msgspec.Struct, frozen=True):
    """`code` is for programs and translations."""

    code: str
    text: str


class Flags(msgspec.Struct, frozen=True):
    p25: bool
    p50: bool
    p80: bool


class DayBounds(msgspec.Struct, frozen=True):
    """null: not reached by the band."""

    lower_days: int | None
    upper_days: int | None


class Interval(msgspec.Struct, frozen=True):
    p25: DayBounds
    p50: DayBounds
    p80: DayBounds


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Days by which 25, 50 and 80 percent are decided; null where that is not reached, or where the
    cases are too few (`sufficient`). `ci`: with 95 percent confidence.

    `n` = `events` (decided, either way) + `pending` + `withdrawn`."""

    n: int
    events: int
    pending: int
    withdrawn: int
    sufficient: bool
    p25_days: int | None
    p50_days: int | None
    p80_days: int | None
    reached: Flags
    ci: Interval


class CurvePoint(msgspec.Struct, frozen=True):
    """A day with decisions. `waiting`: which part of all cases still waits after it, between
    `lower` and `upper` with 95 percent confidence; before the first point everybody waits."""

    days: int
    waiting: float
    lower: float
    upper: float
    at_risk: int
    decided: int


class SampleDates(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Months of the first and of the last application, YYYY-MM."""

    first: str
    last: str


class ProcessingStatistics(Waits, frozen=True, kw_only=True):
    """Kaplan-Meier over what members recorded: pending cases count as long as they have waited.
    Fewer than ten cases: `sufficient` is false, and there is no curve."""

    country: str
    visa_type: str | None
    consulate: str | None
    as_of: str
    confidence: float
    sample: SampleDates | None
    curve: list[CurvePoint]
    notice: str
    notices: list[Notice]


class Comparison(msgspec.Struct, frozen=True):
    """`consulate` null: the cases of all consulates, because those of one are too few."""

    country: str
    visa_type: str
    consulate: str | None


class TimelinePosition(msgspec.Struct, frozen=True, kw_only=True):
    """Where a pending case stands among all comparable others. `decided_share`: the part of them
    that was decided by as many days, null where they are too few. `remaining`: of those who still
    waited after as many days, how much longer it took, counted from today."""

    timeline_id: UUID
    as_of: str
    waited_days: int
    compared_with: Comparison
    n: int
    events: int
    pending: int
    withdrawn: int
    sufficient: bool
    decided_share: float | None
    decided_share_lower: float | None
    decided_share_upper: float | None
    remaining: Waits
    notice: str
    notices: list[Notice]


class Consulate(msgspec.Struct, frozen=True):
    name: str
    timelines: int


def month(date: dt.date) -> str:
    return date.isoformat()[:7]


def _steps(events: list[TimelineEvent], *, own: bool) -> list[TimelineStep]:
    return [
        TimelineStep(e.kind, month(e.date), e.date.isoformat() if own else None) for e in events
    ]


def public_timeline(row: TimelineRow) -> Timeline:
    country = content.alpha2(country_of(row.id))
    assert country is not None
    return Timeline(
        row.id, "public", country, row.visa_type, row.consulate if row.shared else None,
        not row.shared, row.status, _steps(row.events, own=False), None, None, None, None,
    )  # fmt: skip


def own_timeline(row: TimelineRow, today: dt.date) -> Timeline:
    country = content.alpha2(country_of(row.id))
    assert country is not None
    edited_at = None if row.edited_at is None else rfc3339(row.edited_at)
    return Timeline(
        row.id, "own", country, row.visa_type, row.consulate, not row.shared, row.status,
        _steps(row.events, own=True), max(0, ((row.ended_on or today) - row.submitted_on).days),
        row.revision, rfc3339(row.created_at), edited_at,
    )  # fmt: skip


def former_timeline(
    number: int, visa_type: str, consulate: str, events: list[TimelineEvent], replaced_at: str
) -> FormerTimeline:
    return FormerTimeline(number, visa_type, consulate, _steps(events, own=True), replaced_at)


_SELF_SELECTED: Final = Notice(
    "self_selected",
    "From members who chose to record their case: they need not be like all applicants.",
)
_PENDING: Final = Notice(
    "pending_counted",
    "Pending cases count as long as they have waited; whoever never came back to tell the decision"
    " counts as still waiting, which makes waits look longer.",
)
_WITHDRAWN: Final = Notice(
    "withdrawn_left", "Withdrawn cases count until they were withdrawn, and not as decisions."
)
_NO_PROMISE: Final = Notice("no_promise", "It is no forecast by an authority and no legal advice.")
_FEW: Final = Notice("insufficient", f"Fewer than {MIN_CASES} cases: too few to say anything.")
_CONSULATES: Final = Notice(
    "consulates_grouped",
    f"A consulate that fewer than {MIN_SHARING} members share is not told apart.",
)
_ALL_CONSULATES: Final = Notice(
    "all_consulates", "Compared with the cases of all consulates: those of this one are too few."
)


def notices_of(
    *, sufficient: bool, withdrawn: bool, by_consulate: bool, fell_back: bool = False
) -> list[Notice]:
    found = [] if sufficient else [_FEW]
    if fell_back:
        found.append(_ALL_CONSULATES)
    found += [_SELF_SELECTED, _PENDING]
    if withdrawn:
        found.append(_WITHDRAWN)
    if by_consulate:
        found.append(_CONSULATES)
    return [*found, _NO_PROMISE]


def joined(notices: list[Notice]) -> str:
    return " ".join(notice.text for notice in notices)
