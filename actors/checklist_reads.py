"""Checklists and official pages, as everybody reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

import msgspec

from actors.checklist_views import ChecklistEntry, ChecklistView, summary
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from actors.directory_reads import known_country, without_nul
from actors.links.freshness import LinkState, freshness
from actors.messages import Reply
from actors.pages import require_limit
from actors.timeline_reads import require_visa_type
from actors.visa_messages import ChecklistRead, ListChecklists, ListOfficialLinks, ReadChecklist
from config.reference import Country
from config.settings import OfficialLinks
from storage import checklists, official_links
from storage.checklists import ChecklistFilter
from storage.feed_keys import Languages
from storage.official_links import LinkRow, Source
from storage.postgres import wal_position
from storage.replicas import Readers
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.Encoder().encode


class OfficialLink(LinkState, frozen=True, kw_only=True):
    """`sources`: what names the page. `content_hash`: SHA-256 of its text, in hexadecimals."""

    content_hash: str | None
    sources: list[Source]


class ChecklistReader:
    def __init__(self, readers: Readers, rule: OfficialLinks, clock_ms: Callable[[], int]) -> None:
        self._readers = readers
        self._rule = rule
        self._clock_ms = clock_ms

    async def answer(self, request: ChecklistRead) -> Reply:
        match request:
            case ListChecklists():
                return await self._list(request)
            case ReadChecklist():
                return await self._read(request)
            case ListOfficialLinks():
                return await self._links(request)

    async def _list(self, request: ListChecklists) -> Reply:
        require_limit(request.limit)
        country = _known(request.country, request.visa_type)
        languages = Languages.of(request.languages)
        number = None if country is None else country.numeric
        scope = repr((number, request.visa_type, languages))
        after = _after(CursorKind.CHECKLISTS, scope, request.cursor)
        wanted = ChecklistFilter(number, request.visa_type, languages)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            rows = await checklists.list_checklists(connection, wanted, after, request.limit + 1)
        shown = rows[: request.limit]
        cursor = None
        if len(rows) > len(shown):
            cursor = encode_cursor(CursorKind.CHECKLISTS, scope, shown[-1].id)
        body = _encode({"items": [summary(row) for row in shown], "next_cursor": cursor})
        return Reply(200, body, position, public=True)

    async def _read(self, request: ReadChecklist) -> Reply:
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            row = await checklists.read_checklist(connection, request.checklist_id)
            urls = {item.source_url for item in row.items if item.source_url is not None}
            links = await official_links.states(connection, sorted(urls)) if urls else []
        states = {link.url: self._state(link) for link in links}
        items = [
            ChecklistEntry(i.id, i.text, None if i.source_url is None else states[i.source_url])
            for i in row.items
        ]
        view = ChecklistView(**msgspec.structs.asdict(summary(row)), items=items)
        return Reply(200, _encode(view), position, public=True)

    async def _links(self, request: ListOfficialLinks) -> Reply:
        require_limit(request.limit)
        country = _known(request.country, request.visa_type)
        number = None if country is None else country.numeric
        scope = repr((number, request.visa_type))
        after = _after(CursorKind.OFFICIAL_LINKS, scope, request.cursor)
        async with self._readers.acquire(request.position) as connection:
            position = await wal_position(connection)
            rows = await official_links.list_links(
                connection, number, request.visa_type, after, request.limit + 1
            )
        shown = rows[: request.limit]
        cursor = None
        if len(rows) > len(shown):
            cursor = encode_cursor(CursorKind.OFFICIAL_LINKS, scope, shown[-1].link.url)
        items = [
            OfficialLink(
                **msgspec.structs.asdict(self._state(row.link)),
                content_hash=None if row.link.content_hash is None else row.link.content_hash.hex(),
                sources=row.sources,
            )
            for row in shown
        ]
        return Reply(200, _encode({"items": items, "next_cursor": cursor}), position, public=True)

    def _state(self, link: LinkRow) -> LinkState:
        now = dt.datetime.fromtimestamp(self._clock_ms() / 1000, dt.UTC)
        return LinkState(
            link.url,
            link.status,  # type: ignore[arg-type]
            link.http_status,
            freshness(link.status, link.last_ok_at, now, self._rule),
            None if link.last_checked_at is None else rfc3339(link.last_checked_at),
            None if link.last_changed_at is None else rfc3339(link.last_changed_at),
        )


def _known(alpha2: str | None, visa_type: str | None) -> Country | None:
    """Raises AppError `invalid`. A visa type alone is any country's."""
    without_nul("visa_type", visa_type)
    if alpha2 is None:
        return None
    country = known_country(alpha2)
    require_visa_type(country, visa_type)
    return country


def _after(kind: CursorKind, scope: str, cursor: str | None) -> str:
    if cursor is None:
        return ""
    after: str = decode_cursor(kind, scope, cursor, str)
    without_nul("cursor", after)
    return after
