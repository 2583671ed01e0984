"""Pages of a member's own lists: bounds, and cursors that are the place of the last item."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.messages import Caller
from config.errors import AppError

MAX_LIMIT: Final = 100

Place = tuple[datetime, UUID]
_encode: Final = msgspec.json.encode


def member(caller: Caller) -> UUID:
    """The account that asks. Raises AppError `unauthenticated` for a guest."""
    if caller.account_id is None:
        raise AppError("unauthenticated", "Log in first.")
    return caller.account_id


def place_of(kind: CursorKind, scope: str, cursor: str | None) -> Place | None:
    """Raises AppError `invalid`."""
    if cursor is None:
        return None
    place: Place = decode_cursor(kind, scope, cursor, Place)
    if place[0].tzinfo is None:  # only a forged one: SQL would read it in its own time zone
        raise AppError("invalid", "The cursor is damaged.", errors=(("cursor", "malformed"),))
    return place


def require_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise AppError(
            "invalid", "The page is too large.", errors=(("limit", f"must be 1..{MAX_LIMIT}"),)
        )


def page(kind: CursorKind, scope: str, items: Sequence[object], last: Place | None) -> bytes:
    """`last`: the place of the last item where more follow."""
    cursor = None if last is None else encode_cursor(kind, scope, last)
    return _encode({"items": items, "next_cursor": cursor})
