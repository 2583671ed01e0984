"""Where the next page of a feed begins: typed cursors and the bounds they stand for. Pure."""

from __future__ import annotations

import math
from typing import Annotated, Final, NoReturn, TypeVar
from uuid import UUID

import msgspec

from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.feed_messages import FeedSort, FeedWindow, ReadFeed, ReadHome
from actors.home_merge import Carried
from config.errors import AppError
from storage.feed_keys import HIGHEST, HIGHEST_ID, HIGHEST_SCORE, LOWEST_ID, Languages, Scored
from storage.identity import lowest_id_at

T = TypeVar("T")

_DAY_MS: Final = 86_400_000
_WINDOW_DAYS: Final[dict[FeedWindow, int]] = {"day": 1, "week": 7, "month": 30}
# A window begins at a round time, for a 96th of its length the same one: what is kept of it is then
# good for everybody. That of a day moves each quarter of an hour.
_STEPS: Final = 96

Score = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class HotCursor(msgspec.Struct, frozen=True, array_like=True):
    """Of the page's last post."""

    pinned: bool
    hot: float
    id: UUID


class TopCursor(msgspec.Struct, frozen=True, array_like=True):
    """Of the page's last post; `since` is the lowest id of the window."""

    score: Score
    id: UUID
    since: UUID


class HomeCursor(msgspec.Struct, frozen=True, array_like=True):
    carried: Carried
    since: UUID


def scope_of(request: ReadFeed | ReadHome, of: object, languages: Languages | None) -> str:
    """What must be the same on every page of one walk."""
    scope = f"{of}:{request.sort}"
    if request.sort == "top":
        scope = f"{scope}:{request.window}"
    return (
        scope if languages is None else f"{scope}:{','.join(languages.whole + languages.regional)}"
    )


def below(request: ReadFeed, scope: str, type: type[T]) -> T | None:
    """None: the first page."""
    if request.cursor is None:
        return None
    return decode_cursor(CursorKind.COMMUNITY_FEED, scope, request.cursor, type)


def top_bound(request: ReadFeed, scope: str, now_ms: int) -> tuple[Scored, UUID]:
    """Later pages keep the window of the first one."""
    last = below(request, scope, TopCursor)
    if last is not None:
        return (last.score, last.id), last.since
    return (HIGHEST_SCORE, HIGHEST_ID), window_begin(request.window, now_ms)


def window_begin(window: FeedWindow, now_ms: int) -> UUID:
    days = _WINDOW_DAYS.get(window)
    if days is None:
        return LOWEST_ID
    length = days * _DAY_MS
    step = length // _STEPS
    return lowest_id_at(max(0, (now_ms - length) // step * step))


def is_current_window(window: FeedWindow, since: UUID, now_ms: int) -> bool:
    """Whether somebody who comes now, or came a step ago, would get this very beginning."""
    days = _WINDOW_DAYS.get(window)
    if days is None:
        return False
    step = days * _DAY_MS // _STEPS
    return since in (window_begin(window, now_ms), window_begin(window, now_ms - step))


def home_bound(request: ReadHome, scope: str, now_ms: int) -> HomeCursor:
    if request.cursor is None:
        since = window_begin(request.window, now_ms) if request.sort == "top" else LOWEST_ID
        return HomeCursor(Carried((_FIRST_RANK[request.sort], HIGHEST_ID)), since)
    cursor = decode_cursor(CursorKind.HOME_FEED, scope, request.cursor, HomeCursor)
    ranks = [cursor.carried.below[0], *(rank for _, rank, _ in cursor.carried.held)]
    if request.sort == "top" and not all(abs(rank) <= HIGHEST_SCORE for rank in ranks):
        _refuse("a score out of range")
    if any(math.isnan(rank) for rank in ranks):
        _refuse("no rank")
    return cursor


def home_cursor(scope: str, carried: Carried, since: UUID) -> str:
    return encode_cursor(CursorKind.HOME_FEED, scope, HomeCursor(carried, since))


_FIRST_RANK: Final[dict[FeedSort, float]] = {
    "hot": HIGHEST,
    "new": 0.0,
    "top": float(HIGHEST_SCORE),
}


def _refuse(reason: str) -> NoReturn:
    raise AppError(
        "invalid", "The cursor does not belong to this listing.", errors=(("cursor", reason),)
    )
