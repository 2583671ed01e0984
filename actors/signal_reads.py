"""Scores of texts, for those who moderate them."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec

from actors import content
from actors.content import Author
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.directory_reads import find_community
from actors.feed_messages import ListSignals
from actors.messages import Reply
from config.errors import AppError
from storage import signals
from storage.content_locks import MODERATES
from storage.directory import Directory
from storage.postgres import Connection, wal_position
from storage.replicas import Readers
from storage.signals import FIRST_SIGNAL, SignalRow
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode

Place = tuple[Annotated[float, msgspec.Meta(ge=0, le=2)], UUID]


class SignalScores(msgspec.Struct, frozen=True):
    """0..1, by rules that are blind to what nobody thought of: a hint where to look first."""

    scam: float
    spam: float
    language: float
    off_topic: float


class ContentSignal(msgspec.Struct, frozen=True):
    """`reasons`: what in the text spoke for it. `title` is the post's, `excerpt` the beginning of
    the text itself, as Markdown."""

    kind: str
    id: UUID
    post_id: UUID
    community_id: UUID
    country: str | None
    author: Author
    title: str
    excerpt: str
    scores: SignalScores
    reasons: list[str]
    scored_at: str


class SignalReader:
    def __init__(self, readers: Readers, directory: Directory) -> None:
        self._readers = readers
        self._directory = directory

    async def list_signals(self, request: ListSignals) -> Reply:
        """The worst first. Of one community for its moderators, of all for those of the site."""
        community = None
        if request.community is not None:
            community = (await find_community(self._directory, request.community)).id
        account_id = request.caller.account_id
        assert account_id is not None  # the route takes no guests
        scope = repr((community, request.kind, request.least))
        after = FIRST_SIGNAL
        if request.cursor is not None:
            after = decode_cursor(CursorKind.SIGNALS, scope, request.cursor, Place)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            await _require_moderator(connection, account_id, community)
            rows = await signals.list_signals(
                connection, account_id, community, request.kind, request.least, after,
                request.limit + 1,
            )  # fmt: skip
        cursor = None
        if len(rows) > request.limit:
            rows = rows[: request.limit]
            cursor = encode_cursor(CursorKind.SIGNALS, scope, (rows[-1].worst, rows[-1].target_id))
        body = _encode({"items": [_view(row) for row in rows], "next_cursor": cursor})
        return Reply(200, body, position)


async def _require_moderator(
    connection: Connection, account_id: UUID, community_id: UUID | None
) -> None:
    standing = await signals.read_standing(connection, account_id, community_id)
    if community_id is not None and not standing.may_read:
        raise AppError("not_found", "There is no such community.")
    if not MODERATES & {standing.site_role, standing.role}:
        raise AppError("not_permitted", "Only moderators see scores.")


def _view(row: SignalRow) -> ContentSignal:
    return ContentSignal(
        "post" if row.is_post else "comment", row.target_id, row.post_id, row.community_id,
        content.alpha2(row.country_id), Author(row.author_id, row.handle, row.display_name),
        row.title, row.excerpt,
        SignalScores(*(round(s, 3) for s in (row.scam, row.spam, row.language, row.off_topic))),
        row.reasons, rfc3339(row.scored_at),
    )  # fmt: skip
