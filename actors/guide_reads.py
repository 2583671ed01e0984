"""Guides, as everybody reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from actors import content
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.directory_reads import known_country, without_nul
from actors.feed_messages import ListGuides, ReadGuide, ReadGuideHistory
from actors.messages import Reply
from actors.staleness import is_stale
from config.errors import AppError
from config.settings import Guides
from storage import guides
from storage.feed_keys import Languages
from storage.guides import FIRST_GUIDE, GuideFilter, GuideKey, GuideRow, GuideVersionRow
from storage.postgres import wal_position
from storage.replicas import Readers
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode

Version = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_PAST_NEWEST: Final = 2**31 - 1


class GuideSummary(msgspec.Struct, frozen=True):
    """`authority` says so as of `as_of`; the text was last compared with `source_url` on
    `last_checked`. `stale`: by rule, either is too long ago. `visa_type` null: of the country as a
    whole."""

    id: UUID
    country: str | None
    visa_type: str | None
    language: str
    title: str
    authority: str
    source_url: str
    as_of: date
    last_checked: date
    stale: bool
    version: int
    updated_at: str


class Guide(GuideSummary, frozen=True, kw_only=True):
    body_markdown: str
    body_html: str


class GuideReader:
    def __init__(
        self, readers: Readers, rule: Guides, today: Callable[[], date] | None = None
    ) -> None:
        self._readers = readers
        self._rule = rule
        self._today = today or (lambda: datetime.now(UTC).date())

    async def list_guides(self, request: ListGuides) -> Reply:
        """By country, visa type and language."""
        country = None if request.country is None else known_country(request.country)
        without_nul("visa_type", request.visa_type)
        wanted = GuideFilter(
            None if country is None else country.numeric,
            request.visa_type,
            Languages.of(request.languages),
        )
        scope = repr(wanted)
        after = FIRST_GUIDE
        if request.cursor is not None:
            after = decode_cursor(CursorKind.GUIDES, scope, request.cursor, GuideKey)
            without_nul("cursor", after.visa_type + after.language)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            rows = await guides.list_guides(connection, wanted, after, request.limit + 1)
        cursor = None
        if len(rows) > request.limit:
            rows = rows[: request.limit]
            last = rows[-1]
            key = GuideKey(last.country_id, last.visa_type or "", last.language, last.id)
            cursor = encode_cursor(CursorKind.GUIDES, scope, key)
        items = [self._summary(row) for row in rows]
        body = _encode({"items": items, "next_cursor": cursor})
        return Reply(200, body, position, public=True)

    async def read_guide(self, request: ReadGuide) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            row = await guides.read_guide(connection, request.guide_id)
        if row is None:
            raise _no_guide()
        summary = self._summary(row)
        view = Guide(
            **{name: getattr(summary, name) for name in summary.__struct_fields__},
            body_markdown=row.body_markdown,
            body_html=row.body_html,
        )
        return Reply(200, _encode(view), position, public=True)

    async def read_history(self, request: ReadGuideHistory) -> Reply:
        scope = str(request.guide_id)
        below = _PAST_NEWEST
        if request.cursor is not None:
            below = decode_cursor(CursorKind.GUIDE_HISTORY, scope, request.cursor, Version)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            rows = await guides.list_versions(
                connection, request.guide_id, below, request.limit + 1
            )
        if not rows and request.cursor is None:
            raise _no_guide()
        cursor = None
        if len(rows) > request.limit:
            rows = rows[: request.limit]
            cursor = encode_cursor(CursorKind.GUIDE_HISTORY, scope, rows[-1].version)
        items = [GuideVersion.of(row) for row in rows]
        body = _encode({"items": items, "next_cursor": cursor})
        return Reply(200, body, position, public=True)

    def _summary(self, row: GuideRow) -> GuideSummary:
        return GuideSummary(
            row.id, content.alpha2(row.country_id), row.visa_type, row.language, row.title,
            row.authority, row.source_url, row.as_of, row.last_checked,
            is_stale(row.as_of, row.last_checked, self._today(), self._rule), row.version,
            rfc3339(row.updated_at),
        )  # fmt: skip


class GuideVersion(msgspec.Struct, frozen=True):
    """`replaced_at`: null for what the guide says now."""

    version: int
    title: str
    body_markdown: str
    authority: str
    source_url: str
    as_of: date
    replaced_at: str | None

    @classmethod
    def of(cls, row: GuideVersionRow) -> GuideVersion:
        return cls(
            row.version, row.title, row.body_markdown, row.authority, row.source_url, row.as_of,
            rfc3339(row.replaced_at) if row.replaced_at else None,
        )  # fmt: skip


def _no_guide() -> AppError:
    return AppError("not_found", "There is no such guide.")
