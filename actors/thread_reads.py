"""Reading posts, comment pages, histories and marks. Every page carries its stream's position, read
in one snapshot with what orders the page, so that nothing falls between page and socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final
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
from storage import edits, marks
from storage import posts as post_table
from storage.communities import may_read
from storage.content_locks import no_comment, no_post
from storage.identity import is_v7
from storage.postgres import Connection, wal_position
from storage.replicas import Readers
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode

RevisionNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class ThreadReader:
    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def read_post(self, request: ReadPost) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            row, epoch, top = await self._post(connection, request.caller, request.post_id)
        return content.live_page(
            _encode(content.post_view(row)),
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
        return content.live_page(
            b'{"items":[' + b",".join(items) + b'],"next_cursor":' + _encode(cursor) + b"}",
            f"thread:{request.post_id}",
            StreamPosition(tree.epoch, tree.offset),
            position,
            public=tree.visibility == "public",
        )

    async def read_post_history(self, request: ReadPostHistory) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            row, _, _ = await self._post(connection, request.caller, request.post_id)
            if row.deleted:
                raise AppError("not_found", "This post was deleted.")
            return await _history(connection, CursorKind.POST_HISTORY, request, row, row.title)

    async def read_comment_history(self, request: ReadCommentHistory) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            found = {}
            if is_v7(request.comment_id):
                found = await comment_table.read_comments(connection, [request.comment_id])
            row = found.get(request.comment_id)
            if row is None or row.deleted:
                raise no_comment()
            await self._post(connection, request.caller, row.post_id, missing=no_comment)
            return await _history(connection, CursorKind.COMMENT_HISTORY, request, row, None)

    async def read_marks(self, request: ReadMarks) -> Reply:
        if request.caller.account_id is None:
            raise AppError("unauthenticated", "Log in first.")
        ids = [id for id in request.ids if is_v7(id)]
        async with self._readers.acquire(request.position) as connection:
            found = await marks.read_marks(connection, request.caller.account_id, ids)
        return Reply(200, _encode(found))

    async def _post(
        self,
        connection: Connection,
        caller: Caller,
        post_id: UUID,
        missing: Callable[[], AppError] = no_post,
    ) -> tuple[post_table.PostRow, str, int]:
        """Raises `missing` also for what the caller may not know of."""
        found = await post_table.read_posts(connection, [post_id]) if is_v7(post_id) else {}
        if post_id not in found:
            raise missing()
        row, epoch, top = found[post_id]
        if row.visibility != "public" and not await may_read(
            connection, row.community_id, caller.account_id
        ):
            raise missing()
        return row, epoch, top


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


async def _history(
    connection: Connection,
    kind: CursorKind,
    request: ReadPostHistory | ReadCommentHistory,
    row: post_table.PostRow | comment_table.CommentRow,
    title: str | None,
) -> Reply:
    """The texts of a post (with its `title`) or comment, newest first, the one of now included: its
    number is above those of all former ones. A cursor is the number of the last one shown."""
    items: list[dict[str, object]] = []
    before = row.revision
    if request.cursor is not None:
        before = decode_cursor(kind, str(row.id), request.cursor, RevisionNumber)
    else:
        items.append(_revision(row.revision, title, row.body_markdown, None))
    older = await edits.read_revisions(connection, row.id, before, request.limit + 1 - len(items))
    items += (
        _revision(each.number, each.title, each.body_markdown, rfc3339(each.replaced_at))
        for each in older
    )
    cursor = None
    if len(items) > request.limit:
        del items[request.limit :]
        cursor = encode_cursor(kind, str(row.id), items[-1]["number"])
    return Reply(200, _encode({"items": items, "next_cursor": cursor}))


def _revision(
    number: int, title: str | None, body_markdown: str, replaced_at: str | None
) -> dict[str, object]:
    shown: dict[str, object] = {"number": number}
    if title is not None:
        shown["title"] = title
    return shown | {"body_markdown": body_markdown, "replaced_at": replaced_at}
