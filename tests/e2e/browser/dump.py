"""What authorities and earlier applicants left behind, for the pages that show it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

CASES: Final = 12
FIRST_DAY: Final = date(2026, 1, 12)
GUIDE_TITLE: Final = "Portugal: form QX52 of the D7 visa"

GUIDE: Final = {
    "id": "browser-pt-d7",
    "country": "PT",
    "visa_type": "d7",
    "language": "en",
    "title": GUIDE_TITLE,
    "body_markdown": "## Money\nForm QX52 must show savings of **EUR 10,440** for a year.\n",
    "authority": "AIMA",
    "source_url": "https://www.aima.gov.pt/",
    "as_of": "2026-11-01",
    "last_checked": "2026-11-01",
}
CHECKLIST: Final = {
    "id": "browser-pt-d7",
    "country": "PT",
    "visa_type": "d7",
    "language": "en",
    "title": "Portugal D7: before the appointment",
    "items": [
        {"id": "i1", "text": "Passport with two empty pages"},
        {"id": "i2", "text": "Form QX52", "source_url": "https://www.aima.gov.pt/"},
        {"id": "i3", "text": "Criminal record with an apostille"},
    ],
}


def write_dump(directory: Path, run: str) -> Path:
    """`run` makes the handles this run's own. Most cases are decided after ever longer waits."""
    directory.mkdir()
    handles = [f"p_{run}_{number}" for number in range(CASES)]
    accounts = [
        {"handle": handle, "display_name": handle, "languages": ["en"], "joined_at": "2026-01-01"}
        for handle in handles
    ]
    files: dict[str, Iterable[dict[str, Any]]] = {
        "accounts": accounts,
        "guides": [GUIDE],
        "checklists": [CHECKLIST],
        "timelines": [_timeline(handle, number) for number, handle in enumerate(handles)],
    }
    for name, rows in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / f"{name}.jsonl").write_text(text)
    return directory


def _timeline(handle: str, number: int) -> dict[str, Any]:
    events = [{"kind": "application_submitted", "date": FIRST_DAY.isoformat()}]
    if number < CASES - 2:
        decided = FIRST_DAY + timedelta(days=40 + 6 * number)
        events.append({"kind": "decision_approved", "date": decided.isoformat()})
    return {
        "account": handle,
        "country": "PT",
        "visa_type": "d7",
        "consulate": "New Delhi",
        "events": events,
    }
