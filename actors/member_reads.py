"""A member as everybody sees them: the same answer whoever asks."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec

from actors import content
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.feed_messages import ListMemberPosts, ReadMember
from actors.messages import Reply
from config.errors import AppError
from storage import member_pages
from storage.feed_keys import HIGHEST_ID
from storage.member_pages import PublicMember
from storage.postgres import Connection, wal_position
from storage.replicas import Readers

_encode: Final = msgspec.json.Encoder().encode


class MemberView(msgspec.Struct, frozen=True):
    """`joined`: the month. Nothing else of an account is anybody's business."""

    id: UUID
    handle: str
    display_name: str
    joined: Annotated[str, msgspec.Meta(examples=["2026-03"])]


class MemberReader:
    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def read(self, request: ReadMember) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            member = await _member(connection, request.handle)
        view = MemberView(
            member.id, member.handle, member.display_name, f"{member.created_at:%Y-%m}"
        )
        return Reply(200, _encode(view), position, public=True)

    async def list_posts(self, request: ListMemberPosts) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            member = await _member(connection, request.handle)
            scope, below = str(member.id), HIGHEST_ID
            if request.cursor is not None:
                below = decode_cursor(CursorKind.MEMBER_POSTS, scope, request.cursor, UUID)
            found = await member_pages.public_posts(connection, member.id, below, request.limit + 1)
        items = found[: request.limit]
        more = len(found) > request.limit
        cursor = encode_cursor(CursorKind.MEMBER_POSTS, scope, items[-1].id) if more else None
        body = _encode({"items": [content.post_view(p) for p in items], "next_cursor": cursor})
        return Reply(200, body, position, public=True)


async def _member(connection: Connection, handle: str) -> PublicMember:
    member = await member_pages.find_member(connection, handle)
    if member is None:
        raise AppError("not_found", "There is no such member.")
    return member
