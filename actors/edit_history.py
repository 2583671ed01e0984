"""The texts that a post or comment had, newest first, and what each changed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final
from uuid import UUID

import msgspec

from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.messages import ReadCommentHistory, ReadPostHistory, Reply
from actors.text_diff import diff
from storage import edits
from storage.comments import CommentRow
from storage.edits import Revision
from storage.postgres import Connection
from storage.posts import PostRow
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode

RevisionNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]

# Each difference may take tens of milliseconds of a thread.
MAX_COMPARED_REVISIONS: Final = 10


class Texts(msgspec.Struct, frozen=True):
    """The texts of a post (with its `title`) or comment, the one of now included: its number is
    above those of all former ones. One more than `limit` where there is one."""

    id: UUID
    kind: CursorKind
    title: str | None
    limit: int
    revisions: list[Revision]
    shows_now: bool


async def read_texts(
    connection: Connection,
    kind: CursorKind,
    request: ReadPostHistory | ReadCommentHistory,
    row: PostRow | CommentRow,
    title: str | None,
) -> Texts:
    """A cursor is the number of the last text shown."""
    limit = min(request.limit, MAX_COMPARED_REVISIONS) if request.diff else request.limit
    texts: list[Revision] = []
    before = row.revision
    if request.cursor is not None:
        before = decode_cursor(kind, str(row.id), request.cursor, RevisionNumber)
    else:
        texts.append(Revision(row.revision, title, row.body_markdown, row.created_at))
    shows_now = bool(texts)
    texts += await edits.read_revisions(connection, row.id, before, limit + 1 - len(texts))
    return Texts(row.id, kind, title, limit, texts, shows_now)


async def history_page(texts: Texts, *, with_diff: bool) -> Reply:
    shown = texts.revisions[: texts.limit]
    cursor = None
    if len(texts.revisions) > texts.limit:
        cursor = encode_cursor(texts.kind, str(texts.id), shown[-1].number)
    items = [
        _shown(each, texts.title, is_now=texts.shows_now and place == 0)
        for place, each in enumerate(shown)
    ]
    if with_diff:
        await asyncio.to_thread(_add_differences, items, texts.revisions)
    return Reply(200, _encode({"items": items, "next_cursor": cursor}))


def _shown(revision: Revision, title: str | None, *, is_now: bool) -> dict[str, object]:
    shown: dict[str, object] = {"number": revision.number}
    if title is not None:
        shown["title"] = revision.title
    replaced_at = None if is_now else rfc3339(revision.replaced_at)
    return shown | {"body_markdown": revision.body_markdown, "replaced_at": replaced_at}


def _add_differences(items: list[dict[str, object]], revisions: list[Revision]) -> None:
    """To the text before; the first text of all has none."""
    for place, item in enumerate(items):
        earlier = revisions[place + 1] if place + 1 < len(revisions) else None
        text = revisions[place].body_markdown
        item["diff"] = None if earlier is None else diff(earlier.body_markdown, text)
        if "title" in item:
            title = revisions[place].title or ""
            item["title_diff"] = None if earlier is None else diff(earlier.title or "", title)
