"""Which timelines are refused, and where each says so."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from actors.timeline_rules import (
    MAX_GAP_DAYS,
    consulate_key,
    consulate_text,
    event_faults,
    latest_date,
    outline,
)
from actors.timelines import checked_text
from config.errors import AppError
from serve_app.api.decoding import decode_body
from serve_app.api.timelines import TimelineBody
from storage.timeline_events import TimelineEvent
from tests.timeline_data import INVALID, STARTER, WRITTEN, rows

_decoder = msgspec.json.Decoder(TimelineBody)
# By the text of its `why`: where the fault is. One is about what no body of the API holds.
PATHS = {
    "decision before the application": "events[0].kind",
    "decision dated before the application": "events[1].date",
    "no application_submitted event": "events[0].kind",
    "two final decisions": "events[2].kind",
    "event after the final decision": "events[2].kind",
    "30 February is not a date": "events[0].date",
    "month 13": "events[0].date",
    "application in the future": "events[0].date",
    "decision in the future": "events[1].date",
    "application submitted twice": "events[1].kind",
    "approved after withdrawal": "events[2].kind",
    "unknown event kind": "events[1].kind",
    "no events": "events",
    "ambiguous date format": "events[0].date",
    "date far before the service existed": "events[0].date",
    "biometrics before the application": "events[1].date",
    "interview after the decision": "events[2].date",
    "empty date": "events[0].date",
    "impossible time": "events[0].date",
    "decision repeated": "events[2].kind",
    "withdrawn without an application": "events[0].kind",
    "withdrawn twice": "events[2].kind",
    "date is a word": "events[0].date",
    "31 June is not a date": "events[0].date",
    "29 February in a common year": "events[0].date",
    "documents asked for after the decision": "events[2].date",
    "event kind in the wrong case": "events[0].kind",
    "country code does not exist": "country",
    "visa type not in the directory": "visa_type",
    "visa type of another country": "visa_type",
    "consulate name of 5,000 characters": "consulate",
    "600 events": "events",
    "empty consulate": "consulate",
    "country code in lower case": "country",
    "events is a string": "events",
    "date missing": "events[0].date",
    "kind missing": "events[0].kind",
    "date is a number": "events[0].date",
}


def check(row: dict[str, Any]) -> None:
    sent = {name: row[name] for name in ("country", "visa_type", "consulate", "events")}
    body = decode_body(_decoder, msgspec.json.encode(sent))
    checked_text(body.country, body.visa_type, body.consulate, body.events, WRITTEN)


@pytest.mark.parametrize("row", rows(INVALID), ids=lambda row: str(row["why"]))
def test_what_can_not_be_is_refused_at_its_path(row: dict[str, Any]) -> None:
    if row["why"] == "account does not exist":
        check(row)  # nobody sends an account: tests/integration/test_importing.py
        return
    with pytest.raises(AppError) as refused:
        check(row)
    assert refused.value.code == "invalid"
    assert PATHS[row["why"]] in [path for path, _ in refused.value.errors]


def test_every_starter_timeline_is_taken() -> None:
    for row in rows(STARTER):
        check(row)


def events(*steps: tuple[str, str]) -> list[TimelineEvent]:
    return msgspec.convert([{"kind": k, "date": d} for k, d in steps], list[TimelineEvent])


SUBMITTED = ("application_submitted", "2026-01-10")
TODAY = dt.date(2026, 11, 20)


@pytest.mark.parametrize(
    ("steps", "paths"),
    [
        ([SUBMITTED], []),
        ([SUBMITTED, ("decision_approved", "2026-01-10")], []),
        ([SUBMITTED, ("decision_approved", "2026-02-10"), ("passport_returned", "2026-02-12")], []),
        ([SUBMITTED, ("withdrawn", "2026-02-10"), ("passport_returned", "2026-02-10")], []),
        ([SUBMITTED, ("passport_returned", "2026-02-12")], ["events[1].kind"]),
        ([SUBMITTED, ("additional_documents", "2026-02-01")] * 1, []),
        ([SUBMITTED, *[("additional_documents", "2026-02-01")] * 3], []),
        ([("application_submitted", "2026-11-21")], ["events[0].date"]),
        (
            [("application_submitted", "2000-01-01"), ("interview", "2025-01-01")],
            ["events[1].date"],
        ),
        ([("application_submitted", "2001-01-01"), ("interview", "2025-12-31")], []),
        (
            [("biometrics", "2027-01-01"), ("application_submitted", "1999-01-01")],
            ["events[0].kind", "events[0].date", "events[1].kind", "events[1].date"],
        ),
    ],
)
def test_order_and_dates(steps: list[tuple[str, str]], paths: list[str]) -> None:
    found = [path for path, _ in event_faults(events(*steps), TODAY)]
    assert list(dict.fromkeys(found)) == paths
    assert MAX_GAP_DAYS // 365 == 25


def test_today_has_begun_where_the_day_begins_first() -> None:
    assert latest_date(dt.datetime(2026, 11, 20, 9, 59, tzinfo=dt.UTC)) == TODAY
    assert latest_date(dt.datetime(2026, 11, 20, 10, 0, tzinfo=dt.UTC)) == dt.date(2026, 11, 21)


def test_what_follows_from_events() -> None:
    day = dt.date.fromisoformat
    pending = events(SUBMITTED, ("interview", "2026-02-01"))
    assert outline(pending) == ("pending", day("2026-01-10"), None)
    refused = events(
        SUBMITTED, ("decision_refused", "2026-02-01"), ("passport_returned", "2026-03-01")
    )
    assert outline(refused) == ("refused", day("2026-01-10"), day("2026-02-01"))


def test_one_place_in_many_spellings() -> None:
    spellings = ("Sao Paulo", " sao  PAULO ", "Ｓao Paulo", "Sao\u00a0Paulo", "sao\tpaulo")
    assert {consulate_key(text) for text in spellings} == {"sao paulo"}
    assert consulate_key("Zürich") == consulate_key("Zu\u0308rich")
    assert consulate_text("  New \n Delhi ") == "New Delhi"
    assert consulate_text("\u200b") and consulate_key("Straße") == consulate_key("STRASSE")
