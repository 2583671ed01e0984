"""Pages of a member's own lists: bounds, and cursors that are the place of the last item."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec

from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.messages import Caller
from config.errors import AppError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
Microseconds = Annotated[int, msgspec.Meta(ge=0, le=2**52)]
MAX_LIMIT: Final = 100

Place = tuple[datetime, UUID]
_encode: Final = msgspec.json.encode


class Bookmark(msgspec.Struct, frozen=True, array_like=True):
    """A place as cursors hold it, in Unix microseconds: a forged one is a time that SQL knows."""

    at_us: Microseconds
    id: UUID

    @classmethod
    def of(cls, at: datetime, id: UUID) -> Bookmark:
        return cls((at - _EPOCH) // _MICROSECOND, id)

    @property
    def at(self) -> datetime:
        return _EPOCH + self.at_us * _MICROSECOND


def member(caller: Caller) -> UUID:
    """The account that asks. Raises AppError `unauthenticated` for a guest."""
    if caller.account_id is None:
        raise AppError("unauthenticated", "Log in first.")
    return caller.account_id


def place_of(kind: CursorKind, scope: str, cursor: str | None) -> Place | None:
    """Raises AppError `invalid`."""
    if cursor is None:
        return None
    bookmark = decode_cursor(kind, scope, cursor, Bookmark)
    return bookmark.at, bookmark.id


def require_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise AppError(
            "invalid", "The page is too large.", errors=(("limit", f"must be 1..{MAX_LIMIT}"),)
        )


def page(kind: CursorKind, scope: str, items: Sequence[object], last: Place | None) -> bytes:
    """`last`: the place of the last item where more follow."""
    cursor = None if last is None else encode_cursor(kind, scope, Bookmark.of(*last))
    return _encode({"items": items, "next_cursor": cursor})
