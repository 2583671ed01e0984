from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
import pytest

from actors.comment_tree import Position, Step
from actors.cursors import MAX_CURSOR_CHARACTERS, CursorKind, decode_cursor, encode_cursor
from actors.pages import page, place_of
from config.errors import AppError

FEED = tuple[float, UUID]


def refused(text: str, kind: CursorKind = CursorKind.COMMUNITY_FEED, scope: str = "de:hot") -> str:
    with pytest.raises(AppError) as caught:
        decode_cursor(kind, scope, text, FEED)
    assert caught.value.code == "invalid"
    ((path, reason),) = caught.value.errors
    assert path == "cursor"
    return reason


@pytest.fixture
def cursor() -> str:
    return encode_cursor(CursorKind.COMMUNITY_FEED, "de:hot", (1.5, uuid.UUID(int=7)))


def test_a_cursor_is_refused_elsewhere(cursor: str) -> None:
    assert "another listing" in refused(cursor, kind=CursorKind.HOME_FEED)
    assert "another listing or order" in refused(cursor, scope="de:new")
    assert "another listing or order" in refused(cursor, scope="fr:hot")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "AAAA",
        "AAAAAAA",
        "not a cursor!",
        "é" * 8,
        "A" * (MAX_CURSOR_CHARACTERS + 1),
        "\x00",
    ],
)
def test_garbage_is_refused(text: str) -> None:
    refused(text)


def test_padding_and_the_other_alphabet_are_refused(cursor: str) -> None:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    refused(base64.urlsafe_b64encode(raw + b"\xff").decode())
    refused(cursor + "==")
    refused(cursor.replace("-", "+").replace("_", "/") + "+")


@pytest.mark.parametrize("value", [(1.5,), ("x", UUID(int=7)), None, {"a": 1}, (1.5, b"short")])
def test_a_value_of_another_type_is_refused(value: object) -> None:
    refused(encode_cursor(CursorKind.COMMUNITY_FEED, "de:hot", value))


def test_bounds_in_the_type_hold() -> None:
    bounded = tuple[Annotated[int, msgspec.Meta(ge=0, le=9)]]
    text = encode_cursor(CursorKind.COMMUNITIES, "", (10,))
    with pytest.raises(AppError):
        decode_cursor(CursorKind.COMMUNITIES, "", text, bounded)


@pytest.mark.parametrize(
    "place",
    [
        ("0001-01-01T00:00:00+14:00", uuid.UUID(int=7)),
        ("2026-01-01T00:00:00", uuid.UUID(int=7)),
        (-1, uuid.UUID(int=7)),
        (2**53, uuid.UUID(int=7)),
        (1, 7),
    ],
)
@pytest.mark.parametrize("kind", [CursorKind.DRAFTS, CursorKind.SAVES, CursorKind.MUTED_ACCOUNTS])
def test_a_forged_time_never_reaches_sql(kind: CursorKind, place: object) -> None:
    with pytest.raises(AppError) as caught:
        place_of(kind, "me", encode_cursor(kind, "me", place))
    assert caught.value.code == "invalid"
    assert caught.value.errors == (("cursor", "malformed"),)


@pytest.mark.parametrize("at", [datetime(1970, 1, 1), datetime(2026, 11, 29, 1, 2, 3, 456789)])
def test_a_place_comes_back_to_the_microsecond(at: datetime) -> None:
    last = at.replace(tzinfo=UTC), uuid.UUID(int=7)
    shown = msgspec.json.decode(page(CursorKind.SAVES, "me", [], last))
    assert place_of(CursorKind.SAVES, "me", shown["next_cursor"]) == last
    assert place_of(CursorKind.SAVES, "me", None) is None


def test_the_cursor_of_a_comment_twelve_deep_fits_a_url() -> None:
    path = tuple(Step(-0.123456789 * i, uuid.uuid4()) for i in range(13))
    position = Position(uuid.uuid4(), path)
    text = encode_cursor(CursorKind.COMMENTS, "best", position)
    assert len(text) < 600
    assert decode_cursor(CursorKind.COMMENTS, "best", text, Position) == position
