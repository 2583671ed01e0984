"""Reading posts, comment pages, histories and marks. Every page carries its stream's position, read
in one snapshot with what orders the page, so that nothing falls between page and socket."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.comment_tree import CommentNode, Position, comment_page
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.messages import (
    Caller,
    ReadCommentHistory,
    ReadComments,
    ReadMarks,
    ReadPost,
    ReadPostHistory,
    Reply,
)
from actors.shard_messages import StreamPosition
from config.errors import AppError
from storage import comments as comment_table
from storage import edits
from storage import posts as post_table
from storage.identity import is_v7
from storage.postgres import Connection, Pool, acquire, wal_position
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode


class ThreadReader:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_post(self, request: ReadPost) -> Reply:
        async with acquire(self._pool) as connection:
            position = await wal_position(connection)
            row, epoch, top = await self._post(connection, request.caller, request.post_id)
        channel = f"thread:{row.id}"
        body = content.with_stream(
            _encode(content.post_view(row)), channel, StreamPosition(epoch, top)
        )
        return Reply(200, body, position, row.visibility == "public", channel)

    async def read_comments(self, request: ReadComments) -> Reply:
        scope = f"{request.post_id}:{request.sort}:{request.parent_id}"
        after = None
        if request.cursor is not None:
            after = decode_cursor(CursorKind.COMMENTS, scope, request.cursor, Position)
        async with acquire(self._pool) as connection:
            position = await wal_position(connection)
            tree = None
            if is_v7(request.post_id):
                tree = await comment_table.read_tree(connection, request.post_id)
            if tree is None:
                raise AppError("not_found", "There is no such post.")
            if tree.visibility != "public":
                await self._require_member(connection, request.caller, tree.community_id)
            page = comment_page(
                _standing(tree.nodes),
                request.sort,
                limit=request.limit,
                parent_id=request.parent_id,
                after=after,
            )
            # Read after the snapshot of the order: a text changed in between has an event with a
            # later offset, which the client applies on top and lands on the same text.
            rows = await comment_table.read_comments(connection, [item.id for item in page.items])
        items = [
            _encode(content.comment_view(rows[item.id], item.more_children))
            for item in page.items
            if item.id in rows
        ]
        cursor = encode_cursor(CursorKind.COMMENTS, scope, page.next) if page.next else None
        channel = f"thread:{request.post_id}"
        body = content.with_stream(
            b'{"items":[' + b",".join(items) + b'],"next_cursor":' + _encode(cursor) + b"}",
            channel,
            StreamPosition(tree.epoch, tree.offset),
        )
        return Reply(200, body, position, tree.visibility == "public", channel)

    async def read_post_history(self, request: ReadPostHistory) -> Reply:
        async with acquire(self._pool) as connection:
            row, _, _ = await self._post(connection, request.caller, request.post_id)
        if row.deleted:
            raise AppError("not_found", "This post was deleted.")
        older = await edits.read_revisions(self._pool, row.id)
        latest = {
            "number": row.revision,
            "title": row.title,
            "body_markdown": row.body_markdown,
            "replaced_at": None,
        }
        return _history(older, latest, with_title=True)

    async def read_comment_history(self, request: ReadCommentHistory) -> Reply:
        async with acquire(self._pool) as connection:
            found = {}
            if is_v7(request.comment_id):
                found = await comment_table.read_comments(connection, [request.comment_id])
            row = found.get(request.comment_id)
            if row is None or row.deleted:
                raise AppError("not_found", "There is no such comment.")
            await self._post(connection, request.caller, row.post_id)
        older = await edits.read_revisions(self._pool, row.id)
        latest = {"number": row.revision, "body_markdown": row.body_markdown, "replaced_at": None}
        return _history(older, latest, with_title=False)

    async def read_marks(self, request: ReadMarks) -> Reply:
        if request.caller.account_id is None:
            raise AppError("unauthenticated", "Log in first.")
        ids = [id for id in request.ids if is_v7(id)]
        async with acquire(self._pool) as connection:
            votes = await post_table.read_marks(connection, request.caller.account_id, ids)
        body = {"votes": {str(id): value for id, value in votes.items()}, "saved": [], "read": {}}
        return Reply(200, _encode(body))

    async def _post(
        self, connection: Connection, caller: Caller, post_id: UUID
    ) -> tuple[post_table.PostRow, str, int]:
        found = await post_table.read_posts(connection, [post_id]) if is_v7(post_id) else {}
        if post_id not in found:
            raise AppError("not_found", "There is no such post.")
        row, epoch, top = found[post_id]
        if row.visibility != "public":
            await self._require_member(connection, caller, row.community_id)
        return row, epoch, top

    async def _require_member(
        self, connection: Connection, caller: Caller, community_id: UUID
    ) -> None:
        """Whoever may not see a private community is not told that it exists."""
        if caller.account_id is not None:
            if caller.role == "admin":
                return
            roles = await post_table.members_of(connection, caller.account_id, [community_id])
            if roles.get(community_id, "banned") != "banned":
                return
        raise AppError("not_found", "There is no such post.")


def _standing(nodes: list[tuple[UUID, UUID | None, int, int, bool]]) -> list[CommentNode]:
    """All comments but deleted ones without replies (and what thereby has none)."""
    replies: dict[UUID | None, int] = {}
    for _, parent, _, _, _ in nodes:
        replies[parent] = replies.get(parent, 0) + 1
    parents = {id: parent for id, parent, _, _, _ in nodes}
    empty = [id for id, _, _, _, deleted in nodes if deleted and id not in replies]
    gone: set[UUID] = set()
    deleted_ids = {id for id, _, _, _, deleted in nodes if deleted}
    while empty:
        id = empty.pop()
        gone.add(id)
        parent = parents[id]
        if parent is not None:
            replies[parent] -= 1
            if replies[parent] == 0 and parent in deleted_ids:
                empty.append(parent)
    return [
        CommentNode(id, parent, up, down) for id, parent, up, down, _ in nodes if id not in gone
    ]


def _history(older: list[edits.Revision], latest: dict[str, object], *, with_title: bool) -> Reply:
    items: list[dict[str, object]] = [latest]
    for revision in reversed(older):
        item: dict[str, object] = {"number": revision.number}
        if with_title:
            item["title"] = revision.title
        item["body_markdown"] = revision.body_markdown
        item["replaced_at"] = rfc3339(revision.replaced_at)
        items.append(item)
    return Reply(200, _encode({"items": items, "next_cursor": None}))
