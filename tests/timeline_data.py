"""The starter timelines, and those that must be refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[1]
STARTER: Final = ROOT / "config" / "starter" / "timelines.jsonl"
INVALID: Final = ROOT / "tests" / "data" / "timelines_invalid.jsonl"
# The day on which the starter timelines were written.
WRITTEN: Final = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def rows(file: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
