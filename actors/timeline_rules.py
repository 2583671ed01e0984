"""What a timeline may say, what follows from its events, and how a place is spelt. Pure."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from config.reference import Country, countries_by_alpha2, visa_types
from storage.timeline_events import TimelineEvent, TimelineStatus

EARLIEST: Final = dt.date(2000, 1, 1)
# Some family visas wait for two decades between two letters; more is a slip of the pen.
MAX_GAP_DAYS: Final = 9_131
MAX_EVENTS: Final = 40
MAX_CONSULATE_CHARACTERS: Final = 80
# The line islands are a day ahead of UTC for most of it.
_FURTHEST_EAST: Final = dt.timedelta(hours=14)

_ENDS: Final[dict[str, TimelineStatus]] = {
    "decision_approved": "approved",
    "decision_refused": "refused",
    "withdrawn": "withdrawn",
}
Faults = tuple[tuple[str, str], ...]


class Outline(NamedTuple):
    """`ended_on`: of the decision or the withdrawal."""

    status: TimelineStatus
    submitted_on: dt.date
    ended_on: dt.date | None


def latest_date(now: dt.datetime) -> dt.date:
    """The last date that has begun somewhere on Earth."""
    return (now.astimezone(dt.UTC) + _FURTHEST_EAST).date()


def event_faults(events: Sequence[TimelineEvent], latest: dt.date) -> Faults:
    """(path, reason) of everything that cannot have happened so; empty when all is well."""
    if not 1 <= len(events) <= MAX_EVENTS:
        return (("events", f"must have 1 to {MAX_EVENTS} items"),)
    found: list[tuple[str, str]] = []
    if events[0].kind != "application_submitted":
        found.append(("events[0].kind", "must be application_submitted, which comes first"))
    ended = returned = False
    before: dt.date | None = None
    for place, event in enumerate(events):
        kind, date = f"events[{place}].kind", f"events[{place}].date"
        if event.kind == "application_submitted" and place > 0:
            found.append((kind, "the application is submitted once, as the first event"))
        if event.kind == "passport_returned":
            if not ended or returned:
                found.append((kind, "comes once, after the decision or the withdrawal"))
            returned = True
        elif ended:
            found.append((kind, "comes after the decision or the withdrawal, which is the end"))
        ended = ended or event.kind in _ENDS
        if event.date < EARLIEST:
            found.append((date, f"is before {EARLIEST.isoformat()}"))
        elif event.date > latest:
            found.append((date, "is in the future"))
        if before is not None:
            if event.date < before:
                found.append((date, "is before the event above it"))
            elif (event.date - before).days > MAX_GAP_DAYS:
                found.append(
                    (date, f"is more than {MAX_GAP_DAYS // 365} years after the event above it")
                )
        before = event.date
    return tuple(found)


def outline(events: Sequence[TimelineEvent]) -> Outline:
    """Of events without faults."""
    for event in events:
        if event.kind in _ENDS:
            return Outline(_ENDS[event.kind], events[0].date, event.date)
    return Outline("pending", events[0].date, None)


def place_faults(country: str, visa_type: str) -> Faults:
    """(path, reason), where the directory has no such place. `country`: alpha-2, upper case."""
    found = countries_by_alpha2().get(country)
    if found is None:
        return (("country", "no country of ISO 3166-1 has this code"),)
    return visa_type_faults(found, visa_type)


def visa_type_faults(country: Country, visa_type: str) -> Faults:
    if any(v.country == country and v.code == visa_type for v in visa_types()):
        return ()
    return (("visa_type", "the country has no such visa type"),)


def consulate_faults(consulate: str) -> Faults:
    """`consulate` as it is shown (`consulate_text`)."""
    if not 1 <= len(consulate) <= MAX_CONSULATE_CHARACTERS:
        return (("consulate", f"must have 1 to {MAX_CONSULATE_CHARACTERS} visible characters"),)
    if any(unicodedata.category(c) in ("Cc", "Cs", "Co") for c in consulate):
        return (("consulate", "holds what is no character"),)
    if not any(c.isalnum() for c in consulate):
        return (("consulate", "holds no letter"),)
    return ()


def consulate_text(consulate: str) -> str:
    """As it is shown: composed, single spaces."""
    return " ".join(unicodedata.normalize("NFC", consulate).split())


def consulate_key(consulate: str) -> str:
    """One spelling for what differs by case, accents' form and spaces alone."""
    return consulate_text(unicodedata.normalize("NFKC", consulate).casefold())
