"""Reading posts, comment pages, histories and marks. Every page carries its stream's position, read
in one snapshot with what orders the page, so that nothing falls between page and socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from actors import content
from actors.comment_tree import Position, comment_page
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.edit_history import history_page, read_texts
from actors.messages import (
    Caller,
    ReadComment,
    ReadCommentHistory,
    ReadComments,
    ReadMarks,
    ReadPost,
    ReadPostHistory,
    Reply,
)
from actors.shard_messages import StreamPosition
from actors.standing_tree import standing, standing_below
from config.errors import AppError
from storage import comments as comment_table
from storage import marks
from storage import posts as post_table
from storage.communities import may_read
from storage.content_locks import no_comment, no_post
from storage.identity import is_v7
from storage.moves import current_id
from storage.postgres import Connection, wal_position
from storage.replicas import Readers

_encode: Final = msgspec.json.Encoder().encode


class ThreadReader:
    def __init__(self, readers: Readers, *, can_translate: bool = False) -> None:
        self._readers = readers
        self._can_translate = can_translate

    async def read_post(self, request: ReadPost) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            row, epoch, top = await visible_post(connection, request.caller, request.post_id)
        body = _encode(content.post_view(row))
        if self._can_translate:
            body = body[:-1] + b',"translatable":true}'
        return content.live_page(
            body,
            f"thread:{row.id}",
            StreamPosition(epoch, top),
            position,
            public=row.visibility == "public",
        )

    async def read_comments(self, request: ReadComments) -> Reply:
        scope = f"{request.post_id}:{request.sort}:{request.parent_id}"
        after = None
        if request.cursor is not None:
            after = decode_cursor(CursorKind.COMMENTS, scope, request.cursor, Position)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            tree = None
            if is_v7(request.post_id):
                tree = await comment_table.read_tree(connection, request.post_id)
            if tree is None:
                raise no_post()
            if tree.visibility != "public" and not await may_read(
                connection, tree.community_id, request.caller.account_id
            ):
                raise no_post()
            page = comment_page(
                standing(tree.nodes),
                request.sort,
                limit=request.limit,
                parent_id=request.parent_id,
                after=after,
            )
            # Read after the snapshot of the order: a text changed in between has an event with a
            # later offset, which the client applies on top and lands on the same text.
            rows = await comment_table.read_comments(connection, [item.id for item in page.items])
        items = [
            content.comment_view(rows[item.id], item.more_children)
            for item in page.items
            if item.id in rows
        ]
        cursor = encode_cursor(CursorKind.COMMENTS, scope, page.next) if page.next else None
        return content.live_page(
            _encode({"items": items, "next_cursor": cursor}),
            f"thread:{request.post_id}",
            StreamPosition(tree.epoch, tree.offset),
            position,
            public=tree.visibility == "public",
        )

    async def read_comment(self, request: ReadComment) -> Reply:
        """One comment, deleted ones too, by any id that it ever had."""
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            row = await self._comment(connection, request.comment_id)
            branch = await comment_table.read_branch(connection, row.post_id, row.id)
            if branch is None:
                raise no_comment()
            if branch.visibility != "public" and not await may_read(
                connection, branch.community_id, request.caller.account_id
            ):
                raise no_comment()
            above = branch.ancestors[max(0, len(branch.ancestors) - request.context) :]
            rows = await comment_table.read_comments(connection, [*above, row.id])
        view = content.permalink_view(
            rows.get(row.id, row),
            standing_below(branch.nodes),
            branch.ancestors,
            [rows[id] for id in above if id in rows],
        )
        return content.live_page(
            _encode(view),
            f"thread:{row.post_id}",
            StreamPosition(branch.epoch, branch.offset),
            position,
            public=branch.visibility == "public",
        )

    async def read_post_history(self, request: ReadPostHistory) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            row, _, _ = await visible_post(connection, request.caller, request.post_id)
            if row.deleted:
                raise AppError("not_found", "This post was deleted.")
            texts = await read_texts(connection, CursorKind.POST_HISTORY, request, row, row.title)
        return await history_page(texts, with_diff=request.diff)

    async def read_comment_history(self, request: ReadCommentHistory) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            row = await self._comment(connection, request.comment_id)
            if row.deleted:
                raise no_comment()
            await visible_post(connection, request.caller, row.post_id, missing=no_comment)
            texts = await read_texts(connection, CursorKind.COMMENT_HISTORY, request, row, None)
        return await history_page(texts, with_diff=request.diff)

    async def read_marks(self, request: ReadMarks) -> Reply:
        if request.caller.account_id is None:
            raise AppError("unauthenticated", "Log in first.")
        ids = [id for id in request.ids if is_v7(id)]
        async with self._readers.acquire(request.position) as connection:
            found = await marks.read_marks(connection, request.caller.account_id, ids)
        return Reply(200, _encode(found))

    async def _comment(self, connection: Connection, comment_id: UUID) -> comment_table.CommentRow:
        """By its id, or by one that it had before its thread went to another country."""
        if not is_v7(comment_id):
            raise no_comment()
        found = await comment_table.read_comments(connection, [comment_id])
        if not found:
            now = await current_id(connection, comment_id)
            found = {} if now is None else await comment_table.read_comments(connection, [now])
        for row in found.values():
            return row
        raise no_comment()


async def visible_post(
    connection: Connection,
    caller: Caller,
    post_id: UUID,
    missing: Callable[[], AppError] = no_post,
) -> tuple[post_table.PostRow, str, int]:
    """The post, and the epoch and offset of its stream. Raises `missing` also for what the caller
    may not know of."""
    found = await post_table.read_posts(connection, [post_id]) if is_v7(post_id) else {}
    if post_id not in found:
        raise missing()
    row, epoch, top = found[post_id]
    if row.visibility != "public" and not await may_read(
        connection, row.community_id, caller.account_id
    ):
        raise missing()
    return row, epoch, top
