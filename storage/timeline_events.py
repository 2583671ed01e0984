"""What an event of a timeline is: stored as it is sent. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

EventKind = Literal[
    "application_submitted",
    "biometrics",
    "interview",
    "additional_documents",
    "decision_approved",
    "decision_refused",
    "withdrawn",
    "passport_returned",
]
TimelineStatus = Literal["pending", "approved", "refused", "withdrawn"]


class TimelineEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`date`: YYYY-MM-DD."""

    kind: EventKind
    date: dt.date
